/*
 * test_zip_hostile - archives with one wrong field each, made by hand: every number of every record
 * is one that somebody may have chosen. The archive is a checkpoint that is read when nothing is
 * changed; rows without a code are changes that do not matter.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "formats/torch.h"
#include "formats/zip.h"

#include "archive.h"

#define PICKLE                                                                             \
    "\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n" \
    "FloatStorage\nX\x01\0\0\0"                                                            \
    "0X\x03\0\0\0cpuK\x06tQK\0K\x06\x85K\x01\x85\x89}tRs."

enum record { END, END64, LOCATOR, CENTRAL, LOCAL };
enum { PKL, ORDER, ZERO, ONE, NOTHING, VERSION, DIRECTORY = 99 };
enum how { SET, ADD };

struct row {
    const char *name;
    enum record record;
    int member;
    size_t field, size;
    enum how how;
    int64_t value;
    int code;
    const char *word;
};

#define MAX64 INT64_MAX

static const struct row rows[] = {
    { "nothing is changed", END, 0, 0, 4, ADD, 0, 0, "" },
    /* the end record */
    { "end: signature", END, 0, 0, 4, ADD, 1, SEWA_E_INCOMPLETE, "does not end with the end" },
    { "end: another disk", END, 0, 4, 2, SET, 1, SEWA_E_CORRUPT, "different things" },
    { "end: directory on another disk", END, 0, 6, 2, SET, 1, SEWA_E_CORRUPT, "different" },
    { "end: fewer members here", END, 0, 8, 2, ADD, -1, SEWA_E_CORRUPT, "different things" },
    { "end: more members", END, 0, 10, 2, ADD, 1, SEWA_E_CORRUPT, "different things" },
    { "end: members left to zip64", END, 0, 10, 2, SET, 0xffff, 0, "" },
    { "end: longer directory", END, 0, 12, 4, ADD, 1, SEWA_E_CORRUPT, "different things" },
    { "end: length left to zip64", END, 0, 12, 4, SET, 0xffffffff, 0, "" },
    { "end: directory further up", END, 0, 16, 4, ADD, -1, SEWA_E_CORRUPT, "different things" },
    { "end: place left to zip64", END, 0, 16, 4, SET, 0xffffffff, 0, "" },
    { "end: a comment that is not there", END, 0, 20, 2, SET, 9, SEWA_E_INCOMPLETE, "end record" },
    /* the zip64 end record */
    { "end64: signature", END64, 0, 0, 4, ADD, 1, SEWA_E_CORRUPT, "no zip64 end record is here" },
    { "end64: longer", END64, 0, 4, 8, ADD, 1, SEWA_E_CORRUPT, "not as long as the space" },
    { "end64: shorter", END64, 0, 4, 8, ADD, -1, SEWA_E_CORRUPT, "not as long as the space" },
    { "end64: length that wraps", END64, 0, 4, 8, SET, -12, SEWA_E_CORRUPT, "not as long" },
    { "end64: versions do not matter", END64, 0, 12, 4, SET, 0x12345678, 0, "" },
    { "end64: another disk", END64, 0, 16, 4, SET, 1, SEWA_E_CORRUPT, "different things" },
    { "end64: directory on a disk", END64, 0, 20, 4, SET, 1, SEWA_E_CORRUPT, "different things" },
    { "end64: fewer members here", END64, 0, 24, 8, ADD, -1, SEWA_E_CORRUPT, "different things" },
    { "end64: more members", END64, 0, 32, 8, ADD, 1, SEWA_E_CORRUPT, "different things" },
    { "end64: members without end", END64, 0, 32, 8, SET, -1, SEWA_E_CORRUPT, "different things" },
    { "end64: longer directory", END64, 0, 40, 8, ADD, 1, SEWA_E_CORRUPT, "different things" },
    { "end64: length that wraps", END64, 0, 40, 8, SET, -1, SEWA_E_CORRUPT, "different things" },
    { "end64: another place", END64, 0, 48, 8, ADD, 1, SEWA_E_CORRUPT, "different things" },
    { "end64: place past 2^63", END64, 0, 48, 8, SET, INT64_MIN, SEWA_E_CORRUPT, "different" },
    /* its locator */
    { "locator: signature", LOCATOR, 0, 0, 4, ADD, 1, SEWA_E_CORRUPT, "does not end where" },
    { "locator: another disk", LOCATOR, 0, 4, 4, SET, 1, SEWA_E_UNSUPPORTED, "several disks" },
    { "locator: another place", LOCATOR, 0, 8, 8, ADD, 1, SEWA_E_CORRUPT, "cannot be at" },
    { "locator: before the record", LOCATOR, 0, 8, 8, ADD, -1, SEWA_E_CORRUPT, "no zip64 end" },
    { "locator: at the beginning", LOCATOR, 0, 8, 8, SET, 0, SEWA_E_CORRUPT, "no zip64 end" },
    { "locator: behind the file", LOCATOR, 0, 8, 8, SET, MAX64, SEWA_E_CORRUPT, "cannot be at" },
    { "locator: past 2^63", LOCATOR, 0, 8, 8, SET, -1, SEWA_E_CORRUPT, "cannot be at" },
    { "locator: two disks", LOCATOR, 0, 16, 4, SET, 2, SEWA_E_UNSUPPORTED, "several disks" },
    /* entries of the directory */
    { "entry: signature", CENTRAL, ZERO, 0, 4, ADD, 1, SEWA_E_CORRUPT, "no entry of the zip" },
    { "entry: versions do not matter", CENTRAL, ZERO, 4, 4, SET, 0x12345678, 0, "" },
    { "entry: encrypted", CENTRAL, ZERO, 8, 2, SET, 0x809, SEWA_E_UNSUPPORTED, "is encrypted" },
    { "entry: strongly encrypted", CENTRAL, ZERO, 8, 2, SET, 0x848, SEWA_E_UNSUPPORTED,
      "is encrypted" },
    { "entry: masked header", CENTRAL, ZERO, 8, 2, SET, 0x2808, SEWA_E_UNSUPPORTED,
      "is encrypted" },
    { "entry: patched data", CENTRAL, ZERO, 8, 2, SET, 0x828, SEWA_E_UNSUPPORTED,
      "unknown flags 0x0828" },
    { "entry: other flags", CENTRAL, ZERO, 8, 2, SET, 0x800, SEWA_E_CORRUPT,
      "flags or method of 'a/data/0'" },
    { "entry: deflated", CENTRAL, ZERO, 10, 2, SET, 8, SEWA_E_CORRUPT, "flags or method" },
    { "entry: another method", CENTRAL, PKL, 10, 2, SET, 93, SEWA_E_CORRUPT, "flags or method" },
    { "entry: time does not matter", CENTRAL, ZERO, 12, 4, SET, 0x12345678, 0, "" },
    { "entry: checksum of the pickle", CENTRAL, PKL, 16, 4, ADD, 1, SEWA_E_CORRUPT,
      "member 'a/data.pkl' has the checksum" },
    { "entry: no checksum of the pickle", CENTRAL, PKL, 16, 4, SET, 0, 0, "" },
    { "entry: checksum of the byte order", CENTRAL, ORDER, 16, 4, ADD, 1, SEWA_E_CORRUPT,
      "member 'a/byteorder' has the checksum" },
    { "entry: two sizes", CENTRAL, ZERO, 20, 4, ADD, 1, SEWA_E_CORRUPT, "has 25 bytes and 24" },
    { "entry: the other size", CENTRAL, ZERO, 24, 4, ADD, 1, SEWA_E_CORRUPT,
      "has 24 bytes and 25" },
    { "entry: size in a field that is not there", CENTRAL, ZERO, 24, 4, SET, 0xffffffff,
      SEWA_E_CORRUPT, "extra fields of 'a/data/0' do not fit" },
    { "entry: a longer name", CENTRAL, VERSION, 28, 2, ADD, 1, SEWA_E_CORRUPT,
      "reaches behind the end" },
    { "entry: a longer name, in between", CENTRAL, ZERO, 28, 2, ADD, 1, SEWA_E_CORRUPT, "" },
    { "entry: a shorter name", CENTRAL, ZERO, 28, 2, ADD, -1, SEWA_E_CORRUPT, "no entry" },
    { "entry: no name", CENTRAL, ZERO, 28, 2, SET, 0, SEWA_E_CORRUPT, "is no text" },
    { "entry: the longest name", CENTRAL, PKL, 28, 2, SET, 0xffff, SEWA_E_CORRUPT,
      "reaches behind the end" },
    { "entry: an extra field that is not there", CENTRAL, VERSION, 30, 2, SET, 8, SEWA_E_CORRUPT,
      "reaches behind the end" },
    { "entry: an extra field over the next", CENTRAL, ZERO, 30, 2, SET, 46, SEWA_E_CORRUPT, "" },
    { "entry: a comment that is not there", CENTRAL, VERSION, 32, 2, SET, 1, SEWA_E_CORRUPT,
      "reaches behind the end" },
    { "entry: a comment over the next", CENTRAL, NOTHING, 32, 2, SET, 55, SEWA_E_CORRUPT,
      "ends after 5 of 6 members" },
    { "entry: another disk", CENTRAL, ZERO, 34, 2, SET, 1, SEWA_E_UNSUPPORTED,
      "'a/data/0' is on another disk" },
    { "entry: disk left to zip64", CENTRAL, ZERO, 34, 2, SET, 0xffff, SEWA_E_UNSUPPORTED,
      "is on another disk" },
    { "entry: attributes do not matter", CENTRAL, ZERO, 36, 2, SET, 0x1234, 0, "" },
    { "entry: later", CENTRAL, ZERO, 42, 4, ADD, 1, SEWA_E_CORRUPT, "no local header" },
    { "entry: earlier", CENTRAL, ZERO, 42, 4, ADD, -1, SEWA_E_CORRUPT, "" },
    { "entry: at the place of another", CENTRAL, ONE, 42, 4, SET, 0, SEWA_E_CORRUPT, "" },
    { "entry: behind the directory", CENTRAL, ZERO, 42, 4, SET, 0x7fffffff, SEWA_E_CORRUPT,
      "reaches into the directory" },
    { "entry: in the directory", CENTRAL, VERSION, 42, 4, SET, DIRECTORY, SEWA_E_CORRUPT, "" },
    { "entry: place left to zip64", CENTRAL, ZERO, 42, 4, SET, 0xffffffff, SEWA_E_CORRUPT,
      "do not fit" },
    { "entry: the first is not first", CENTRAL, PKL, 42, 4, ADD, 1, SEWA_E_CORRUPT,
      "1 bytes before the first member" },
    { "entry: the name of another", CENTRAL, ONE, 53, 1, SET, '0', SEWA_E_CORRUPT, "another name" },
    { "entry: a NUL in the name", CENTRAL, ZERO, 48, 1, SET, 0, SEWA_E_CORRUPT, "is no text" },
    { "entry: a name that is not UTF-8", CENTRAL, ZERO, 48, 1, SET, 0xff, SEWA_E_CORRUPT,
      "is no text" },
    { "entry: another name than the local one", CENTRAL, ZERO, 53, 1, SET, '7', SEWA_E_CORRUPT,
      "another name than 'a/data/7'" },
    /* local headers */
    { "local: signature", LOCAL, ZERO, 0, 4, ADD, 1, SEWA_E_CORRUPT, "no local header of" },
    { "local: version does not matter", LOCAL, ZERO, 4, 2, SET, 0x1234, 0, "" },
    { "local: encrypted", LOCAL, ZERO, 6, 2, SET, 0x809, SEWA_E_CORRUPT, "flags or method" },
    { "local: deflated", LOCAL, ZERO, 8, 2, SET, 8, SEWA_E_CORRUPT, "flags or method" },
    { "local: time does not matter", LOCAL, ZERO, 10, 4, SET, 0x12345678, 0, "" },
    { "local: another checksum", LOCAL, ZERO, 14, 4, SET, 5, SEWA_E_CORRUPT, "the checksum" },
    { "local: another stored size", LOCAL, ZERO, 18, 4, SET, 5, SEWA_E_CORRUPT,
      "gives 'a/data/0' 5 bytes, the directory 24" },
    { "local: another size", LOCAL, ZERO, 22, 4, SET, 5, SEWA_E_CORRUPT, "the local header gives" },
    { "local: the right sizes", LOCAL, ZERO, 18, 8, SET, 24 | (int64_t)24 << 32, 0, "" },
    { "local: a size in a field that is not there", LOCAL, ZERO, 22, 4, SET, 0xffffffff,
      SEWA_E_CORRUPT, "the local header gives" },
    { "local: a longer name", LOCAL, ZERO, 26, 2, ADD, 1, SEWA_E_CORRUPT, "another name" },
    { "local: the longest name", LOCAL, ZERO, 26, 2, SET, 0xffff, SEWA_E_CORRUPT, "another name" },
    { "local: a longer extra field", LOCAL, ONE, 28, 2, ADD, 64, SEWA_E_CORRUPT,
      "member 'a/data/1' of 64 bytes reaches into what begins at" },
    { "local: the longest extra field", LOCAL, ZERO, 28, 2, SET, 0xffff, SEWA_E_CORRUPT,
      "reaches into what begins at" },
    { "local: another name", LOCAL, ZERO, 37, 1, SET, '7', SEWA_E_CORRUPT, "another name" },
};

static size_t place(const struct archive *a, const struct row *row)
{
    switch (row->record) {
    case END: return a->end;
    case END64: return a->end64;
    case LOCATOR: return a->locator;
    case CENTRAL: return a->central[row->member];
    case LOCAL: return a->local[row->member];
    }
    return 0;
}

static int read_checkpoint(const struct archive *a, struct layout **ret, struct sewa_error *err)
{
    /* exactly as long as it is, so that reading on is noticed */
    AUTOFREE uint8_t *bytes = malloc(a->bytes.len);

    memcpy(bytes, a->bytes.data, a->bytes.len);
    return torch_parse(bytes, a->bytes.len, "f", NULL, ret, err);
}

static void assert_read(const struct archive *a, int code, const char *word)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int rc = read_checkpoint(a, &l, &err);

    if (code) {
        assert_failed(rc, err, code, word);
        return;
    }
    assert_ok(rc, err);
    assert_int_equal(l->count, 1);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTO(archive_clear) struct archive a = { .count = 0 };
    uint64_t value = (uint64_t)row->value, old = 0;

    archive_checkpoint(&a, PICKLE, sizeof PICKLE - 1);
    size_t at = place(&a, row) + row->field;
    for (size_t i = row->size; i-- > 0;)
        old = old << 8 | (uint8_t)a.bytes.data[at + i];
    if (row->value == DIRECTORY)
        value = a.central[0];
    archive_poke(&a, at, row->how == ADD ? old + value : value, row->size);
    assert_read(&a, row->code, row->word);
}

/* Both kinds of end record together, so that they agree with each other and with nothing else. */
static void test_ends_that_agree(void **state)
{
    (void)state;
    static const struct {
        size_t field64, field, size;
        int64_t value;
        int code;
        const char *word;
    } pairs[] = {
        { 32, 10, 2, 5, SEWA_E_UNSUPPORTED, "several disks" },
        { 40, 12, 4, 7, SEWA_E_CORRUPT, "does not end where the end record begins" },
        { 48, 16, 4, 7, SEWA_E_CORRUPT, "does not end where the end record begins" },
        { 16, 4, 2, 1, SEWA_E_UNSUPPORTED, "several disks" },
        { 20, 6, 2, 1, SEWA_E_UNSUPPORTED, "several disks" },
    };

    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        AUTO(archive_clear) struct archive a = { .count = 0 };
        archive_checkpoint(&a, PICKLE, sizeof PICKLE - 1);
        archive_poke(&a, a.end64 + pairs[i].field64, (uint64_t)pairs[i].value, pairs[i].size);
        archive_poke(&a, a.end + pairs[i].field, (uint64_t)pairs[i].value, pairs[i].size);
        assert_read(&a, pairs[i].code, pairs[i].word);
    }
}

static void set_members(struct archive *a, uint64_t count)
{
    archive_poke(a, a->end64 + 24, count, 8);
    archive_poke(a, a->end64 + 32, count, 8);
    archive_poke(a, a->end + 8, count > 0xffff ? 0xffff : count, 2);
    archive_poke(a, a->end + 10, count > 0xffff ? 0xffff : count, 2);
}

/* Memory is never taken for what is only announced. */
static void test_numbers_of_members(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        int code;
        const char *word;
    } counts[] = {
        { 5, SEWA_E_CORRUPT, "goes on behind its 5 members" },
        { 7, SEWA_E_CORRUPT, "ends after 6 of 7 members" },
        { 0, SEWA_E_CORRUPT, "goes on behind its 0 members" },
        { 1000000, SEWA_E_CORRUPT, "ends after 6 of 1000000 members" },
        { 1100001, SEWA_E_UNSUPPORTED, "1100001 members in a zip archive" },
        { UINT64_MAX, SEWA_E_UNSUPPORTED, "18446744073709551615 members" },
    };

    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        AUTO(archive_clear) struct archive a = { .count = 0 };
        archive_checkpoint(&a, PICKLE, sizeof PICKLE - 1);
        set_members(&a, counts[i].count);
        assert_read(&a, counts[i].code, counts[i].word);
    }
}

struct member {
    const char *name, *data;
};

/* Whole archives of other kinds, by the names of their members. */
static const struct {
    const char *name;
    struct member members[4];
    int code;
    const char *word;
} archives[] = {
    { "an empty archive", { { NULL, NULL } }, SEWA_E_UNSUPPORTED, "an empty zip archive" },
    { "no pickle", { { "a/b", "" } }, SEWA_E_UNSUPPORTED, "there is no data.pkl" },
    { "a pickle at the top", { { "data.pkl", "" } }, SEWA_E_UNSUPPORTED, "there is no data.pkl" },
    { "a pickle without a folder", { { "/data.pkl", "" } }, SEWA_E_UNSUPPORTED, "no data.pkl" },
    { "a pickle too far down", { { "a/b/data.pkl", "" } }, SEWA_E_UNSUPPORTED, "no data.pkl" },
    { "two pickles",
      { { "a/data.pkl", "" }, { "b/data.pkl", "" } },
      SEWA_E_CORRUPT,
      "has two pickles, 'a/data.pkl' and 'b/data.pkl'" },
    { "the same name twice",
      { { "a/data.pkl", "" }, { "a/data.pkl", "" } },
      SEWA_E_CORRUPT,
      "two members have the name 'a/data.pkl'" },
    { "NumPy", { { "weight.npy", "" } }, SEWA_E_UNSUPPORTED, "a NumPy archive" },
    { "Keras",
      { { "config.json", "" }, { "model.weights.h5", "" } },
      SEWA_E_UNSUPPORTED,
      "a Keras file" },
    { "Java", { { "META-INF/MANIFEST.MF", "" } }, SEWA_E_UNSUPPORTED, "a Java archive" },
    { "torch.export",
      { { "a/serialized_exported_program.json", "" } },
      SEWA_E_UNSUPPORTED,
      "an exported program" },
    { "TorchScript",
      { { "a/data.pkl", "" }, { "a/constants.pkl", "" } },
      SEWA_E_UNSUPPORTED,
      "a TorchScript program" },
    { "TorchScript's code",
      { { "a/data.pkl", "" }, { "a/code/x.py", "" } },
      SEWA_E_UNSUPPORTED,
      "a TorchScript program" },
    { "torch.package",
      { { "a/data.pkl", "" }, { "a/.data/extern_modules", "" } },
      SEWA_E_UNSUPPORTED,
      "is a package" },
    { "big-endian",
      { { "a/data.pkl", "" }, { "a/byteorder", "big" } },
      SEWA_E_UNSUPPORTED,
      "big-endian machine" },
    { "no known byte order",
      { { "a/data.pkl", "" }, { "a/byteorder", "middle" } },
      SEWA_E_CORRUPT,
      "neither little nor big" },
    { "a long byte order",
      { { "a/data.pkl", "" },
        { "a/byteorder", "little                                                            "
                         "                " } },
      SEWA_E_CORRUPT,
      "member 'byteorder' has" },
    { "a version that is no number",
      { { "a/data.pkl", "" }, { "a/version", "x" } },
      SEWA_E_CORRUPT,
      "a version that is no number" },
    { "a version of tomorrow",
      { { "a/data.pkl", "" }, { "a/version", "11\n" } },
      SEWA_E_UNSUPPORTED,
      "version 11 of PyTorch's format" },
    { "a pickle without a byte", { { "a/data.pkl", "" } }, SEWA_E_CORRUPT, "this is no pickle" },
};

static void test_archives(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(archives); i++) {
        AUTO(archive_clear) struct archive a = { .count = 0 };
        for (size_t k = 0; k < 4 && archives[i].members[k].name; k++)
            archive_add(&a, archives[i].members[k].name, archives[i].members[k].data,
                        strlen(archives[i].members[k].data));
        archive_finish(&a);
        if (a.count == 0) { /* nothing but an end record, as other programs write it */
            buf_consume(&a.bytes, a.end);
        }
        assert_read(&a, archives[i].code, archives[i].word);
    }
}

/* What follows the end record, and what precedes the first member. */
static void test_bytes_around(void **state)
{
    (void)state;
    AUTO(archive_clear) struct archive a = { .count = 0 };

    archive_checkpoint(&a, PICKLE, sizeof PICKLE - 1);
    buf_text(&a.bytes, "comment");
    assert_read(&a, SEWA_E_INCOMPLETE, "does not end with the end record");
    archive_poke(&a, a.end + 20, 7, 2);
    assert_read(&a, SEWA_E_UNSUPPORTED, "has a comment of 7 bytes");
}

/* An archive within a file is read where it is, and its offsets are those of the file. */
static void test_archive_inside(void **state)
{
    (void)state;
    AUTO(archive_clear) struct archive a = { .count = 0 };
    AUTO(buf_clear) struct buf file = { 0 };
    AUTOPTR(zip_free) struct zip *z = NULL;
    struct sewa_error err = { 0 };

    archive_checkpoint(&a, PICKLE, sizeof PICKLE - 1);
    buf_text(&file, "before");
    buf_append(&file, a.bytes.data, a.bytes.len);
    buf_text(&file, "behind");
    struct window_source source = { .name = "f", .fd = -1, .bytes = file.data, .n = file.len };
    assert_ok(zip_read(&source, 6, (int64_t)a.bytes.len, &z, &err), err);
    assert_int_equal(zip_find(z, "a/data/1")->offset, 6 + a.data[ONE]);
    assert_null(zip_find(z, "a/data/7"));
    assert_failed(zip_read(&source, 5, (int64_t)a.bytes.len, &z, &err), err, SEWA_E_INCOMPLETE, "");
}

/* The file was longer when it was opened. */
static void test_shorter_than_stat_said(void **state)
{
    (void)state;
    struct window_source source = { .name = "f", .fd = -1, .bytes = "PK\3\4", .n = 4 };
    struct zip *z = NULL;
    struct sewa_error err = { 0 };

    assert_failed(zip_read(&source, 0, 1000000, &z, &err), err, SEWA_E_INCOMPLETE, "ends at byte");
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 6];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_ends_that_agree);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_numbers_of_members);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_archives);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_bytes_around);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_archive_inside);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_shorter_than_stat_said);
    return _cmocka_run_group_tests("zip_hostile", tests, n, NULL, NULL);
}
