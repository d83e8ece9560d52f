/*
 * sewa_search - the last step of SeWA: sequential walks over subsets, see the header.
 */
#include "methods/sewa_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "methods/ranking.h"

enum {
    POOL = 40,        /* the highest-ranked that may come in */
    POOL_OUTSIDE = 20 /* at least so many are outside the set, or a large one could not change */
};

struct exchange {
    double difference; /* s_out - s_in */
    size_t out, in;    /* ranks, 0 is the highest s */
};

struct sewa_search {
    size_t k, select;
    int64_t polish;
    size_t pool;
    struct subsets *sets;
    size_t *order; /* rank -> candidate */
    struct exchange *exchanges;

    /* one walk */
    uint64_t *best; /* the set so far */
    double best_loss;
    uint64_t *trial;
    int64_t looked; /* sets that it has looked at */
    int64_t tried;  /* those of them that count as polish */
};

int sewa_search_new(size_t k, size_t select, int64_t polish, struct sewa_search **ret,
                    struct sewa_error *err)
{
    AUTOPTR(sewa_search_free) struct sewa_search *f = calloc(1, sizeof *f);

    if (!f)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a search among %zu candidates", k);
    f->k = k;
    f->select = select;
    f->polish = polish;
    f->pool = select + POOL_OUTSIDE > POOL ? select + POOL_OUTSIDE : POOL;
    if (f->pool > k)
        f->pool = k;
    f->order = calloc(k, sizeof *f->order);
    f->exchanges = calloc(select * (f->pool - select) + 1, sizeof *f->exchanges);
    f->best = calloc(subsets_words(k), sizeof *f->best);
    f->trial = calloc(subsets_words(k), sizeof *f->trial);
    if (!f->order || !f->exchanges || !f->best || !f->trial)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a search among %zu candidates", k);
    int rc = subsets_new(k, SEWA_SEARCH_BATCH, &f->sets, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(f);
    return 0;
}

void sewa_search_free(struct sewa_search *f)
{
    if (!f)
        return;
    subsets_free(f->sets);
    free(f->order);
    free(f->exchanges);
    free(f->best);
    free(f->trial);
    free(f);
}

static void copy_set(const struct sewa_search *f, uint64_t *to, const uint64_t *from)
{
    memcpy(to, from, subsets_words(f->k) * sizeof *to);
}

static enum subsets_look look(struct sewa_search *f, double *loss)
{
    enum subsets_look answer = subsets_look(f->sets, f->trial, loss);

    f->looked += answer == SUBSETS_KNOWN || answer == SUBSETS_WANTED;
    return answer;
}

enum trial { TRIAL_REJECTED, TRIAL_ACCEPTED, TRIAL_END_OF_WALK };

/*
 * Compare the trial with the best. A set that was looked at before is no gain: its loss was not
 * lower then, and the best has only become better. A gain that comes after a set whose loss is not
 * known yet ends the walk: that one may be accepted in its place.
 */
static enum trial try_set(struct sewa_search *f)
{
    double loss;

    if (f->tried == f->polish)
        return TRIAL_END_OF_WALK;
    enum subsets_look answer = look(f, &loss);
    if (answer == SUBSETS_FULL)
        return TRIAL_END_OF_WALK;
    if (answer == SUBSETS_REPEATED)
        return TRIAL_REJECTED;
    f->tried++;
    if (!(loss < f->best_loss))
        return TRIAL_REJECTED;
    if (subsets_wanted(f->sets) > 0)
        return TRIAL_END_OF_WALK;
    copy_set(f, f->best, f->trial);
    f->best_loss = loss;
    return TRIAL_ACCEPTED;
}

static int compare_exchanges(const void *a, const void *b)
{
    const struct exchange *x = a, *y = b;

    if (x->difference != y->difference)
        return x->difference < y->difference ? -1 : 1;
    if (x->out != y->out)
        return x->out > y->out ? -1 : 1;
    return x->in < y->in ? -1 : x->in > y->in;
}

/* All members of the set are in the pool: it starts as the top, and only the pool comes in. */
static size_t list_exchanges(struct sewa_search *f, const double *s)
{
    size_t n = 0;

    for (size_t out = 0; out < f->pool; out++) {
        if (!subset_has(f->best, f->order[out]))
            continue;
        for (size_t in = 0; in < f->pool; in++)
            if (!subset_has(f->best, f->order[in]))
                f->exchanges[n++] =
                    (struct exchange){ s[f->order[out]] - s[f->order[in]], out, in };
    }
    qsort(f->exchanges, n, sizeof *f->exchanges, compare_exchanges);
    return n;
}

/* One exchange that lowers the loss, if there is one. */
static enum trial exchange_one(struct sewa_search *f, const double *s)
{
    size_t count = list_exchanges(f, s);
    enum trial trial = TRIAL_REJECTED;

    for (size_t n = 0; n < count && trial == TRIAL_REJECTED; n++) {
        copy_set(f, f->trial, f->best);
        subset_remove(f->trial, f->order[f->exchanges[n].out]);
        subset_add(f->trial, f->order[f->exchanges[n].in]);
        trial = try_set(f);
    }
    return trial;
}

static void walk_given(struct sewa_search *f, const double *s)
{
    for (size_t n = 0; n < f->select; n++)
        subset_add(f->trial, f->order[n]);
    copy_set(f, f->best, f->trial);
    look(f, &f->best_loss);
    while (exchange_one(f, s) == TRIAL_ACCEPTED)
        ;
}

/* 1 2 3 5 7, then 10 15 20 30 50 70 and their multiples by powers of ten; the last one is k. */
static size_t nested_size(size_t n, size_t k)
{
    static const size_t first[] = { 1, 2, 3, 5, 7 };
    static const size_t later[] = { 10, 15, 20, 30, 50, 70 };
    size_t size;

    if (n < COUNT_OF(first)) {
        size = first[n];
    } else {
        n -= COUNT_OF(first);
        size = later[n % COUNT_OF(later)];
        for (size_t decade = n / COUNT_OF(later); decade > 0; decade--)
            size *= 10;
    }
    return size < k ? size : k;
}

/* Returns false when the batch is full. */
static bool walk_nested(struct sewa_search *f)
{
    size_t n = 0, size = 0;
    double loss;

    f->best_loss = INFINITY;
    for (size_t step = 0; size < f->k; step++) {
        size = nested_size(step, f->k);
        for (; n < size; n++)
            subset_add(f->trial, f->order[n]);
        if (look(f, &loss) == SUBSETS_FULL)
            return false;
        if (loss <= f->best_loss) {
            copy_set(f, f->best, f->trial);
            f->best_loss = loss;
        }
    }
    return true;
}

static enum trial walk_add(struct sewa_search *f)
{
    size_t outside[POOL];
    size_t count = 0;

    for (size_t n = 0; n < f->k && count < POOL; n++)
        if (!subset_has(f->best, f->order[n]))
            outside[count++] = f->order[n];
    for (size_t n = 0; n < count; n++) {
        copy_set(f, f->trial, f->best);
        subset_add(f->trial, outside[n]);
        if (try_set(f) == TRIAL_END_OF_WALK)
            return TRIAL_END_OF_WALK;
    }
    return TRIAL_REJECTED;
}

static void walk_drop(struct sewa_search *f)
{
    size_t members = 0;

    for (size_t i = 0; i < f->k; i++)
        members += subset_has(f->best, i);
    for (size_t n = f->k; n-- > 0 && members > 1;) {
        if (!subset_has(f->best, f->order[n]))
            continue;
        copy_set(f, f->trial, f->best);
        subset_remove(f->trial, f->order[n]);
        enum trial trial = try_set(f);
        if (trial == TRIAL_END_OF_WALK)
            return;
        members -= trial == TRIAL_ACCEPTED;
    }
}

/* Nothing can be tried before it is known which nested set is the best. */
static void walk_auto(struct sewa_search *f)
{
    if (!walk_nested(f) || subsets_wanted(f->sets) > 0)
        return;
    if (walk_add(f) != TRIAL_END_OF_WALK)
        walk_drop(f);
}

int sewa_search_ask(struct sewa_search *f, const double *s, struct method *m,
                    struct sewa_error *err)
{
    int rc = subsets_begin(f->sets, m, err);

    if (rc < 0)
        return rc;
    f->looked = f->tried = 0;
    memset(f->trial, 0, subsets_words(f->k) * sizeof *f->trial);
    ranking_descending(s, f->k, f->order);
    if (f->select == METHOD_SELECT_AUTO)
        walk_auto(f);
    else
        walk_given(f, s);
    if (subsets_wanted(f->sets) > 0) {
        subsets_ask(f->sets, m);
        return 1;
    }
    if (!isfinite(f->best_loss))
        return sewa_fail(err, SEWA_E_EVALUATOR_NONFINITE,
                         "none of the %zu averages that were tried has a finite loss",
                         subsets_known(f->sets));
    return 0;
}

void sewa_search_tell(struct sewa_search *f, const struct method_answer *answers)
{
    subsets_tell(f->sets, answers);
}

size_t sewa_search_result(const struct sewa_search *f, size_t *selected, double *loss)
{
    size_t count = 0;

    for (size_t i = 0; i < f->k; i++)
        if (subset_has(f->best, i))
            selected[count++] = i;
    *loss = f->best_loss;
    return count;
}

/* n over r, or cap when that is less. */
static int64_t binomial(size_t n, size_t r, int64_t cap)
{
    double count = 1;

    if (r > n - r)
        r = n - r;
    for (size_t i = 0; i < r; i++) {
        count = count * (double)(n - i) / (double)(i + 1);
        if (count >= (double)cap)
            return cap;
    }
    return (int64_t)count;
}

static int64_t limit(const struct sewa_search *f)
{
    int64_t first = 1, more;

    if (f->select == METHOD_SELECT_AUTO) {
        while (nested_size((size_t)first - 1, f->k) < f->k)
            first++;
        more = (int64_t)(f->k < POOL ? f->k : POOL) + (int64_t)f->k;
    } else {
        more = binomial(f->pool, f->select, f->polish + 1) - 1;
    }
    return first + (more < f->polish ? more : f->polish);
}

int64_t sewa_search_remaining(const struct sewa_search *f)
{
    int64_t known = f->looked - (int64_t)subsets_wanted(f->sets);

    return limit(f) - known;
}

int sewa_search_save(const struct sewa_search *f, json_t *object)
{
    return subsets_save(f->sets, object);
}

/* Until the next walk counts again, every known set counts as looked at. */
int sewa_search_load(struct sewa_search *f, struct json_reader *r, struct sewa_error *err)
{
    int rc = subsets_load(f->sets, r, err);
    int64_t most = limit(f);

    f->looked = (int64_t)subsets_known(f->sets);
    if (f->looked > most)
        f->looked = most;
    return rc;
}

void sewa_search_set_batch(struct sewa_search *f, size_t batch)
{
    subsets_set_batch(f->sets, batch);
}
