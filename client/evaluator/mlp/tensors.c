/*
 * tensors - read tensors by pread, widen what is narrower than float32.
 */
#include "tensors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "formats/checkpoint.h"

void *aligned_new(size_t bytes)
{
    return aligned_alloc(64, (bytes / 64 + 1) * 64);
}

int tensor_file_open(struct tensor_file *f, const char *path, struct sewa_error *err)
{
    struct stat st;

    *f = (struct tensor_file){ .path = strdup(path), .fd = open(path, O_RDONLY | O_CLOEXEC) };
    if (!f->path)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", path);
    if (f->fd < 0)
        return sewa_fail_errno(err, errno == ENOENT ? SEWA_E_NOT_FOUND : SEWA_E_IO,
                               "cannot open '%s'", path);
    if (fstat(f->fd, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return sewa_fail(err, SEWA_E_IO, "'%s' is not a regular file", path);
    return checkpoint_read(f->fd, path, st.st_size, &f->layout, err);
}

void tensor_file_close(struct tensor_file *f)
{
    layout_free(f->layout);
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    *f = (struct tensor_file){ .fd = -1 };
}

int tensor_read(const struct tensor_file *f, const struct tensor *t, void **ret,
                struct sewa_error *err)
{
    AUTOFREE void *data = aligned_new((size_t)t->bytes);

    if (!data)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for tensor '%.100s' of %lld bytes",
                         t->name, (long long)t->bytes);
    ssize_t n = pread_full(f->fd, data, (size_t)t->bytes, t->offset);
    if (n < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot read tensor '%.100s' of '%s'", t->name,
                               f->path);
    if (n < t->bytes)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "'%s' became shorter: tensor '%.100s' has %lld bytes and %zd are left",
                         f->path, t->name, (long long)t->bytes, n);
    *ret = TAKE(data);
    return 0;
}

static float from_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction; every value is a float32. */
static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = (h >> 10) & 31, fraction = h & 1023;

    if (exponent == 31)
        return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent > 0)
        return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float small = (float)fraction * 0x1p-24f;
    return sign ? -small : small;
}

/* 1 sign, 4 exponent (bias 7), 3 fraction; no infinity, and only all ones is no number. */
static float from_f8_e4m3(uint8_t b)
{
    uint32_t sign = (uint32_t)(b & 0x80) << 24;
    uint32_t exponent = (b >> 3) & 15, fraction = b & 7;

    if (exponent == 15 && fraction == 7)
        return from_bits(sign | 0x7fc00000u);
    if (exponent > 0)
        return from_bits(sign | (exponent + 120) << 23 | fraction << 20);
    float small = (float)fraction * 0x1p-9f;
    return sign ? -small : small;
}

static float to_f32(enum dtype type, const void *values, int64_t i)
{
    switch (type) {
    case DTYPE_F64: return (float)((const double *)values)[i];
    case DTYPE_F32: return ((const float *)values)[i];
    case DTYPE_BF16: return from_bits((uint32_t)((const uint16_t *)values)[i] << 16);
    case DTYPE_F16: return from_f16(((const uint16_t *)values)[i]);
    case DTYPE_F8_E5M2: return from_f16((uint16_t)(((const uint8_t *)values)[i] << 8));
    case DTYPE_F8_E4M3: return from_f8_e4m3(((const uint8_t *)values)[i]);
    default: return 0; /* has_f32() says for which it is called */
    }
}

void tensor_to_f32(enum dtype type, const void *values, int64_t n, float *ret)
{
    for (int64_t i = 0; i < n; i++)
        ret[i] = to_f32(type, values, i);
}

/* Those that are known here, and no others that become averaged: each has its own size. */
static bool has_f32(enum dtype type)
{
    return type == DTYPE_F64 || type == DTYPE_F32 || type == DTYPE_BF16 || type == DTYPE_F16 ||
           type == DTYPE_F8_E5M2 || type == DTYPE_F8_E4M3;
}

int tensor_read_f32(const struct tensor_file *f, const struct tensor *t, float **ret,
                    struct sewa_error *err)
{
    AUTOFREE void *raw = NULL;

    if (!has_f32(t->dtype))
        return sewa_fail(err, SEWA_E_UNSUPPORTED, "tensor '%.100s' of '%s' is %s, not a float",
                         t->name, f->path, dtype_name(t->dtype));
    int rc = tensor_read(f, t, &raw, err);
    if (rc < 0)
        return rc;
    AUTOFREE float *data = aligned_new((size_t)t->elements * sizeof *data);
    if (!data)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for tensor '%.100s'", t->name);
    tensor_to_f32(t->dtype, raw, t->elements, data);
    *ret = TAKE(data);
    return 0;
}

struct network_tensor *tensor_file_list(const struct tensor_file *f)
{
    size_t n = f->layout->count;
    struct network_tensor *list = calloc(n ? n : 1, sizeof *list);

    for (size_t i = 0; list && i < n; i++) {
        const struct tensor *t = &f->layout->tensors[i];
        list[i] = (struct network_tensor){ .name = t->name,
                                           .is_float = dtype_kind(t->dtype) != DTYPE_INTEGER,
                                           .rank = t->rank,
                                           .shape = t->shape };
    }
    return list;
}
