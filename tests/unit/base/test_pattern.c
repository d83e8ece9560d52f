/*
 * test_pattern - which patterns are usable, and what they find.
 */
#include "support/support.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/pattern.h"

static void test_check(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{step}",    "step-{step}.safetensors", "*/{step}/*.pt",
        "a b{step}", "epoch=*-step={step}*",    "\xff{step}",
    };
    static const struct {
        const char *pattern, *word;
    } bad[] = {
        { "", "no {step}" },
        { "step-*.pt", "no {step}" },
        { "{steps}", "no {step}" },
        { "{step}-{step}", "more than once" },
        { "{step}{step}", "more than once" },
        { "v2{step}", "digit beside" },
        { "{step}0", "digit beside" },
        { "/a/{step}", "relative" },
        { "../{step}", "relative" },
        { "a/./{step}", "relative" },
        { "a//{step}", "relative" },
        { "{step}/", "relative" },
        { "{step}\n", "control character" },
        { "\x7f{step}", "control character" },
    };
    char long_pattern[PATTERN_BYTES_MAX + 2];
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_ok(pattern_check(good[i], &err), err);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_failed(pattern_check(bad[i].pattern, &err), err, SEWA_E_INVALID, bad[i].word);
    memset(long_pattern, 'x', sizeof long_pattern);
    memcpy(long_pattern, "{step}", 6);
    long_pattern[PATTERN_BYTES_MAX + 1] = '\0';
    assert_failed(pattern_check(long_pattern, &err), err, SEWA_E_INVALID, "513 bytes");
    long_pattern[PATTERN_BYTES_MAX] = '\0';
    assert_ok(pattern_check(long_pattern, &err), err);
}

static void test_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        enum pattern_match wanted;
        int64_t step;
    } rows[] = {
        { "step-{step}.pt", "step-1000.pt", PATTERN_STEP, 1000 },
        { "step-{step}.pt", "step-0001000.pt", PATTERN_STEP, 1000 },
        { "step-{step}.pt", "step-0.pt", PATTERN_STEP, 0 },
        { "step-{step}.pt", "step-1000.ptx", PATTERN_NO_MATCH, 0 },
        { "step-{step}.pt", "xstep-1000.pt", PATTERN_NO_MATCH, 0 },
        { "step-{step}.pt", "step-.pt", PATTERN_NO_MATCH, 0 },
        { "step-{step}.pt", "step--1.pt", PATTERN_NO_MATCH, 0 },
        { "step-{step}.pt", "Step-1.pt", PATTERN_NO_MATCH, 0 },
        { "step-{step}.pt", "step-1e3.pt", PATTERN_NO_MATCH, 0 },
        { "step-{step}.pt", "step-{step}.pt", PATTERN_NO_MATCH, 0 },
        { "step_{step}*", "step_1000", PATTERN_STEP, 1000 }, /* never 100 */
        { "{step}", "42", PATTERN_STEP, 42 },
        { "{step}", "a42", PATTERN_NO_MATCH, 0 },
        { "{step}", "", PATTERN_NO_MATCH, 0 },
        { "*-{step}.pt", "a-b-7.pt", PATTERN_STEP, 7 },
        { "*{step}*", "ckpt_1000_fp", PATTERN_STEP, 1000 },
        { "*{step}*", "ckpt_1000_fp16", PATTERN_AMBIGUOUS, 1000 },
        { "*{step}*", "1000_1000", PATTERN_STEP, 1000 },
        { "epoch=*-step={step}*", "epoch=3-step=1000-v1", PATTERN_STEP, 1000 },
        { "a*b*c{step}", "axbxbxc5", PATTERN_STEP, 5 },
        { "a**{step}", "a5", PATTERN_STEP, 5 },
        { "*/{step}.pt", "x/5.pt", PATTERN_STEP, 5 },
        { "*/{step}.pt", "x/y/5.pt", PATTERN_NO_MATCH, 0 }, /* a star does not cross a slash */
        { "*{step}.pt", "x/5.pt", PATTERN_NO_MATCH, 0 },
        { "*/*/{step}", "x/y/5", PATTERN_STEP, 5 },
        { "{step}/*.safetensors", "12/model.safetensors", PATTERN_STEP, 12 },
        { "{step}", "9223372036854775807", PATTERN_STEP, INT64_MAX },
        { "{step}", "9223372036854775808", PATTERN_TOO_LARGE, 0 },
        { "{step}", "0000000000000000000000000000000000000007", PATTERN_STEP, 7 },
        { "{step}", "99999999999999999999999999", PATTERN_TOO_LARGE, 0 },
        { "\xc3\xa4-{step}", "\xc3\xa4-3", PATTERN_STEP, 3 },
        { "\xff*{step}",
          "\xff\xfe"
          "3",
          PATTERN_STEP, 3 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t step[2] = { -1, -1 };
        enum pattern_match found = pattern_match(rows[i].pattern, rows[i].path, step);
        if (found != rows[i].wanted)
            print_error("row %zu: '%s' on '%s'\n", i, rows[i].pattern, rows[i].path);
        assert_int_equal(found, rows[i].wanted);
        if (found == PATTERN_STEP || found == PATTERN_AMBIGUOUS)
            assert_int_equal(step[0], rows[i].step);
    }
}

/* Many stars and many numbers must not cost exponential time. */
static void test_match_is_polynomial(void **state)
{
    (void)state;
    static const char pattern[] = "*a*a*a*a*a*a*a*a*a*a*a*a*a*a{step}b";
    char path[4000];
    int64_t step[2];

    memset(path, 'a', sizeof path);
    for (size_t i = 9; i < sizeof path; i += 10)
        path[i] = '7';
    path[sizeof path - 1] = '\0';
    assert_int_equal(pattern_match(pattern, path, step), PATTERN_NO_MATCH);
}

static void test_propose(void **state)
{
    (void)state;
    static const struct {
        const char *names[4];
        const char *pattern; /* NULL: none */
    } rows[] = {
        { { "ckpt_100k.pt", "ckpt_200k.pt" }, "ckpt_{step}k.pt" },
        { { "last.pt", "ckpt_100k.pt", "ckpt_200k.pt" }, "ckpt_{step}k.pt" },
        { { "a1-b7.pt", "a2-b7.pt" }, "a{step}-b*.pt" },
        { { "a1-b7.pt", "a1-b8.pt" }, "a*-b{step}.pt" },
        { { "e3-l0.25.pt", "e4-l0.5.pt" }, "e{step}-l*.pt" },
        { { "x0.25.pt", "x0.5.pt" }, NULL }, /* a fraction is no step */
        { { "ckpt_100k.pt" }, NULL },
        { { "ckpt_100k.pt", "other.pt" }, NULL },
        { { "best.pt", "last.pt" }, NULL },
        { { "2024-05-06+12.pt", "2024-05-07+12.pt" }, NULL }, /* four numbers: a date */
        { { "a*1.pt", "a*2.pt" }, NULL },
        { { NULL }, NULL },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char pattern[PATTERN_BYTES_MAX + 1] = "";
        size_t n = 0;
        while (n < COUNT_OF(rows[i].names) && rows[i].names[n])
            n++;
        assert_int_equal(pattern_propose(rows[i].names, n, pattern), rows[i].pattern != NULL);
        assert_string_equal(pattern, rows[i].pattern ? rows[i].pattern : "");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_propose),
        cmocka_unit_test(test_match_is_polynomial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
