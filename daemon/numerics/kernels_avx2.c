/*
 * kernels_avx2 - the kernels for processors with AVX2, FMA and F16C; bits as in kernels_ref.c.
 *
 * mix() and dots() are blocked like a matrix product, because with M rows the loads and stores of
 * the rows cost more than the arithmetic: a block of elements is short enough that all its rows
 * stay in the first-level cache while the candidates stream past, and inside a block a tile of rows
 * and candidates lives in the sixteen registers. The order of operations on one element is that of
 * the definition whatever the tiles are, so blocking changes no bit.
 *
 * What remains behind the last whole vector goes element by element through the same operations
 * (scalar fma of the same instruction set) or through a vector filled up with zeros.
 */
#include "numerics/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "numerics/kernels_variants.h"

#define INLINE static inline __attribute__((always_inline))

/*
 * A tile asks for what the next tile reads, into the second-level cache: into the first it would
 * push out the rows (measured: 1.2 against 1.5 times a plain read for one row of dots, 1.8
 * against 2.3 for eight), and without asking, a run of a few KiB of each candidate is too short for
 * the processor's own prefetching.
 */
#define PREFETCH(p) _mm_prefetch((p), _MM_HINT_T1)

/* Loops over the registers of a tile must vanish, or the tile would live in memory. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

enum {
    MIX_BLOCK = 2048,    /* elements; 4 rows of float fill 32 KiB, the candidates pass by */
    DOTS_BLOCK = 512,    /* elements; 8 gradients and 4 candidates fill 24 KiB */
    MIX_ROWS = 4,        /* 4 rows x 16 elements: 8 registers of sums */
    MIX_CANDIDATES = 8,  /* per tile: the sums are loaded and stored once for 8 products */
    SUM_CANDIDATES = 8,  /* as in mix */
    DOTS_ROWS = 4,       /* 4 rows x 3 candidates: 12 registers of lanes */
    DOTS_CANDIDATES = 3, /* and 3 of differences, 1 of gradient: all sixteen */
};

/* The element type is a constant at every call, so that only one branch is left. */
enum type { F32, F64, F16, BF16 };

/* ---- loading: exact in every case ---- */

INLINE size_t size_of(enum type t)
{
    return t == F64 ? 8 : t == F32 ? 4 : 2;
}

INLINE const void *at(enum type t, const void *x, size_t e)
{
    return (const char *)x + e * size_of(t);
}

INLINE __m256 load8(enum type t, const void *x, size_t e)
{
    if (t == F32)
        return _mm256_loadu_ps(at(t, x, e));
    __m128i half = _mm_loadu_si128(at(t, x, e));
    if (t == F16)
        return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

INLINE __m256d load4(enum type t, const void *x, size_t e)
{
    if (t == F64)
        return _mm256_loadu_pd(at(t, x, e));
    if (t == F32)
        return _mm256_cvtps_pd(_mm_loadu_ps(at(t, x, e)));
    __m128i half = _mm_loadl_epi64(at(t, x, e));
    if (t == F16)
        return _mm256_cvtps_pd(_mm_cvtph_ps(half));
    return _mm256_cvtps_pd(_mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(half), 16)));
}

INLINE float load1(enum type t, const void *x, size_t e)
{
    uint16_t half;
    uint32_t bits;
    float f;

    if (t == F32) {
        memcpy(&f, at(t, x, e), sizeof f);
        return f;
    }
    memcpy(&half, at(t, x, e), sizeof half);
    if (t == F16)
        return _cvtsh_ss(half);
    bits = (uint32_t)half << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

INLINE double load1_f64(enum type t, const void *x, size_t e)
{
    double d;

    if (t != F64)
        return (double)load1(t, x, e);
    memcpy(&d, at(t, x, e), sizeof d);
    return d;
}

/* ---- widen, count_nonfinite, divide ---- */

INLINE void widen(enum type t, float *out, const void *x, size_t n)
{
    size_t e = 0;

    for (; e + 8 <= n; e += 8)
        _mm256_storeu_ps(out + e, load8(t, x, e));
    for (; e < n; e++)
        out[e] = load1(t, x, e);
}

/* Sixteen-bit types: an exponent of all ones, without widening. */
INLINE size_t count_nonfinite_16(const void *x, size_t n, uint16_t exponent)
{
    __m256i mask = _mm256_set1_epi16((short)exponent);
    size_t twice = 0, count = 0, e = 0;

    for (; e + 16 <= n; e += 16) {
        __m256i bits = _mm256_loadu_si256(at(F16, x, e));
        __m256i bad = _mm256_cmpeq_epi16(_mm256_and_si256(bits, mask), mask);
        twice += (unsigned)__builtin_popcount((unsigned)_mm256_movemask_epi8(bad));
    }
    for (; e < n; e++) {
        uint16_t bits;
        memcpy(&bits, at(F16, x, e), sizeof bits);
        count += (bits & exponent) == exponent;
    }
    return count + twice / 2;
}

static size_t count_nonfinite_f32(const void *x, size_t n)
{
    __m256i mask = _mm256_set1_epi32(0x7f800000);
    size_t count = 0, e = 0;

    for (; e + 8 <= n; e += 8) {
        __m256i bits = _mm256_loadu_si256(at(F32, x, e));
        __m256i bad = _mm256_cmpeq_epi32(_mm256_and_si256(bits, mask), mask);
        count +=
            (unsigned)__builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(bad)));
    }
    for (; e < n; e++)
        count += !isfinite(load1(F32, x, e));
    return count;
}

static size_t count_nonfinite_f64(const void *x, size_t n)
{
    __m256i mask = _mm256_set1_epi64x(0x7ff0000000000000);
    size_t count = 0, e = 0;

    for (; e + 4 <= n; e += 4) {
        __m256i bits = _mm256_loadu_si256(at(F64, x, e));
        __m256i bad = _mm256_cmpeq_epi64(_mm256_and_si256(bits, mask), mask);
        count +=
            (unsigned)__builtin_popcount((unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(bad)));
    }
    for (; e < n; e++)
        count += !isfinite(load1_f64(F64, x, e));
    return count;
}

static size_t count_nonfinite_f16(const void *x, size_t n)
{
    return count_nonfinite_16(x, n, 0x7c00);
}

static size_t count_nonfinite_bf16(const void *x, size_t n)
{
    return count_nonfinite_16(x, n, 0x7f80);
}

static void divide(double *acc, double by, size_t n)
{
    __m256d bys = _mm256_set1_pd(by);
    size_t e = 0;

    for (; e + 4 <= n; e += 4)
        _mm256_storeu_pd(acc + e, _mm256_div_pd(_mm256_loadu_pd(acc + e), bys));
    for (; e < n; e++)
        acc[e] = acc[e] / by;
}

/* ---- from_f64: one rounding ---- */

INLINE __m256d quiet(__m256d x, __m256d result)
{
    __m256d nan = _mm256_castsi256_pd(_mm256_set1_epi64x(0x7ff8000000000000));

    return _mm256_blendv_pd(result, nan, _mm256_cmp_pd(x, x, _CMP_UNORD_Q));
}

/*
 * x rounded to nearest even to what a format of 16 bits has, still as a double: the conversions
 * after it are exact, so there is no second rounding. Normal numbers: drop the low bits of the
 * fraction by whole-number arithmetic on the bits, where a carry runs into the exponent as it
 * should. Subnormals, and what rounds up to the least normal, are multiples of one quantum: adding
 * 2^52 quanta leaves no bit below a quantum and rounds once; subtracting is exact.
 */
INLINE __m256d round_to(__m256d x, int drop, double least_normal, double quantum)
{
    __m256d sign = _mm256_and_pd(x, _mm256_set1_pd(-0.0));
    __m256d magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), x);
    __m256i bits = _mm256_castpd_si256(magnitude);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi64(bits, drop), _mm256_set1_epi64x(1));
    __m256i below_half = _mm256_set1_epi64x((INT64_C(1) << (drop - 1)) - 1);
    __m256i kept = _mm256_set1_epi64x(-(INT64_C(1) << drop));
    __m256i rounded = _mm256_add_epi64(bits, _mm256_add_epi64(below_half, odd));
    __m256d normal = _mm256_castsi256_pd(_mm256_and_si256(rounded, kept));
    __m256d quanta = _mm256_set1_pd(0x1p52 * quantum);
    __m256d small = _mm256_sub_pd(_mm256_add_pd(magnitude, quanta), quanta);
    __m256d is_small = _mm256_cmp_pd(magnitude, _mm256_set1_pd(least_normal), _CMP_LT_OQ);

    return quiet(x, _mm256_or_pd(sign, _mm256_blendv_pd(normal, small, is_small)));
}

INLINE __m128i narrow4_f16(__m256d x)
{
    __m256d rounded = round_to(x, 42, 0x1p-14, 0x1p-24);

    return _mm_cvtps_ph(_mm256_cvtpd_ps(rounded), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE __m128i narrow4_bf16(__m256d x)
{
    __m128 rounded = _mm256_cvtpd_ps(round_to(x, 45, 0x1p-126, 0x1p-133));
    __m128i high = _mm_srli_epi32(_mm_castps_si128(rounded), 16);

    return _mm_packus_epi32(high, high);
}

INLINE void narrow4(enum type t, void *out, size_t e, __m256d x)
{
    void *to = (char *)out + e * size_of(t);

    switch (t) {
    case F32: _mm_storeu_ps(to, _mm256_cvtpd_ps(quiet(x, x))); break;
    case F64: _mm256_storeu_pd(to, quiet(x, x)); break;
    case F16: _mm_storel_epi64(to, narrow4_f16(x)); break;
    case BF16: _mm_storel_epi64(to, narrow4_bf16(x)); break;
    }
}

INLINE void from_f64(enum type t, void *out, const double *x, size_t n)
{
    size_t e = 0;
    double rest[4] = { 0 };
    char narrow[4 * sizeof(double)];

    for (; e + 4 <= n; e += 4)
        narrow4(t, out, e, _mm256_loadu_pd(x + e));
    if (e == n)
        return;
    memcpy(rest, x + e, (n - e) * sizeof rest[0]);
    narrow4(t, narrow, 0, _mm256_loadu_pd(rest));
    memcpy((char *)out + e * size_of(t), narrow, (n - e) * size_of(t));
}

/* ---- sum, weighted_sum ---- */

struct sum_tile {
    const void *x[SUM_CANDIDATES];
    const void *ahead[SUM_CANDIDATES];
    const double *alpha;
    size_t candidates;
};

/* Sixteen sums stay in registers for up to eight candidates. */
INLINE void sum_block(enum type t, bool is_weighted, double *acc, const struct sum_tile *tile,
                      size_t n)
{
    size_t e = 0;

    for (; e + 16 <= n; e += 16) {
        __m256d sum[4];
        UNROLL
        for (size_t v = 0; v < 4; v++)
            sum[v] = _mm256_loadu_pd(acc + e + 4 * v);
        for (size_t c = 0; c < tile->candidates; c++) {
            __m256d alpha = is_weighted ? _mm256_broadcast_sd(tile->alpha + c) : sum[0];
            PREFETCH(at(t, tile->ahead[c], e));
            UNROLL
            for (size_t v = 0; v < 4; v++) {
                __m256d x = load4(t, tile->x[c], e + 4 * v);
                sum[v] = _mm256_add_pd(sum[v], is_weighted ? _mm256_mul_pd(alpha, x) : x);
            }
        }
        UNROLL
        for (size_t v = 0; v < 4; v++)
            _mm256_storeu_pd(acc + e + 4 * v, sum[v]);
    }
    for (; e < n; e++) {
        for (size_t c = 0; c < tile->candidates; c++) {
            double x = load1_f64(t, tile->x[c], e);
            acc[e] = acc[e] + (is_weighted ? tile->alpha[c] * x : x);
        }
    }
}

INLINE void sum(enum type t, double *acc, const void *const x[], const double *alpha, size_t k,
                size_t n)
{
    struct sum_tile tile;

    for (size_t i = 0; i < k; i += SUM_CANDIDATES) {
        tile.candidates = k - i < SUM_CANDIDATES ? k - i : SUM_CANDIDATES;
        tile.alpha = alpha ? alpha + i : NULL;
        for (size_t c = 0; c < tile.candidates; c++) {
            size_t next = i + SUM_CANDIDATES + c;
            tile.x[c] = x[i + c];
            tile.ahead[c] = next < k ? x[next] : at(t, x[i + c], n);
        }
        if (alpha)
            sum_block(t, true, acc, &tile, n);
        else
            sum_block(t, false, acc, &tile, n);
    }
}

/* ---- mix ---- */

struct mix_tile {
    float *out[MIX_ROWS];
    const void *x[MIX_CANDIDATES];
    const void *ahead[MIX_CANDIDATES]; /* what the next tile reads */
    float w[MIX_CANDIDATES][MIX_ROWS];
    size_t candidates;
    bool is_first; /* start at -0 instead of what stands in out */
};

INLINE void mix_rest(enum type t, size_t rows, const struct mix_tile *tile, size_t e, size_t end)
{
    for (; e < end; e++) {
        for (size_t j = 0; j < rows; j++) {
            float acc = tile->is_first ? -0.0f : tile->out[j][e];
            for (size_t c = 0; c < tile->candidates; c++)
                acc = fmaf(tile->w[c][j], load1(t, tile->x[c], e), acc);
            tile->out[j][e] = acc;
        }
    }
}

/* Elements [begin, end) of 1, 2 or 4 rows over up to 8 candidates, none of weight 0. */
INLINE void mix_rows(enum type t, size_t rows, const struct mix_tile *tile, size_t begin,
                     size_t end)
{
    __m256 low[MIX_ROWS], high[MIX_ROWS];
    size_t e = begin;

    for (; e + 16 <= end; e += 16) {
        UNROLL
        for (size_t j = 0; j < rows; j++) {
            low[j] = tile->is_first ? _mm256_set1_ps(-0.0f) : _mm256_loadu_ps(tile->out[j] + e);
            high[j] = tile->is_first ? _mm256_set1_ps(-0.0f)
                                     : _mm256_loadu_ps(tile->out[j] + e + 8);
        }
        for (size_t c = 0; c < tile->candidates; c++) {
            __m256 a = load8(t, tile->x[c], e), b = load8(t, tile->x[c], e + 8);
            PREFETCH(at(t, tile->ahead[c], e));
            UNROLL
            for (size_t j = 0; j < rows; j++) {
                __m256 w = _mm256_broadcast_ss(&tile->w[c][j]);
                low[j] = _mm256_fmadd_ps(w, a, low[j]);
                high[j] = _mm256_fmadd_ps(w, b, high[j]);
            }
        }
        UNROLL
        for (size_t j = 0; j < rows; j++) {
            _mm256_storeu_ps(tile->out[j] + e, low[j]);
            _mm256_storeu_ps(tile->out[j] + e + 8, high[j]);
        }
    }
    mix_rest(t, rows, tile, e, end);
}

static size_t tile_rows(size_t left)
{
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

INLINE void mix_tile(enum type t, size_t rows, const struct mix_tile *tile, size_t begin,
                     size_t end)
{
    switch (rows) {
    case 4: mix_rows(t, 4, tile, begin, end); break;
    case 2: mix_rows(t, 2, tile, begin, end); break;
    default: mix_rows(t, 1, tile, begin, end); break;
    }
}

static bool is_dense(const struct mix_tile *tile, size_t rows)
{
    for (size_t c = 0; c < tile->candidates; c++)
        for (size_t j = 0; j < rows; j++)
            if (tile->w[c][j] == 0)
                return false;
    return true;
}

/* One row of a tile, without the candidates that have no weight in it. */
static void mix_tile_row(const struct mix_tile *tile, size_t j, struct mix_tile *ret)
{
    ret->out[0] = tile->out[j];
    ret->is_first = tile->is_first;
    ret->candidates = 0;
    for (size_t c = 0; c < tile->candidates; c++) {
        if (tile->w[c][j] == 0)
            continue;
        ret->x[ret->candidates] = tile->x[c];
        ret->ahead[ret->candidates] = tile->ahead[c];
        ret->w[ret->candidates++][0] = tile->w[c][j];
    }
}

INLINE void mix_block(enum type t, struct mix_tile *tile, void *const out[], size_t m,
                      const double *alpha, size_t k, size_t begin, size_t end)
{
    for (size_t j = 0, rows; j < m; j += rows) {
        rows = tile_rows(m - j);
        for (size_t row = 0; row < rows; row++) {
            tile->out[row] = out[j + row];
            for (size_t c = 0; c < tile->candidates; c++)
                tile->w[c][row] = (float)alpha[(j + row) * k + c];
        }
        if (is_dense(tile, rows)) {
            mix_tile(t, rows, tile, begin, end);
            continue;
        }
        for (size_t row = 0; row < rows; row++) {
            struct mix_tile single;
            mix_tile_row(tile, row, &single);
            mix_rows(t, 1, &single, begin, end);
        }
    }
}

INLINE void mix(enum type t, void *const out[], size_t m, const void *const x[], size_t k,
                const double *alpha, size_t n)
{
    struct mix_tile tile;

    for (size_t begin = 0; begin < n; begin += MIX_BLOCK) {
        size_t end = n - begin < MIX_BLOCK ? n : begin + MIX_BLOCK;
        for (size_t i = 0; i == 0 || i < k; i += MIX_CANDIDATES) {
            tile.is_first = i == 0;
            tile.candidates = k - i < MIX_CANDIDATES ? k - i : MIX_CANDIDATES;
            for (size_t c = 0; c < tile.candidates; c++) {
                size_t next = i + MIX_CANDIDATES + c;
                tile.x[c] = x[i + c];
                tile.ahead[c] = next < k ? x[next] : at(t, x[c], MIX_BLOCK);
            }
            mix_block(t, &tile, out, m, alpha + i, k, begin, end);
        }
    }
}

/* F64 is rare: rows one by one, over blocks that stay in the cache. */
static void mix_f64(void *const out[], size_t m, const void *const x[], size_t k,
                    const double *alpha, size_t n)
{
    for (size_t begin = 0; begin < n; begin += MIX_BLOCK) {
        size_t end = n - begin < MIX_BLOCK ? n : begin + MIX_BLOCK;
        for (size_t j = 0; j < m; j++) {
            double *acc = out[j];
            const double *w = alpha + j * k;
            size_t e = begin;
            for (; e + 4 <= end; e += 4) {
                __m256d sum = _mm256_set1_pd(-0.0);
                for (size_t i = 0; i < k; i++)
                    if (w[i] != 0)
                        sum = _mm256_fmadd_pd(_mm256_set1_pd(w[i]), load4(F64, x[i], e), sum);
                _mm256_storeu_pd(acc + e, sum);
            }
            for (; e < end; e++) {
                acc[e] = -0.0;
                for (size_t i = 0; i < k; i++)
                    if (w[i] != 0)
                        acc[e] = fma(w[i], load1_f64(F64, x[i], e), acc[e]);
            }
        }
    }
}

/* ---- dots ---- */

struct dots_tile {
    const float *g[DOTS_ROWS];
    const void *x[DOTS_CANDIDATES];
    const void *ahead[DOTS_CANDIDATES];
    const void *r;
    float *lanes; /* 16 of each row of candidate 0, then those of candidate 1 ... */
    size_t m;     /* rows of lanes in a candidate */
};

/*
 * Lanes [from, from + width) of the pairs of a tile over elements [begin, end), a whole multiple of
 * 16; width is 8 or 16.
 */
INLINE void dots_lanes(enum type t, size_t rows, size_t candidates, const struct dots_tile *tile,
                       size_t begin, size_t end, size_t from, size_t width)
{
    __m256 sum[2][DOTS_CANDIDATES][DOTS_ROWS];

    UNROLL
    for (size_t h = 0; h < width / 8; h++) {
        UNROLL
        for (size_t c = 0; c < candidates; c++) {
            UNROLL
            for (size_t j = 0; j < rows; j++)
                sum[h][c][j] = _mm256_loadu_ps(tile->lanes + (c * tile->m + j) * 16 + from + 8 * h);
        }
    }
    for (size_t e = begin + from; e < end; e += 16) {
        UNROLL
        for (size_t h = 0; h < width / 8; h++) {
            __m256 r = load8(t, tile->r, e + 8 * h), d[DOTS_CANDIDATES];
            UNROLL
            for (size_t c = 0; c < candidates; c++) {
                d[c] = _mm256_sub_ps(load8(t, tile->x[c], e + 8 * h), r);
                if (from + h == 0)
                    PREFETCH(at(t, tile->ahead[c], e));
            }
            UNROLL
            for (size_t j = 0; j < rows; j++) {
                __m256 g = _mm256_loadu_ps(tile->g[j] + e + 8 * h);
                UNROLL
                for (size_t c = 0; c < candidates; c++)
                    sum[h][c][j] = _mm256_fmadd_ps(g, d[c], sum[h][c][j]);
            }
        }
    }
    UNROLL
    for (size_t h = 0; h < width / 8; h++) {
        UNROLL
        for (size_t c = 0; c < candidates; c++) {
            UNROLL
            for (size_t j = 0; j < rows; j++)
                _mm256_storeu_ps(tile->lanes + (c * tile->m + j) * 16 + from + 8 * h, sum[h][c][j]);
        }
    }
}

/* Four rows have registers for half of the lanes only, and go over the elements twice. */
INLINE void dots_rows(enum type t, size_t rows, size_t candidates, const struct dots_tile *tile,
                      size_t begin, size_t end)
{
    if (rows < DOTS_ROWS) {
        dots_lanes(t, rows, candidates, tile, begin, end, 0, 16);
        return;
    }
    dots_lanes(t, rows, candidates, tile, begin, end, 0, 8);
    dots_lanes(t, rows, candidates, tile, begin, end, 8, 8);
}

INLINE void dots_candidates(enum type t, size_t candidates, size_t rows,
                            const struct dots_tile *tile, size_t begin, size_t end)
{
    switch (rows) {
    case 4: dots_rows(t, 4, candidates, tile, begin, end); break;
    case 2: dots_rows(t, 2, candidates, tile, begin, end); break;
    default: dots_rows(t, 1, candidates, tile, begin, end); break;
    }
}

INLINE void dots_tile(enum type t, size_t rows, size_t candidates, const struct dots_tile *tile,
                      size_t begin, size_t end)
{
    switch (candidates) {
    case 3: dots_candidates(t, 3, rows, tile, begin, end); break;
    case 2: dots_candidates(t, 2, rows, tile, begin, end); break;
    default: dots_candidates(t, 1, rows, tile, begin, end); break;
    }
}

/* By threes, and never a single one behind them: it would wait for its own sums. */
static size_t tile_candidates(size_t left)
{
    return left == 4 ? 2 : left >= DOTS_CANDIDATES ? DOTS_CANDIDATES : left;
}

/* All pairs over elements [begin, end), a whole multiple of 16. */
INLINE void dots_block(enum type t, float *lanes, const float *const g[], size_t m,
                       const void *const x[], const void *r, size_t k, size_t begin, size_t end)
{
    struct dots_tile tile = { .r = r, .m = m };

    for (size_t i = 0, candidates; i < k; i += candidates) {
        candidates = tile_candidates(k - i);
        for (size_t c = 0; c < candidates; c++) {
            size_t next = i + candidates + c;
            tile.x[c] = x[i + c];
            tile.ahead[c] = next < k ? x[next] : at(t, x[c], DOTS_BLOCK);
        }
        for (size_t j = 0, rows; j < m; j += rows) {
            rows = tile_rows(m - j);
            for (size_t row = 0; row < rows; row++)
                tile.g[row] = g[j + row];
            tile.lanes = lanes + (i * m + j) * 16;
            dots_tile(t, rows, candidates, &tile, begin, end);
        }
    }
}

INLINE void dots(enum type t, double *sums, const float *const g[], size_t m, const void *const x[],
                 const void *r, size_t k, size_t n, void *scratch)
{
    float *lanes = scratch;
    size_t whole = n - n % 16;

    memset(lanes, 0, k * m * DOTS_LANES_BYTES);
    for (size_t begin = 0; begin < whole; begin += DOTS_BLOCK) {
        size_t end = whole - begin < DOTS_BLOCK ? whole : begin + DOTS_BLOCK;
        dots_block(t, lanes, g, m, x, r, k, begin, end);
    }
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < m; j++) {
            float *lane = lanes + (i * m + j) * 16;
            for (size_t e = whole; e < n; e++) {
                float d = load1(t, x[i], e) - load1(t, r, e);
                lane[e - whole] = fmaf(load1(F32, g[j], e), d, lane[e - whole]);
            }
            sums[i * m + j] += join_f32(lane);
        }
    }
}

/* F64 is rare: pair by pair, both of a chunk's rows stay in the cache. */
static void dots_f64(double *sums, const float *const g[], size_t m, const void *const x[],
                     const void *r, size_t k, size_t n, void *scratch)
{
    double *lane = scratch;
    size_t whole = n - n % 8;

    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < m; j++) {
            __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
            for (size_t e = 0; e < whole; e += 8) {
                __m256d a = _mm256_sub_pd(load4(F64, x[i], e), load4(F64, r, e));
                __m256d b = _mm256_sub_pd(load4(F64, x[i], e + 4), load4(F64, r, e + 4));
                low = _mm256_fmadd_pd(load4(F32, g[j], e), a, low);
                high = _mm256_fmadd_pd(load4(F32, g[j], e + 4), b, high);
            }
            _mm256_storeu_pd(lane, low);
            _mm256_storeu_pd(lane + 4, high);
            for (size_t e = whole; e < n; e++) {
                double d = load1_f64(F64, x[i], e) - load1_f64(F64, r, e);
                lane[e - whole] = fma((double)load1(F32, g[j], e), d, lane[e - whole]);
            }
            sums[i * m + j] += join_f64(lane);
        }
    }
}

/* ---- the table ---- */

static void widen_f64(void *out, const void *x, size_t n)
{
    memcpy(out, x, n * sizeof(double));
}

#define DEFINE_ROW(t, T)                                                                  \
    static void from_f64_##t(void *out, const double *x, size_t n)                        \
    {                                                                                     \
        from_f64(T, out, x, n);                                                           \
    }                                                                                     \
    static void sum_##t(double *acc, const void *const x[], size_t k, size_t n)           \
    {                                                                                     \
        sum(T, acc, x, NULL, k, n);                                                       \
    }                                                                                     \
    static void weighted_sum_##t(double *acc, const void *const x[], const double *alpha, \
                                 size_t k, size_t n)                                      \
    {                                                                                     \
        sum(T, acc, x, alpha, k, n);                                                      \
    }

#define DEFINE_FLOAT_ROW(t, T)                                                                  \
    DEFINE_ROW(t, T)                                                                            \
    static void widen_##t(void *out, const void *x, size_t n)                                   \
    {                                                                                           \
        widen(T, out, x, n);                                                                    \
    }                                                                                           \
    static void mix_##t(void *const out[], size_t m, const void *const x[], size_t k,           \
                        const double *alpha, size_t n)                                          \
    {                                                                                           \
        mix(T, out, m, x, k, alpha, n);                                                         \
    }                                                                                           \
    static void dots_##t(double *sums, const float *const g[], size_t m, const void *const x[], \
                         const void *r, size_t k, size_t n, void *scratch)                      \
    {                                                                                           \
        dots(T, sums, g, m, x, r, k, n, scratch);                                               \
    }

DEFINE_FLOAT_ROW(f32, F32)
DEFINE_FLOAT_ROW(f16, F16)
DEFINE_FLOAT_ROW(bf16, BF16)
DEFINE_ROW(f64, F64)

#define ROW(t)                                                                            \
    {                                                                                     \
        widen_##t, from_f64_##t, count_nonfinite_##t, sum_##t, weighted_sum_##t, mix_##t, \
            dots_##t,                                                                     \
    }

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .f32 = ROW(f32),
    .f64 = ROW(f64),
    .f16 = ROW(f16),
    .bf16 = ROW(bf16),
    .divide = divide,
};

#else
typedef int kernels_avx2_is_for_x86_64; /* ISO C wants a declaration in every file */
#endif
