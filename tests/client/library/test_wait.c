/*
 * test_wait - a service that is away for a moment is waited for; one that is lost is not, although
 * the caller would wait for its job for ever.
 */
#include "support/support.h"

#include <string.h>

#include <sewa/client.h>

#include "cleanup.h"
#include "transport.h"
#include "wait.h"

/* Nobody listens there: every question fails at once. */
static struct sewa_client *client_of_nobody(int64_t lost_for_ms)
{
    const struct sewa_client_options o = { .url = "127.0.0.1:1" };
    struct sewa_client *c = NULL;
    struct sewa_error err;

    assert_ok(sewa_client_open(&o, &c, &err), err);
    c->was_there = true;
    c->lost_since_ms = lost_for_ms ? sewa_clock_ms() - lost_for_ms : 0;
    return c;
}

static void test_a_moment_is_endured(void **state)
{
    (void)state;
    struct sewa_client *c = client_of_nobody(0);
    struct sewa_error err;
    int64_t before_ms = sewa_clock_ms();

    assert_int_equal(sewa_endure(c, SEWA_E_UNREACHABLE, &err), 0);
    int64_t since_ms = c->lost_since_ms;
    assert_true(since_ms >= before_ms);
    assert_int_equal(sewa_endure(c, SEWA_E_UNAVAILABLE, &err), 0);
    assert_int_equal(sewa_endure(c, SEWA_E_TOO_MANY, &err), 0);
    assert_int_equal(c->lost_since_ms, since_ms); /* it is lost since the first of them */
    assert_int_equal(sewa_endure(c, SEWA_E_NOT_FOUND, &err), SEWA_E_NOT_FOUND);
    sewa_client_close(c);
}

static void test_a_lost_service_is_given_up(void **state)
{
    (void)state;
    static const int codes[] = { SEWA_E_UNREACHABLE, SEWA_E_UNAVAILABLE, SEWA_E_TOO_MANY };
    struct sewa_client *c = client_of_nobody(LOST_SERVICE_MS + 1);
    struct sewa_error err;

    for (size_t i = 0; i < COUNT_OF(codes); i++)
        assert_int_equal(sewa_endure(c, codes[i], &err), codes[i]);
    sewa_client_close(c);
}

/* Whoever waits without an end of his own is told: each of the calls that wait. */
static void test_nobody_waits_for_ever(void **state)
{
    (void)state;
    struct sewa_client *c = client_of_nobody(LOST_SERVICE_MS + 1);
    struct sewa_job job = { 0 };
    struct sewa_error err;
    char id[] = "job_1";

    assert_failed(sewa_job_wait(c, id, -1, &job, &err), err, SEWA_E_UNREACHABLE, "127.0.0.1:1");
    job.id = id;
    job.etag = "\"v1\"";
    assert_failed(sewa_job_refresh(c, &job, 3600 * 1000, &err), err, SEWA_E_UNREACHABLE,
                  "127.0.0.1:1");
    sewa_client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_moment_is_endured),
        cmocka_unit_test(test_a_lost_service_is_given_up),
        cmocka_unit_test(test_nobody_waits_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
