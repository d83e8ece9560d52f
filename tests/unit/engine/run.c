/*
 * run - files by hand, numbers by definition.
 */
#include "run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "formats/checkpoint.h"
#include "formats/safetensors.h"

const struct spec mixed_model[MIXED_COUNT] = {
    { "z.embedding", DTYPE_F32, 2, { 37, 211 } },
    { "flags", DTYPE_BOOL, 1, { 13 } }, /* from here on nothing in the file is aligned */
    { "layers.10.bias", DTYPE_F32, 1, { 5 } },
    { "layers.10.weight", DTYPE_F16, 2, { 3, 4099 } },
    { "layers.9.weight", DTYPE_BF16, 1, { 70001 } },
    { "empty", DTYPE_F32, 2, { 0, 7 } },
    { "scalar", DTYPE_F32, 0, { 0 } },
    { "double", DTYPE_F64, 1, { 5003 } },
    { "num_batches_tracked", DTYPE_I64, 0, { 0 } },
    { "bytes", DTYPE_U8, 1, { 3 } },
    { "counts", DTYPE_I32, 1, { 4098 } },
    { "\xce\xba.weight", DTYPE_F32, 3, { 2, 3, 4 } },
    { "empty.half", DTYPE_F16, 1, { 0 } },
    { "layers.11.e4m3", DTYPE_F8_E4M3, 2, { 4, 1031 } },
    { "layers.11.e5m2", DTYPE_F8_E5M2, 1, { 4111 } },
};

uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double random_number(uint64_t *state)
{
    return (double)(int64_t)random_bits(state) * 0x1p-63;
}

/* ---- binary formats, by their definition and by search ---- */

struct binary {
    int fraction_bits, bias;
    int end; /* the first code that is no finite number */
    int nan;
    int sign;
};

static const struct binary *binary_of(enum dtype t)
{
    static const struct binary formats[] = {
        { 10, 15, 0x7c00, 0x7e00, 0x8000 }, /* F16 */
        { 7, 127, 0x7f80, 0x7fc0, 0x8000 }, /* BF16 */
        { 3, 7, 0x7f, 0x7f, 0x80 },         /* F8_E4M3: no infinity */
        { 2, 15, 0x7c, 0x7e, 0x80 },        /* F8_E5M2 */
    };

    return &formats[t == DTYPE_F16 ? 0 : t == DTYPE_BF16 ? 1 : t == DTYPE_F8_E4M3 ? 2 : 3];
}

/* The number that a code stands for; that of the end is the one that would follow the largest. */
static double define_code(const struct binary *b, int code)
{
    int exponent = code >> b->fraction_bits;
    int fraction = code & ((1 << b->fraction_bits) - 1);

    if (exponent == 0)
        return ldexp(fraction, 1 - b->bias - b->fraction_bits);
    return ldexp((1 << b->fraction_bits) + fraction, exponent - b->bias - b->fraction_bits);
}

/* The same from a table: a search asks for sixteen of them. Tests run on one thread. */
static double code_value(const struct binary *b, int code)
{
    static double tables[16][32768];
    double *table = tables[b->fraction_bits];

    if (table[1] == 0)
        for (int c = 0; c <= b->end; c++)
            table[c] = define_code(b, c);
    return table[code];
}

static int nearest_code(const struct binary *b, double x)
{
    int low = 0, high = b->end;

    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (code_value(b, middle) <= x)
            low = middle;
        else
            high = middle;
    }
    double below = x - code_value(b, low), above = code_value(b, high) - x;
    if (below == above)
        return low % 2 == 0 ? low : high;
    return below < above ? low : high;
}

static uint16_t code_of(const struct binary *b, double x)
{
    int code = isnan(x) ? b->nan : nearest_code(b, fabs(x));

    return (uint16_t)(code == b->nan ? code : code | (signbit(x) ? b->sign : 0));
}

static double number_of_code(const struct binary *b, int code)
{
    int magnitude = code & (b->sign - 1);
    double x = magnitude < b->end                        ? code_value(b, magnitude)
               : magnitude == b->end && b->end != b->nan ? INFINITY
                                                         : NAN;

    return code & b->sign ? -x : x;
}

double number_at(enum dtype t, const void *values, size_t e)
{
    switch (t) {
    case DTYPE_F32: return (double)((const float *)values)[e];
    case DTYPE_F64: return ((const double *)values)[e];
    case DTYPE_F16:
    case DTYPE_BF16: return number_of_code(binary_of(t), ((const uint16_t *)values)[e]);
    default: return number_of_code(binary_of(t), ((const uint8_t *)values)[e]);
    }
}

void store_number(enum dtype t, void *values, size_t e, double x)
{
    static const uint32_t nan_f32 = 0x7fc00000;
    static const uint64_t nan_f64 = 0x7ff8000000000000;

    switch (t) {
    case DTYPE_F32:
        ((float *)values)[e] = (float)x;
        if (isnan(x))
            memcpy((float *)values + e, &nan_f32, 4);
        break;
    case DTYPE_F64:
        ((double *)values)[e] = x;
        if (isnan(x))
            memcpy((double *)values + e, &nan_f64, 8);
        break;
    case DTYPE_F16:
    case DTYPE_BF16: ((uint16_t *)values)[e] = code_of(binary_of(t), x); break;
    default: ((uint8_t *)values)[e] = (uint8_t)code_of(binary_of(t), x);
    }
}

/* ---- files ---- */

int64_t spec_elements(const struct spec *s)
{
    int64_t n = 1;

    for (int i = 0; i < s->rank; i++)
        n *= s->shape[i];
    return n;
}

size_t spec_size(const struct spec *s)
{
    return dtype_bits(s->dtype) / 8;
}

size_t spec_of(const struct run *r, const char *name)
{
    for (size_t t = 0; t < r->count; t++)
        if (strcmp(r->specs[t].name, name) == 0)
            return t;
    fail_msg("there is no tensor '%s'", name);
    return 0;
}

void *run_values(const struct run *r, size_t candidate, size_t tensor)
{
    return r->values[candidate * r->count + tensor];
}

char *run_path(const struct run *r, size_t candidate)
{
    return path_join(r->directory, r->candidates[candidate].file);
}

/* Every second file lists its tensors from the other end. */
static size_t in_file(const struct run *r, size_t candidate, size_t i)
{
    return candidate % 2 == 0 ? i : r->count - 1 - i;
}

void candidate_learn(struct candidate *c)
{
    AUTOFREE char *path = path_join(c->directory, c->file);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    assert_ok(checkpoint_read_file(fd, path, st.st_size, NULL, &l, &err), err);
    c->bytes = st.st_size;
    c->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    memcpy(c->header_digest, l->header_digest, sizeof c->header_digest);
}

void run_learn(struct run *r, size_t candidate)
{
    candidate_learn(&r->candidates[candidate]);
}

void run_save(struct run *r, size_t candidate)
{
    struct safetensors_item items[64];
    struct layout_metadata metadata[] = {
        { "step", candidate % 2 == 0 ? "1" : "1000000000000" }, /* headers of different lengths */
        { "format", "pt" },
    };
    AUTO(buf_clear) struct buf file = { 0 };
    struct sewa_error err = { 0 };

    assert_true(r->count <= COUNT_OF(items));
    for (size_t i = 0; i < r->count; i++) {
        const struct spec *s = &r->specs[in_file(r, candidate, i)];
        items[i] = (struct safetensors_item){ s->name, s->dtype, s->rank, s->shape };
    }
    assert_ok(safetensors_header(items, r->count, metadata, 2, &file, &err), err);
    for (size_t i = 0; i < r->count; i++) {
        const struct spec *s = &r->specs[in_file(r, candidate, i)];
        buf_append(&file, run_values(r, candidate, in_file(r, candidate, i)),
                   (size_t)spec_elements(s) * spec_size(s));
    }
    assert_false(buf_failed(&file));
    scratch_write(r->directory, r->candidates[candidate].file, file.data, file.len);
    run_learn(r, candidate);
}

/* Floats drift around a common start, as in training; integers count. */
static void fill(struct run *r, size_t candidate, size_t tensor, uint64_t seed)
{
    const struct spec *s = &r->specs[tensor];
    size_t n = (size_t)spec_elements(s);
    uint64_t start = seed + tensor, drift = seed + 1000 * (candidate + 1) + tensor;
    char *values = r->values[candidate * r->count + tensor] = malloc(n * spec_size(s) + 8);

    assert_non_null(values);
    for (size_t e = 0; e < n; e++) {
        if (dtype_kind(s->dtype) == DTYPE_FLOAT)
            store_number(s->dtype, values, e, random_number(&start) + 0.1 * random_number(&drift));
        else
            memset(values + e * spec_size(s),
                   s->dtype == DTYPE_BOOL ? (int)(random_bits(&drift) % 2)
                                          : (int)(random_bits(&drift) % 256),
                   spec_size(s));
    }
}

void run_init(struct run *r, const struct spec *specs, size_t count, size_t k, uint64_t seed)
{
    *r = (struct run){ scratch_new(), specs, count, k, NULL, NULL };
    r->candidates = calloc(k, sizeof *r->candidates);
    r->values = calloc(k * count, sizeof *r->values);
    assert_true(r->candidates && r->values);
    for (size_t i = 0; i < k; i++) {
        char *id = NULL, *file = NULL;
        assert_true(asprintf(&id, "ckpt_%zu", i) > 0);
        assert_true(asprintf(&file, "step-%zu.safetensors", 100 * i) > 0);
        r->candidates[i] = (struct candidate){
            .id = id, .step = (int64_t)(100 * i), .directory = r->directory, .file = file
        };
        for (size_t t = 0; t < count; t++)
            fill(r, i, t, seed);
        run_save(r, i);
    }
}

void run_clear(struct run *r)
{
    for (size_t i = 0; i < r->k; i++) {
        free((char *)(uintptr_t)r->candidates[i].id);
        free((char *)(uintptr_t)r->candidates[i].file);
    }
    for (size_t i = 0; i < r->k * r->count; i++)
        free(r->values[i]);
    free(r->candidates);
    free(r->values);
    scratch_free(r->directory);
}

int run_setup(void **state)
{
    struct run *r = calloc(1, sizeof *r);

    assert_non_null(r);
    run_init(r, mixed_model, MIXED_COUNT, RUN_K, 3);
    *state = r;
    return 0;
}

int run_teardown(void **state)
{
    run_clear(*state);
    free(*state);
    return 0;
}

void run_spoil(struct run *r, size_t candidate, const char *tensor, size_t e, double x)
{
    size_t t = spec_of(r, tensor);

    store_number(r->specs[t].dtype, run_values(r, candidate, t), e, x);
    run_save(r, candidate);
}

static void vanish(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void touch(const char *path)
{
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
}

static void shorten(const char *path)
{
    assert_int_equal(truncate(path, 4000), 0);
}

const struct meddler meddlers[MEDDLER_COUNT] = {
    { vanish, SEWA_E_GONE, "step-400" },
    { touch, SEWA_E_CHANGED, "modified" },
    { shorten, SEWA_E_CHANGED, "ends at offset" },
};

/* ---- engines and sources ---- */

struct engine engine_with(unsigned threads, size_t table)
{
    struct engine e = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(engine_init(&e, threads, &err), err);
    e.kernels = kernels_at(table);
    assert_non_null(e.kernels);
    return e;
}

struct resident *resident_of(const struct engine *e, const struct run *r)
{
    struct resident_options o = { .candidates = r->candidates, .count = r->k };
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };

    assert_ok(resident_open(e, &o, &resident, &err), err);
    return resident;
}

void run_check(const struct run *r, struct source *s)
{
    const struct model *m = s->roster->model;
    AUTOFREE uint32_t *which = calloc(r->k, sizeof *which);
    AUTOFREE const void **x = calloc(r->k, sizeof *x);
    struct sewa_error err = { 0 };

    for (uint32_t i = 0; i < r->k; i++)
        which[i] = (uint32_t)(r->k - 1 - i); /* in any order */
    for (size_t p = 0; p < model_partitions(m); p++) {
        struct piece_walk walk = model_walk(m, p, s->piece_bytes);
        for (struct piece piece; piece_next(&walk, &piece);) {
            const struct model_tensor *t = &m->tensors[piece.tensor];
            size_t size = model_element_bytes(t), spec = spec_of(r, t->name);
            source_advise(s, &piece, which, r->k);
            assert_ok(s->fetch(s, &piece, which, r->k, 0, x, &err), err);
            for (size_t i = 0; i < r->k; i++) {
                const char *want = run_values(r, which[i], spec);
                assert_int_equal((uintptr_t)x[i] % MODEL_ALIGNMENT, 0);
                assert_memory_equal(x[i], want + piece.first * (int64_t)size, piece.count * size);
            }
        }
    }
}
