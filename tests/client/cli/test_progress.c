/*
 * test_progress - the lines that move: what stands in them, and that they fit.
 */
#include "support/support.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#include "cleanup.h"
#include "cli/exits.h"
#include "cli/progress.h"
#include "cli/visible.h"

static struct sewa_job running(void)
{
    return (struct sewa_job){ .id = "job_1",
                              .state = SEWA_JOB_RUNNING,
                              .state_name = "running",
                              .progress = { .iteration = 30,
                                            .iterations = 60,
                                            .evaluations = 240,
                                            .evaluations_total = 480,
                                            .eta_seconds = 12 } };
}

static void bars(void **state)
{
    (void)state;
    const struct sewa_job job = running();
    static const struct {
        size_t width;
        const char *text;
    } rows[] = {
        { 200, "running [####################....................] 30/60  loss 0.5000  12 s left" },
        { 60, "running [##########..........] 30/60  loss 0.5000  12 s left" },
        { 46, "running 30/60  loss 0.5000  12 s left" },
        { 20, "running 30/60  loss " },
        { 0, "" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(sewa_text_clear) struct text t = { 0 };
        progress_job_bar(&t, &job, 0.5, rows[i].width);
        assert_string_equal(sewa_text_get(&t), rows[i].text);
    }
}

/* Without a total of evaluations, and without anything to count. */
static void bars_of_iterations(void **state)
{
    (void)state;
    struct sewa_job job = running();
    AUTO(sewa_text_clear) struct text t = { 0 }, none = { 0 };

    job.progress.evaluations_total = 0;
    job.progress.iteration = 15;
    progress_job_bar(&t, &job, 0.5, 60);
    assert_string_equal(sewa_text_get(&t),
                        "running [#####...............] 15/60  loss 0.5000  12 s left");
    job.progress.iterations = 0;
    progress_job_bar(&none, &job, 0.5, 60);
    assert_non_null(strstr(sewa_text_get(&none), "[...."));
}

/* Every width, every fraction, and numbers that make no sense. */
static void bars_always_fit(void **state)
{
    (void)state;
    struct sewa_job job = running();

    for (size_t width = 0; width < 120; width++)
        for (int64_t done = -1; done <= 481; done += 60) {
            AUTO(sewa_text_clear) struct text t = { 0 };
            job.progress.evaluations = done;
            progress_job_bar(&t, &job, (double)NAN, width);
            assert_true(visible_width(sewa_text_get(&t)) <= width);
            assert_null(strstr(sewa_text_get(&t), "loss"));
        }
}

static void lines(void **state)
{
    (void)state;
    AUTO(sewa_text_clear) struct text t = { 0 }, plain = { 0 };
    struct sewa_job job = running();

    progress_job_line(&t, &job, 0.5);
    assert_string_equal(sewa_text_get(&t),
                        "job_1 running: iteration 30 of 60, loss 0.5000, 12 s left");
    job.progress = (struct sewa_progress){ .evaluations = 3, .evaluations_total = 7 };
    job.state_name = "run\033ning";
    progress_job_line(&plain, &job, (double)NAN);
    assert_string_equal(sewa_text_get(&plain), "job_1 run\\u001bning: evaluation 3 of 7");
}

static void transfers(void **state)
{
    (void)state;
    AUTO(sewa_text_clear) struct text t = { 0 }, empty = { 0 };

    progress_bytes_bar(&t, "m", 250, 1000, 2e6, 50);
    assert_string_equal(sewa_text_get(&t), "m [#####...............] 250 B of 1.0 kB  2.0 MB/s");
    progress_bytes_bar(&empty, "m", 0, 0, 0, 40);
    assert_string_equal(sewa_text_get(&empty), "m [#########################] 0 B of 0 B");
}

/* ---- exit statuses: a contract ---- */

static void exits(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum exit_status status;
    } rows[] = {
        { 0, EXIT_OK },
        { 1, EXIT_OK },
        { SEWA_E_NOT_FOUND, EXIT_NOT_FOUND },
        { SEWA_E_CONFLICT, EXIT_CONFLICT },
        { SEWA_E_PRECONDITION, EXIT_CONFLICT },
        { SEWA_E_IDEMPOTENCY_MISMATCH, EXIT_CONFLICT },
        { SEWA_E_LOCKED, EXIT_CONFLICT },
        { SEWA_E_UNAUTHORIZED, EXIT_AUTH },
        { SEWA_E_FORBIDDEN, EXIT_AUTH },
        { SEWA_E_UNREACHABLE, EXIT_UNREACHABLE },
        { SEWA_E_UNAVAILABLE, EXIT_UNREACHABLE },
        { SEWA_E_TIMEOUT, EXIT_UNREACHABLE },
        { SEWA_E_TOO_MANY, EXIT_UNREACHABLE },
        { SEWA_E_INVALID, EXIT_ERROR },
        { SEWA_E_CORRUPT, EXIT_ERROR },
        { SEWA_E_INTERNAL, EXIT_ERROR },
        { SEWA_E_PROTOCOL, EXIT_ERROR },
        { -9999, EXIT_ERROR },
    };
    const struct sewa_code_info *info;

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(exit_of_code(rows[i].code), rows[i].status);
    for (size_t i = 0; (info = sewa_code_at(i)); i++)
        assert_int_not_equal(exit_of_code(info->code), EXIT_OK);
    assert_int_equal(exit_of_job(SEWA_JOB_SUCCEEDED), 0);
    assert_int_equal(exit_of_job(SEWA_JOB_FAILED), 7);
    assert_int_equal(exit_of_job(SEWA_JOB_CANCELLED), 8);
    assert_int_equal(exit_of_job(SEWA_JOB_RUNNING), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bars),
        cmocka_unit_test(bars_of_iterations),
        cmocka_unit_test(bars_always_fit),
        cmocka_unit_test(lines),
        cmocka_unit_test(transfers),
        cmocka_unit_test(exits),
    };

    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
