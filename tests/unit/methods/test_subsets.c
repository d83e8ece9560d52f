/*
 * test_subsets - looking up sets, wanting them, and saving what is known.
 */
#include "toy.h"

#include <math.h>
#include <string.h>

#include "methods/class.h"
#include "methods/subsets.h"
#include "support/alloc.h"

enum { K = 130, WORDS = 3 };

struct bench {
    struct method base;
    struct subsets *sets;
};

static void bench_open(struct bench *b, size_t batch)
{
    struct sewa_error err = { 0 };

    *b = (struct bench){ .base.k = K };
    assert_int_equal(subsets_words(K), WORDS);
    assert_ok(subsets_new(K, batch, &b->sets, &err), err);
}

static void bench_close(struct bench *b)
{
    subsets_free(b->sets);
    free(b->base.points);
    free(b->base.alphas);
}

static void begin(struct bench *b)
{
    struct sewa_error err = { 0 };

    assert_ok(subsets_begin(b->sets, &b->base, &err), err);
}

/* The set of candidates n, n + 1, .. n + size - 1. */
static const uint64_t *run(size_t n, size_t size)
{
    static uint64_t set[WORDS];

    memset(set, 0, sizeof set);
    for (size_t i = 0; i < size; i++)
        subset_add(set, n + i);
    return set;
}

static enum subsets_look look(struct bench *b, size_t n, size_t size, double *loss)
{
    return subsets_look(b->sets, run(n, size), loss);
}

static void tell(struct bench *b, const double *losses)
{
    struct method_answer answers[16] = { 0 };
    size_t count = subsets_wanted(b->sets);

    b->base.point_count = 0;
    subsets_ask(b->sets, &b->base);
    assert_int_equal(b->base.point_count, count);
    for (size_t j = 0; j < count; j++)
        answers[j].loss = losses[j];
    subsets_tell(b->sets, answers);
}

static void test_bits(void **state)
{
    (void)state;
    uint64_t set[WORDS] = { 0 };

    subset_add(set, 0);
    subset_add(set, 63);
    subset_add(set, 64);
    subset_add(set, 129);
    assert_true(subset_has(set, 63) && subset_has(set, 129) && !subset_has(set, 128));
    subset_remove(set, 63);
    assert_false(subset_has(set, 63));
    assert_true(subset_has(set, 64));
}

static void test_walk(void **state)
{
    (void)state;
    struct bench b;
    double loss;

    bench_open(&b, 2);
    begin(&b);
    assert_int_equal(look(&b, 0, 3, &loss), SUBSETS_WANTED);
    assert_true(isinf(loss));
    assert_int_equal(look(&b, 0, 3, &loss), SUBSETS_REPEATED);
    assert_int_equal(look(&b, 100, 30, &loss), SUBSETS_WANTED);
    assert_int_equal(look(&b, 5, 1, &loss), SUBSETS_FULL);
    assert_int_equal(subsets_wanted(b.sets), 2);
    assert_int_equal(subsets_known(b.sets), 0);
    tell(&b, (double[]){ 0.5, NAN });
    assert_int_equal(subsets_known(b.sets), 2);

    begin(&b);
    assert_int_equal(look(&b, 100, 30, &loss), SUBSETS_KNOWN);
    assert_true(isinf(loss) && loss > 0); /* not finite is infinitely bad */
    assert_int_equal(look(&b, 100, 30, &loss), SUBSETS_REPEATED);
    assert_int_equal(look(&b, 0, 3, &loss), SUBSETS_KNOWN);
    assert_true(loss == 0.5);
    assert_int_equal(subsets_wanted(b.sets), 0);
    bench_close(&b);
}

static void test_points(void **state)
{
    (void)state;
    struct bench b;
    double loss;

    bench_open(&b, 4);
    begin(&b);
    look(&b, 60, 7, &loss);
    subsets_ask(b.sets, &b.base);
    assert_int_equal(b.base.point_count, 1);
    assert_false(b.base.points[0].gradient);
    assert_int_equal(b.base.points[0].batch, -1);
    for (size_t i = 0; i < K; i++)
        assert_true(b.base.points[0].alpha[i] == (i >= 60 && i < 67 ? 1.0 / 7 : 0));
    bench_close(&b);
}

/* Many sets: the table grows under a walk's feet and forgets nothing. */
static void fill(struct bench *b)
{
    double losses[8], loss;

    for (size_t round = 0; round < 60; round++) {
        begin(b);
        for (size_t j = 0; j < 8; j++) {
            assert_int_equal(look(b, round * 2, 1 + j, &loss), SUBSETS_WANTED);
            losses[j] = (double)(round * 8 + j) / 7;
        }
        tell(b, losses);
    }
}

static void check_filled(struct bench *b)
{
    double loss;

    begin(b);
    for (size_t round = 0; round < 60; round++)
        for (size_t j = 0; j < 8; j++) {
            assert_int_equal(look(b, round * 2, 1 + j, &loss), SUBSETS_KNOWN);
            assert_true(loss == (double)(round * 8 + j) / 7);
        }
    assert_int_equal(subsets_known(b->sets), 480);
}

static void test_growth(void **state)
{
    (void)state;
    struct bench b;

    bench_open(&b, 8);
    fill(&b);
    check_filled(&b);
    bench_close(&b);
}

static void test_state_survives(void **state)
{
    (void)state;
    struct sewa_error err = { 0 };
    struct bench a, b;
    struct json_reader r;
    double loss;
    AUTOJSON json_t *object = json_object();

    bench_open(&a, 8);
    bench_open(&b, 3);
    fill(&a);
    begin(&a);
    assert_int_equal(look(&a, 0, 129, &loss), SUBSETS_WANTED);
    assert_int_equal(subsets_save(a.sets, object), 0);
    AUTOFREE char *text = json_text(object);
    AUTOJSON json_t *read = json_parse(text, strlen(text), &err);
    json_reader_init(&r, read, "", &err);
    assert_ok(subsets_load(b.sets, &r, &err), err);
    assert_ok(json_reader_end(&r), err);
    check_filled(&b);
    assert_int_equal(look(&b, 0, 129, &loss), SUBSETS_WANTED); /* it was wanted, not known */
    bench_close(&a);
    bench_close(&b);
}

struct bad_row {
    const char *name;
    const char *sets; /* in a state of 10 candidates: three digits each */
    const char *losses;
    const char *word;
};

static const struct bad_row bad[] = {
    { "too short", "[\"12\"]", "[1.0]", "'sets'" },
    { "too long", "[\"1230\"]", "[1.0]", "'sets'" },
    { "not hexadecimal", "[\"12g\"]", "[1.0]", "'sets'" },
    { "capitals", "[\"0A0\"]", "[1.0]", "'sets'" },
    { "empty set", "[\"000\"]", "[1.0]", "'sets'" },
    { "an eleventh candidate", "[\"004\"]", "[1.0]", "'sets'" },
    { "twice", "[\"001\", \"001\"]", "[1.0, 2.0]", "'sets' has no new set of 10 candidates at 1" },
    { "a number", "[1]", "[1.0]", "'sets'" },
    { "fewer losses", "[\"001\", \"002\"]", "[1.0]", "'losses' has 1 numbers, 2 are needed" },
    { "a word for a loss", "[\"001\"]", "[\"inf\"]", "'losses'" },
};

static void test_bad_state(void **state)
{
    const struct bad_row *row = *state;
    struct sewa_error err = { 0 };
    struct subsets *sets = NULL;
    struct json_reader r;
    char text[200];

    assert_ok(subsets_new(10, 8, &sets, &err), err);
    snprintf(text, sizeof text, "{\"sets\": %s, \"losses\": %s}", row->sets, row->losses);
    AUTOJSON json_t *object = json_parse(text, strlen(text), &err);
    assert_non_null(object);
    json_reader_init(&r, object, "", &err);
    int rc = subsets_load(sets, &r, &err);
    if (rc == 0)
        rc = json_reader_end(&r);
    assert_failed(rc, err, SEWA_E_CORRUPT, row->word);
    subsets_free(sets);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct bench b;
    double loss;

    bench_open(&b, 8);
    for (int64_t n = 0;; n++) {
        struct sewa_error err = { 0 };
        alloc_fail_at(n);
        int rc = subsets_begin(b.sets, &b.base, &err);
        if (!alloc_fired())
            break;
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
    }
    for (size_t j = 0; j < 8; j++)
        assert_int_equal(look(&b, j, 1, &loss), SUBSETS_WANTED);
    bench_close(&b);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_bits),           cmocka_unit_test(test_walk),
        cmocka_unit_test(test_points),         cmocka_unit_test(test_growth),
        cmocka_unit_test(test_state_survives), cmocka_unit_test(test_no_memory),
    };
    struct CMUnitTest tests[COUNT_OF(others) + COUNT_OF(bad)];

    memcpy(tests, others, sizeof others);
    for (size_t n = 0; n < COUNT_OF(bad); n++)
        tests[COUNT_OF(others) + n] =
            (struct CMUnitTest){ bad[n].name, test_bad_state, NULL, NULL, (void *)&bad[n] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
