/*
 * bench_engine - what passes over resident candidates cost, relative to one plain read of the same
 * memory by the same threads; and what publishing an average costs, relative to reading its files.
 *
 *     bench_engine [--quick] [--json] [--candidates K] [--megabytes N] [--dtype F32|F16|BF16|F64]
 *                  [--threads T] [--rounds R] [--ingredients K] [--ingredient-megabytes N]
 *                  [--directory DIR]
 *
 * Files are written to a directory of its own below DIR ($TMPDIR or /tmp) and removed. Times are
 * the best of R rounds; rounds of all things alternate, so that a busy machine hits all of them.
 */
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/parse.h"
#include "base/path.h"
#include "engine/dots.h"
#include "engine/materialize.h"
#include "engine/mix.h"
#include "engine/resident.h"
#include "engine/stream.h"
#include "formats/safetensors.h"

enum { ROWS_MAX = 8, CANDIDATES_MAX = 1000, BLOCK = 1 << 20 };

struct settings {
    int64_t candidates, megabytes, threads, rounds, ingredients, ingredient_megabytes;
    enum dtype dtype;
    const char *directory;
    bool is_json;
};

static void die(const struct sewa_error *err)
{
    fprintf(stderr, "bench_engine: %s\n", err->text);
    exit(1);
}

static void check(int rc, const struct sewa_error *err)
{
    if (rc < 0)
        die(err);
}

/* ---- checkpoints ---- */

struct files {
    char *directory;
    size_t count;
    struct candidate candidates[CANDIDATES_MAX];
    char names[CANDIDATES_MAX][48];
};

/* Small finite numbers in every type: the bits of values around 1. */
static void fill(char *block, enum dtype t, uint64_t seed)
{
    static const uint64_t one[] = { [DTYPE_F32] = 0x3f8000003f800000,
                                    [DTYPE_F64] = 0x3ff0000000000000,
                                    [DTYPE_F16] = 0x3c003c003c003c00,
                                    [DTYPE_BF16] = 0x3f803f803f803f80 };
    uint64_t z = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < BLOCK; i += 8) {
        z = z * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = one[t] ^ (z >> 33 & 0x003f003f003f003f);
        memcpy(block + i, &bits, 8);
    }
}

static void write_file(const char *path, enum dtype t, int64_t bytes, uint64_t seed)
{
    /* four tensors, as in a model whose layers differ in size */
    int64_t elements = bytes / (dtype_bits(t) / 8);
    int64_t shapes[4] = { elements / 2, elements / 4, elements / 8, 0 };
    shapes[3] = elements - shapes[0] - shapes[1] - shapes[2];
    const struct safetensors_item items[] = {
        { "embedding", t, 1, &shapes[0] },
        { "layer.0", t, 1, &shapes[1] },
        { "layer.1", t, 1, &shapes[2] },
        { "output", t, 1, &shapes[3] },
    };
    AUTO(buf_clear) struct buf header = { 0 };
    AUTOFREE char *block = malloc(BLOCK);
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct sewa_error err = { 0 };

    check(safetensors_header(items, 4, NULL, 0, &header, &err), &err);
    bool is_bad = fd < 0 || !block || write_full(fd, header.data, header.len) < 0;
    for (int64_t at = 0, n; !is_bad && at < bytes; at += n) {
        fill(block, t, seed + (uint64_t)at);
        n = bytes - at < BLOCK ? bytes - at : BLOCK;
        is_bad = write_full(fd, block, (size_t)n) < 0;
    }
    if (is_bad || fsync(fd) < 0) {
        perror(path);
        exit(1);
    }
}

static void files_make(struct files *f, const char *parent, enum dtype t, int64_t count,
                       int64_t bytes)
{
    char *directory = path_join(parent, "sewa-bench-XXXXXX");

    if (!directory || !mkdtemp(directory)) {
        perror(parent);
        exit(1);
    }
    bytes -= bytes % 8;
    f->directory = directory;
    f->count = (size_t)count;
    for (size_t i = 0; i < f->count; i++) {
        struct candidate *c = &f->candidates[i];
        struct sewa_error err = { 0 };
        struct stat st;
        snprintf(f->names[i], sizeof f->names[i], "step-%zu.safetensors", i);
        AUTOFREE char *path = path_join(directory, f->names[i]);
        write_file(path, t, bytes, i);
        AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        AUTOPTR(layout_free) struct layout *l = NULL;
        if (fd < 0 || fstat(fd, &st) < 0) {
            perror(path);
            exit(1);
        }
        check(safetensors_read(fd, path, st.st_size, &l, &err), &err);
        *c = (struct candidate){ "bench", (int64_t)i, directory, f->names[i] };
        c->bytes = st.st_size;
        c->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        memcpy(c->header_digest, l->header_digest, sizeof c->header_digest);
    }
}

static void files_remove(struct files *f)
{
    tree_remove(f->directory, NULL);
    free(f->directory);
}

/* ---- the plain read ---- */

struct reading {
    struct pool_task task;
    struct source *source;
    uint32_t which[CANDIDATES_MAX];
    atomic_uint_least64_t sum; /* so that the loop is not for nothing */
};

static uint64_t sum_of(const void *from, size_t bytes)
{
    typedef uint64_t words __attribute__((vector_size(32), aligned(8), may_alias));
    const words *x = from;
    words a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

    for (size_t n = bytes / sizeof *x; n >= 4; n -= 4, x += 4) {
        a += x[0];
        b += x[1];
        c += x[2];
        d += x[3];
    }
    a += b + c + d;
    return a[0] + a[1] + a[2] + a[3];
}

static int read_partition(struct pool_task *task, size_t item, unsigned thread,
                          struct sewa_error *err)
{
    struct reading *r = container_of(task, struct reading, task);
    const struct roster *roster = r->source->roster;
    struct piece_walk walk = model_walk(roster->model, item, r->source->piece_bytes);
    const void *x[CANDIDATES_MAX];
    uint64_t sum = 0;

    for (struct piece piece; piece_next(&walk, &piece);) {
        size_t bytes = piece.count * model_element_bytes(&roster->model->tensors[piece.tensor]);
        int rc = r->source->fetch(r->source, &piece, r->which, roster->count, thread, x, err);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < roster->count; i++)
            sum += sum_of(x[i], bytes);
    }
    atomic_fetch_add(&r->sum, sum);
    return 0;
}

static double time_read(const struct engine *e, struct source *s)
{
    struct reading r = { .task.run = read_partition, .source = s };
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < s->roster->count; i++)
        r.which[i] = (uint32_t)i;
    double began = clock_monotonic_s();
    check(pool_run(e->pool, &r.task, model_partitions(s->roster->model), NULL, &err), &err);
    return clock_monotonic_s() - began;
}

/* ---- the passes ---- */

struct banks {
    void *banks[ROWS_MAX];
    const void *gradients[ROWS_MAX];
    double *alpha; /* ROWS_MAX x candidates */
    double *products;
};

static void *zeroed(int64_t bytes)
{
    void *p = aligned_alloc(MODEL_ALIGNMENT, (size_t)bytes);

    if (!p) {
        fprintf(stderr, "bench_engine: no memory\n");
        exit(1);
    }
    return memset(p, 0, (size_t)bytes); /* touched: page faults are not what is measured */
}

static void banks_make(struct banks *b, const struct model *m, size_t candidates)
{
    size_t bytes = (ROWS_MAX * candidates * sizeof(double) + 63) / 64 * 64;

    for (size_t j = 0; j < ROWS_MAX; j++) {
        b->banks[j] = zeroed(m->bank_bytes);
        float *g = zeroed(m->gradient_bank_bytes);
        for (int64_t e = 0; e < m->gradient_bank_bytes / 4; e++)
            g[e] = 1e-3f * (float)(e % 1021);
        b->gradients[j] = g;
    }
    b->alpha = zeroed((int64_t)bytes);
    b->products = zeroed((int64_t)bytes);
    for (size_t j = 0; j < ROWS_MAX; j++)
        for (size_t i = 0; i < candidates; i++)
            b->alpha[j * candidates + i] = 1.0 / (double)candidates;
}

static void banks_free(struct banks *b)
{
    for (size_t j = 0; j < ROWS_MAX; j++) {
        free(b->banks[j]);
        free((void *)(uintptr_t)b->gradients[j]);
    }
    free(b->alpha);
    free(b->products);
}

enum pass_kind { MIX, MIX_EXACT, DOTS, PASS_KINDS };

static const char *const pass_names[] = { "mix", "mix_exact", "dots" };

static double time_pass(const struct engine *e, struct source *s, enum pass_kind kind,
                        const struct banks *b, size_t rows)
{
    const struct exact_options exact = { 0 };
    const struct mix_request mixing = { .count = rows, .alpha = b->alpha, .banks = b->banks };
    const struct dots_request products = { .count = rows,
                                           .alpha = b->alpha,
                                           .gradients = b->gradients };
    struct sewa_error err = { 0 };
    double began = clock_monotonic_s();
    int rc = kind == MIX         ? mix(e, s, &mixing, &err)
             : kind == MIX_EXACT ? mix_exact(e, s, &mixing, &exact, &err)
                                 : dots(e, s, &products, b->products, &err);

    check(rc, &err);
    return clock_monotonic_s() - began;
}

static void least(double *best, double seconds)
{
    if (*best == 0 || seconds < *best)
        *best = seconds;
}

static void bench_passes(const struct engine *e, const struct settings *set)
{
    static const size_t rows[] = { 1, 2, 4, 8 };
    struct files files;
    struct resident_options o;
    struct resident *resident = NULL;
    struct sewa_error err = { 0 };
    struct banks banks;
    double read = 0, best[PASS_KINDS][COUNT_OF(rows)] = { { 0 } };

    files_make(&files, set->directory, set->dtype, set->candidates, set->megabytes * 1000000);
    o = (struct resident_options){ .candidates = files.candidates, .count = files.count };
    check(resident_open(e, &o, &resident, &err), &err);
    struct source *s = resident_source(resident);
    banks_make(&banks, resident_model(resident), files.count);
    for (int64_t round = 0; round < set->rounds; round++) {
        least(&read, time_read(e, s));
        for (size_t n = 0; n < COUNT_OF(rows); n++)
            for (int kind = 0; kind < PASS_KINDS; kind++)
                least(&best[kind][n], time_pass(e, s, (enum pass_kind)kind, &banks, rows[n]));
    }
    double gigabytes = (double)resident_bytes_read(resident) * 1e-9;
    printf(set->is_json ? "{\"candidates\": %zu, \"megabytes\": %lld, \"dtype\": \"%s\", "
                          "\"kernels\": \"%s\", \"threads\": %u, \"read_gb_per_s\": %.2f"
                        : "%zu candidates of %lld MB %s in memory, kernels %s, threads %u: "
                          "a plain read is %.1f GB/s\n",
           files.count, (long long)set->megabytes, dtype_name(set->dtype), e->kernels->name,
           pool_threads(e->pool), gigabytes / read);
    for (int kind = 0; kind < PASS_KINDS; kind++) {
        printf(set->is_json ? ", \"%s\": {" : "%-9s", pass_names[kind]);
        for (size_t n = 0; n < COUNT_OF(rows); n++)
            printf(set->is_json ? "%s\"%zu\": %.3f" : "%s M=%zu %5.2f",
                   set->is_json && n ? ", " : "", rows[n], best[kind][n] / read);
        printf(set->is_json ? "}" : "  times the read\n");
    }
    if (set->is_json)
        printf("}\n");
    banks_free(&banks);
    resident_close(resident);
    files_remove(&files);
}

/* ---- publishing ---- */

struct file_reading {
    struct pool_task task;
    const struct files *files;
    char *blocks; /* one for each thread */
};

static int read_one_file(struct pool_task *task, size_t item, unsigned thread,
                         struct sewa_error *err)
{
    enum { STEP = 256 << 10 };
    const struct file_reading *r = container_of(task, struct file_reading, task);
    AUTOFREE char *path = path_join(r->files->directory, r->files->names[item]);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    int64_t size = r->files->candidates[item].bytes;

    for (int64_t at = 0; fd >= 0 && at < size; at += STEP)
        if (pread_full(fd, r->blocks + (size_t)thread * STEP, STEP, at) < 0)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", path);
    return 0;
}

static double time_read_files(const struct engine *e, const struct files *files)
{
    AUTOFREE char *blocks = malloc((size_t)pool_threads(e->pool) << 18);
    struct file_reading r = { .task.run = read_one_file, .files = files, .blocks = blocks };
    struct sewa_error err = { 0 };
    double began = clock_monotonic_s();

    if (!blocks)
        exit(1);
    check(pool_run(e->pool, &r.task, files->count, NULL, &err), &err);
    return clock_monotonic_s() - began;
}

/* From nothing to the published file, by a source that streams. */
static double time_stream(const struct engine *e, const struct files *files, const double *alpha)
{
    struct stream_options in = { .candidates = files->candidates, .count = files->count };
    struct materialize_options out = { .alpha = alpha, .directory = files->directory };
    struct stream *stream = NULL;
    struct materialized result = { 0 };
    struct sewa_error err = { 0 };
    double began = clock_monotonic_s();

    check(stream_open(e, &in, &stream, &err), &err);
    check(materialize(e, stream_source(stream), &out, &result, &err), &err);
    double seconds = clock_monotonic_s() - began;
    materialized_clear(&result);
    stream_close(stream);
    return seconds;
}

static void bench_publishing(const struct engine *e, const struct settings *set)
{
    struct files files;
    double read = 0, opened = 0, written = 0, streamed = 0;
    double alpha[CANDIDATES_MAX];

    files_make(&files, set->directory, set->dtype, set->ingredients,
               set->ingredient_megabytes * 1000000);
    for (size_t i = 0; i < files.count; i++)
        alpha[i] = 1.0 / (double)files.count;
    for (int64_t round = 0; round < set->rounds; round++) {
        struct resident_options in = { .candidates = files.candidates, .count = files.count };
        struct materialize_options out = { .alpha = alpha, .directory = files.directory };
        struct resident *resident = NULL;
        struct materialized result = { 0 };
        struct sewa_error err = { 0 };
        least(&read, time_read_files(e, &files));
        double began = clock_monotonic_s();
        check(resident_open(e, &in, &resident, &err), &err);
        least(&opened, clock_monotonic_s() - began);
        began = clock_monotonic_s();
        check(materialize(e, resident_source(resident), &out, &result, &err), &err);
        least(&written, clock_monotonic_s() - began);
        materialized_clear(&result);
        resident_close(resident);
        least(&streamed, time_stream(e, &files, alpha));
    }
    printf(set->is_json
               ? "{\"ingredients\": %zu, \"megabytes\": %lld, \"dtype\": \"%s\", \"threads\": %u, "
                 "\"read_files_s\": %.3f, \"open_s\": %.3f, \"materialize_s\": %.3f, "
                 "\"stream_s\": %.3f, \"stream_over_read\": %.2f}\n"
               : "average of %zu files of %lld MB %s, page cache to published file, threads %u: "
                 "reading alone %.3f s, into memory %.3f s and published %.3f s, streamed and "
                 "published %.3f s: %.2f times the reading\n",
           files.count, (long long)set->ingredient_megabytes, dtype_name(set->dtype),
           pool_threads(e->pool), read, opened, written, streamed, streamed / read);
    files_remove(&files);
}

/* ---- options ---- */

static int64_t number(const char *name, const char *text, int64_t max)
{
    int64_t n;

    if (parse_i64(text, 1, max, &n) < 0) {
        fprintf(stderr, "bench_engine: --%s wants a number from 1 to %lld, not '%s'\n", name,
                (long long)max, text);
        exit(2);
    }
    return n;
}

static enum dtype float_type(const char *name)
{
    int t = dtype_from_name(name, strlen(name));

    if (t < 0 || dtype_kind((enum dtype)t) != DTYPE_FLOAT) {
        fprintf(stderr, "bench_engine: --dtype wants F32, F16, BF16 or F64, not '%s'\n", name);
        exit(2);
    }
    return (enum dtype)t;
}

static void read_options(struct settings *s, int argc, char **argv)
{
    static const struct option options[] = {
        { "quick", no_argument, NULL, 'q' },
        { "json", no_argument, NULL, 'j' },
        { "candidates", required_argument, NULL, 'k' },
        { "megabytes", required_argument, NULL, 'm' },
        { "dtype", required_argument, NULL, 't' },
        { "threads", required_argument, NULL, 'p' },
        { "rounds", required_argument, NULL, 'r' },
        { "ingredients", required_argument, NULL, 'i' },
        { "ingredient-megabytes", required_argument, NULL, 'n' },
        { "directory", required_argument, NULL, 'd' },
        { 0 },
    };
    int64_t *const numbers[128] = {
        ['k'] = &s->candidates, ['m'] = &s->megabytes,   ['p'] = &s->threads,
        ['r'] = &s->rounds,     ['i'] = &s->ingredients, ['n'] = &s->ingredient_megabytes
    };

    for (int c, index = 0; (c = getopt_long(argc, argv, "", options, &index)) != -1;) {
        if (c == 'q') {
            s->candidates = 5;
            s->megabytes = s->ingredient_megabytes = s->rounds = 1;
            s->ingredients = 3;
        } else if (c == 'j') {
            s->is_json = true;
        } else if (c == 't') {
            s->dtype = float_type(optarg);
        } else if (c == 'd') {
            s->directory = optarg;
        } else if (c == '?') {
            exit(2);
        } else {
            *numbers[c] = number(options[index].name, optarg,
                                 c == 'm' || c == 'n' || c == 'r' ? 1000000 : CANDIDATES_MAX);
        }
    }
}

int main(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");
    struct settings s = {
        .candidates = 20,
        .megabytes = 40,
        .rounds = 5,
        .ingredients = 10,
        .ingredient_megabytes = 200,
        .dtype = DTYPE_F32,
        .directory = tmp && *tmp ? tmp : "/tmp",
    };
    struct engine e = { 0 };
    struct sewa_error err = { 0 };

    read_options(&s, argc, argv);
    check(engine_init(&e, (unsigned)s.threads, &err), &err);
    bench_passes(&e, &s);
    bench_publishing(&e, &s);
    engine_clear(&e);
    return 0;
}
