/*
 * bench_header - read what a checkpoint says of its tensors, beside a loop that looks up the class
 * of each byte of the same text: the least that any parser must do. header.py makes the files.
 *
 *     bench_header [--rounds R] FILE TEXT_BYTES
 *
 * TEXT_BYTES: how much of the file is text about tensors. One line of JSON: tensors, bytes, the
 * best of R rounds in seconds of both sides (which alternate, each with its own reading of the
 * file), of the SHA-256 of the text, which the reader computes as well, and the peak of the memory
 * that the reader allocated.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fdio.h"
#include "base/parse.h"
#include "formats/checkpoint.h"
#include "support/alloc.h"

struct figures {
    double read, scan, digest;
    size_t tensors;
    int64_t peak_bytes;
    unsigned classes; /* so that nobody drops the loop */
};

static void check(bool is_good, const char *what, const struct sewa_error *err)
{
    if (is_good)
        return;
    if (err)
        fprintf(stderr, "bench_header: %s\n", err->text);
    else
        perror(what);
    exit(1);
}

static double read_layout(int fd, const char *name, int64_t bytes, struct figures *f)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    double began = clock_monotonic_s();

    alloc_peak_reset();
    int64_t held = alloc_held();
    check(checkpoint_read_file(fd, name, bytes, NULL, &l, &err) == 0, name, &err);
    double seconds = clock_monotonic_s() - began;
    f->peak_bytes = alloc_peak() - held;
    f->tensors = l->count;
    return seconds;
}

/* Classes that a scanner of JSON tells apart. */
static unsigned char class_of(int byte)
{
    static const char marks[] = "{}[]:,\"\\ \t\n\r-+.eE";
    const char *at = byte ? strchr(marks, byte) : NULL;

    return at                           ? (unsigned char)(at - marks + 3)
           : byte >= '0' && byte <= '9' ? 2
           : byte < 0x20                ? 0
                                        : 1;
}

static double hash(const void *text, size_t bytes)
{
    struct sha256 *digest = sha256_new();
    uint8_t result[SHA256_SIZE];
    double began = clock_monotonic_s();

    check(digest, "sha256", NULL);
    sha256_update(digest, text, bytes);
    sha256_final(digest, result);
    sha256_free(digest);
    return clock_monotonic_s() - began;
}

/* Both into memory that has been touched before. */
static double scan(int fd, const char *name, unsigned char *text, size_t bytes, struct figures *f)
{
    unsigned char classes[256];

    for (int i = 0; i < 256; i++)
        classes[i] = class_of(i);
    double began = clock_monotonic_s();
    check(pread_full(fd, text, bytes, 0) == (ssize_t)bytes, name, NULL);
    unsigned sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += classes[text[i]];
    f->classes += sum;
    double seconds = clock_monotonic_s() - began;
    double hashed = hash(text, bytes);
    f->digest = hashed < f->digest ? hashed : f->digest;
    return seconds;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "rounds", required_argument, NULL, 'r' }, { 0 } };
    struct figures f = { .read = 1e9, .scan = 1e9, .digest = 1e9 };
    int64_t rounds = 15, text_bytes = 0;
    struct stat st;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (c != 'r' || parse_i64(optarg, 1, 1000, &rounds) < 0)
            return 2;
    if (optind + 2 != argc || parse_i64(argv[optind + 1], 1, INT64_MAX, &text_bytes) < 0) {
        fprintf(stderr, "usage: bench_header [--rounds R] FILE TEXT_BYTES\n");
        return 2;
    }
    AUTOCLOSE int fd = open(argv[optind], O_RDONLY | O_CLOEXEC);
    check(fd >= 0 && fstat(fd, &st) == 0 && text_bytes <= st.st_size, argv[optind], NULL);
    AUTOFREE unsigned char *text = calloc(1, (size_t)text_bytes);
    check(text, argv[optind], NULL);
    for (int64_t r = 0; r < rounds; r++) {
        double read = read_layout(fd, argv[optind], st.st_size, &f);
        double scanned = scan(fd, argv[optind], text, (size_t)text_bytes, &f);
        f.read = read < f.read ? read : f.read;
        f.scan = scanned < f.scan ? scanned : f.scan;
    }
    printf("{\"tensors\": %zu, \"bytes\": %lld, \"read_seconds\": %.6f, \"scan_seconds\": %.6f, "
           "\"digest_seconds\": %.6f, \"peak_bytes\": %lld, \"classes\": %u}\n",
           f.tensors, (long long)text_bytes, f.read, f.scan, f.digest, (long long)f.peak_bytes,
           f.classes);
    return 0;
}
