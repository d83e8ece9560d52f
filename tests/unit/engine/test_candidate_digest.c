/*
 * test_candidate_digest - a PyTorch file that is hashed is held against the checksums of its
 * archive: whichever byte of whichever storage is another one, the file is refused, and what the
 * archive has no checksum of is not.
 */
#include "run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/fdio.h"
#include "base/path.h"
#include "formats/checkpoint.h"
#include "formats/zip.h"

#include "unit/formats/archive.h"

#define GOLDEN "golden/torch/model.pt"

enum { LARGE = (5 << 19) + 7 }; /* two ends of a block lie in it */

struct fixture {
    char *directory;
    struct archive archive;
    size_t large; /* the member that is, index in archive */
    struct candidate candidate;
};

/* The members of a file of PyTorch's own, a large one before the last, and the end. */
static void fill(struct fixture *f)
{
    AUTO(buf_clear) struct buf golden = { 0 };
    AUTOPTR(zip_free) struct zip *zip = NULL;
    AUTOFREE char *large = malloc(LARGE);
    struct sewa_error err = { 0 };

    assert_ok(file_read(GOLDEN, 1 << 20, &golden, &err), err);
    struct window_source source = { .name = GOLDEN, .bytes = golden.data, .n = golden.len };
    assert_ok(zip_read(&source, 0, (int64_t)golden.len, &zip, &err), err);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 2654435761u >> 24);
    for (size_t i = 0; i < zip->count; i++) {
        const struct zip_member *m = &zip->members[i];
        if (i + 1 == zip->count) {
            f->large = f->archive.count;
            archive_add(&f->archive, "model/data/6", large, LARGE);
        }
        archive_add(&f->archive, m->name, golden.data + m->offset, (size_t)m->bytes);
    }
    archive_finish(&f->archive);
}

/* Write the archive as it is now, and learn what an index would know. */
static void save(struct fixture *f)
{
    scratch_write(f->directory, "model.pt", f->archive.bytes.data, f->archive.bytes.len);
    f->candidate = (struct candidate){
        .id = "ckpt_a", .step = 1, .directory = f->directory, .file = "model.pt"
    };
    candidate_learn(&f->candidate);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->directory = scratch_new();
    fill(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    archive_clear(&f->archive);
    scratch_free(f->directory);
    free(f);
    return 0;
}

static bool is_storage(const struct fixture *f, size_t i)
{
    return strncmp(f->archive.member[i].name, "model/data/", strlen("model/data/")) == 0;
}

static void test_whole(void **state)
{
    struct fixture *f = *state;
    uint8_t want[SHA256_SIZE], got[SHA256_SIZE];
    struct sewa_error err = { 0 };

    save(f);
    sha256_of(f->archive.bytes.data, f->archive.bytes.len, want);
    assert_ok(candidate_digest(&f->candidate, NULL, got, &err), err);
    assert_memory_equal(want, got, sizeof want);
}

/* The byte at this offset of the file is another one: not what the archive says of it. */
static void check_damage(struct fixture *f, size_t at, const char *word)
{
    uint8_t got[SHA256_SIZE];
    struct sewa_error err = { 0 };

    f->archive.bytes.data[at] ^= 0x10;
    save(f);
    assert_failed(candidate_digest(&f->candidate, NULL, got, &err), err, SEWA_E_CORRUPT, word);
    assert_non_null(strstr(err.text, "checkpoint 'ckpt_a'"));
    assert_non_null(strstr(err.text, "model.pt"));
    f->archive.bytes.data[at] ^= 0x10;
}

static void test_damaged(void **state)
{
    struct fixture *f = *state;
    const size_t block = 1 << 20, begin = f->archive.data[f->large];
    char word[100];

    for (size_t i = 0; i < f->archive.count; i++) {
        size_t first = f->archive.data[i], n = f->archive.member[i].n;
        if (!is_storage(f, i))
            continue;
        snprintf(word, sizeof word, "the %zu bytes at offset %zu of", n, first);
        check_damage(f, first, word);
        check_damage(f, first + n - 1, word);
        snprintf(word, sizeof word, "its archive says %08x", (unsigned)f->archive.member[i].crc32);
        check_damage(f, first + n / 2, word);
    }
    assert_true(begin < block && begin + LARGE > 2 * block);
    for (size_t edge = block; edge <= 2 * block; edge += block) {
        check_damage(f, edge - 1, "offset");
        check_damage(f, edge, "offset");
    }
}

/* Between storages is what loaders do not read; a checksum of 0 is one that nobody computed. */
static void test_no_checksum(void **state)
{
    struct fixture *f = *state;
    uint8_t got[SHA256_SIZE];
    struct sewa_error err = { 0 };

    f->archive.bytes.data[f->archive.data[f->large] - 1] ^= 0x10; /* padding */
    save(f);
    assert_ok(candidate_digest(&f->candidate, NULL, got, &err), err);
    archive_poke(&f->archive, f->archive.central[f->large] + 16, 0, 4);
    archive_poke(&f->archive, f->archive.data[f->large] + LARGE + 4, 0, 4); /* the descriptor */
    f->archive.bytes.data[f->archive.data[f->large] + LARGE / 2] ^= 0x10;
    save(f);
    assert_ok(candidate_digest(&f->candidate, NULL, got, &err), err);
    check_damage(f, f->archive.data[f->large - 1], "offset"); /* the others still count */
}

/* ---- several files: each storage counts in its own ---- */

#define SECOND "golden/torch/slice_of_more.pt"

static const char *const shard_names[] = { "pytorch_model-00001-of-00002.bin",
                                           "pytorch_model-00002-of-00002.bin" };

static void write_index(const struct fixture *f)
{
    static const char *const first[] = { "embedding.weight",  "head.weight",
                                         "norm.bias",         "norm.num_batches_tracked",
                                         "norm.running_mean", "norm.running_var",
                                         "norm.weight" };
    AUTO(buf_clear) struct buf text = { 0 };

    buf_text(&text, "{\"weight_map\":{");
    for (size_t i = 0; i < COUNT_OF(first); i++)
        buf_printf(&text, "\"%s\":\"%s\",", first[i], shard_names[0]);
    buf_printf(&text, "\"w\":\"%s\"}}", shard_names[1]);
    scratch_write(f->directory, "pytorch_model.bin.index.json", text.data, text.len);
}

/* Both files as they are now, and what an index would know of the directory. */
static void save_directory(struct fixture *f, const struct buf *second)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    scratch_write(f->directory, shard_names[0], f->archive.bytes.data, f->archive.bytes.len);
    scratch_write(f->directory, shard_names[1], second->data, second->len);
    AUTOCLOSE int fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_ok(checkpoint_read_directory(fd, "d", NULL, &l, &err), err);
    assert_int_equal(l->file_count, 2);
    f->candidate = (struct candidate){ .id = "ckpt_a", .directory = f->directory, .file = "." };
    memcpy(f->candidate.header_digest, l->header_digest, sizeof l->header_digest);
}

static void check_damaged_shard(struct fixture *f, const struct buf *second, char *byte, int shard)
{
    uint8_t got[SHA256_SIZE];
    struct sewa_error err = { 0 };

    *byte ^= 1;
    save_directory(f, second);
    assert_failed(candidate_digest(&f->candidate, NULL, got, &err), err, SEWA_E_CORRUPT,
                  shard_names[shard]);
    *byte ^= 1;
}

static void test_several_files(void **state)
{
    struct fixture *f = *state;
    AUTO(buf_clear) struct buf second = { 0 };
    AUTOPTR(zip_free) struct zip *zip = NULL;
    uint8_t got[SHA256_SIZE];
    struct sewa_error err = { 0 };

    assert_ok(file_read(SECOND, 1 << 20, &second, &err), err);
    struct window_source source = { .name = SECOND, .bytes = second.data, .n = second.len };
    assert_ok(zip_read(&source, 0, (int64_t)second.len, &zip, &err), err);
    const struct zip_member *member = zip_find(zip, "slice_of_more/data/0");
    assert_non_null(member);
    write_index(f);
    save_directory(f, &second);
    assert_ok(candidate_digest(&f->candidate, NULL, got, &err), err);
    check_damaged_shard(f, &second, second.data + member->offset, 1);
    check_damaged_shard(f, &second, f->archive.bytes.data + f->archive.data[f->large] + LARGE - 1,
                        0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_checksum, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
