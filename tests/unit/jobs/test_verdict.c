/*
 * test_verdict - did it help? The margin, pairs, losses of zero, and what is not finite.
 */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "jobs/verdict.h"

enum { BASELINES_MAX = 4 };

static const struct row {
    const char *name;
    bool has_report;
    double ours;
    struct verdict_loss baselines[BASELINES_MAX];
    size_t count;
    enum verdict wanted;
    const char *word; /* in the sentence */
} rows[] = {
    { "no report split",
      false,
      0.1,
      { { "last", 1 } },
      1,
      VERDICT_NOT_EVALUATED,
      "no report split" },
    { "no report split, loss not finite",
      false,
      NAN,
      { { 0 } },
      0,
      VERDICT_NOT_EVALUATED,
      "chosen on" },
    { "no baseline",
      true,
      0.1,
      { { 0 } },
      0,
      VERDICT_NOT_EVALUATED,
      "there is no baseline to compare with" },
    { "ours is NaN", true, NAN, { { "last", 1 } }, 1, VERDICT_WORSE, "not finite" },
    { "ours is infinite", true, INFINITY, { { "last", 1 } }, 1, VERDICT_WORSE, "not finite" },
    { "ours is minus infinite",
      true,
      -INFINITY,
      { { "last", 1 } },
      1,
      VERDICT_WORSE,
      "not finite" },
    { "ours is NaN, no baseline", true, NAN, { { 0 } }, 0, VERDICT_WORSE, "not finite" },
    { "no baseline is finite",
      true,
      5,
      { { "last", NAN }, { "best", INFINITY } },
      2,
      VERDICT_IMPROVED,
      "no baseline has a finite one" },

    { "clearly better",
      true,
      0.9,
      { { "last", 1 } },
      1,
      VERDICT_IMPROVED,
      "best baseline last 1 (-10.0 %" },
    { "the same", true, 1, { { "last", 1 } }, 1, VERDICT_NO_GAIN, "last 1 (+0.0 %," },
    { "clearly worse", true, 1.1, { { "last", 1 } }, 1, VERDICT_WORSE, "(+10.0 %" },
    { "equal", true, 1, { { "last", 1 } }, 1, VERDICT_NO_GAIN, "margin 0.5 %" },
    { "better within half a percent",
      true,
      0.9951,
      { { "last", 1 } },
      1,
      VERDICT_NO_GAIN,
      "-0.5 %" },
    { "better by more than half a percent",
      true,
      0.9949,
      { { "last", 1 } },
      1,
      VERDICT_IMPROVED,
      "last" },
    { "worse within half a percent", true, 1.0049, { { "last", 1 } }, 1, VERDICT_NO_GAIN, "last" },
    { "worse by more than half a percent",
      true,
      1.0051,
      { { "last", 1 } },
      1,
      VERDICT_WORSE,
      "last" },

    { "the best baseline counts",
      true,
      0.9,
      { { "last", 1 }, { "lawa", 0.8 }, { "uniform", 2 } },
      3,
      VERDICT_WORSE,
      "best baseline lawa 0.8" },
    { "a baseline that is NaN is not the best",
      true,
      0.9,
      { { "last", NAN }, { "lawa", 1 } },
      2,
      VERDICT_IMPROVED,
      "lawa" },
    { "nor is one that is minus infinite",
      true,
      0.9,
      { { "last", -INFINITY }, { "lawa", 1 } },
      2,
      VERDICT_IMPROVED,
      "lawa" },
    { "the first of two equal ones",
      true,
      1,
      { { "last", 1 }, { "lawa", 1 } },
      2,
      VERDICT_NO_GAIN,
      "last" },

    { "pairs whose standard error lies between half the margin and the margin",
      true,
      0.994,
      { { "last", 1, true, 0.004 } },
      1,
      VERDICT_NO_GAIN,
      "(-0.6 %, margin 0.8 %)" },
    { "and the other way",
      true,
      1.006,
      { { "last", 1, true, 0.004 } },
      1,
      VERDICT_NO_GAIN,
      "(+0.6 %, margin 0.8 %)" },
    { "pairs say it may be chance",
      true,
      0.9,
      { { "last", 1, true, 0.06 } },
      1,
      VERDICT_NO_GAIN,
      "margin 12.0 %" },
    { "pairs say it is none",
      true,
      0.9,
      { { "last", 1, true, 0.04 } },
      1,
      VERDICT_IMPROVED,
      "margin 8.0 %" },
    { "pairs make worse chance too",
      true,
      1.1,
      { { "last", 1, true, 0.06 } },
      1,
      VERDICT_NO_GAIN,
      "margin 12.0 %" },
    { "tiny errors leave half a percent",
      true,
      0.997,
      { { "last", 1, true, 1e-9 } },
      1,
      VERDICT_NO_GAIN,
      "margin 0.5 %" },
    { "no error at all",
      true,
      0.9,
      { { "last", 1, true, 0 } },
      1,
      VERDICT_IMPROVED,
      "margin 0.5 %" },
    { "pairs are those of the best baseline",
      true,
      0.9,
      { { "last", 5, true, 4 }, { "lawa", 1, true, 0.001 } },
      2,
      VERDICT_IMPROVED,
      "lawa" },

    { "losses below zero: better", true, -1.1, { { "last", -1 } }, 1, VERDICT_IMPROVED, "-10.0 %" },
    { "losses below zero: worse", true, -0.9, { { "last", -1 } }, 1, VERDICT_WORSE, "+10.0 %" },
    { "a baseline of zero, ours above", true, 0.1, { { "last", 0 } }, 1, VERDICT_WORSE, "last 0" },
    { "a baseline of zero, ours within",
      true,
      0.004,
      { { "last", 0 } },
      1,
      VERDICT_NO_GAIN,
      "last 0" },
    { "a baseline of zero, ours below",
      true,
      -0.1,
      { { "last", 0 } },
      1,
      VERDICT_IMPROVED,
      "last 0" },
    { "both zero", true, 0, { { "last", 0 } }, 1, VERDICT_NO_GAIN, "last 0" },
    { "very small losses", true, 0.9e-300, { { "last", 1e-300 } }, 1, VERDICT_IMPROVED, "last" },
    { "very large losses", true, 1.7e308, { { "last", 1e308 } }, 1, VERDICT_WORSE, "last" },
    { "far apart", true, -1.7e308, { { "last", 1.7e308 } }, 1, VERDICT_IMPROVED, "last" },
};

static void test_row(void **state)
{
    const struct row *r = *state;
    char detail[256];
    enum verdict v =
        verdict_judge(r->has_report, r->ours, r->baselines, r->count, detail, sizeof detail);

    if (!strstr(detail, r->word))
        fail_msg("'%s' is not in '%s'", r->word, detail);
    assert_string_equal(verdict_name(v), verdict_name(r->wanted));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(verdict_name(VERDICT_IMPROVED), "improved");
    assert_string_equal(verdict_name(VERDICT_NO_GAIN), "no_gain");
    assert_string_equal(verdict_name(VERDICT_WORSE), "worse");
    assert_string_equal(verdict_name(VERDICT_NOT_EVALUATED), "not_evaluated");
}

/* A short place for the sentence cuts it and harms nothing. */
static void test_short_place(void **state)
{
    (void)state;
    const struct verdict_loss last = { .name = "last", .loss = 1 };
    char text[16];

    memset(text, 'x', sizeof text);
    verdict_judge(true, 0.5, &last, 1, text, 8);
    assert_int_equal(strlen(text), 7);
    assert_int_equal(text[8], 'x');
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 2];

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i] = (struct CMUnitTest){ .name = rows[i].name,
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[i] };
    tests[COUNT_OF(rows)] = (struct CMUnitTest)cmocka_unit_test(test_names);
    tests[COUNT_OF(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(test_short_place);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
