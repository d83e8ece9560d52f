/*
 * cpu - which tables of kernels this processor can run, and which of them to use.
 *
 * __builtin_cpu_supports() looks at cpuid and, for the instruction sets with wide registers, at
 * what the operating system saves on a context switch (XGETBV), so that a kernel booted without
 * AVX state gets the reference. Thread: any.
 */
#include "numerics/kernels.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/buf.h"
#include "base/cleanup.h"
#include "numerics/kernels_variants.h"

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
/* F16C by hand: not every compiler that we support has a name for it. Its registers are AVX's. */
static bool has_avx2(void)
{
    unsigned a, b, c, d;

    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const struct {
    const struct kernels *kernels;
    bool (*is_usable)(void);
} tables[] = {
    { &kernels_reference, always },
#if defined(__x86_64__)
    { &kernels_avx2, has_avx2 },
    { &kernels_avx512, has_avx512 },
#elif defined(__aarch64__)
    { &kernels_neon, always },
#endif
};

const struct kernels *kernels_at(size_t i)
{
    for (size_t t = 0; t < COUNT_OF(tables); t++)
        if (tables[t].is_usable() && i-- == 0)
            return tables[t].kernels;
    return NULL;
}

const struct float_kernels *kernels_for(const struct kernels *k, enum dtype t)
{
    switch (t) {
    case DTYPE_F32: return &k->f32;
    case DTYPE_F64: return &k->f64;
    case DTYPE_F16: return &k->f16;
    case DTYPE_BF16: return &k->bf16;
    case DTYPE_F8_E4M3: return &k->f8_e4m3;
    case DTYPE_F8_E5M2: return &k->f8_e5m2;
    default: return NULL;
    }
}

int kernels_select(const char *name, const struct kernels **ret, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf choices = { 0 };
    const struct kernels *k, *fastest = NULL;

    for (size_t i = 0; (k = kernels_at(i)) != NULL; i++) {
        if (name && strcmp(k->name, name) == 0) {
            *ret = k;
            return 0;
        }
        buf_printf(&choices, "%s%s", i ? ", " : "", k->name);
        fastest = k;
    }
    if (name && *name)
        return sewa_fail(err, SEWA_E_CONFIG,
                         "there are no kernels '%s' for this processor, the choices are: %s", name,
                         buf_cstr(&choices));
    *ret = fastest;
    return 0;
}

int kernels_from_environment(const struct kernels **ret, struct sewa_error *err)
{
    return sewa_context(err, kernels_select(getenv("SEWA_KERNELS"), ret, err), "SEWA_KERNELS");
}
