/*
 * test_sewa_search - the last step against a second, naive implementation that evaluates one set at
 * a time: same set, same loss, and with a batch of one the same evaluations in the same order.
 */
#include "toy.h"

#include <math.h>
#include <string.h>

#include "methods/class.h"
#include "methods/sewa_search.h"

enum { ASKED_MAX = 20000 };

/* Pseudo-random losses of sets of up to 64 candidates; few values, so that there are ties. */
struct world {
    size_t k, select;
    int64_t polish;
    uint64_t seed;
    uint64_t levels;     /* different losses; 0: all different */
    unsigned infinities; /* in 256 */
    double s[TOY_K_MAX];
    uint64_t asked[ASKED_MAX];
    size_t asked_count;
};

static double loss_of(const struct world *w, uint64_t set)
{
    double u = splitmix_uniform(w->seed ^ 0x5e7a, set);
    double v = splitmix_uniform(w->seed ^ 0xbad, set);

    if (v * 256 < w->infinities)
        return v * 512 < w->infinities ? NAN : INFINITY;
    return w->levels ? floor(u * (double)w->levels) : u;
}

/*
 * --- the naive implementation, straight from the description ---
 */
struct naive {
    struct world *w;
    size_t order[TOY_K_MAX];
    uint64_t set;
    double loss;
    int64_t spent;
};

static bool was_asked(const struct world *w, uint64_t set)
{
    for (size_t n = 0; n < w->asked_count; n++)
        if (w->asked[n] == set)
            return true;
    return false;
}

static double naive_evaluate(struct naive *v, uint64_t set)
{
    double loss = loss_of(v->w, set);

    assert_true(v->w->asked_count < ASKED_MAX);
    v->w->asked[v->w->asked_count++] = set;
    return isfinite(loss) ? loss : INFINITY;
}

static uint64_t bit(const struct naive *v, size_t rank)
{
    return UINT64_C(1) << v->order[rank];
}

/* 1 accepted, 0 no gain, -1 nothing may be spent any more. */
static int naive_try(struct naive *v, uint64_t set)
{
    if (v->spent == v->w->polish)
        return -1;
    if (was_asked(v->w, set))
        return 0;
    v->spent++;
    double loss = naive_evaluate(v, set);
    if (!(loss < v->loss))
        return 0;
    v->loss = loss;
    v->set = set;
    return 1;
}

static void naive_rank(struct naive *v)
{
    const double *s = v->w->s;

    for (size_t n = 0; n < v->w->k; n++) { /* insertion sort: s descending, later first */
        size_t at = n;
        for (; at > 0 && s[v->order[at - 1]] <= s[n]; at--)
            v->order[at] = v->order[at - 1];
        v->order[at] = n;
    }
}

/* The untried exchange with the least s_out - s_in; worst-ranked out, then best-ranked in. */
static int naive_exchange(struct naive *v, size_t pool)
{
    bool done[TOY_K_MAX][TOY_K_MAX] = { 0 };

    for (;;) {
        double least = INFINITY;
        size_t out = 0, in = 0;
        for (size_t i = 0; i < pool; i++)
            for (size_t o = pool; o-- > 0;) {
                double difference = v->w->s[v->order[o]] - v->w->s[v->order[i]];
                if (!(v->set & bit(v, o)) || v->set & bit(v, i) || done[o][i])
                    continue;
                if (difference < least ||
                    (difference == least && (o > out || (o == out && i < in)))) {
                    least = difference;
                    out = o;
                    in = i;
                }
            }
        if (isinf(least))
            return 0;
        done[out][in] = true;
        int answer = naive_try(v, (v->set & ~bit(v, out)) | bit(v, in));
        if (answer != 0)
            return answer;
    }
}

static void naive_given(struct naive *v)
{
    size_t k = v->w->k, select = v->w->select;
    size_t pool = select + 20 > 40 ? select + 20 : 40;

    for (size_t n = 0; n < select; n++)
        v->set |= bit(v, n);
    v->loss = naive_evaluate(v, v->set);
    while (naive_exchange(v, pool < k ? pool : k) == 1)
        ;
}

static void naive_auto(struct naive *v)
{
    static const size_t sizes[] = { 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70 };
    size_t k = v->w->k;
    uint64_t outside[TOY_K_MAX], set = 0;
    size_t count = 0;

    v->loss = INFINITY;
    for (size_t i = 0; i == 0 || sizes[i - 1] < k; i++) {
        size_t size = sizes[i] < k ? sizes[i] : k;
        set = 0;
        for (size_t n = 0; n < size; n++)
            set |= bit(v, n);
        double loss = naive_evaluate(v, set);
        if (loss <= v->loss) {
            v->loss = loss;
            v->set = set;
        }
    }
    for (size_t n = 0; n < k && count < 40; n++)
        if (!(v->set & bit(v, n)))
            outside[count++] = bit(v, n);
    for (size_t n = 0; n < count; n++)
        if (naive_try(v, v->set | outside[n]) < 0)
            return;
    for (size_t n = k; n-- > 0;)
        if (v->set & bit(v, n) && v->set != bit(v, n) && naive_try(v, v->set & ~bit(v, n)) < 0)
            return;
}

static void naive_run(struct naive *v, struct world *w)
{
    *v = (struct naive){ .w = w };
    w->asked_count = 0;
    naive_rank(v);
    if (w->select == METHOD_SELECT_AUTO)
        naive_auto(v);
    else
        naive_given(v);
}

/*
 * --- ours ---
 */
static uint64_t set_of(const struct world *w, const double *alpha)
{
    uint64_t set = 0;

    for (size_t i = 0; i < w->k; i++)
        if (alpha[i] > 0)
            set |= UINT64_C(1) << i;
    for (size_t i = 0; i < w->k; i++)
        assert_true(alpha[i] == (set >> i & 1 ? 1.0 / __builtin_popcountll(set) : 0));
    return set;
}

/* One batch; notes what was asked for and that nothing is asked for twice. */
static int round_of(struct world *w, struct sewa_search *f, struct method *m, size_t batch,
                    struct sewa_error *err)
{
    struct method_answer answers[64] = { 0 };

    int rc = sewa_search_ask(f, w->s, m, err);
    if (rc != 1)
        return rc;
    assert_true(m->point_count >= 1 && m->point_count <= batch);
    for (size_t j = 0; j < m->point_count; j++) {
        uint64_t set = set_of(w, m->points[j].alpha);
        assert_false(was_asked(w, set));
        assert_true(w->asked_count < ASKED_MAX);
        w->asked[w->asked_count++] = set;
        answers[j].loss = loss_of(w, set);
    }
    sewa_search_tell(f, answers);
    m->point_count = 0;
    return 1;
}

/* Through JSON text into a new search. */
static struct sewa_search *reborn(struct world *w, struct sewa_search *f, size_t batch)
{
    struct sewa_error err = { 0 };
    struct sewa_search *next = NULL;
    struct json_reader r;
    AUTOJSON json_t *object = json_object();

    assert_int_equal(sewa_search_save(f, object), 0);
    AUTOFREE char *text = json_text(object);
    AUTOJSON json_t *read = json_parse(text, strlen(text), &err);
    assert_ok(sewa_search_new(w->k, w->select, w->polish, &next, &err), err);
    sewa_search_set_batch(next, batch);
    json_reader_init(&r, read, "", &err);
    assert_ok(sewa_search_load(next, &r, &err), err);
    assert_ok(json_reader_end(&r), err);
    sewa_search_free(f);
    return next;
}

static int search(struct world *w, size_t batch, bool save, uint64_t *set, double *loss)
{
    struct method m = { .k = w->k };
    struct sewa_error err = { 0 };
    struct sewa_search *f = NULL;
    size_t selected[TOY_K_MAX];
    int rc;

    w->asked_count = 0;
    assert_ok(sewa_search_new(w->k, w->select, w->polish, &f, &err), err);
    sewa_search_set_batch(f, batch);
    while ((rc = round_of(w, f, &m, batch, &err)) == 1) {
        assert_true(sewa_search_remaining(f) >= 0);
        if (save)
            f = reborn(w, f, batch);
    }
    size_t count = rc == 0 ? sewa_search_result(f, selected, loss) : 0;
    *set = 0;
    for (size_t n = 0; n < count; n++) {
        assert_true(n == 0 || selected[n] > selected[n - 1]);
        *set |= UINT64_C(1) << selected[n];
    }
    sewa_search_free(f);
    free(m.points);
    free(m.alphas);
    return rc;
}

static void make_world(struct world *w, uint64_t seed)
{
    static const int64_t polish[] = { 0, 1, 7, 100, 1000 };
    static const uint64_t levels[] = { 0, 0, 40, 4 };
    static const unsigned infinities[] = { 0, 0, 30, 200 };

    w->seed = seed;
    w->k = 1 + (size_t)(splitmix_uniform(seed, 0) * TOY_K_MAX);
    if (seed % 2)
        w->k = 1 + w->k % 12; /* small ones: few sets, often all of them tried */
    w->select = (size_t)(splitmix_uniform(seed, 1) * (double)(w->k + 1));
    w->polish = polish[(size_t)(splitmix_uniform(seed, 2) * 5)];
    w->levels = levels[(size_t)(splitmix_uniform(seed, 3) * 4)];
    w->infinities = infinities[(size_t)(splitmix_uniform(seed, 4) * 4)];
    for (size_t i = 0; i < w->k; i++) {
        double u = splitmix_uniform(seed, 10 + i);
        w->s[i] = seed % 3 ? u : u < 0.6 ? 0.001 : u < 0.8 ? 0.999 : u; /* often on the bounds */
    }
}

static void check_world(struct world *w)
{
    static const size_t batches[] = { 1, 3, 8, 64 };
    static struct world ours;
    struct naive v;
    double loss = NAN;
    uint64_t set;

    naive_run(&v, w);
    for (size_t b = 0; b < COUNT_OF(batches); b++) {
        ours = *w;
        int rc = search(&ours, batches[b], b == 2, &set, &loss);
        if (isinf(v.loss)) {
            assert_int_equal(rc, SEWA_E_EVALUATOR_NONFINITE);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(set, v.set);
        assert_true(loss == v.loss);
        assert_true(ours.asked_count >= w->asked_count);
        if (batches[b] == 1) { /* exactly the sequential algorithm */
            assert_int_equal(ours.asked_count, w->asked_count);
            assert_memory_equal(ours.asked, w->asked, w->asked_count * sizeof *w->asked);
        }
    }
}

static void test_against_naive(void **state)
{
    (void)state;
    static struct world w;
    size_t autos = 0, infinite = 0, ended_by_polish = 0;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        make_world(&w, seed);
        check_world(&w);
        autos += w.select == METHOD_SELECT_AUTO;
        infinite += w.infinities > 100;
        ended_by_polish += w.polish > 0 && (int64_t)w.asked_count == 1 + w.polish;
    }
    assert_true(autos > 20 && infinite > 20 &&
                ended_by_polish > 20); /* the worlds are not all alike */
}

/* Of k candidates, with polish enough to try everything, a local optimum under all exchanges. */
static void test_local_optimum(void **state)
{
    (void)state;
    static struct world w;
    double loss;
    uint64_t set;

    for (uint64_t seed = 1; seed < 60; seed++) {
        make_world(&w, 2 * seed + 1);
        w.k = 12;
        w.select = 1 + seed % 11;
        w.polish = 1000;
        w.infinities = 0;
        for (size_t i = 0; i < w.k; i++)
            w.s[i] = splitmix_uniform(seed, i);
        assert_int_equal(search(&w, 8, false, &set, &loss), 0);
        assert_int_equal(__builtin_popcountll(set), w.select);
        for (size_t o = 0; o < w.k; o++)
            for (size_t i = 0; i < w.k; i++)
                if (set >> o & 1 && !(set >> i & 1)) {
                    uint64_t other = (set & ~(UINT64_C(1) << o)) | UINT64_C(1) << i;
                    assert_true(loss_of(&w, other) >= loss);
                }
    }
}

/* Nothing to exchange: one evaluation, which the report needs. */
static void test_all_selected(void **state)
{
    (void)state;
    static struct world w = { .k = 9, .select = 9, .polish = 100, .seed = 3 };
    double loss;
    uint64_t set;

    assert_int_equal(search(&w, 8, false, &set, &loss), 0);
    assert_int_equal(set, 0x1ff);
    assert_int_equal(w.asked_count, 1);
    assert_true(loss == loss_of(&w, 0x1ff));
}

/* Large sets can change too: without room outside the top 40, none of 45 could be exchanged. */
static void test_large_set(void **state)
{
    (void)state;
    static struct world w;
    double loss;
    uint64_t set, top = 0;

    make_world(&w, 4);
    w.k = 64;
    w.select = 45;
    w.polish = 100;
    w.levels = w.infinities = 0;
    for (size_t i = 0; i < w.k; i++)
        w.s[i] = (double)(i + 1) / 65;
    for (size_t i = w.k - w.select; i < w.k; i++)
        top |= UINT64_C(1) << i;
    assert_int_equal(search(&w, 8, false, &set, &loss), 0);
    assert_true(set != top && loss < loss_of(&w, top));
}

static void test_nonfinite_message(void **state)
{
    (void)state;
    struct method m = { .k = 5 };
    struct sewa_error err = { 0 };
    struct sewa_search *f = NULL;
    double s[5] = { 0.1, 0.2, 0.3, 0.4, 0.5 };
    int rc;

    assert_ok(sewa_search_new(5, 2, 3, &f, &err), err);
    while ((rc = sewa_search_ask(f, s, &m, &err)) == 1) {
        struct method_answer answers[8];
        for (size_t j = 0; j < 8; j++)
            answers[j].loss = -INFINITY;
        sewa_search_tell(f, answers);
        m.point_count = 0;
    }
    assert_failed(rc, err, SEWA_E_EVALUATOR_NONFINITE, "none of the 4 averages");
    sewa_search_free(f);
    free(m.points);
    free(m.alphas);
}

/* Before anything is known, the most that there is to do. */
static void test_remaining(void **state)
{
    (void)state;
    static const struct {
        size_t k, select;
        int64_t polish, wanted;
    } rows[] = {
        { 100, 10, 100, 101 },     { 100, 10, 0, 1 },     { 6, 2, 100, 15 }, /* all pairs of six */
        { 6, 6, 100, 1 },          { 6, 5, 100, 6 },      { 1, 1, 100, 1 },
        { 100, 0, 100, 12 + 100 }, { 7, 0, 100, 5 + 14 }, { 1, 0, 100, 1 + 2 },
    };

    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        struct sewa_error err = { 0 };
        struct sewa_search *f = NULL;
        assert_ok(sewa_search_new(rows[r].k, rows[r].select, rows[r].polish, &f, &err), err);
        assert_int_equal(sewa_search_remaining(f), rows[r].wanted);
        sewa_search_free(f);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_naive),     cmocka_unit_test(test_local_optimum),
        cmocka_unit_test(test_all_selected),      cmocka_unit_test(test_large_set),
        cmocka_unit_test(test_nonfinite_message), cmocka_unit_test(test_remaining),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
