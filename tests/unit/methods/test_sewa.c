/*
 * test_sewa - whole selections: the golden runs, saving and loading after every answer, limits of K
 * and k, all estimators, the notes of the outcome.
 */
#include "toy.h"

#include <math.h>
#include <string.h>

#include "methods/sewa_search.h"

/*
 * --- the golden runs ---
 */
struct splitmix {
    uint64_t seed;
    size_t k, samples;
};

static double splitmix_noise(void *arg, size_t i, size_t j, int64_t t)
{
    const struct splitmix *n = arg;

    return splitmix_uniform(n->seed, ((uint64_t)t * n->samples + j) * n->k + i);
}

static void check_set(const json_t *wanted, const struct method_outcome *outcome)
{
    assert_int_equal(json_array_size(wanted), outcome->count);
    for (size_t n = 0; n < outcome->count; n++)
        assert_int_equal(outcome->selected[n], json_integer_value(json_array_get(wanted, n)));
}

/* From start to end; after iterations 1, 3, 10 and 60 the probabilities are compared. */
static struct method *golden_run(const json_t *row, const char *params, struct toy *toy)
{
    const json_t *s_after = json_object_get(row, "s_after");
    struct splitmix noise = {
        .seed = (uint64_t)json_integer_value(json_object_get(row, "seed")),
        .k = 6,
        .samples = 5,
    };
    size_t select = (size_t)json_integer_value(json_object_get(row, "K"));
    size_t compared = 0;
    struct sewa_error err = { 0 };
    struct method_trace trace;
    char key[20];
    int rc;

    struct method *m = toy_method("sewa", 6, select, 0, params, true);
    sewa_set_uniform(m, splitmix_noise, &noise);
    while ((rc = toy_round(m, 6, toy_answer, toy, &err)) == 1) {
        if (!method_trace(m, &trace))
            continue;
        snprintf(key, sizeof key, "%d", (int)trace.iteration + 1);
        const json_t *wanted = json_object_get(s_after, key);
        if (wanted) {
            assert_numbers(wanted, sewa_probabilities(m), 6);
            compared++;
        }
    }
    assert_ok(rc, err);
    assert_int_equal(compared, json_object_size(s_after));
    assert_memory_equal(method_outcome(m)->probability, sewa_probabilities(m), 6 * sizeof(double));
    return m;
}

/* The best of all single exchanges: the loss after it, and the set in place. */
static double steepest(struct toy *toy, size_t *set, size_t count)
{
    size_t best[TOY_K_MAX], trial[TOY_K_MAX];
    double least = INFINITY;

    for (size_t o = 0; o < count; o++)
        for (size_t in = 0; in < toy->k; in++) {
            bool is_member = false;
            for (size_t n = 0; n < count; n++)
                is_member |= set[n] == in;
            if (is_member)
                continue;
            memcpy(trial, set, count * sizeof *set);
            trial[o] = in;
            double loss = toy_set_loss(toy, trial, count);
            if (loss < least) {
                least = loss;
                memcpy(best, trial, count * sizeof *set);
            }
        }
    memcpy(set, best, count * sizeof *set);
    return least;
}

/*
 * The file's exchanges are steepest descent, which would need all exchanges of each step; ours
 * takes the first gain. Both start at the same top K, and both end where no single exchange helps.
 */
static bool golden_exchanges(const json_t *row, struct toy *toy, const struct method_outcome *top,
                             const struct method_outcome *ours)
{
    const json_t *wanted = json_object_get(row, "swap_descent");
    size_t set[TOY_K_MAX], next[TOY_K_MAX];
    double loss = top->loss, after;
    size_t count = top->count;
    bool same = true;

    memcpy(next, top->selected, count * sizeof *next);
    do {
        memcpy(set, next, sizeof set);
        after = steepest(toy, next, count);
        loss = fmin(loss, after);
    } while (after < toy_set_loss(toy, set, count));
    assert_close(loss, json_number_value(json_object_get(wanted, "loss")));
    assert_close(toy_set_loss(toy, set, count), loss);
    memcpy(next, ours->selected, count * sizeof *next);
    assert_true(steepest(toy, next, count) >= ours->loss);
    assert_true(ours->loss <= top->loss);
    for (size_t n = 0; n < count; n++)
        same &= ours->selected[n] ==
                (size_t)json_integer_value(json_array_get(json_object_get(wanted, "S"), n));
    return same;
}

static void test_golden(void **state)
{
    (void)state;
    const json_t *rows = golden("end_to_end", NULL);
    size_t same = 0;

    assert_int_equal(json_array_size(rows), 6);
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *row = json_array_get(rows, r);
        struct toy toy;
        toy_golden(&toy);
        AUTOPTR(method_free)
        struct method *top = golden_run(row, "{\"learning_rate\": 0.05, \"polish\": 0}", &toy);
        AUTOPTR(method_free)
        struct method *ours = golden_run(row, "{\"learning_rate\": 0.05}", &toy);
        check_set(json_object_get(row, "topk"), method_outcome(top));
        assert_close(method_outcome(top)->loss,
                     json_number_value(json_object_get(row, "topk_loss")));
        same += golden_exchanges(row, &toy, method_outcome(top), method_outcome(ours));
    }
    assert_int_equal(same, 5); /* in the first run, steepest descent ends elsewhere */
}

static void test_golden_noise(void **state)
{
    (void)state;
    const json_t *rows = golden("end_to_end", NULL);

    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *first = json_object_get(json_array_get(rows, r), "first_u");
        uint64_t seed =
            (uint64_t)json_integer_value(json_object_get(json_array_get(rows, r), "seed"));
        assert_int_equal(json_array_size(first), 8);
        for (size_t n = 0; n < json_array_size(first); n++)
            assert_true(splitmix_uniform(seed, n) == json_number_value(json_array_get(first, n)));
    }
}

static void test_golden_pairs(void **state)
{
    (void)state;
    const json_t *all = golden("best_pair_exhaustive", "all", NULL);
    const char *key;
    json_t *loss;
    struct toy toy;
    size_t best[2] = { 0 };
    double least = INFINITY;

    toy_golden(&toy);
    json_object_foreach((json_t *)all, key, loss)
    {
        size_t pair[2];
        assert_int_equal(sscanf(key, "(%zu, %zu)", &pair[0], &pair[1]), 2);
        assert_close(toy_set_loss(&toy, pair, 2), json_number_value(loss));
        if (json_number_value(loss) < least) {
            least = json_number_value(loss);
            memcpy(best, pair, sizeof best);
        }
    }
    const json_t *wanted = golden("best_pair_exhaustive", "S", NULL);
    assert_int_equal(best[0], json_integer_value(json_array_get(wanted, 0)));
    assert_int_equal(best[1], json_integer_value(json_array_get(wanted, 1)));
    assert_close(least, json_number_value(golden("best_pair_exhaustive", "loss", NULL)));
}

/*
 * --- every estimator, every kind of K ---
 */
struct whole_row {
    const char *name;
    size_t k, select;
    const char *params;
    bool gradient;
    uint64_t toy_seed;
};

static const struct whole_row wholes[] = {
    { "defaults", 30, 10, NULL, true, 1 },
    { "auto K", 30, 0, NULL, true, 2 },
    { "auto K of two", 2, 0, "{\"iterations\": 5}", true, 3 },
    { "K = 1", 12, 1, "{\"iterations\": 20}", true, 4 },
    { "K = k - 1", 12, 11, "{\"iterations\": 20}", true, 5 },
    { "K = k", 12, 12, NULL, true, 6 },
    { "K = k of one", 1, 1, NULL, true, 7 },
    { "auto K of one", 1, 0, NULL, true, 8 },
    { "straight-through", 20, 5, "{\"estimator\": \"straight_through\"}", true, 9 },
    { "score function", 20, 5, "{\"estimator\": \"score_function\"}", true, 10 },
    { "no gradients", 20, 5, NULL, false, 11 },
    { "no gradients, auto K", 20, 0, NULL, false, 12 },
    { "K = 1 of two without gradients", 2, 1, "{\"iterations\": 30}", false, 13 },
    { "minibatches", 20, 5, "{\"batch\": 16}", true, 14 },
    { "falling temperature", 20, 5,
      "{\"temperature\": {\"start\": 2, \"end\": 0.2, \"schedule\": \"cosine\"}}", true, 15 },
    { "very cold", 20, 5, "{\"temperature\": 0.01, \"iterations\": 20}", true, 16 },
    { "no polish", 20, 5, "{\"polish\": 0}", true, 17 },
    { "one iteration of one sample", 20, 5, "{\"iterations\": 1, \"samples\": 1}", true, 18 },
    { "long and fast", 20, 5, "{\"iterations\": 400, \"learning_rate\": 0.5, \"epsilon\": 1e-9}",
      true, 19 },
};

struct result {
    double alpha[TOY_K_MAX], probability[TOY_K_MAX];
    size_t selected[TOY_K_MAX];
    size_t count;
    double loss;
    struct method_progress progress;
    size_t note_count;
};

static void take_result(const struct method *m, struct result *r)
{
    const struct method_outcome *o = method_outcome(m);

    assert_non_null(o);
    *r = (struct result){ .count = o->count, .loss = o->loss, .note_count = o->note_count };
    memcpy(r->alpha, o->alpha, o->k * sizeof *o->alpha);
    memcpy(r->probability, o->probability, o->k * sizeof *o->probability);
    memcpy(r->selected, o->selected, o->count * sizeof *o->selected);
    method_progress(m, &r->progress);
}

/* What holds at every moment of every selection. */
static void check_points(struct method *m, const struct whole_row *row)
{
    const struct method_point *points, *again;
    struct sewa_error err = { 0 };
    struct method_progress p;
    size_t count, count_again;

    if (method_ask(m, &points, &count, &err) != 1)
        return;
    assert_int_equal(method_ask(m, &again, &count_again, &err), 1);
    assert_ptr_equal(points, again);
    assert_int_equal(count, count_again);
    assert_null(method_outcome(m));
    for (size_t j = 0; j < count; j++) {
        double sum = 0;
        for (size_t i = 0; i < row->k; i++) {
            assert_true(points[j].alpha[i] >= 0);
            sum += points[j].alpha[i];
        }
        assert_close(sum, 1);
    }
    method_progress(m, &p);
    assert_true(p.expected >= p.evaluations && p.evaluations >= p.gradients);
    assert_true(p.iteration <= p.iterations);
}

static void check_trace(struct method *m, const struct whole_row *row)
{
    struct method_trace trace;
    struct method_progress p;
    size_t total = row->select ? row->select : (row->k + 1) / 2 < 10 ? (row->k + 1) / 2 : 10;

    method_progress(m, &p);
    if (!method_trace(m, &trace))
        return;
    assert_int_equal(trace.iteration, p.iteration - 1);
    assert_int_equal(trace.k, row->k);
    assert_close(trace.mean * (double)row->k, (double)total);
    assert_true(trace.min > 0 && trace.max < 1 && trace.min <= trace.max);
    assert_true(isfinite(trace.loss) && trace.entropy > 0 && trace.spread > 0);
}

static void check_result(const struct whole_row *row, struct toy *toy, const struct result *r)
{
    assert_true(r->count >= 1 && r->count <= row->k);
    if (row->select)
        assert_int_equal(r->count, row->select);
    for (size_t i = 0, n = 0; i < row->k; i++) {
        bool chosen = n < r->count && r->selected[n] == i;
        assert_true(r->alpha[i] == (chosen ? 1.0 / (double)r->count : 0));
        n += chosen;
    }
    assert_true(r->loss == toy_set_loss(toy, r->selected, r->count));
    assert_int_equal(r->progress.iteration, r->progress.iterations);
    assert_int_equal(r->progress.expected, r->progress.evaluations);
    if (!row->gradient || row->select == row->k)
        assert_int_equal(r->progress.gradients, 0);
    if (row->select == row->k)
        assert_int_equal(r->progress.evaluations, 1);
}

/* Through text, into a method that is made anew. */
static struct method *reborn(struct method *m, const struct whole_row *row)
{
    struct sewa_error err = { 0 };
    AUTOJSON json_t *saved = method_save(m);
    AUTOFREE char *text = json_text(saved);
    AUTOJSON json_t *read = json_parse(text, strlen(text), &err);
    struct method *next =
        toy_method("sewa", row->k, row->select, row->toy_seed, row->params, row->gradient);

    method_free(m);
    assert_ok(method_load(next, read, &err), err);
    return next;
}

static void run_whole(const struct whole_row *row, struct toy *toy, bool save, size_t batch,
                      struct result *ret)
{
    struct sewa_error err = { 0 };
    struct method *m =
        toy_method("sewa", row->k, row->select, row->toy_seed, row->params, row->gradient);
    int rc;

    sewa_set_batch(m, batch);
    do {
        check_points(m, row);
        rc = toy_round(m, row->k, toy_answer, toy, &err);
        check_trace(m, row);
        if (save)
            m = reborn(m, row);
    } while (rc == 1);
    assert_ok(rc, err);
    if (save) /* a finished one that was loaded knows its outcome again without a question */
        assert_int_equal(toy_round(m, row->k, toy_answer, toy, &err), 0);
    take_result(m, ret);
    method_free(m);
}

/* The parameters in use, written into the manifest, are a request for the same selection. */
static void check_params(const struct whole_row *row, struct toy *toy, const struct result *wanted)
{
    struct sewa_error err = { 0 };
    struct result again;
    struct method *m =
        toy_method("sewa", row->k, row->select, row->toy_seed, row->params, row->gradient);
    AUTOJSON json_t *params = method_params(m);
    AUTOFREE char *text = json_text(params);
    const char *estimator = json_string_value(json_object_get(params, "estimator"));

    method_free(m);
    assert_string_not_equal(estimator, "auto");
    assert_int_equal(json_object_size(params), strcmp(estimator, "score_function") == 0 ? 7 : 8);
    m = toy_method("sewa", row->k, row->select, row->toy_seed, text, row->gradient);
    assert_ok(toy_drive(m, row->k, toy_answer, toy, &err), err);
    take_result(m, &again);
    assert_memory_equal(wanted, &again, sizeof again);
    method_free(m);
}

static void test_whole(void **state)
{
    const struct whole_row *row = *state;
    static const size_t batches[] = { 1, 3 };
    struct result plain, saved, other;
    struct toy toy;

    toy_random(&toy, row->k, 8, row->toy_seed);
    run_whole(row, &toy, false, SEWA_SEARCH_BATCH, &plain);
    check_result(row, &toy, &plain);
    run_whole(row, &toy, true, SEWA_SEARCH_BATCH, &saved);
    assert_memory_equal(&plain, &saved, sizeof plain);
    check_params(row, &toy, &plain);
    for (size_t b = 0; b < COUNT_OF(batches); b++) {
        run_whole(row, &toy, false, batches[b], &other);
        if (batches[b] == 1)
            assert_true(other.progress.evaluations <= plain.progress.evaluations);
        other.progress = plain.progress; /* speculation costs evaluations, never changes a result */
        assert_memory_equal(&plain, &other, sizeof plain);
    }
}

/* Where everything is on one line towards the optimum, learning finds who is near it. */
static void test_finds_the_good_ones(void **state)
{
    (void)state;
    static const char *const params[] = {
        "{\"polish\": 0}",
        "{\"polish\": 0, \"estimator\": \"straight_through\"}",
        "{\"polish\": 0, \"estimator\": \"score_function\", \"iterations\": 200}",
    };
    struct sewa_error err = { 0 };
    struct toy toy = { .k = 20, .p = 1, .h = { { 1 } } };

    for (size_t i = 0; i < toy.k; i++)
        toy.w[i][0] = i % 4 == 1 ? 0.1 : 3 + (double)i / 10;
    for (size_t n = 0; n < COUNT_OF(params); n++) {
        AUTOPTR(method_free) struct method *m = toy_method("sewa", 20, 5, 1, params[n], true);
        assert_ok(toy_drive(m, 20, toy_answer, &toy, &err), err);
        const struct method_outcome *outcome = method_outcome(m);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(outcome->selected[i], 4 * i + 1);
    }
}

/* Another seed draws other masks; the same one the same. */
static void test_seed(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    double s[3][16];
    static const uint64_t seeds[] = { 1, 1, UINT64_C(1) << 32 };
    struct toy toy;

    toy_random(&toy, 16, 4, 1);
    for (size_t n = 0; n < 3; n++) {
        AUTOPTR(method_free) struct method *m = toy_method("sewa", 16, 4, seeds[n], NULL, true);
        assert_ok(toy_drive(m, 16, toy_answer, &toy, &err), err);
        memcpy(s[n], sewa_probabilities(m), sizeof s[n]);
    }
    assert_memory_equal(s[0], s[1], sizeof s[0]);
    assert_true(memcmp(s[0], s[2], sizeof s[0]) != 0);
}

/*
 * --- notes ---
 */
static bool has_note(const struct method_outcome *outcome, const char *word)
{
    for (size_t n = 0; n < outcome->note_count; n++)
        if (strstr(outcome->notes[n], word))
            return true;
    return false;
}

/* A saved state is where probabilities of our own choice can come from. */
static void check_collapse(const double *s, size_t k, size_t select, const char *word)
{
    struct sewa_error err = { 0 };
    struct toy toy;
    struct method *m = toy_method("sewa", k, select, 0, NULL, true);
    AUTOJSON json_t *saved = method_save(m);
    json_t *own = json_object_get(saved, "own");

    toy_random(&toy, k, 3, 1);
    json_object_set_new(own, "iteration", json_integer(60));
    for (size_t i = 0; i < k; i++)
        json_array_set_new(json_object_get(own, "s"), i, json_real(s[i]));
    assert_ok(method_load(m, saved, &err), err);
    assert_ok(toy_drive(m, k, toy_answer, &toy, &err), err);
    if (word)
        assert_true(has_note(method_outcome(m), word));
    else
        assert_int_equal(method_outcome(m)->note_count, 0);
    method_free(m);
}

static void test_collapse(void **state)
{
    (void)state;
    static const double healthy[] = { 0.9, 0.8, 0.1, 0.1, 0.1, 0.001 };
    static const double one_left[] = { 0.999, 0.00101, 0.001, 0.001, 0.001, 0.001 };
    static const double three_certain[] = { 0.991, 0.995, 0.999, 0.2, 0.1, 0.001 };

    check_collapse(healthy, 6, 2, NULL);
    check_collapse(one_left, 6, 2, "only 1 of 6 are above their lower bound");
    check_collapse(three_certain, 6, 2, "3 of 6 are above 0.99");
    check_collapse(three_certain, 6, 3, NULL);
}

/* Every third evaluation fails. */
struct flaky {
    struct toy toy;
    size_t calls;
};

static void flaky_answer(void *arg, const struct method_point *point, struct method_answer *answer,
                         double *c)
{
    struct flaky *f = arg;

    toy_answer(&f->toy, point, answer, c);
    if (point->gradient && ++f->calls % 3 == 0) {
        answer->loss = INFINITY;
        answer->c = NULL;
    }
}

static void test_dropped_note(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct flaky flaky = { 0 };
    struct method_progress p;
    char wanted[80];

    toy_random(&flaky.toy, 12, 4, 1);
    AUTOPTR(method_free) struct method *m = toy_method("sewa", 12, 4, 0, NULL, true);
    assert_ok(toy_drive(m, 12, flaky_answer, &flaky, &err), err);
    method_progress(m, &p);
    assert_int_equal(p.dropped, 100);
    assert_int_equal(p.gradients, 300);
    snprintf(wanted, sizeof wanted, "100 of %d evaluations", (int)p.evaluations);
    assert_true(has_note(method_outcome(m), wanted));
}

static void broken_answer(void *arg, const struct method_point *point, struct method_answer *answer,
                          double *c)
{
    (void)arg;
    (void)point;
    (void)c;
    answer->loss = NAN;
}

static void test_broken_evaluator(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    AUTOPTR(method_free) struct method *m = toy_method("sewa", 12, 4, 0, NULL, true);
    AUTOPTR(method_free) struct method *all = toy_method("sewa", 12, 12, 0, NULL, true);

    assert_failed(toy_drive(m, 12, broken_answer, NULL, &err), err, SEWA_E_EVALUATOR_NONFINITE,
                  "10 evaluations in a row");
    assert_null(method_outcome(m));
    assert_failed(toy_drive(all, 12, broken_answer, NULL, &err), err, SEWA_E_EVALUATOR_NONFINITE,
                  "none of the 1 averages");
    assert_null(method_outcome(all));
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_golden),       cmocka_unit_test(test_golden_noise),
        cmocka_unit_test(test_golden_pairs), cmocka_unit_test(test_finds_the_good_ones),
        cmocka_unit_test(test_seed),         cmocka_unit_test(test_collapse),
        cmocka_unit_test(test_dropped_note), cmocka_unit_test(test_broken_evaluator),
    };
    struct CMUnitTest tests[COUNT_OF(others) + COUNT_OF(wholes)];

    memcpy(tests, others, sizeof others);
    for (size_t n = 0; n < COUNT_OF(wholes); n++)
        tests[COUNT_OF(others) + n] =
            (struct CMUnitTest){ wholes[n].name, test_whole, NULL, NULL, (void *)&wholes[n] };
    return cmocka_run_group_tests(tests, NULL, toy_teardown);
}
