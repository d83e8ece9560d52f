/*
 * test_request - the body of a request, made from options and from a base.
 */
#include "support/support.h"

#include <stdio.h>

#include "cleanup.h"
#include "cli/request.h"
#include "words.h"

struct row {
    const char *line, *base;
    const char *json; /* NULL: refused */
    const char *word;
};

#define SUBMIT "job|submit|"

static const struct row rows[] = {
    { SUBMIT "-r|digits", NULL, "{\"run\":\"digits\"}", NULL },
    { SUBMIT "-q|--wait|--timeout|3", NULL, "{}", NULL },
    { SUBMIT "-k|5", NULL, "{\"select\":5}", NULL },
    { SUBMIT "-k|5,10", NULL, "{\"select\":[5,10]}", NULL },
    { SUBMIT "-k|auto", NULL, "{\"select\":\"auto\"}", NULL },
    { SUBMIT "--window|9|--min-step|0|--max-step|7", NULL,
      "{\"window\":9,\"min_step\":0,\"max_step\":7}", NULL },
    { SUBMIT "--exclude-step|1,2|--exclude-step|3", NULL, "{\"exclude_steps\":[1,2,3]}", NULL },
    { SUBMIT "--checkpoint|a|--checkpoint|b,c", NULL, "{\"checkpoints\":[\"a\",\"b\",\"c\"]}",
      NULL },
    { SUBMIT "--checkpoint|1,2", NULL, "{\"checkpoints\":[\"1\",\"2\"]}", NULL },
    { SUBMIT "--baseline|last,best", NULL, "{\"baselines\":[\"last\",\"best\"]}", NULL },
    { SUBMIT "--no-baselines", NULL, "{\"baselines\":[]}", NULL },
    { SUBMIT "-p|a=60|-p|b=true|-p|c=x|-p|d={\"e\":[1]}|-p|f=1.5|-p|g=|-p|h==|-p|i=\"60\"", NULL,
      "{\"params\":{\"a\":60,\"b\":true,\"c\":\"x\",\"d\":{\"e\":[1]},\"f\":1.5,\"g\":\"\","
      "\"h\":\"=\",\"i\":\"60\"}}",
      NULL },
    { SUBMIT "-l|a=1|-l|b=|-l|c=x=y", NULL, "{\"labels\":{\"a\":\"1\",\"b\":\"\",\"c\":\"x=y\"}}",
      NULL },
    { SUBMIT "--output-dtype|BF16|--max-shard-bytes|7", NULL,
      "{\"output\":{\"dtype\":\"BF16\",\"max_shard_bytes\":7}}", NULL },
    { SUBMIT "--digests|--force|--allow-nonfinite|--integers|max", NULL,
      "{\"digests\":true,\"force\":true,\"allow_nonfinite\":true,\"integers\":\"max\"}", NULL },
    { SUBMIT "--seed|7|--workers|2|--if-new-checkpoints|3", NULL,
      "{\"seed\":7,\"workers\":2,\"if_new_checkpoints\":3}", NULL },
    /* options win over the base, field by field; labels and parameters are added */
    { SUBMIT "-r|b|-l|y=2|-p|p=2|--exclude-step|9",
      "{\"run\":\"a\",\"seed\":1,\"labels\":{\"x\":\"1\",\"y\":\"1\"},\"params\":{\"p\":1,\"q\":1},"
      "\"exclude_steps\":[1]}",
      "{\"run\":\"b\",\"seed\":1,\"labels\":{\"x\":\"1\",\"y\":\"2\"},\"params\":{\"p\":2,\"q\":1},"
      "\"exclude_steps\":[9]}",
      NULL },
    { SUBMIT "-l|y=2|--output-dtype|F16", "{\"labels\":null,\"output\":7}",
      "{\"labels\":{\"y\":\"2\"},\"output\":{\"dtype\":\"F16\"}}", NULL },
    { SUBMIT "-q", "{\"seed\":12345678901234567,\"f\":0.1}",
      "{\"seed\":12345678901234567,\"f\":0.10000000000000001}", NULL },
    { SUBMIT "-q", "[]", NULL, "no JSON object" },
    { SUBMIT "-q", "{\"a\":1,\"a\":2}", NULL, "line 1" },
    { SUBMIT "-q", "{\n\"a\":}", NULL, "line 2, column 5" },
    { SUBMIT "-q", "", NULL, "no JSON" },
    { SUBMIT "-r|\xff", NULL, NULL, "--run is not valid UTF-8" },
    { SUBMIT "-l|a=\xff", NULL, NULL, "--label is not valid UTF-8" },
    { "run|create|x|--path|/p|--pattern|s-{step}|--settle-seconds|0|-l|a=b", "{\"name\":\"x\"}",
      "{\"name\":\"x\",\"path\":\"/p\",\"pattern\":\"s-{step}\",\"settle_seconds\":0,"
      "\"labels\":{\"a\":\"b\"}}",
      NULL },
};

static void check_row(void **state)
{
    const struct row *r = *state;
    AUTO(words_clear) struct words w = { 0 };
    AUTOFREE char *json = NULL;
    struct sewa_error err;

    assert_ok(words_parse(&w, r->line, &err), err);
    int rc = request_build(&w.a, r->base, &json, &err);
    if (!r->json) {
        assert_failed(rc, err, SEWA_E_INVALID, r->word);
        assert_null(json);
        return;
    }
    assert_ok(rc, err);
    assert_string_equal(json, r->json);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows)];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i] = (struct CMUnitTest){ rows[i].line, check_row, NULL, NULL, (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
