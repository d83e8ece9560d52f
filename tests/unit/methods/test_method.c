/*
 * test_method - the table of methods, what is refused before one runs, the rules of ask and tell,
 * saved states that do not fit, and every allocation failing once.
 */
#include "toy.h"

#include <math.h>
#include <string.h>

#include "support/alloc.h"

/*
 * --- what a request may say ---
 */
struct check_row {
    const char *method;
    size_t k;
    const char *select; /* JSON; NULL: absent */
    const char *params; /* JSON; NULL: absent */
    int code;           /* 0: accepted */
    const char *pointer;
    const char *word; /* of the message, or the resolved number where it is accepted */
};

static const struct check_row checks[] = {
    { "last", 5, NULL, NULL, 0, "", "1" },
    { "best", 5, NULL, NULL, 0, "", "1" },
    { "best", 5, NULL, "{\"metric\": \"accuracy\", \"direction\": \"max\"}", 0, "", "1" },
    { "uniform", 5, NULL, NULL, 0, "", "5" },
    { "uniform", 5, "null", "null", 0, "", "5" },
    { "uniform", 5, NULL, "{}", 0, "", "5" },
    { "lawa", 5, NULL, NULL, 0, "", "5" },
    { "lawa", 50, NULL, NULL, 0, "", "10" },
    { "lawa", 50, "50", NULL, 0, "", "50" },
    { "sewa", 50, NULL, NULL, 0, "", "10" },
    { "sewa", 50, "1", NULL, 0, "", "1" },
    { "sewa", 50, "\"auto\"", NULL, 0, "", "0" },
    { "sewa", 1, NULL, NULL, 0, "", "1" },
    { "sewa", 4096, "4096", NULL, 0, "", "4096" },
    { "sewa", 50, NULL, "{\"estimator\": \"auto\", \"temperature\": 1, \"samples\": 1}", 0, "",
      "10" },
    { "sewa", 50, NULL, "{\"estimator\": \"score_function\", \"samples\": 4}", 0, "", "10" },
    { "sewa", 50, NULL,
      "{\"iterations\": 100000, \"samples\": 256, \"learning_rate\": 10, \"epsilon\": 0.25, "
      "\"polish\": 10000, \"batch\": 2147483647, \"temperature\": 100}",
      0, "", "10" },
    { "sewa", 50, NULL,
      "{\"iterations\": 1, \"samples\": 1, \"learning_rate\": 1e-6, \"epsilon\": 1e-9, \"polish\": 0, "
      "\"batch\": 0, \"temperature\": 0.01}",
      0, "", "10" },

    { "swa", 5, NULL, NULL, SEWA_E_UNKNOWN_NAME, "/method",
      "there is no method 'swa'; is it 'sewa'? There are last, best, uniform, lawa, sewa" },
    { "", 5, NULL, NULL, SEWA_E_UNKNOWN_NAME, "/method", "method ''" },
    { "sewa", 0, NULL, NULL, SEWA_E_NO_CANDIDATES, "", "no candidates" },
    { "last", 0, NULL, NULL, SEWA_E_NO_CANDIDATES, "", "no candidates" },
    { "sewa", 4097, NULL, NULL, SEWA_E_INVALID, "", "4097 candidates, at most 4096" },
    { "last", 5, "1", NULL, SEWA_E_INVALID, "/select", "'last' takes no 'select'" },
    { "best", 5, "1", NULL, SEWA_E_INVALID, "/select", "'best' takes no 'select'" },
    { "uniform", 5, "5", NULL, SEWA_E_INVALID, "/select", "'uniform' takes no 'select'" },
    { "uniform", 5, "\"auto\"", NULL, SEWA_E_INVALID, "/select", "takes no 'select'" },
    { "lawa", 5, "6", NULL, SEWA_E_INVALID, "/select", "6, but there are only 5 candidates" },
    { "lawa", 5, "0", NULL, SEWA_E_INVALID, "/select", "0, allowed is 1 to 5" },
    { "lawa", 5, "\"auto\"", NULL, SEWA_E_INVALID, "/select", "by itself" },
    { "sewa", 5, "6", NULL, SEWA_E_INVALID, "/select", "6, but there are only 5" },
    { "sewa", 1, "2", NULL, SEWA_E_INVALID, "/select", "there is only 1 candidate" },
    { "sewa", 5, "0", NULL, SEWA_E_INVALID, "/select", "1 to 5 or \"auto\"" },
    { "sewa", 5, "-3", NULL, SEWA_E_INVALID, "/select", "-3" },
    { "sewa", 5, "2.0", NULL, SEWA_E_INVALID, "/select", "whole number" },
    { "sewa", 5, "\"all\"", NULL, SEWA_E_INVALID, "/select", "or \"auto\"" },
    { "sewa", 5, "[1, 2]", NULL, SEWA_E_INVALID, "/select", "whole number" },
    { "lawa", 5, "true", NULL, SEWA_E_INVALID, "/select", "whole number" },
    { "last", 5, NULL, "{\"iterations\": 3}", SEWA_E_UNKNOWN_FIELD, "/params/iterations",
      "iterations" },
    { "uniform", 5, NULL, "{\"x\": 3}", SEWA_E_UNKNOWN_FIELD, "/params/x",
      "unknown field 'x'; there are none" },
    { "lawa", 5, NULL, "[]", SEWA_E_INVALID, "/params", "object" },
    { "best", 5, NULL, "{\"metrics\": \"f1\"}", SEWA_E_UNKNOWN_FIELD, "/params/metrics",
      "metrics" },
    { "best", 5, NULL, "{\"metric\": 3}", SEWA_E_INVALID, "/params/metric", "string" },
    { "best", 5, NULL, "{\"metric\": \"\"}", SEWA_E_INVALID, "/params/metric", "empty" },
    { "best", 5, NULL, "{\"metric\": \"f1\", \"direction\": \"up\"}", SEWA_E_INVALID,
      "/params/direction", "min, max" },
    { "best", 5, NULL, "{\"direction\": \"max\"}", SEWA_E_INVALID, "/params/direction",
      "the loss decides" },
    { "best", 5, NULL, "{\"metric\": \"loss\", \"direction\": \"max\"}", SEWA_E_INVALID,
      "/params/direction", "the loss decides" },
    { "sewa", 5, NULL, "\"fast\"", SEWA_E_INVALID, "/params", "object" },
    { "sewa", 5, NULL, "{\"iteration\": 3}", SEWA_E_UNKNOWN_FIELD, "/params/iteration",
      "unknown field 'iteration'; is it 'iterations'? There are estimator, samples, " },
    { "sewa", 5, NULL, "{\"iterations\": 0}", SEWA_E_INVALID, "/params/iterations", "1 to 100000" },
    { "sewa", 5, NULL, "{\"iterations\": 100001}", SEWA_E_INVALID, "/params/iterations", "100001" },
    { "sewa", 5, NULL, "{\"iterations\": 60.0}", SEWA_E_INVALID, "/params/iterations",
      "whole number" },
    { "sewa", 5, NULL, "{\"samples\": 0}", SEWA_E_INVALID, "/params/samples", "1 to 256" },
    { "sewa", 5, NULL, "{\"samples\": 257}", SEWA_E_INVALID, "/params/samples", "257" },
    { "sewa", 5, NULL, "{\"estimator\": \"score_function\", \"samples\": 3}", SEWA_E_INVALID,
      "/params/samples", "at least 4" },
    { "sewa", 5, NULL, "{\"estimator\": \"gumbel\"}", SEWA_E_INVALID, "/params/estimator",
      "auto, gumbel_softmax, straight_through, score_function" },
    { "sewa", 5, NULL, "{\"estimator\": \"score_function\", \"temperature\": 1}", SEWA_E_INVALID,
      "/params/temperature", "has no 'temperature'" },
    { "sewa", 5, NULL, "{\"temperature\": 0}", SEWA_E_INVALID, "/params/temperature",
      "0.01 to 100" },
    { "sewa", 5, NULL, "{\"temperature\": {\"start\": 0.5, \"end\": 1000}}", SEWA_E_INVALID,
      "/params/temperature/end", "1000" },
    { "sewa", 5, NULL, "{\"temperature\": {\"start\": 0.5, \"stop\": 1}}", SEWA_E_UNKNOWN_FIELD,
      "/params/temperature/stop", "stop" },
    { "sewa", 5, NULL, "{\"learning_rate\": 0}", SEWA_E_INVALID, "/params/learning_rate",
      "1e-06 to 10" },
    { "sewa", 5, NULL, "{\"learning_rate\": -0.1}", SEWA_E_INVALID, "/params/learning_rate",
      "-0.1" },
    { "sewa", 5, NULL, "{\"learning_rate\": \"0.1\"}", SEWA_E_INVALID, "/params/learning_rate",
      "number" },
    { "sewa", 5, NULL, "{\"epsilon\": 0}", SEWA_E_INVALID, "/params/epsilon", "1e-09 to 0.25" },
    { "sewa", 5, NULL, "{\"epsilon\": 0.3}", SEWA_E_INVALID, "/params/epsilon", "0.3" },
    { "sewa", 5, NULL, "{\"polish\": -1}", SEWA_E_INVALID, "/params/polish", "0 to 10000" },
    { "sewa", 5, NULL, "{\"polish\": 10001}", SEWA_E_INVALID, "/params/polish", "10001" },
    { "sewa", 5, NULL, "{\"batch\": -1}", SEWA_E_INVALID, "/params/batch", "-1" },
    { "sewa", 5, NULL, "{\"batch\": true}", SEWA_E_INVALID, "/params/batch", "whole number" },
};

static void test_check(void **state)
{
    const struct check_row *row = *state;
    struct sewa_error err = { 0 };
    size_t select = 77;
    AUTOJSON json_t *number = row->select ? json_parse(row->select, strlen(row->select), NULL)
                                          : NULL;
    AUTOJSON json_t *params = row->params ? json_parse(row->params, strlen(row->params), NULL)
                                          : NULL;

    int rc = method_check(row->method, row->k, number, params, &select, &err);
    if (row->code == 0) {
        assert_ok(rc, err);
        assert_int_equal(select, atoi(row->word));
        assert_int_equal(method_check(row->method, row->k, number, params, NULL, NULL), 0);
        return;
    }
    assert_failed(rc, err, row->code, row->word);
    assert_string_equal(err.pointer, row->pointer);
    assert_int_equal(select, 77);
    assert_int_equal(method_check(row->method, row->k, number, params, NULL, NULL), row->code);
}

static void test_table(void **state)
{
    (void)state;
    static const char *const names[] = { "last", "best", "uniform", "lawa", "sewa" };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct method_info *info = method_find(names[i]);
        assert_non_null(info);
        assert_ptr_equal(info, method_at(i));
        assert_string_equal(info->name, names[i]);
        assert_true(strlen(info->summary) > 5);
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(method_at(other)->name, info->name);
    }
    assert_null(method_at(COUNT_OF(names)));
    assert_null(method_find("SEWA"));
    assert_int_equal(method_find("sewa")->needs, METHOD_NEEDS_LOSSES);
    assert_int_equal(method_find("lawa")->needs, METHOD_NEEDS_NOTHING);
}

/*
 * --- beginning ---
 */
struct new_row {
    const char *name;
    const char *method;
    const char *params;
    size_t k, select;
    bool has_evaluator, gradient, ordered;
    int code;
    const char *pointer, *word;
};

static const struct new_row news[] = {
    { "nothing needed", "lawa", NULL, 3, 2, false, false, true, 0, "", "" },
    { "no such method", "swa", NULL, 3, 2, true, true, true, SEWA_E_UNKNOWN_NAME, "/method",
      "swa" },
    { "no candidates", "last", NULL, 0, 1, true, true, true, SEWA_E_NO_CANDIDATES, "",
      "no candidates" },
    { "K > k", "sewa", NULL, 3, 4, true, true, true, SEWA_E_INVALID, "/select", "only 3" },
    { "automatic lawa", "lawa", NULL, 3, 0, true, true, true, SEWA_E_INVALID, "/select", "1 to 3" },
    { "best without an evaluator", "best", NULL, 3, 1, false, false, true, SEWA_E_INVALID,
      "/evaluator", "'best' needs an evaluator" },
    { "sewa without an evaluator", "sewa", NULL, 3, 1, false, false, true, SEWA_E_INVALID,
      "/evaluator", "'sewa' needs an evaluator" },
    { "out of order", "last", NULL, 3, 1, false, false, false, SEWA_E_INTERNAL, "",
      "step 20 stands before step 10" },
    { "bad params", "sewa", "{\"polish\": -1}", 3, 1, true, true, true, SEWA_E_INVALID,
      "/params/polish", "-1" },
    { "gradients missing", "sewa", "{\"estimator\": \"gumbel_softmax\"}", 3, 1, true, false, true,
      SEWA_E_UNSUPPORTED, "/params/estimator", "'gumbel_softmax' needs gradients" },
    { "gradients missing for hard masks", "sewa", "{\"estimator\": \"straight_through\"}", 3, 1,
      true, false, true, SEWA_E_UNSUPPORTED, "/params/estimator",
      "'straight_through' needs gradients" },
    { "auto finds that it needs more samples", "sewa", "{\"samples\": 2}", 3, 1, true, false, true,
      SEWA_E_INVALID, "/params/samples", "at least 4" },
    { "auto without need of its temperature", "sewa", "{\"temperature\": 2}", 3, 1, true, false,
      true, 0, "", "" },
    { "auto without gradients", "sewa", NULL, 3, 1, true, false, true, 0, "", "" },
};

static void test_new(void **state)
{
    const struct new_row *row = *state;
    static const int64_t wrong_order[] = { 20, 10, 30 };
    struct sewa_error err = { 0 };
    struct method_evaluator evaluator = { .gradient = row->gradient };
    AUTOJSON json_t *params = row->params ? json_parse(row->params, strlen(row->params), NULL)
                                          : NULL;
    struct method_setup setup = {
        .k = row->k,
        .steps = row->ordered ? toy_steps : wrong_order,
        .select = row->select,
        .params = params,
        .evaluator = row->has_evaluator ? &evaluator : NULL,
    };
    struct method *m = NULL;

    int rc = method_new(row->method, &setup, &m, &err);
    if (row->code == 0) {
        assert_ok(rc, err);
        method_free(m);
        return;
    }
    assert_failed(rc, err, row->code, row->word);
    assert_string_equal(err.pointer, row->pointer);
    assert_null(m);
}

/* Duplicate steps are for others to refuse; here they only have to be in order. */
static void test_equal_steps(void **state)
{
    (void)state;
    static const int64_t steps[] = { 10, 10, 20 };
    struct method_setup setup = { .k = 3, .steps = steps, .select = 1 };
    struct sewa_error err = { 0 };
    struct method *m = NULL;

    assert_ok(method_new("last", &setup, &m, &err), err);
    method_free(m);
    method_free(NULL);
}

/*
 * --- methods that ask for nothing ---
 */
static void check_plain(const char *name, size_t k, size_t select, size_t first, size_t count)
{
    struct sewa_error err = { 0 };
    const struct method_point *points;
    struct method_progress progress;
    size_t n;
    AUTOPTR(method_free) struct method *m = toy_method(name, k, select, 0, NULL, false);

    assert_null(method_outcome(m));
    assert_int_equal(method_ask(m, &points, &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(method_ask(m, &points, &n, &err), 0);
    const struct method_outcome *outcome = method_outcome(m);
    assert_int_equal(outcome->k, k);
    assert_int_equal(outcome->count, count);
    for (size_t i = 0; i < k; i++)
        assert_true(outcome->alpha[i] ==
                    (i >= first && i < first + count ? 1.0 / (double)count : 0));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(outcome->selected[i], first + i);
    AUTOJSON json_t *params = method_params(m);
    assert_int_equal(json_object_size(params), 0);
    assert_null(outcome->probability);
    assert_true(isnan(outcome->loss) && isnan(outcome->metric));
    assert_int_equal(outcome->note_count, 0);
    method_progress(m, &progress);
    assert_int_equal(progress.expected, 0);
    assert_failed(method_tell(m, NULL, 0, &err), err, SEWA_E_INTERNAL, "0 answers to 0 points");
}

static void test_plain(void **state)
{
    (void)state;
    check_plain("last", 7, 1, 6, 1);
    check_plain("last", 1, 1, 0, 1);
    check_plain("uniform", 7, 7, 0, 7);
    check_plain("uniform", 1, 1, 0, 1);
    check_plain("lawa", 7, 3, 4, 3);
    check_plain("lawa", 7, 7, 0, 7);
    check_plain("lawa", 1, 1, 0, 1);
}

/*
 * --- ask and tell ---
 */
static void test_tell_rules(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    const struct method_point *points, *again;
    struct method_answer answers[6] = { 0 };
    struct method_trace trace;
    double c[5][8] = { 0 };
    size_t count;
    AUTOPTR(method_free) struct method *m = toy_method("sewa", 8, 2, 0, NULL, true);

    assert_failed(method_tell(m, answers, 5, &err), err, SEWA_E_INTERNAL, "5 answers to 0 points");
    assert_int_equal(method_ask(m, &points, &count, &err), 1);
    assert_int_equal(count, 5);
    assert_failed(method_tell(m, answers, 4, &err), err, SEWA_E_INTERNAL, "4 answers to 5 points");
    assert_failed(method_tell(m, answers, 6, &err), err, SEWA_E_INTERNAL, "6 answers to 5 points");
    for (size_t j = 0; j < 5; j++)
        answers[j] = (struct method_answer){ 1.5, NAN, j == 2 ? NULL : c[j] };
    assert_failed(method_tell(m, answers, 5, &err), err, SEWA_E_EVALUATOR_PROTOCOL,
                  "point 3 of 5 has loss 1.5 but no gradient");
    assert_int_equal(method_ask(m, &again, &count, &err), 1);
    assert_ptr_equal(points, again); /* still waiting */
    assert_int_equal(method_trace(m, &trace), 0);
    answers[2].loss = NAN; /* then no gradient is needed */
    assert_ok(method_tell(m, answers, 5, &err), err);
    assert_int_equal(method_trace(m, &trace), 1);
    assert_int_equal(trace.dropped, 1);
    assert_int_equal(method_trace(m, &trace), 1); /* until the next tell */
    assert_failed(method_tell(m, answers, 5, &err), err, SEWA_E_INTERNAL, "to 0 points");
    assert_int_equal(method_trace(m, &trace), 1);
}

/*
 * --- saved states that do not fit ---
 */
struct state_row {
    const char *name;
    const char *path;  /* keys down to a member, separated by '/' */
    const char *value; /* JSON; NULL: remove */
    const char *word;
};

static const struct state_row states[] = {
    { "other version", "version", "2", "'version' is 2, this job has 1" },
    { "other method", "method", "\"best\"", "it is of method 'best', this job has 'sewa'" },
    { "no method", "method", NULL, "'method' is missing" },
    { "other k", "candidates", "7", "'candidates' is 7, this job has 8" },
    { "other K", "select", "3", "'select' is 3, this job has 2" },
    { "unknown member", "extra", "1", "unknown field 'extra'" },
    { "more gradients than evaluations", "gradients", "1000", "1000" },
    { "negative evaluations", "evaluations", "-1", "-1" },
    { "no state", "own", NULL, "own" },
    { "state is a list", "own", "[]", "object" },
    { "unknown member inside", "own/extra", "1", "extra" },
    { "no iteration", "own/iteration", NULL, "iteration" },
    { "iteration past the end", "own/iteration", "61", "61" },
    { "ten useless", "own/useless", "10", "allowed is 0 to 9" },
    { "no s", "own/s", NULL, "'s' has 0 numbers, 8 are needed" },
    { "short s", "own/s", "[0.5, 0.5]", "'s' has 2 numbers" },
    { "s with a word", "own/s", "[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, \"x\"]", "at 7" },
    { "s with null", "own/s", "[null, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]", "at 0" },
    { "s out of its bounds", "own/s", "[0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]", "0.001 to 0.999" },
    { "negative squares", "own/adam_square", "[0, 0, 0, 0, 0, 0, 0, -1]", "'adam_square'" },
    { "no mean", "own/adam_mean", NULL, "'adam_mean'" },
    { "power above one", "own/adam_powers", "[0.5, 1.5]", "'adam_powers'" },
    { "no sets", "own/sets", "[3]", "'losses' has 0 numbers, 1 are needed" },
};

static void edit(json_t *object, const char *path, const char *value)
{
    const char *slash = strchr(path, '/');

    if (slash) {
        char key[40];
        snprintf(key, sizeof key, "%.*s", (int)(slash - path), path);
        edit(json_object_get(object, key), slash + 1, value);
    } else if (value) {
        json_object_set_new(object, path, json_parse(value, strlen(value), NULL));
    } else {
        assert_int_equal(json_object_del(object, path), 0);
    }
}

static void test_bad_state(void **state)
{
    const struct state_row *row = *state;
    struct sewa_error err = { 0 };
    struct toy toy;
    AUTOPTR(method_free) struct method *m = toy_method("sewa", 8, 2, 0, NULL, true);
    AUTOPTR(method_free) struct method *next = toy_method("sewa", 8, 2, 0, NULL, true);
    AUTOPTR(method_free) struct method *good = toy_method("sewa", 8, 2, 0, NULL, true);

    toy_random(&toy, 8, 3, 1);
    assert_int_equal(toy_round(m, 8, toy_answer, &toy, &err), 1);
    AUTOJSON json_t *saved = method_save(m);
    assert_ok(method_load(good, saved, &err), err);
    edit(saved, row->path, row->value);
    assert_failed(method_load(next, saved, &err), err, SEWA_E_CORRUPT, row->word);
    assert_non_null(strstr(err.text, "the saved state cannot be used"));
}

static void test_bad_best_state(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } rows[] = {
        { "{\"losses\": [1.0, 2.0], \"values\": [1.0, 2.0, 3.0]}", "'losses' has 2 numbers" },
        { "{\"losses\": [1.0, 2.0, 3.0]}", "'values' has 0 numbers" },
        { "{\"values\": [1.0, 2.0, 3.0]}", "unknown field 'values'" },
    };

    for (size_t n = 0; n < COUNT_OF(rows); n++) {
        struct sewa_error err = { 0 };
        AUTOPTR(method_free) struct method *m = toy_method("best", 3, 1, 0, NULL, false);
        AUTOJSON json_t *saved = method_save(m);
        edit(saved, "own", rows[n].text);
        assert_failed(method_load(m, saved, &err), err, SEWA_E_CORRUPT, rows[n].word);
    }
}

/* Methods that ask for nothing have a state too: callers need not know which do. */
static void test_plain_states(void **state)
{
    (void)state;
    static const char *const names[] = { "last", "uniform", "lawa", "best" };

    for (size_t n = 0; n < COUNT_OF(names); n++) {
        struct sewa_error err = { 0 };
        size_t select = n == 0 || n == 3 ? 1 : 4;
        AUTOPTR(method_free) struct method *m = toy_method(names[n], 4, select, 0, NULL, false);
        AUTOPTR(method_free) struct method *next = toy_method(names[n], 4, select, 0, NULL, false);
        AUTOJSON json_t *saved = method_save(m);
        assert_ok(method_load(next, saved, &err), err);
        assert_failed(method_load(next, NULL, &err), err, SEWA_E_CORRUPT, "object");
    }
}

/*
 * --- memory ---
 */
static void *counted_malloc(size_t n)
{
    return malloc(n); /* goes through support/alloc.c, as ours do */
}

static void counted_free(void *p)
{
    free(p);
}

struct memory_row {
    const char *name;
    const char *method;
    size_t k, select;
    const char *params;
    bool gradient;
};

static const struct memory_row memories[] = {
    { "memory of last", "last", 5, 1, NULL, false },
    { "memory of best", "best", 5, 1, "{\"metric\": \"accuracy\"}", false },
    { "memory of sewa", "sewa", 9, 3,
      "{\"iterations\": 3, \"temperature\": {\"start\": 1, \"end\": 2}}", true },
    { "memory of sewa without gradients", "sewa", 9, 3, "{\"iterations\": 3}", false },
    { "memory of sewa with nothing to choose", "sewa", 9, 9, NULL, true },
    { "memory of sewa, auto K", "sewa", 40, 0, "{\"iterations\": 2}", true },
};

/* Answers without allocating. */
static int tell_all(struct method *m, size_t k, const struct method_point *points, size_t count,
                    struct toy *toy, struct sewa_error *err)
{
    static struct method_answer answers[16];
    static double c[16][TOY_K_MAX];

    assert_true(count <= COUNT_OF(answers) && k <= TOY_K_MAX);
    for (size_t j = 0; j < count; j++) {
        toy_answer(toy, &points[j], &answers[j], c[j]);
        answers[j].metric = -answers[j].loss;
    }
    return method_tell(m, answers, count, err);
}

static int select_all(struct method *m, size_t k, struct toy *toy, struct sewa_error *err)
{
    const struct method_point *points;
    size_t count;
    int rc;

    while ((rc = method_ask(m, &points, &count, err)) == 1)
        assert_int_equal(tell_all(m, k, points, count, toy, err), 0);
    if (rc < 0) { /* a method that could not ask is as good as before */
        struct sewa_error second = { 0 };
        assert_ok(method_ask(m, &points, &count, &second), second);
    }
    return rc;
}

/* Make, ask, tell, save and load. */
static int life(const struct memory_row *row, const json_t *params, struct toy *toy,
                struct sewa_error *err)
{
    static const struct method_metric accuracy = { "accuracy", true };
    struct method_evaluator evaluator = { row->gradient, &accuracy, 1 };
    struct method_setup setup = {
        .k = row->k,
        .steps = toy_steps,
        .select = row->select,
        .params = params,
        .evaluator = &evaluator,
    };
    AUTOPTR(method_free) struct method *m = NULL;
    AUTOPTR(method_free) struct method *next = NULL;

    int rc = method_new(row->method, &setup, &m, err);
    if (rc == 0)
        rc = select_all(m, row->k, toy, err);
    if (rc < 0)
        return rc;
    AUTOJSON json_t *saved = method_save(m);
    AUTOJSON json_t *used = saved ? method_params(m) : NULL;
    if (!used)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to save");
    rc = method_new(row->method, &setup, &next, err);
    return rc < 0 ? rc : method_load(next, saved, err);
}

static void test_memory(void **state)
{
    const struct memory_row *row = *state;
    AUTOJSON json_t *params = row->params ? json_parse(row->params, strlen(row->params), NULL)
                                          : NULL;
    struct toy toy;
    int64_t n, held = alloc_held();

    toy_random(&toy, row->k, 3, 1);
    for (n = 0;; n++) {
        struct sewa_error err = { 0 };
        alloc_fail_at(n);
        int rc = life(row, params, &toy, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_int_equal(alloc_held(), held);
    }
    assert_true(n > 5);
    assert_int_equal(alloc_held(), held);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_table),        cmocka_unit_test(test_equal_steps),
        cmocka_unit_test(test_plain),        cmocka_unit_test(test_tell_rules),
        cmocka_unit_test(test_plain_states), cmocka_unit_test(test_bad_best_state),
    };
    static struct CMUnitTest tests[COUNT_OF(others) + COUNT_OF(checks) + COUNT_OF(news) +
                                   COUNT_OF(states) + COUNT_OF(memories)];
    size_t n = COUNT_OF(others);

    json_set_alloc_funcs(counted_malloc, counted_free);
    memcpy(tests, others, sizeof others);
    for (size_t i = 0; i < COUNT_OF(checks); i++)
        tests[n++] = (struct CMUnitTest){ checks[i].params   ? checks[i].params
                                          : checks[i].select ? checks[i].select
                                                             : checks[i].method,
                                          test_check, NULL, NULL, (void *)&checks[i] };
    for (size_t i = 0; i < COUNT_OF(news); i++)
        tests[n++] = (struct CMUnitTest){ news[i].name, test_new, NULL, NULL, (void *)&news[i] };
    for (size_t i = 0; i < COUNT_OF(states); i++)
        tests[n++] =
            (struct CMUnitTest){ states[i].name, test_bad_state, NULL, NULL, (void *)&states[i] };
    for (size_t i = 0; i < COUNT_OF(memories); i++)
        tests[n++] =
            (struct CMUnitTest){ memories[i].name, test_memory, NULL, NULL, (void *)&memories[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
