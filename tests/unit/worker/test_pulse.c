/*
 * test_pulse - what heartbeats carry, what their answers do, and that output comes whole.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/activity.h"
#include "base/buf.h"
#include "base/json.h"
#include "sewad.h"
#include "worker/pulse.h"

struct world {
    struct sewad *sewad;
    struct pulse *pulse;
    atomic_bool stop;
    struct sewad_answer heartbeat, log;
    atomic_bool holds_log;
};

static struct sewad_answer answer(const char *call, size_t number, void *arg)
{
    const struct world *w = arg;

    (void)number;
    if (strcmp(call, "heartbeat") == 0)
        return w->heartbeat;
    while (atomic_load(&w->holds_log))
        usleep(1000);
    return w->log;
}

static void open_world(struct world *w, int64_t interval_ms)
{
    struct sewa_error err = { 0 };

    w->sewad = sewad_start(answer, w);
    assert_ok(pulse_start(sewad_socket(w->sewad), "token", interval_ms, &w->stop, &w->pulse, &err),
              err);
}

static void close_world(struct world *w)
{
    pulse_stop(w->pulse);
    sewad_stop(w->sewad);
}

/* A heartbeat that was made after this call. */
static json_t *next_heartbeat(struct world *w)
{
    size_t n = sewad_count(w->sewad, "heartbeat");

    sewad_wait(w->sewad, "heartbeat", n + 2); /* one may have been under way */
    AUTOFREE char *body = sewad_body(w->sewad, "heartbeat", n + 1, NULL);
    json_t *o = json_loads(body, 0, NULL);
    assert_true(json_is_object(o));
    return o;
}

static json_int_t progress(const json_t *heartbeat)
{
    const json_t *n = json_object_get(heartbeat, "progress");

    assert_true(json_is_integer(n));
    return json_integer_value(n);
}

static void test_says_what_is_done(void **state)
{
    struct world w = { 0 };

    (void)state;
    open_world(&w, 5);
    for (int a = 0; a < ACTIVITIES; a++) {
        activity_begin((enum activity)a);
        AUTOJSON json_t *o = next_heartbeat(&w);
        assert_string_equal(json_string_value(json_object_get(o, "doing")), activity_names[a]);
        assert_int_equal(json_object_size(o), 2);
    }
    close_world(&w);
}

static void test_progress_moves_with_work_alone(void **state)
{
    struct world w = { 0 };

    (void)state;
    open_world(&w, 5);
    activity_begin(ACTIVITY_READ);
    AUTOJSON json_t *first = next_heartbeat(&w);
    AUTOJSON json_t *second = next_heartbeat(&w); /* of a read that hangs */
    assert_int_equal(progress(first), progress(second));
    activity_moved();
    activity_moved();
    AUTOJSON json_t *third = next_heartbeat(&w);
    assert_int_equal(progress(third), progress(second) + 2);
    activity_begin(ACTIVITY_IDLE);
    close_world(&w);
}

static void await_stop(struct world *w)
{
    for (int i = 0; !atomic_load(&w->stop); i++) {
        if (i > 6000)
            fail_msg("the worker was not told to stop");
        usleep(10000);
    }
}

static void test_told_to_stop(void **state)
{
    struct world w = { .heartbeat.body = "{\"stop\": true}" };

    (void)state;
    open_world(&w, 5);
    await_stop(&w);
    close_world(&w);
}

static void test_a_token_of_nobody_stops(void **state)
{
    struct world w = { .heartbeat = { 401, "{\"code\": \"unauthorized\", \"detail\": \"no\"}" } };

    (void)state;
    open_world(&w, 5);
    await_stop(&w);
    close_world(&w);
}

/* Neither an answer that says nothing nor a sewad that is busy ends a worker. */
static void test_goes_on_otherwise(void **state)
{
    struct world w = { .heartbeat.body = "{\"stop\": false}" };
    struct world busy = { .heartbeat = { 503, "{\"code\": \"unavailable\", \"detail\": \"no\"}" } };

    (void)state;
    open_world(&w, 5);
    open_world(&busy, 5);
    sewad_wait(w.sewad, "heartbeat", 5);
    sewad_wait(busy.sewad, "heartbeat", 5);
    assert_false(atomic_load(&w.stop));
    assert_false(atomic_load(&busy.stop));
    close_world(&w);
    close_world(&busy);
}

/* All that was sent, one behind the other. */
static void collect(struct world *w, struct buf *ret, size_t most)
{
    size_t n = sewad_count(w->sewad, "log"), length;

    for (size_t i = 0; i < n; i++) {
        AUTOFREE char *body = sewad_body(w->sewad, "log", i, &length);
        assert_true(length > 0 && length <= most);
        buf_append(ret, body, length);
    }
}

static void test_output_comes_whole_and_in_order(void **state)
{
    struct world w = { 0 };
    AUTO(buf_clear) struct buf said = { 0 }, came = { 0 };
    char line[32];

    (void)state;
    open_world(&w, 3600000);
    for (int i = 0; i < 40000; i++) {
        int n = snprintf(line, sizeof line, "line %d\n", i);
        buf_append(&said, line, (size_t)n);
        pulse_output(w.pulse, line, (size_t)n);
    }
    pulse_stop(w.pulse); /* sends what is left */
    collect(&w, &came, 200 * 1024);
    assert_true(sewad_count(w.sewad, "log") >= 2);
    assert_int_equal(came.len, said.len);
    assert_memory_equal(came.data, said.data, said.len);
    assert_int_equal(sewad_count(w.sewad, "heartbeat"), 0);
    sewad_stop(w.sewad);
}

/* The first mebibyte is kept until it can be sent; that the rest is missing stands behind it. */
static void test_too_much_output_is_dropped_and_said(void **state)
{
    enum { PART = 1 << 20 };
    struct world w = { .holds_log = true };
    AUTO(buf_clear) struct buf came = { 0 };
    AUTOFREE char *part = malloc(PART);

    (void)state;
    memset(part, 'x', PART);
    open_world(&w, 3600000);
    pulse_output(w.pulse, "first\n", 6);
    sewad_wait(w.sewad, "log", 1); /* and is held there */
    pulse_output(w.pulse, part, PART);
    pulse_output(w.pulse, part, 7);
    pulse_output(w.pulse, part, 13);
    atomic_store(&w.holds_log, false);
    pulse_stop(w.pulse);
    collect(&w, &came, 200 * 1024);
    assert_true(came.len > 6 + PART);
    assert_memory_equal(came.data, "first\n", 6);
    assert_memory_equal(came.data + 6, part, PART);
    assert_string_equal(buf_cstr(&came) + 6 + PART,
                        "\n[20 bytes of output came too fast and are not kept]\n");
    sewad_stop(w.sewad);
}

static void test_a_flush_waits_until_all_is_sent(void **state)
{
    struct world w = { 0 };
    AUTO(buf_clear) struct buf said = { 0 };
    char line[32];

    (void)state;
    open_world(&w, 3600000);
    pulse_flush(w.pulse); /* there is nothing to wait for */
    assert_int_equal(sewad_count(w.sewad, "log"), 0);
    for (int i = 0; i < 20; i++) {
        AUTO(buf_clear) struct buf came = { 0 };
        int n = snprintf(line, sizeof line, "line %d\n", i);
        buf_append(&said, line, (size_t)n);
        pulse_output(w.pulse, line, (size_t)n);
        pulse_flush(w.pulse);
        collect(&w, &came, 200 * 1024);
        assert_string_equal(buf_cstr(&came), buf_cstr(&said));
    }
    close_world(&w);
}

/* A service that is away does not hold up the worker: that output is lost. */
static void test_a_flush_without_a_service(void **state)
{
    struct world w = { 0 };

    (void)state;
    open_world(&w, 3600000);
    sewad_stop(w.sewad);
    pulse_output(w.pulse, "lost\n", 5);
    pulse_flush(w.pulse);
    pulse_stop(w.pulse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says_what_is_done),
        cmocka_unit_test(test_progress_moves_with_work_alone),
        cmocka_unit_test(test_told_to_stop),
        cmocka_unit_test(test_a_token_of_nobody_stops),
        cmocka_unit_test(test_goes_on_otherwise),
        cmocka_unit_test(test_output_comes_whole_and_in_order),
        cmocka_unit_test(test_too_much_output_is_dropped_and_said),
        cmocka_unit_test(test_a_flush_waits_until_all_is_sent),
        cmocka_unit_test(test_a_flush_without_a_service),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
