/*
 * shop - files by definition, and tasks.
 */
#include "shop.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "sewad.h"

/* In strcmp order, as a model has them. */
const struct shop_tensor shop_tensors[SHOP_TENSORS] = {
    { "a.weight", DTYPE_F32, 1, 5000, true, false },
    { "b.bias", DTYPE_F64, 1, 5, true, false },
    { "bn.0.mean", DTYPE_F32, 1, 70001, false, true },
    { "bn.1.count", DTYPE_I64, 0, 1, false, false },
    { "bn.1.mean", DTYPE_F16, 1, 7, false, true },
    { "bn.1.var", DTYPE_F32, 1, 2100, false, true },
    { "c.buffer", DTYPE_F32, 1, 9, false, false },
    { "d.table", DTYPE_I32, 1, 3000, false, false },
};

int64_t shop_elements(size_t t)
{
    return shop_tensors[t].length;
}

/* The first parameter of the newest is so large that its loss is no number. Integers are so mixed
 * that each policy gives something else. */
double shop_value(size_t i, size_t t, int64_t e)
{
    int64_t c = (int64_t)i;

    if (dtype_kind(shop_tensors[t].dtype) == DTYPE_INTEGER)
        return (double)((c * 37 + e * 11) % 53);
    if (t == 0 && e == 0)
        return i == SHOP_K - 1 ? 2048 : (double)c;
    return (double)((e * 7 + (int64_t)t * 3 + c * c * 5 + c * (e % 3)) % 32) / 8 - 2;
}

double shop_average(const double *alpha, size_t t, int64_t e)
{
    double sum = 0;

    for (size_t i = 0; i < SHOP_K; i++)
        if (alpha[i] != 0)
            sum += alpha[i] * shop_value(i, t, e);
    return sum;
}

double shop_integer(enum integer_policy policy, const double *alpha, size_t t, int64_t e)
{
    double chosen = -1;

    for (size_t i = 0; i < SHOP_K; i++) {
        double value = shop_value(i, t, e);
        bool is_first = chosen < 0;
        if (alpha[i] == 0)
            continue;
        if (is_first || policy == INTEGER_NEWEST || (policy == INTEGER_MAX && value > chosen))
            chosen = value;
    }
    return chosen;
}

/* ---- numbers in bytes ---- */

static double half(uint16_t code)
{
    _Float16 x;

    memcpy(&x, &code, sizeof x);
    return (double)x;
}

double shop_number(enum dtype dtype, const void *values, int64_t e)
{
    const char *at = (const char *)values + e * (int64_t)(dtype_bits(dtype) / 8);
    uint16_t code;
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;

    switch (dtype) {
    case DTYPE_F16: memcpy(&code, at, 2); return half(code);
    case DTYPE_F32: memcpy(&f32, at, 4); return (double)f32;
    case DTYPE_I32: memcpy(&i32, at, 4); return (double)i32;
    case DTYPE_I64: memcpy(&i64, at, 8); return (double)i64;
    default: memcpy(&f64, at, 8); return f64;
    }
}

static void append_number(struct buf *b, enum dtype dtype, double x)
{
    _Float16 f16 = (_Float16)x;
    float f32 = (float)x;
    int32_t i32 = (int32_t)x;
    int64_t i64 = (int64_t)x;

    switch (dtype) {
    case DTYPE_F16: buf_append(b, &f16, 2); break;
    case DTYPE_F32: buf_append(b, &f32, 4); break;
    case DTYPE_I32: buf_append(b, &i32, 4); break;
    case DTYPE_I64: buf_append(b, &i64, 8); break;
    default: buf_append(b, &x, 8);
    }
}

/* ---- files ---- */

static void learn(struct candidate *c)
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

static void save(struct shop *s, size_t i)
{
    struct safetensors_item items[SHOP_TENSORS];
    AUTO(buf_clear) struct buf file = { 0 };
    struct sewa_error err = { 0 };

    for (size_t t = 0; t < SHOP_TENSORS; t++)
        items[t] = (struct safetensors_item){ shop_tensors[t].name, shop_tensors[t].dtype,
                                              shop_tensors[t].rank, &shop_tensors[t].length };
    assert_ok(safetensors_header(items, SHOP_TENSORS, NULL, 0, &file, &err), err);
    for (size_t t = 0; t < SHOP_TENSORS; t++)
        for (int64_t e = 0; e < shop_elements(t); e++)
            append_number(&file, shop_tensors[t].dtype, shop_value(i, t, e));
    assert_true(asprintf(&s->names[2 * i], "ckpt_%zu", i) > 0);
    assert_true(asprintf(&s->names[2 * i + 1], "step-%zu.safetensors", i) > 0);
    s->candidates[i] = (struct candidate){ .id = s->names[2 * i],
                                           .step = (int64_t)i,
                                           .directory = s->directory,
                                           .file = s->names[2 * i + 1],
                                           .state_key = "" };
    scratch_write(s->directory, s->candidates[i].file, file.data, file.len);
    learn(&s->candidates[i]);
}

/* ---- the workshop ---- */

static struct sewad_answer yes(const char *call, size_t number, void *arg)
{
    (void)call;
    (void)number;
    (void)arg;
    return (struct sewad_answer){ 200, "{}" };
}

static char *own_program(void)
{
    char path[PATH_MAX] = "";

    assert_true(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
    return strdup(path);
}

void shop_open(struct shop *s, unsigned banks, const char *options, enum integer_policy integers)
{
    struct sewa_error err = { 0 };

    *s = (struct shop){ .directory = scratch_new(), .self = own_program() };
    for (size_t i = 0; i < SHOP_K; i++)
        save(s, i);
    s->argv[0] = s->self;
    s->argv[1] = (char *)(uintptr_t) "judge";
    s->spec = (struct spec){ .k = SHOP_K,
                             .candidates = s->candidates,
                             .has_evaluator = true,
                             .evaluator = { .name = (char *)(uintptr_t) "judge",
                                            .argv = s->argv,
                                            .options = (char *)(uintptr_t)options,
                                            .start_timeout_ms = 60000,
                                            .timeout_ms = 60000 },
                             .integers = integers,
                             .threads = 2,
                             .banks = banks };
    s->sewad = sewad_start(yes, NULL);
    assert_ok(pulse_start(sewad_socket(s->sewad), "t", 3600000, &s->cancel, &s->pulse, &err), err);
    assert_ok(workshop_open(&s->spec, s->pulse, &s->cancel, &s->workshop, &err), err);
}

void shop_close(struct shop *s)
{
    workshop_close(s->workshop);
    pulse_stop(s->pulse);
    sewad_stop(s->sewad);
    for (size_t i = 0; i < 2 * SHOP_K; i++)
        free(s->names[i]);
    free(s->self);
    scratch_free(s->directory);
}

json_t *shop_do(struct shop *s, json_t *task)
{
    struct sewa_error err = { 0 };
    json_t *result = NULL;

    assert_non_null(task);
    assert_ok(workshop_do(s->workshop, task, &result, &err), err);
    json_decref(task);
    return result;
}

void shop_prepare(struct shop *s)
{
    json_decref(shop_do(s, json_pack("{s:s}", "kind", "prepare")));
}

json_t *shop_point(const double *alpha, json_t *more)
{
    json_t *point = more ? more : json_object();
    json_t *list = json_array();

    for (size_t i = 0; i < SHOP_K; i++)
        assert_int_equal(json_array_append_new(list, json_real(alpha[i])), 0);
    assert_int_equal(json_object_set_new(point, "alpha", list), 0);
    return point;
}
