/*
 * kernels_blocked - the loops of all vector kernels, over vectors that the including file defines;
 * bits as in kernels_ref.c.
 *
 * mix() and dots() are blocked like a matrix product, because with M rows the loads and stores of
 * the rows cost more than the arithmetic: a block of elements is short enough that all its rows
 * stay in the first-level cache while the candidates stream past, and inside a block a tile of rows
 * and candidates lives in the registers. The order of operations on one element is that of the
 * definition whatever the tiles are, so blocking changes no bit.
 *
 * What remains behind the last whole vector goes element by element through the same operations
 * or through a vector filled up with zeros.
 *
 * Before it is included:
 *     vf, vd                       vectors of VF floats, VD doubles: VF = 2 VD
 *     vf_widen(t, x, e)            VF elements from element e, in float; t is not F64
 *     vd_widen(t, x, e)            VD elements, in double
 *     vf_set(x), vd_set(x)         x in every place
 *     vf_fma(a, b, c), vd_fma      a b + c, rounded once
 *     vf_stream(to, x)             a store past the caches; stream_end() when others may look
 *     vd_store_as(t, to, x)        x as VD elements of type t; x has been rounded to that type
 *                                  where it has 16 bits or less
 *     TILE_ROWS                    a macro, 4 or 8: rows of a tile
 *     DOTS_SUMS                    registers for the sums of a tile
 *     DOTS_RUN                     bytes of a candidate that a tile goes over
 * Arithmetic that is one operation on each element is written as such: the compilers have vectors.
 */
#include "numerics/kernels.h"
#include "numerics/kernels_variants.h"

#include <math.h>
#include <stdbool.h>

/*
 * A tile asks for what the next tile reads, into the second-level cache: into the first it would
 * push out the rows (measured: 1.2 against 1.5 times a plain read for one row of dots, 1.8
 * against 2.3 for eight), and without asking, a run of a few KiB of each candidate is too short for
 * the processor's own prefetching.
 */
#define PREFETCH(p) __builtin_prefetch((p), 0, 2)

enum {
    MIX_BLOCK = 1024,   /* elements: the sums of a group of rows fill 32 KiB, candidates pass by */
    MIX_GROUP = 8,      /* rows */
    MIX_CANDIDATES = 8, /* per tile: the sums are loaded and stored once for 8 products */
    SUM_CANDIDATES = 8, /* as in mix */
    SUM_VECTORS = 4,
    DOTS_CANDIDATES = 3, /* per tile: 3 differences beside the sums, r, and a gradient */
    LANES = 16,
    COUNT_BLOCK = 256, /* bytes in which no value may be anything but finite to be passed by */
};

typedef vf vf_anywhere __attribute__((aligned(1), may_alias));
typedef vd vd_anywhere __attribute__((aligned(1), may_alias));
typedef int64_t vi __attribute__((vector_size(8 * VD)));
typedef uint64_t vu __attribute__((vector_size(8 * VD)));

INLINE vf vf_load(const float *x)
{
    return *(const vf_anywhere *)x;
}

INLINE void vf_store(float *to, vf x)
{
    *(vf_anywhere *)to = x;
}

INLINE vd vd_load(const double *x)
{
    return *(const vd_anywhere *)x;
}

INLINE void vd_store(double *to, vd x)
{
    *(vd_anywhere *)to = x;
}

INLINE vi vi_set(int64_t x)
{
    return (vi){ 0 } + x;
}

/* ---- widen, divide ---- */

INLINE void widen(enum type t, float *out, const void *x, size_t n)
{
    size_t e = 0;

    for (; e + VF <= n; e += VF)
        vf_store(out + e, vf_widen(t, x, e));
    for (; e < n; e++)
        out[e] = load1(t, x, e);
}

static void divide(double *acc, double by, size_t n)
{
    vd bys = vd_set(by);
    size_t e = 0;

    for (; e + VD <= n; e += VD)
        vd_store(acc + e, vd_load(acc + e) / bys);
    for (; e < n; e++)
        acc[e] = acc[e] / by;
}

/* ---- count_nonfinite ---- */

/*
 * An exponent of all ones and one more in its lowest bit carry into the place of the sign, which is
 * cleared before: so an OR over many values says whether there is one, in three operations each.
 * In E4M3 the fraction counts, too.
 */
#define DEFINE_HAS_NONFINITE(type, bits, unit)                             \
    INLINE bool has_nonfinite_##type(const void *x)                        \
    {                                                                      \
        typedef uint##bits##_t words __attribute__((vector_size(8 * VD))); \
        typedef words anywhere __attribute__((aligned(1), may_alias));     \
        const anywhere *from = x;                                          \
        const words rest = (words){ 0 } + (uint##bits##_t)INT##bits##_MAX; \
        const words one = (words){ 0 } + (uint##bits##_t)(unit);           \
        words seen = (from[0] & rest) + one;                               \
        UNROLL                                                             \
        for (size_t i = 1; i < COUNT_BLOCK / sizeof(words); i++)           \
            seen |= (from[i] & rest) + one;                                \
        vu all = (vu)(seen & ~rest);                                       \
        uint64_t any = 0;                                                  \
        for (int i = 0; i < VD; i++)                                       \
            any |= all[i];                                                 \
        return any != 0;                                                   \
    }

DEFINE_HAS_NONFINITE(f64, 64, UINT64_C(1) << 52)
DEFINE_HAS_NONFINITE(f32, 32, 1 << 23)
DEFINE_HAS_NONFINITE(f16, 16, 1 << 10)
DEFINE_HAS_NONFINITE(bf16, 16, 1 << 7)
DEFINE_HAS_NONFINITE(e5m2, 8, 1 << 2)
DEFINE_HAS_NONFINITE(e4m3, 8, 1)

INLINE bool has_nonfinite(enum type t, const void *x)
{
    switch (t) {
    case F64: return has_nonfinite_f64(x);
    case F32: return has_nonfinite_f32(x);
    case F16: return has_nonfinite_f16(x);
    case BF16: return has_nonfinite_bf16(x);
    case E5M2: return has_nonfinite_e5m2(x);
    default: return has_nonfinite_e4m3(x);
    }
}

INLINE size_t count_nonfinite(enum type t, const void *x, size_t n)
{
    size_t block = COUNT_BLOCK / size_of(t), count = 0;

    for (size_t e = 0, end; e < n; e = end) {
        end = n - e < block ? n : e + block;
        if (end - e == block && !has_nonfinite(t, at(t, x, e)))
            continue;
        for (size_t i = e; i < end; i++)
            count += !isfinite(load1_f64(t, x, i));
    }
    return count;
}

/* ---- from_f64: one rounding ---- */

INLINE vd choose(vi where, vd yes, vd no)
{
    return (vd)((where & (vi)yes) | (~where & (vi)no));
}

INLINE vd quiet(vd x, vd result)
{
    return choose(x != x, (vd)vi_set(0x7ff8000000000000), result);
}

/*
 * x rounded to nearest even to what a format of 16 bits or less has, still as a double: the
 * conversions after it are exact, so there is no second rounding. Normal numbers: drop the low bits
 * of the fraction by whole-number arithmetic on the bits, where a carry runs into the exponent as
 * it should. Subnormals, and what rounds up to the least normal, are multiples of one quantum:
 * adding 2^52 quanta leaves no bit below a quantum and rounds once; subtracting is exact.
 */
INLINE vd round_to(vd x, int drop, double least_normal, double quantum)
{
    vi sign = (vi)x & INT64_MIN;
    vi bits = (vi)x & INT64_MAX;
    vi odd = (vi)((vu)bits >> drop) & 1;
    vi rounded = bits + ((INT64_C(1) << (drop - 1)) - 1) + odd;
    vd normal = (vd)(rounded & -(INT64_C(1) << drop));
    vd quanta = vd_set(0x1p52 * quantum);
    vd small = ((vd)bits + quanta) - quanta;
    vd magnitude = choose((vd)bits < vd_set(least_normal), small, normal);

    return quiet(x, (vd)((vi)magnitude | sign));
}

/* E4M3 has no infinity: what rounds to more than its largest number is a NaN. */
INLINE vd round_to_e4m3(vd x)
{
    vd rounded = round_to(x, 49, 0x1p-6, 0x1p-9);
    vd magnitude = (vd)((vi)rounded & INT64_MAX);

    return choose(magnitude > vd_set(448), vd_set(NAN), rounded);
}

INLINE void narrow(enum type t, void *out, size_t e, vd x)
{
    void *to = (char *)out + e * size_of(t);

    switch (t) {
    case F32:
    case F64: vd_store_as(t, to, quiet(x, x)); break;
    case F16: vd_store_as(t, to, round_to(x, 42, 0x1p-14, 0x1p-24)); break;
    case BF16: vd_store_as(t, to, round_to(x, 45, 0x1p-126, 0x1p-133)); break;
    case E5M2: vd_store_as(t, to, round_to(x, 50, 0x1p-14, 0x1p-16)); break;
    case E4M3: vd_store_as(t, to, round_to_e4m3(x)); break;
    }
}

INLINE void from_f64(enum type t, void *out, const double *x, size_t n)
{
    size_t e = 0;
    double rest[VD] = { 0 };
    char narrowed[VD * sizeof(double)] __attribute__((aligned(8)));

    for (; e + VD <= n; e += VD)
        narrow(t, out, e, vd_load(x + e));
    if (e == n)
        return;
    memcpy(rest, x + e, (n - e) * sizeof rest[0]);
    narrow(t, narrowed, 0, vd_load(rest));
    memcpy((char *)out + e * size_of(t), narrowed, (n - e) * size_of(t));
}

/* ---- sum, weighted_sum ---- */

struct sum_tile {
    const void *x[SUM_CANDIDATES];
    const void *ahead[SUM_CANDIDATES];
    const double *alpha;
    size_t candidates;
};

/* The sums of some vectors stay in registers for up to eight candidates. */
INLINE void sum_block(enum type t, bool is_weighted, double *acc, const struct sum_tile *tile,
                      size_t n)
{
    enum { STEP = SUM_VECTORS * VD };
    size_t e = 0;

    for (; e + STEP <= n; e += STEP) {
        vd sum[SUM_VECTORS];
        UNROLL
        for (size_t v = 0; v < SUM_VECTORS; v++)
            sum[v] = vd_load(acc + e + VD * v);
        for (size_t c = 0; c < tile->candidates; c++) {
            vd alpha = is_weighted ? vd_set(tile->alpha[c]) : sum[0];
            PREFETCH(at(t, tile->ahead[c], e));
            UNROLL
            for (size_t v = 0; v < SUM_VECTORS; v++) {
                vd x = vd_widen(t, tile->x[c], e + VD * v);
                if (is_weighted)
                    x = alpha * x;
                sum[v] = sum[v] + x;
            }
        }
        UNROLL
        for (size_t v = 0; v < SUM_VECTORS; v++)
            vd_store(acc + e + VD * v, sum[v]);
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

/*
 * Sums of a block stand in scratch memory from one tile to the next and go to their bank with the
 * last, past the caches: a bank is written once and is larger than they are, and a store that
 * first has to fetch its line would read as much as it writes.
 */
struct mix_tile {
    const float *sums[TILE_ROWS]; /* at the first element of the block, as all below */
    float *out[TILE_ROWS];
    const void *x[MIX_CANDIDATES];
    const void *ahead[MIX_CANDIDATES]; /* what the next tile reads */
    float w[MIX_CANDIDATES][TILE_ROWS];
    size_t candidates;
    bool is_first; /* start at -0 instead of what stands in sums */
    bool streams;  /* out is aligned, and nobody reads it soon */
};

INLINE void mix_rest(enum type t, size_t rows, const struct mix_tile *tile, size_t e, size_t n)
{
    for (; e < n; e++) {
        for (size_t j = 0; j < rows; j++) {
            float acc = tile->is_first ? -0.0f : tile->sums[j][e];
            for (size_t c = 0; c < tile->candidates; c++)
                acc = fmaf(tile->w[c][j], load1(t, tile->x[c], e), acc);
            tile->out[j][e] = acc;
        }
    }
}

/* n elements of some rows over up to 8 candidates, none of weight 0. */
INLINE void mix_rows(enum type t, size_t rows, const struct mix_tile *tile, size_t n)
{
    vf low[TILE_ROWS], high[TILE_ROWS];
    size_t e = 0;

    for (; e + 2 * VF <= n; e += 2 * VF) {
        UNROLL
        for (size_t j = 0; j < rows; j++) {
            low[j] = tile->is_first ? vf_set(-0.0f) : vf_load(tile->sums[j] + e);
            high[j] = tile->is_first ? vf_set(-0.0f) : vf_load(tile->sums[j] + e + VF);
        }
        for (size_t c = 0; c < tile->candidates; c++) {
            vf a = vf_widen(t, tile->x[c], e), b = vf_widen(t, tile->x[c], e + VF);
            PREFETCH(at(t, tile->ahead[c], e));
            UNROLL
            for (size_t j = 0; j < rows; j++) {
                vf w = vf_set(tile->w[c][j]);
                low[j] = vf_fma(w, a, low[j]);
                high[j] = vf_fma(w, b, high[j]);
            }
        }
        UNROLL
        for (size_t j = 0; j < rows; j++) {
            if (tile->streams) {
                vf_stream(tile->out[j] + e, low[j]);
                vf_stream(tile->out[j] + e + VF, high[j]);
            } else {
                vf_store(tile->out[j] + e, low[j]);
                vf_store(tile->out[j] + e + VF, high[j]);
            }
        }
    }
    mix_rest(t, rows, tile, e, n);
}

INLINE size_t tile_rows(size_t left, size_t most)
{
    return most >= 8 && left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

INLINE void mix_some(enum type t, size_t rows, const struct mix_tile *tile, size_t n)
{
    switch (rows) {
    case TILE_ROWS: mix_rows(t, TILE_ROWS, tile, n); break;
#if TILE_ROWS == 8
    case 4: mix_rows(t, 4, tile, n); break;
#endif
    case 2: mix_rows(t, 2, tile, n); break;
    default: mix_rows(t, 1, tile, n); break;
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
    ret->sums[0] = tile->sums[j];
    ret->out[0] = tile->out[j];
    ret->is_first = tile->is_first;
    ret->streams = tile->streams;
    ret->candidates = 0;
    for (size_t c = 0; c < tile->candidates; c++) {
        if (tile->w[c][j] == 0)
            continue;
        ret->x[ret->candidates] = tile->x[c];
        ret->ahead[ret->candidates] = tile->ahead[c];
        ret->w[ret->candidates++][0] = tile->w[c][j];
    }
}

INLINE void mix_tile(enum type t, const struct mix_tile *tile, size_t rows, size_t n)
{
    if (is_dense(tile, rows)) {
        mix_some(t, rows, tile, n);
        return;
    }
    for (size_t row = 0; row < rows; row++) {
        struct mix_tile single;
        mix_tile_row(tile, row, &single);
        mix_rows(t, 1, &single, n);
    }
}

struct mix_group {
    float *out[MIX_GROUP]; /* at the first element of the block */
    size_t rows;
    const double *alpha; /* of the first row */
    bool streams;
};

/* One block of a group of rows. */
INLINE void mix_block(enum type t, const struct mix_group *group, const void *const x[], size_t k,
                      size_t begin, size_t n)
{
    float sums[MIX_GROUP][MIX_BLOCK] __attribute__((aligned(64)));
    struct mix_tile tile;

    for (size_t i = 0; i == 0 || i < k; i += MIX_CANDIDATES) {
        bool is_last = i + MIX_CANDIDATES >= k;
        tile.is_first = i == 0;
        tile.streams = is_last && group->streams;
        tile.candidates = k - i < MIX_CANDIDATES ? k - i : MIX_CANDIDATES;
        for (size_t c = 0; c < tile.candidates; c++) {
            size_t next = i + MIX_CANDIDATES + c;
            tile.x[c] = at(t, x[i + c], begin);
            tile.ahead[c] = next < k ? at(t, x[next], begin) : at(t, x[c], begin + MIX_BLOCK);
        }
        for (size_t j = 0, rows; j < group->rows; j += rows) {
            rows = tile_rows(group->rows - j, TILE_ROWS);
            for (size_t row = 0; row < rows; row++) {
                tile.sums[row] = sums[j + row];
                tile.out[row] = is_last ? group->out[j + row] : sums[j + row];
                for (size_t c = 0; c < tile.candidates; c++)
                    tile.w[c][row] = (float)group->alpha[(j + row) * k + i + c];
            }
            mix_tile(t, &tile, rows, n);
        }
    }
}

INLINE void mix(enum type t, void *const out[], size_t m, const void *const x[], size_t k,
                const double *alpha, size_t n)
{
    for (size_t begin = 0; begin < n; begin += MIX_BLOCK) {
        for (size_t j = 0; j < m; j += MIX_GROUP) {
            struct mix_group group = { .alpha = alpha + j * k, .streams = true };
            group.rows = m - j < MIX_GROUP ? m - j : MIX_GROUP;
            for (size_t row = 0; row < group.rows; row++) {
                group.out[row] = (float *)out[j + row] + begin;
                group.streams = group.streams && (uintptr_t)group.out[row] % sizeof(vf) == 0;
            }
            mix_block(t, &group, x, k, begin, n - begin < MIX_BLOCK ? n - begin : MIX_BLOCK);
        }
    }
    stream_end();
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
            for (; e + VD <= end; e += VD) {
                vd sum = vd_set(-0.0);
                for (size_t i = 0; i < k; i++)
                    if (w[i] != 0)
                        sum = vd_fma(vd_set(w[i]), vd_widen(F64, x[i], e), sum);
                vd_store(acc + e, sum);
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
    const float *g[TILE_ROWS];
    const void *x[DOTS_CANDIDATES];
    const void *ahead[DOTS_CANDIDATES];
    const void *r;
    bool asks;    /* for the rows of the next block */
    float *lanes; /* LANES of each row of candidate 0, then those of candidate 1 ... */
    size_t m;     /* rows of lanes in a candidate */
};

/* Elements in a block: runs of narrow types have as many bytes, or they would be too short. */
INLINE size_t block_of(enum type t)
{
    return DOTS_RUN / size_of(t) < DOTS_CHUNK ? DOTS_RUN / size_of(t) : DOTS_CHUNK;
}

/* Lanes [from, from + width) of the pairs of a tile over elements [begin, end), whole LANES. */
INLINE void dots_lanes(enum type t, size_t rows, size_t candidates, const struct dots_tile *tile,
                       size_t begin, size_t end, size_t from, size_t width)
{
    vf sum[LANES / VF][DOTS_CANDIDATES][TILE_ROWS];

    UNROLL
    for (size_t h = 0; h < width / VF; h++) {
        UNROLL
        for (size_t c = 0; c < candidates; c++) {
            UNROLL
            for (size_t j = 0; j < rows; j++)
                sum[h][c][j] = vf_load(tile->lanes + (c * tile->m + j) * LANES + from + VF * h);
        }
    }
    for (size_t e = begin + from; e < end; e += LANES) {
        UNROLL
        for (size_t h = 0; h < width / VF; h++) {
            vf r = vf_widen(t, tile->r, e + VF * h), d[DOTS_CANDIDATES];
            UNROLL
            for (size_t c = 0; c < candidates; c++) {
                d[c] = vf_widen(t, tile->x[c], e + VF * h) - r;
                if (from + h == 0)
                    PREFETCH(at(t, tile->ahead[c], e));
            }
            UNROLL
            for (size_t j = 0; j < rows; j++) {
                vf g = vf_load(tile->g[j] + e + VF * h);
                if (from + h == 0 && tile->asks)
                    PREFETCH(tile->g[j] + e + block_of(t));
                UNROLL
                for (size_t c = 0; c < candidates; c++)
                    sum[h][c][j] = vf_fma(g, d[c], sum[h][c][j]);
            }
        }
    }
    UNROLL
    for (size_t h = 0; h < width / VF; h++) {
        UNROLL
        for (size_t c = 0; c < candidates; c++) {
            UNROLL
            for (size_t j = 0; j < rows; j++)
                vf_store(tile->lanes + (c * tile->m + j) * LANES + from + VF * h, sum[h][c][j]);
        }
    }
}

/* Where there are not enough registers for all lanes, over the elements again for the others. */
INLINE void dots_rows(enum type t, size_t rows, size_t candidates, const struct dots_tile *tile,
                      size_t begin, size_t end)
{
    const size_t width = rows * DOTS_CANDIDATES * (LANES / VF) <= DOTS_SUMS       ? LANES
                         : rows * DOTS_CANDIDATES * (LANES / 2 / VF) <= DOTS_SUMS ? LANES / 2
                                                                                  : LANES / 4;

    UNROLL
    for (size_t from = 0; from < LANES; from += width)
        dots_lanes(t, rows, candidates, tile, begin, end, from, width);
}

INLINE void dots_some(enum type t, size_t candidates, size_t rows, const struct dots_tile *tile,
                      size_t begin, size_t end)
{
    switch (rows) {
    case TILE_ROWS: dots_rows(t, TILE_ROWS, candidates, tile, begin, end); break;
#if TILE_ROWS == 8
    case 4: dots_rows(t, 4, candidates, tile, begin, end); break;
#endif
    case 2: dots_rows(t, 2, candidates, tile, begin, end); break;
    default: dots_rows(t, 1, candidates, tile, begin, end); break;
    }
}

INLINE void dots_tile(enum type t, size_t rows, size_t candidates, const struct dots_tile *tile,
                      size_t begin, size_t end)
{
    switch (candidates) {
    case 3: dots_some(t, 3, rows, tile, begin, end); break;
    case 2: dots_some(t, 2, rows, tile, begin, end); break;
    default: dots_some(t, 1, rows, tile, begin, end); break;
    }
}

/* By threes, and never a single one behind them: it would wait for its own sums. */
static size_t tile_candidates(size_t left)
{
    return left == 4 ? 2 : left >= DOTS_CANDIDATES ? DOTS_CANDIDATES : left;
}

/* All pairs over elements [begin, end), whole LANES. */
INLINE void dots_block(enum type t, float *lanes, const float *const g[], size_t m,
                       const void *const x[], const void *r, size_t k, size_t begin, size_t end)
{
    struct dots_tile tile = { .r = r, .m = m };

    for (size_t i = 0, candidates; i < k; i += candidates) {
        candidates = tile_candidates(k - i);
        tile.asks = i == 0;
        for (size_t c = 0; c < candidates; c++) {
            size_t next = i + candidates + c;
            tile.x[c] = x[i + c];
            tile.ahead[c] = next < k ? x[next] : at(t, x[c], block_of(t));
        }
        for (size_t j = 0, rows; j < m; j += rows) {
            rows = tile_rows(m - j, TILE_ROWS);
            for (size_t row = 0; row < rows; row++)
                tile.g[row] = g[j + row];
            tile.lanes = lanes + (i * m + j) * LANES;
            dots_tile(t, rows, candidates, &tile, begin, end);
        }
    }
}

INLINE void dots(enum type t, double *sums, const float *const g[], size_t m, const void *const x[],
                 const void *r, size_t k, size_t n, void *scratch)
{
    float *lanes = scratch;
    size_t whole = n - n % LANES;

    memset(lanes, 0, k * m * DOTS_LANES_BYTES);
    for (size_t begin = 0, end; begin < whole; begin = end) {
        end = whole - begin < block_of(t) ? whole : begin + block_of(t);
        dots_block(t, lanes, g, m, x, r, k, begin, end);
    }
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < m; j++) {
            float *lane = lanes + (i * m + j) * LANES;
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
    enum { N = 8 / VD };
    double *lane = scratch;
    size_t whole = n - n % 8;

    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < m; j++) {
            vd sum[N];
            UNROLL
            for (size_t v = 0; v < N; v++)
                sum[v] = vd_set(0);
            for (size_t e = 0; e < whole; e += 8) {
                UNROLL
                for (size_t v = 0; v < N; v++) {
                    vd d = vd_widen(F64, x[i], e + VD * v) - vd_widen(F64, r, e + VD * v);
                    sum[v] = vd_fma(vd_widen(F32, g[j], e + VD * v), d, sum[v]);
                }
            }
            UNROLL
            for (size_t v = 0; v < N; v++)
                vd_store(lane + VD * v, sum[v]);
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
    static size_t count_nonfinite_##t(const void *x, size_t n)                            \
    {                                                                                     \
        return count_nonfinite(T, x, n);                                                  \
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
DEFINE_FLOAT_ROW(e4m3, E4M3)
DEFINE_FLOAT_ROW(e5m2, E5M2)
DEFINE_ROW(f64, F64)
