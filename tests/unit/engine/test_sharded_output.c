/*
 * test_sharded_output - an average in several files has the bytes of the same average in one, our
 * own reader finds it whole by its index, and a failure anywhere leaves nothing behind. Edge case
 * "sharded input gives sharded output with an index; the index is written last".
 */
#include "place.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/path.h"
#include "formats/checkpoint.h"

enum { K = 3 };

static const double uneven[K] = { 0.5, 0.2, 0.3 };
static const struct layout_metadata metadata[] = { { "sewa.method", "uniform" } };

static int setup(void **state)
{
    return place_setup(state, K, 5);
}

static struct materialize_options options_of(const struct place *p, int64_t limit)
{
    return (struct materialize_options){ .alpha = uneven,
                                         .directory = p->directory,
                                         .max_file_bytes = limit,
                                         .metadata = metadata,
                                         .metadata_count = 1 };
}

static void empty(const struct place *p, const struct materialized *m)
{
    for (size_t i = 0; i < m->file_count; i++) {
        AUTOFREE char *path = path_join(p->directory, m->files[i].name);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(scratch_entries(p->directory), 0);
}

static void make(const struct place *p, int64_t limit, struct materialized *ret)
{
    struct materialize_options o = options_of(p, limit);
    struct sewa_error err = { 0 };

    assert_ok(materialize(&p->engine, resident_source(p->resident), &o, ret, &err), err);
    assert_int_equal(scratch_entries(p->directory), ret->file_count);
}

/* A file that is what the result says. */
static void open_file(const struct place *p, const struct materialized_file *m, struct opened *ret)
{
    uint8_t sha256[SHA256_SIZE];

    opened_init(ret, p, m->name);
    assert_int_equal(ret->bytes.len, m->bytes);
    sha256_of(ret->bytes.data, ret->bytes.len, sha256);
    assert_memory_equal(sha256, m->sha256, SHA256_SIZE);
}

static int64_t header_bytes(const struct opened *o)
{
    return o->layout->file_bytes - layout_data_bytes(o->layout);
}

/* Data of the files, one behind the other, are those of the one file. */
static void check_data(const struct place *p, const struct materialized *m,
                       const struct opened *whole)
{
    size_t at = (size_t)header_bytes(whole), tensors = 0;

    for (size_t i = 0; i + 1 < m->file_count; i++) {
        AUTO(opened_clear) struct opened part;
        open_file(p, &m->files[i], &part);
        size_t n = (size_t)layout_data_bytes(part.layout);
        assert_in_range(n, 0, whole->bytes.len - at);
        assert_memory_equal(part.bytes.data + header_bytes(&part), whole->bytes.data + at, n);
        for (size_t t = 0; t < part.layout->count; t++) {
            const struct tensor *a = &part.layout->tensors[t];
            const struct tensor *b = layout_find(whole->layout, a->name);
            assert_non_null(b);
            assert_int_equal(a->dtype, b->dtype);
            assert_int_equal(a->offset - header_bytes(&part), b->offset - (int64_t)at);
        }
        assert_string_equal(part.layout->metadata[0].key, "sewa.method");
        assert_string_equal(part.layout->metadata[1].key, "format");
        at += n;
        tensors += part.layout->count;
    }
    assert_int_equal(at, whole->bytes.len);
    assert_int_equal(tensors, whole->layout->count);
}

/* As sewad would find it in a directory of a run. */
static void check_index(const struct place *p, const struct opened *whole)
{
    AUTOCLOSE int fd = open(p->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTOPTR(layout_free) struct layout *l = NULL;
    AUTOFREE char *path = path_join(p->directory, "model.safetensors.index.json");
    AUTO(buf_clear) struct buf text = { 0 };
    struct sewa_error err = { 0 };
    char total[64];

    assert_ok(checkpoint_read_directory(fd, p->directory, NULL, &l, &err), err);
    assert_ok(layout_compare(whole->layout, "whole", l, "shards", &err), err);
    assert_ok(file_read(path, 1 << 20, &text, &err), err);
    buf_char(&text, '\0');
    snprintf(total, sizeof total, "\"total_size\": %lld\n",
             (long long)layout_data_bytes(whole->layout));
    assert_non_null(strstr(buf_cstr(&text), total));
}

static void check_limit(const struct place *p, const struct materialized *m, int64_t limit)
{
    for (size_t i = 0; i + 1 < m->file_count; i++) {
        AUTO(opened_clear) struct opened part;
        char name[64];
        open_file(p, &m->files[i], &part);
        assert_true(m->files[i].bytes <= limit || part.layout->count == 1);
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, m->file_count - 1);
        assert_string_equal(m->files[i].name, name);
    }
    assert_string_equal(m->files[m->file_count - 1].name, "model.safetensors.index.json");
}

static void test_the_bytes_of_one_file(void **state)
{
    static const int64_t limits[] = { 1, 300, 1000, 5000, 20000, 100000 };
    const struct place *p = *state;
    AUTO(materialized_clear) struct materialized one = { 0 };
    AUTO(opened_clear) struct opened whole;
    size_t before = SIZE_MAX;

    make(p, 0, &one);
    open_file(p, &one.files[0], &whole);
    empty(p, &one);
    for (size_t i = 0; i < COUNT_OF(limits) && limits[i] < one.files[0].bytes; i++) {
        AUTO(materialized_clear) struct materialized m = { 0 };
        make(p, limits[i], &m);
        assert_true(m.file_count > 2 && m.file_count <= before);
        if (i == 0)
            assert_int_equal(m.file_count, MIXED_COUNT + 1); /* smaller than every tensor */
        before = m.file_count;
        check_limit(p, &m, limits[i]);
        check_data(p, &m, &whole);
        check_index(p, &whole);
        empty(p, &m);
    }
    assert_true(before < MIXED_COUNT);
}

/* A limit that is just enough is enough, for one file and for the first of several. */
static void test_a_limit_is_used_to_the_byte(void **state)
{
    const struct place *p = *state;
    AUTO(materialized_clear) struct materialized one = { 0 }, same = { 0 }, two = { 0 };
    AUTO(materialized_clear) struct materialized again = { 0 }, less = { 0 };

    make(p, 0, &one);
    empty(p, &one);
    make(p, one.files[0].bytes, &same);
    assert_int_equal(same.file_count, 1);
    assert_string_equal(same.files[0].name, "model.safetensors");
    assert_memory_equal(same.files[0].sha256, one.files[0].sha256, SHA256_SIZE);
    empty(p, &same);
    make(p, one.files[0].bytes - 1, &two);
    assert_int_equal(two.file_count, 3);
    empty(p, &two);
    make(p, two.files[0].bytes, &again);
    assert_int_equal(again.files[0].bytes, two.files[0].bytes);
    empty(p, &again);
    make(p, two.files[0].bytes - 1, &less);
    assert_true(less.files[0].bytes < two.files[0].bytes);
    empty(p, &less);
}

static void test_threads_change_nothing(void **state)
{
    const struct place *p = *state;
    AUTO(materialized_clear) struct materialized first = { 0 };
    struct materialize_options o = options_of(p, 5000);

    make(p, 5000, &first);
    for (unsigned threads = 1; threads < 4; threads++) {
        AUTO(engine_clear) struct engine e = engine_with(threads, 0);
        AUTO(materialized_clear) struct materialized m = { 0 };
        struct sewa_error err = { 0 };
        assert_ok(materialize(&e, resident_source(p->resident), &o, &m, &err), err);
        assert_int_equal(m.file_count, first.file_count);
        for (size_t i = 0; i < m.file_count; i++)
            assert_memory_equal(m.files[i].sha256, first.files[i].sha256, SHA256_SIZE);
    }
}

/* Windows end and begin at a file: none of them may carry anything over. */
static void test_files_of_many_windows(void **state)
{
    enum { TENSOR = 3 * 1000 * 1000 };
    static const struct spec large[] = { { "a", DTYPE_F32, 1, { TENSOR + 1 } },
                                         { "b", DTYPE_U8, 1, { 5 } },
                                         { "c", DTYPE_F32, 1, { TENSOR } },
                                         { "d", DTYPE_F16, 1, { 7 } } };
    AUTO(place_clear) struct place p = { .engine = engine_with(2, 0), .directory = scratch_new() };
    AUTO(materialized_clear) struct materialized one = { 0 }, many = { 0 };
    AUTO(opened_clear) struct opened whole;

    (void)state;
    run_init(&p.run, large, 4, K, 1);
    p.resident = resident_of(&p.engine, &p.run);
    make(&p, 0, &one);
    open_file(&p, &one.files[0], &whole);
    empty(&p, &one);
    make(&p, 4 * TENSOR + 4096, &many);
    assert_int_equal(many.file_count, 3);
    check_data(&p, &many, &whole);
    check_index(&p, &whole);
}

struct watching {
    struct progress progress;
    int64_t done, total;
};

static void on_progress(struct progress *p, int64_t done, int64_t total)
{
    struct watching *w = container_of(p, struct watching, progress);

    assert_true(done >= w->done && done <= total);
    w->done = done;
    w->total = total;
}

static void test_names_mode_and_progress(void **state)
{
    const struct place *p = *state;
    AUTO(materialized_clear) struct materialized m = { 0 };
    struct watching w = { .progress.on_progress = on_progress };
    struct materialize_options o = options_of(p, 1);
    struct sewa_error err = { 0 };
    int64_t sum = 0;

    o.name = "soup.safetensors";
    o.mode = 0600;
    o.progress = &w.progress;
    assert_ok(materialize(&p->engine, resident_source(p->resident), &o, &m, &err), err);
    assert_string_equal(m.files[0].name, "soup-00001-of-00015.safetensors");
    assert_string_equal(m.files[15].name, "soup.safetensors.index.json");
    for (size_t i = 0; i < m.file_count; i++) {
        AUTOFREE char *path = path_join(p->directory, m.files[i].name);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        sum += i + 1 < m.file_count ? m.files[i].bytes : 0;
    }
    assert_int_equal(w.done, sum);
    assert_int_equal(w.total, sum);
    empty(p, &m);
}

/* ---- refusals ---- */

static void test_refusals(void **state)
{
    const struct place *p = *state;
    AUTOFREE char *ingredient = run_path(&p->run, 1);
    char name[ARRANGEMENT_NAME_MAX];
    struct materialize_options o = options_of(p, 1000);

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    o.name = name;
    check_refused(p, &o, SEWA_E_INVALID, "is 255 bytes, too long");
    o = options_of(p, 1000);
    o.keep_free_bytes = INT64_C(1) << 60;
    check_refused(p, &o, SEWA_E_NO_SPACE, "files in");
    /* found out when all shards are there: they go again */
    o = options_of(p, 1000);
    assert_int_equal(utimensat(AT_FDCWD, ingredient, NULL, 0), 0);
    check_refused(p, &o, SEWA_E_CHANGED, "ckpt_1");
}

#ifdef SEWA_FAILPOINTS
/* The n-th call of each kind fails, until there are no more. */
static void fail_each(const struct place *p, const char *point, size_t least)
{
    struct materialize_options o = options_of(p, 2000);
    char text[80];

    for (size_t n = 1;; n++) {
        AUTO(materialized_clear) struct materialized m = { 0 };
        struct sewa_error err = { 0 };
        snprintf(text, sizeof text, "%s=errno:EIO@%zu", point, n);
        failpoint_set(text);
        int rc = materialize(&p->engine, resident_source(p->resident), &o, &m, &err);
        failpoint_set(NULL);
        if (rc == 0) {
            assert_true(n > least && n > m.file_count);
            empty(p, &m);
            return;
        }
        assert_int_equal(rc, SEWA_E_IO);
        assert_int_equal(scratch_entries(p->directory), 0);
    }
}
#endif

static void test_failures_in_the_middle(void **state)
{
#ifdef SEWA_FAILPOINTS
    static const char *const points[] = { "fdio_write", "outfile_create", "outfile_sync",
                                          "outfile_rename", "outfile_sync_directory" };
    const struct place *p = *state;

    for (size_t i = 0; i < COUNT_OF(points); i++)
        fail_each(p, points[i], 3);
#else
    (void)state;
    skip_because("built without -DSEWA_FAILPOINTS=ON");
#endif
}

static void test_the_index_is_the_last(void **state)
{
#ifdef SEWA_FAILPOINTS
    const struct place *p = *state;
    AUTO(materialized_clear) struct materialized m = { 0 };
    struct materialize_options o = options_of(p, 2000);
    char text[80];

    make(p, 2000, &m);
    empty(p, &m);
    snprintf(text, sizeof text, "outfile_create=errno:EIO@%zu", m.file_count);
    failpoint_set(text);
    check_refused(p, &o, SEWA_E_IO, "model.safetensors.index.json");
    failpoint_set(NULL);
#else
    (void)state;
    skip_because("built without -DSEWA_FAILPOINTS=ON");
#endif
}

static void test_no_memory(void **state)
{
    const struct place *p = *state;
    struct materialize_options o = options_of(p, 5000);

    check_no_memory(p, &o, 50);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_bytes_of_one_file, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_a_limit_is_used_to_the_byte, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_threads_change_nothing, setup, place_teardown),
        cmocka_unit_test(test_files_of_many_windows),
        cmocka_unit_test_setup_teardown(test_names_mode_and_progress, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_failures_in_the_middle, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_the_index_is_the_last, setup, place_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
