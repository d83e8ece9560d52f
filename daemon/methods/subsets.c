/*
 * subsets - a table of sets and their losses, in the order in which they were asked for.
 */
#include "methods/subsets.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "methods/state.h"

enum { SLOTS_MIN = 64 };

struct subsets {
    size_t k, words, batch;
    size_t count; /* sets; the last `wanted` of them have no loss yet */
    size_t wanted;
    size_t capacity;
    uint64_t *bits;  /* capacity x words */
    double *loss;    /* capacity; infinity when it was not finite */
    uint64_t *walks; /* capacity: the last walk that looked at it */
    uint64_t walk;
    size_t slots;    /* a power of two, at least twice the capacity */
    uint32_t *index; /* open addressing: number of the set plus one, 0 is free */
};

size_t subsets_words(size_t k)
{
    return (k + 63) / 64;
}

int subsets_new(size_t k, size_t batch, struct subsets **ret, struct sewa_error *err)
{
    struct subsets *s = calloc(1, sizeof *s);

    if (!s)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a search among %zu candidates", k);
    s->k = k;
    s->words = subsets_words(k);
    s->batch = batch;
    *ret = s;
    return 0;
}

void subsets_free(struct subsets *s)
{
    if (!s)
        return;
    free(s->bits);
    free(s->loss);
    free(s->walks);
    free(s->index);
    free(s);
}

void subsets_set_batch(struct subsets *s, size_t batch)
{
    s->batch = batch;
}

static const uint64_t *set_at(const struct subsets *s, size_t n)
{
    return s->bits + n * s->words;
}

/* Multiply and fold each word: neighbouring sets differ in two bits. */
static uint64_t hash(const uint64_t *set, size_t words)
{
    uint64_t h = 0;

    for (size_t i = 0; i < words; i++) {
        h = (h ^ set[i]) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 29;
    }
    return h;
}

/* The slot of the set, or the free one where it belongs. */
static uint32_t *find(const struct subsets *s, const uint64_t *set)
{
    size_t at = hash(set, s->words) & (s->slots - 1);

    while (s->index[at] != 0 &&
           memcmp(set_at(s, s->index[at] - 1), set, s->words * sizeof *set) != 0)
        at = (at + 1) & (s->slots - 1);
    return &s->index[at];
}

/* Copies, so that a failure half-way leaves everything as it was. */
static int grow(struct subsets *s, size_t slots, struct sewa_error *err)
{
    size_t capacity = slots / 2;
    AUTOFREE uint64_t *bits = calloc(capacity * s->words, sizeof *bits);
    AUTOFREE double *loss = calloc(capacity, sizeof *loss);
    AUTOFREE uint64_t *walks = calloc(capacity, sizeof *walks);
    AUTOFREE uint32_t *index = calloc(slots, sizeof *index);

    if (!bits || !loss || !walks || !index)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the losses of %zu sets", capacity);
    if (s->count > 0) {
        memcpy(bits, s->bits, s->count * s->words * sizeof *bits);
        memcpy(loss, s->loss, s->count * sizeof *loss);
        memcpy(walks, s->walks, s->count * sizeof *walks);
    }
    free(s->bits);
    free(s->loss);
    free(s->walks);
    free(s->index);
    s->bits = TAKE(bits);
    s->loss = TAKE(loss);
    s->walks = TAKE(walks);
    s->index = TAKE(index);
    s->capacity = capacity;
    s->slots = slots;
    for (size_t n = 0; n < s->count; n++)
        *find(s, set_at(s, n)) = (uint32_t)n + 1;
    return 0;
}

static int reserve(struct subsets *s, size_t more, struct sewa_error *err)
{
    size_t slots = s->slots ? s->slots : SLOTS_MIN;

    while (slots / 2 < s->count + more)
        slots *= 2;
    return slots == s->slots ? 0 : grow(s, slots, err);
}

static void add(struct subsets *s, uint32_t *slot, const uint64_t *set, double loss)
{
    assert(s->count < s->capacity);
    memcpy(s->bits + s->count * s->words, set, s->words * sizeof *set);
    s->loss[s->count] = loss;
    *slot = (uint32_t)++s->count;
}

int subsets_begin(struct subsets *s, struct method *m, struct sewa_error *err)
{
    assert(s->wanted == 0);
    int rc = method_points_begin(m, s->batch, err);
    if (rc == 0)
        rc = reserve(s, s->batch, err);
    if (rc == 0)
        s->walk++;
    return rc;
}

enum subsets_look subsets_look(struct subsets *s, const uint64_t *set, double *loss)
{
    uint32_t *slot = find(s, set);

    *loss = INFINITY;
    if (*slot == 0) {
        if (s->wanted == s->batch)
            return SUBSETS_FULL;
        add(s, slot, set, INFINITY);
        s->walks[s->count - 1] = s->walk;
        s->wanted++;
        return SUBSETS_WANTED;
    }
    size_t n = *slot - 1;
    if (s->walks[n] == s->walk)
        return SUBSETS_REPEATED;
    s->walks[n] = s->walk;
    *loss = s->loss[n];
    return SUBSETS_KNOWN;
}

size_t subsets_wanted(const struct subsets *s)
{
    return s->wanted;
}

size_t subsets_known(const struct subsets *s)
{
    return s->count - s->wanted;
}

static size_t size_of(const struct subsets *s, const uint64_t *set)
{
    size_t size = 0;

    for (size_t i = 0; i < s->words; i++)
        size += (size_t)__builtin_popcountll(set[i]);
    return size;
}

void subsets_ask(const struct subsets *s, struct method *m)
{
    for (size_t n = s->count - s->wanted; n < s->count; n++) {
        const uint64_t *set = set_at(s, n);
        double weight = 1.0 / (double)size_of(s, set);
        double *alpha = method_points_add(m, false, -1);
        for (size_t i = 0; i < s->k; i++)
            alpha[i] = subset_has(set, i) ? weight : 0;
    }
}

void subsets_tell(struct subsets *s, const struct method_answer *answers)
{
    double *loss = s->loss + s->count - s->wanted;

    for (size_t j = 0; j < s->wanted; j++)
        loss[j] = isfinite(answers[j].loss) ? answers[j].loss : INFINITY;
    s->wanted = 0;
}

/* Hexadecimal digits, four candidates each, the oldest in the lowest bit of the first digit. */
static json_t *set_text(const struct subsets *s, const uint64_t *set)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = (s->k + 3) / 4;
    AUTOFREE char *text = malloc(length + 1);

    if (!text)
        return NULL;
    for (size_t d = 0; d < length; d++)
        text[d] = digits[set[d / 16] >> (d % 16 * 4) & 15];
    return json_stringn(text, length);
}

int subsets_save(const struct subsets *s, json_t *object)
{
    size_t known = subsets_known(s);
    json_t *sets = json_array();

    for (size_t n = 0; sets && n < known; n++) {
        if (json_array_append_new(sets, set_text(s, set_at(s, n))) < 0) {
            json_decref(sets);
            sets = NULL;
        }
    }
    if (json_put(object, "sets", sets) < 0)
        return -1;
    return json_put(object, "losses", state_numbers(s->loss, known));
}

static int digit_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* false: not a set of these candidates, or an empty one. */
static bool set_read(const struct subsets *s, const json_t *value, uint64_t *set)
{
    size_t length = (s->k + 3) / 4;
    const char *text = json_string_value(value);

    memset(set, 0, s->words * sizeof *set);
    if (!text || json_string_length(value) != length)
        return false;
    for (size_t d = 0; d < length; d++) {
        int digit = digit_value(text[d]);
        if (digit < 0)
            return false;
        set[d / 16] |= (uint64_t)digit << (d % 16 * 4);
    }
    bool fits = s->k % 64 == 0 || set[s->words - 1] >> (s->k % 64) == 0;
    return fits && size_of(s, set) > 0;
}

int subsets_load(struct subsets *s, struct json_reader *r, struct sewa_error *err)
{
    const json_t *sets = json_get_array(r, "sets");
    size_t n = json_array_size(sets);
    AUTOFREE double *losses = calloc(n + 1, sizeof *losses);
    AUTOFREE uint64_t *set = calloc(s->words, sizeof *set);

    if (!losses || !set)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the losses of %zu sets", n);
    state_read_numbers(r, "losses", -HUGE_VAL, HUGE_VAL, STATE_NULL_ALLOWED, losses, n);
    int rc = r->rc < 0 ? r->rc : reserve(s, n, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        uint32_t *slot = NULL;
        if (set_read(s, json_array_get(sets, i), set))
            slot = find(s, set);
        if (!slot || *slot != 0)
            rc = json_reader_fail(r, SEWA_E_CORRUPT, "sets",
                                  "'sets' has no new set of %zu candidates at %zu", s->k, i);
        else
            add(s, slot, set, isnan(losses[i]) ? INFINITY : losses[i]);
    }
    return rc;
}
