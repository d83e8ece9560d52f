/*
 * test_gather - views of a file against the definition, element by element, for every size of
 * element and every order of axes; reads that fail name file and offset.
 */
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/failpoint.h"
#include "base/path.h"
#include "engine/gather.h"
#include "support/alloc.h"

enum { FILE_BYTES = 8 << 20 };

struct fixture {
    char *directory;
    unsigned char *bytes; /* of the file */
    struct candidate candidate;
    int fd;
    struct shard shard;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->directory = scratch_new();
    f->bytes = malloc(FILE_BYTES);
    assert_non_null(f->bytes);
    for (size_t i = 0; i < FILE_BYTES; i++)
        f->bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    scratch_write(f->directory, "model.pt", f->bytes, FILE_BYTES);
    f->candidate = (struct candidate){
        .id = "ckpt_v", .directory = f->directory, .file = "model.pt", .bytes = FILE_BYTES
    };
    AUTOFREE char *path = path_join(f->directory, "model.pt");
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    f->shard = (struct shard){ .fd = f->fd, .bytes = FILE_BYTES };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close(f->fd);
    free(f->bytes);
    scratch_free(f->directory);
    free(f);
    return 0;
}

struct row {
    uint8_t rank;
    int64_t offset; /* of the first element */
    int64_t shape[LAYOUT_RANK_MAX], stride[LAYOUT_RANK_MAX];
};

static const struct row rows[] = {
    { 1, 64, { 1 }, { 1 } },
    { 1, 64, { 7 }, { 3 } },                  /* a column */
    { 1, 3, { 5 }, { 0 } },                   /* one element, expanded */
    { 2, 8, { 12, 5 }, { 1, 12 } },           /* transposed */
    { 2, 16, { 3, 4 }, { 40, 2 } },           /* a block of a larger one */
    { 2, 24, { 4, 3 }, { 0, 1 } },            /* a row, expanded */
    { 2, 24, { 4, 3 }, { 1, 0 } },            /* a column, expanded */
    { 3, 1000, { 4, 5, 3 }, { 1, 4, 20 } },   /* all axes reversed */
    { 3, 1000, { 4, 5, 3 }, { 3, 12, 1 } },   /* two axes exchanged */
    { 2, 500, { 3, 2 }, { 1, 1 } },           /* axes that overlap */
    { 2, 500, { 5, 4 }, { 2, 3 } },           /* and step back */
    { 4, 0, { 2, 1, 3, 2 }, { 6, 0, 1, 3 } }, /* an axis of length 1 */
    { 2, 128, { 700, 1100 }, { 1, 700 } },    /* several windows */
    { 2, 4, { 3, 2 }, { 300000, 1 } },        /* far apart */
    { 16,
      0,
      { 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 3 },
      { 9, 9, 9, 9, 9, 9, 9, 1, 9, 9, 9, 9, 9, 9, 9, 2 } },
};

static struct view view_of(const struct row *r, size_t size, size_t *ret_elements)
{
    struct view v = { r->offset, (int64_t)size, size, r->rank, r->shape, r->stride };

    *ret_elements = 1;
    for (size_t d = 0; d < r->rank; d++) {
        *ret_elements *= (size_t)r->shape[d];
        v.span_bytes += (r->shape[d] - 1) * r->stride[d] * (int64_t)size;
    }
    return v;
}

static const unsigned char *element_at(const struct fixture *f, const struct view *v, size_t e)
{
    int64_t at = 0;

    for (size_t d = v->rank; d-- > 0; e /= (size_t)v->shape[d])
        at += (int64_t)(e % (size_t)v->shape[d]) * v->stride[d];
    return f->bytes + v->offset + at * (int64_t)v->element_bytes;
}

static void test_views(void **state)
{
    static const size_t sizes[] = { 1, 2, 4, 8 };
    const struct fixture *f = *state;
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(rows) * COUNT_OF(sizes); i++) {
        size_t n, size = sizes[i % COUNT_OF(sizes)];
        struct view v = view_of(&rows[i / COUNT_OF(sizes)], size, &n);
        AUTOFREE unsigned char *out = malloc(n * size + 1);
        assert_non_null(out);
        out[n * size] = 0x5a;
        assert_true(v.offset + v.span_bytes <= FILE_BYTES);
        assert_ok(gather(&f->shard, &f->candidate, &v, out, NULL, &err), err);
        for (size_t e = 0; e < n; e++)
            if (memcmp(out + e * size, element_at(f, &v, e), size) != 0)
                fail_msg("row %zu, %zu bytes, element %zu", i / COUNT_OF(sizes), size, e);
        assert_int_equal(out[n * size], 0x5a);
    }
}

static void test_failures(void **state)
{
    static const struct row large = { 2, 128, { 700, 1100 }, { 1, 700 } };
    static unsigned char out[700 * 1100 * 8];
    const struct fixture *f = *state;
    atomic_bool cancel = true;
    struct sewa_error err = { 0 };
    size_t n;
    struct view v = view_of(&large, 8, &n);

    assert_failed(gather(&f->shard, &f->candidate, &v, out, &cancel, &err), err, SEWA_E_CANCELLED,
                  "");
#ifdef SEWA_FAILPOINTS
    failpoint_set("gather_read=errno:EIO@2");
    assert_failed(gather(&f->shard, &f->candidate, &v, out, NULL, &err), err, SEWA_E_IO,
                  "'ckpt_v'");
    failpoint_set(NULL);
    assert_non_null(strstr(err.text, "at offset 1048704"));
#endif
    AUTOFREE char *path = path_join(f->directory, "model.pt");
    assert_int_equal(truncate(path, 2000000), 0);
    assert_failed(gather(&f->shard, &f->candidate, &v, out, NULL, &err), err, SEWA_E_CHANGED,
                  "ends at offset 2000000");
    alloc_fail_at(0);
    int rc = gather(&f->shard, &f->candidate, &v, out, NULL, &err);
    assert_true(alloc_fired());
    assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_views, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
