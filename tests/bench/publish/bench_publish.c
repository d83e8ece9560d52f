/*
 * bench_publish - publish the plain average of some safetensors files and say how long that took,
 * from opening the first file to the synced and renamed result. publish.py makes the files and
 * compares with other programs.
 *
 *     bench_publish --output DIR [--threads T] [--rounds R] [--resident] FILE...
 *
 * One line of JSON for each round: seconds, bytes of the result, how many reads had to wait for a
 * disk. The result of the last round stays: DIR/model.safetensors.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/parse.h"
#include "engine/materialize.h"
#include "engine/resident.h"
#include "engine/stream.h"
#include "formats/safetensors.h"

struct settings {
    const char *output;
    int64_t threads, rounds;
    bool is_resident;
    size_t count;
    struct candidate *candidates;
    double *alpha;
};

static void check(int rc, const struct sewa_error *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_publish: %s\n", err->text);
    exit(1);
}

/* What an index would know of the file. */
static void learn(struct candidate *c, const char *path)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTOPTR(layout_free) struct layout *l = NULL;
    const char *slash = strrchr(path, '/');
    struct sewa_error err = { 0 };
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(path);
        exit(1);
    }
    check(safetensors_read(fd, path, st.st_size, &l, &err), &err);
    c->id = path;
    c->step = -1;
    c->directory = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    if (!c->directory)
        exit(1);
    c->file = slash ? slash + 1 : path;
    c->bytes = st.st_size;
    c->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    memcpy(c->header_digest, l->header_digest, sizeof c->header_digest);
}

static int64_t publish(const struct engine *e, const struct settings *set, int64_t *ret_cold)
{
    struct resident_options all = { .candidates = set->candidates, .count = set->count };
    struct stream_options each = { .candidates = set->candidates, .count = set->count };
    struct materialize_options out = { .alpha = set->alpha, .directory = set->output };
    AUTOPTR(resident_close) struct resident *resident = NULL;
    AUTOPTR(stream_close) struct stream *stream = NULL;
    AUTO(materialized_clear) struct materialized result = { 0 };
    struct sewa_error err = { 0 };

    if (set->is_resident)
        check(resident_open(e, &all, &resident, &err), &err);
    else
        check(stream_open(e, &each, &stream, &err), &err);
    struct source *s = resident ? resident_source(resident) : stream_source(stream);
    check(materialize(e, s, &out, &result, &err), &err);
    *ret_cold = stream ? stream_cold_reads(stream) : 0;
    return result.files[0].bytes;
}

/* Of this program alone: what getrusage() says includes the one that started it. */
static long peak_kib(void)
{
    AUTO(buf_clear) struct buf status = { 0 };
    struct sewa_error err = { 0 };
    const char *line;

    check(file_read("/proc/self/status", 1 << 16, &status, &err), &err);
    line = strstr(buf_cstr(&status), "VmHWM:");
    return line ? strtol(line + strlen("VmHWM:"), NULL, 10) : 0;
}

static void run(const struct engine *e, const struct settings *set)
{
    for (int64_t round = 0; round < set->rounds; round++) {
        int64_t cold = 0;
        double began = clock_monotonic_s();
        int64_t bytes = publish(e, set, &cold);
        double seconds = clock_monotonic_s() - began;
        printf("{\"seconds\": %.4f, \"bytes\": %lld, \"cold_reads\": %lld, \"peak_kib\": %ld}\n",
               seconds, (long long)bytes, (long long)cold, peak_kib());
    }
}

static void usage(void)
{
    fprintf(stderr, "usage: bench_publish --output DIR [--threads T] [--rounds R] [--resident] "
                    "FILE...\n");
    exit(2);
}

static void read_options(struct settings *s, int argc, char **argv)
{
    static const struct option options[] = {
        { "output", required_argument, NULL, 'o' },
        { "threads", required_argument, NULL, 't' },
        { "rounds", required_argument, NULL, 'r' },
        { "resident", no_argument, NULL, 'm' },
        { 0 },
    };

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'o')
            s->output = optarg;
        else if (c == 'm')
            s->is_resident = true;
        else if (c == '?' || parse_i64(optarg, 1, 1000, c == 't' ? &s->threads : &s->rounds) < 0)
            usage();
    }
    if (!s->output || optind == argc)
        usage();
    s->count = (size_t)(argc - optind);
    s->candidates = calloc(s->count, sizeof *s->candidates);
    s->alpha = calloc(s->count, sizeof *s->alpha);
    if (!s->candidates || !s->alpha)
        exit(1);
    for (size_t i = 0; i < s->count; i++) {
        learn(&s->candidates[i], argv[optind + (int)i]);
        s->alpha[i] = 1.0 / (double)s->count;
    }
}

static void settings_clear(struct settings *s)
{
    for (size_t i = 0; i < s->count; i++)
        free((char *)(uintptr_t)s->candidates[i].directory);
    free(s->candidates);
    free(s->alpha);
}

int main(int argc, char **argv)
{
    struct settings set = { .rounds = 1 };
    struct engine e = { 0 };
    struct sewa_error err = { 0 };

    read_options(&set, argc, argv);
    check(engine_init(&e, (unsigned)set.threads, &err), &err);
    run(&e, &set);
    engine_clear(&e);
    settings_clear(&set);
    return 0;
}
