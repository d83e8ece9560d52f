/*
 * test_session - one worker's life as sewad sees it: what it says, in which order, and what ends
 * it. No candidate is ever opened: a task of a kind that does not exist is enough for a report.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/activity.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "sewad.h"
#include "sewa/version.h"
#include "worker/session.h"

#define SPEC                                                                                  \
    "{\"protocol\": 1, \"worker\": \"w\", \"job\": \"j\", \"heartbeat_seconds\": 3600,"       \
    " \"threads\": 1, \"candidates\": [{\"checkpoint\": \"ckpt_0\", \"root\": \"/nowhere\","  \
    " \"file\": \"f\", \"state_key\": \"\", \"size\": 1, \"mtime_ns\": 1, \"header_digest\":" \
    " \"0000000000000000000000000000000000000000000000000000000000000000\"}]}"
#define STOP "{\"stop\": true}"
#define GO   "{\"stop\": false}"
#define TASK "{\"task\": {\"kind\": \"prepare\", \"task\": 12, \"attempt\": 3}}"
#define NONE "{\"task\": null}"

/* What is answered to the calls of each name, in order; the last one again and again. */
struct script {
    const char *name;
    struct sewad_answer hello[3], lease[5], result[3];
    int rc;           /* of the session */
    const char *word; /* in its failure */
    size_t hellos, leases, results;
};

static const struct script scripts[] = {
    { "told to stop at once", { { 200, STOP } }, { { 0 } }, { { 0 } }, 0, "", 1, 0, 0 },
    { "nothing to do, then to stop",
      { { 200, SPEC } },
      { { 200, NONE }, { 200, NONE }, { 200, STOP } },
      { { 0 } },
      0,
      "",
      1,
      3,
      0 },
    { "two tasks",
      { { 200, SPEC } },
      { { 200, TASK }, { 200, TASK }, { 200, STOP } },
      { { 200, GO }, { 200, GO } },
      0,
      "",
      1,
      3,
      2 },
    { "stopped by the answer to a result",
      { { 200, SPEC } },
      { { 200, TASK }, { 200, STOP } },
      { { 200, STOP } },
      0,
      "",
      1,
      1,
      1 },
    { "a lease that was lost is nobody's failure",
      { { 200, SPEC } },
      { { 200, TASK }, { 200, STOP } },
      { { 409, "{\"code\": \"lease_lost\", \"detail\": \"late\"}" } },
      0,
      "",
      1,
      2,
      1 },
    { "another sewad has not heard its hello",
      { { 200, SPEC }, { 200, SPEC } },
      { { 409, "{\"code\": \"conflict\", \"detail\": \"say hello\"}" },
        { 200, TASK },
        { 200, STOP } },
      { { 200, GO } },
      0,
      "",
      2,
      3,
      1 },
    { "nobody's token",
      { { 401, "{\"code\": \"unauthorized\", \"detail\": \"who is it\"}" } },
      { { 0 } },
      { { 0 } },
      SEWA_E_UNAUTHORIZED,
      "who is it",
      1,
      0,
      0 },
    { "a job that cannot be read",
      { { 200, "{\"worker\": \"w\"}" } },
      { { 0 } },
      { { 0 } },
      SEWA_E_INVALID,
      "description of the job",
      1,
      0,
      0 },
    { "a result that was not understood",
      { { 200, SPEC } },
      { { 200, TASK }, { 200, STOP } },
      { { 409, "{\"code\": \"protocol\", \"detail\": \"what\"}" } },
      SEWA_E_PROTOCOL,
      "what",
      1,
      1,
      1 },
};

static struct sewad_answer pick(const struct sewad_answer *list, size_t size, size_t number)
{
    size_t last = 0;

    while (last + 1 < size && list[last + 1].body)
        last++;
    return list[number < last ? number : last];
}

static struct sewad_answer answer(const char *call, size_t number, void *arg)
{
    const struct script *s = arg;

    if (strcmp(call, "hello") == 0)
        return pick(s->hello, COUNT_OF(s->hello), number);
    if (strcmp(call, "lease") == 0)
        return pick(s->lease, COUNT_OF(s->lease), number);
    return pick(s->result, COUNT_OF(s->result), number);
}

/* Which task, which attempt, and why not. */
static void check_report(struct sewad *sewad, size_t number)
{
    AUTOFREE char *body = sewad_body(sewad, "result", number, NULL);
    AUTOJSON json_t *o = json_loads(body, 0, NULL);
    const json_t *error = json_object_get(o, "error");

    assert_int_equal(json_integer_value(json_object_get(o, "task")), 12);
    assert_int_equal(json_integer_value(json_object_get(o, "attempt")), 3);
    assert_null(json_object_get(o, "result"));
    assert_string_equal(json_string_value(json_object_get(error, "code")), "gone");
    assert_non_null(strstr(json_string_value(json_object_get(error, "detail")), "'/nowhere/f'"));
}

static void test_script(void **state)
{
    const struct script *s = *state;
    struct sewad *sewad = sewad_start(answer, (void *)(uintptr_t)s);
    struct sewa_error err = { 0 };
    atomic_bool stop = false;
    struct session_options o = {
        .socket = sewad_socket(sewad), .token = "t", .patience_ms = 60000, .stop = &stop
    };

    int rc = session_run(&o, &err);
    if (s->rc)
        assert_failed(rc, err, s->rc, s->word);
    else
        assert_ok(rc, err);
    assert_int_equal(sewad_count(sewad, "hello"), s->hellos);
    assert_int_equal(sewad_count(sewad, "lease"), s->leases);
    assert_int_equal(sewad_count(sewad, "result"), s->results);
    for (size_t i = 0; i < s->results; i++)
        check_report(sewad, i);
    assert_int_equal(activity_current(), ACTIVITY_IDLE);
    AUTOFREE char *hello = sewad_body(sewad, "hello", 0, NULL);
    AUTOJSON json_t *first = json_loads(hello, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(first, "protocol")), 1);
    assert_string_equal(json_string_value(json_object_get(first, "version")), SEWA_VERSION);
    assert_true(json_is_false(json_object_get(first, "prepared")));
    sewad_stop(sewad);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(scripts)];

    for (size_t i = 0; i < COUNT_OF(scripts); i++)
        tests[i] = (struct CMUnitTest){ scripts[i].name, test_script, NULL, NULL,
                                        (void *)(uintptr_t)&scripts[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
