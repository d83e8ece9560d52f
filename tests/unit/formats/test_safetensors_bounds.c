/*
 * test_safetensors_bounds - headers of 99 MB that were made to hurt. What is asserted is the memory
 * that the parser takes, counted in tests/support/alloc.c, and that each ends with the right code.
 * (Time is not asserted; that a test of a thousand million steps ends at all says something.)
 */
#include "support/support.h"
#include "support/alloc.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "formats/safetensors.h"

#include "header_text.h"

enum { HEADER = 99 * 1000 * 1000, MIB = 1 << 20 };

struct row {
    const char *name;
    void (*make)(struct buf *text, int64_t *ret_data);
    int code;
    const char *word;
    int64_t most; /* bytes held at once */
};

/* Repeat until the header is full but for what closes it. */
static void fill(struct buf *b, const char *piece)
{
    size_t n = strlen(piece);
    char block[4096];
    size_t in_block = 0;

    while (in_block + n <= sizeof block) {
        memcpy(block + in_block, piece, n);
        in_block += n;
    }
    while (b->len + in_block + 200 < HEADER)
        buf_append(b, block, in_block);
}

static void make_name(struct buf *b, int64_t *data)
{
    buf_text(b, "{\"");
    fill(b, "name");
    buf_text(b, "\":" TENSOR("U8", "[0]", "[0,0]") "}");
    *data = 0;
}

static void make_value(struct buf *b, int64_t *data)
{
    buf_text(b, "{" METADATA("{\"key\":\""));
    fill(b, "plain ASCII text");
    buf_text(b, "\"}}");
    *data = 0;
}

static void make_value_of_escapes(struct buf *b, int64_t *data)
{
    buf_text(b, "{" METADATA("{\"key\":\""));
    fill(b, "\\n\\u20ac\xe2\x82\xac\\ud83d\\ude00");
    buf_text(b, "\"}}");
    *data = 0;
}

static void make_key(struct buf *b, int64_t *data)
{
    buf_text(b, "{" METADATA("{\""));
    fill(b, "key");
    buf_text(b, "\":\"value\"}}");
    *data = 0;
}

/* Names that share all but their end, scattered; @rank as far as the header goes. */
static void make_tensors(struct buf *b, int64_t *data, const char *prefix, const char *shape,
                         uint32_t count, uint32_t step)
{
    uint32_t i = 0;

    buf_char(b, '{');
    for (; i < count && b->len + 1000 < HEADER; i++)
        buf_printf(b, "%s\"%s%x\":{\"dtype\":\"U8\",\"shape\":%s,\"data_offsets\":[%u,%u]}",
                   i ? "," : "", prefix, (i + 1) * step, shape, i, i + 1);
    buf_char(b, '}');
    *data = i;
}

static void make_many_tensors(struct buf *b, int64_t *data)
{
    make_tensors(b, data, "", "[]", LAYOUT_TENSORS_MAX, 2654435761u);
}

static void make_many_dimensions(struct buf *b, int64_t *data)
{
    make_tensors(b, data, "", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", LAYOUT_TENSORS_MAX, 2654435761u);
}

static void make_long_prefixes(struct buf *b, int64_t *data)
{
    char prefix[1001] = { 0 };

    memset(prefix, 'p', sizeof prefix - 1);
    make_tensors(b, data, prefix, "[]", LAYOUT_TENSORS_MAX, 2654435761u);
}

/* The same, but for one: now they have nothing in common, and every comparison goes to the end. */
static void make_long_prefixes_but_one(struct buf *b, int64_t *data)
{
    make_long_prefixes(b, data);
    b->len--;
    buf_text(b, ",\"q\":" TENSOR("U8", "[0]", "[0,0]") "}");
}

static void make_too_many_tensors(struct buf *b, int64_t *data)
{
    make_tensors(b, data, "", "[]", LAYOUT_TENSORS_MAX + 1, 1);
}

static void make_one_name(struct buf *b, int64_t *data)
{
    make_tensors(b, data, "w", "[]", LAYOUT_TENSORS_MAX, 0);
}

static void make_many_keys(struct buf *b, int64_t *data)
{
    buf_text(b, "{" METADATA("{\"key\":\"value\""));
    for (uint32_t i = 1; i < LAYOUT_METADATA_MAX; i++)
        buf_printf(b, ",\"%x\":\"%u\"", i * 2654435761u, i);
    buf_text(b, "}}");
    *data = 0;
}

static void make_too_many_keys(struct buf *b, int64_t *data)
{
    buf_text(b, "{" METADATA("{\"key\":\"value\""));
    fill(b, ",\"\":\"\"");
    buf_text(b, "}}");
    *data = 0;
}

static void make_nesting(struct buf *b, int64_t *data)
{
    buf_text(b, "{\"a\":{\"z\":");
    fill(b, "[{\"\":");
    *data = 0;
}

static void make_flat_array(struct buf *b, int64_t *data)
{
    buf_text(b, "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"z\":[0");
    fill(b, ",0,{\"a\":\"\\n\"}");
    buf_text(b, "]}}");
    *data = 0;
}

static void make_number(struct buf *b, int64_t *data)
{
    buf_text(b, "{\"a\":{\"shape\":[");
    fill(b, "9");
    *data = 0;
}

static void make_skipped_number(struct buf *b, int64_t *data)
{
    buf_text(b, "{\"a\":{\"z\":0.");
    fill(b, "0");
    *data = 0;
}

static void make_shape(struct buf *b, int64_t *data)
{
    buf_text(b, "{\"a\":{\"shape\":[1");
    fill(b, ",1");
    *data = 0;
}

static void make_fields(struct buf *b, int64_t *data)
{
    buf_text(b, "{\"a\":{\"dtype\":\"U8\"");
    for (uint32_t i = 0; b->len + 100 < HEADER; i++)
        buf_printf(b, ",\"%x\":0", i);
    *data = 0;
}

static void make_space(struct buf *b, int64_t *data)
{
    buf_char(b, '{');
    fill(b, " \t\r\n");
    buf_char(b, '}');
    fill(b, " ");
    *data = 0;
}

static void make_zeros(struct buf *b, int64_t *data)
{
    void *zeros = buf_reserve(b, HEADER);

    buf_text(b, "{\"");
    memset((char *)zeros + 2, 0, HEADER - 2);
    buf_advance(b, HEADER - 2);
    *data = 0;
}

static const struct row rows[] = {
    { "one name", make_name, SEWA_E_UNSUPPORTED, "more than 1024 bytes", MIB },
    { "one metadata value", make_value, 0, NULL, 5LL * HEADER / 2 },
    { "one metadata value of escapes", make_value_of_escapes, 0, NULL, 5LL * HEADER / 2 },
    { "one metadata key", make_key, 0, NULL, 5LL * HEADER / 2 },
    { "a million tensors", make_many_tensors, 0, NULL, 3LL * HEADER / 2 },
    { "tensors of 16 dimensions", make_many_dimensions, 0, NULL, 3LL * HEADER },
    { "names that share 1,000 bytes", make_long_prefixes, 0, NULL, 3LL * HEADER / 2 },
    { "names that share 1,000 bytes, but for one", make_long_prefixes_but_one, 0, NULL,
      3LL * HEADER / 2 },
    { "a million tensors and one", make_too_many_tensors, SEWA_E_UNSUPPORTED,
      "more than 1000000 tensors", 3LL * HEADER / 2 },
    { "a million tensors of one name", make_one_name, SEWA_E_CORRUPT,
      "two tensors have the name 'w0'", 3LL * HEADER / 2 },
    { "a million metadata keys", make_many_keys, 0, NULL, HEADER },
    { "too many metadata keys", make_too_many_keys, SEWA_E_UNSUPPORTED,
      "more than 1000000 metadata keys", HEADER },
    { "nesting", make_nesting, SEWA_E_CORRUPT, "nested deeper than 127", MIB },
    { "a flat array", make_flat_array, 0, NULL, MIB },
    { "one number", make_number, SEWA_E_CORRUPT, "a number larger than", MIB },
    { "one skipped number", make_skipped_number, SEWA_E_UNSUPPORTED, "more than 63 characters",
      MIB },
    { "one shape", make_shape, SEWA_E_UNSUPPORTED, "more than 16 dimensions", MIB },
    { "unknown fields", make_fields, SEWA_E_UNSUPPORTED, "more than 16 unknown fields", MIB },
    { "white space", make_space, 0, NULL, MIB },
    { "zeros", make_zeros, SEWA_E_INCOMPLETE, "zero from offset 10 on", MIB },
};

/* In a file, so that the bytes of the header themselves are not among those counted. */
static int64_t make_file(const struct row *row, int fd)
{
    AUTO(buf_clear) struct buf text = { 0 }, file = { 0 };
    int64_t data = 0;

    row->make(&text, &data);
    assert_false(buf_failed(&text));
    assert_true(text.len <= SAFETENSORS_HEADER_MAX);
    put_header(&file, "", 0);
    for (unsigned i = 0; i < 8; i++)
        file.data[i] = (char)((uint64_t)text.len >> 8 * i);
    assert_int_equal(pwrite(fd, file.data, 8, 0), 8);
    for (size_t done = 0; done < text.len;) {
        ssize_t n = pwrite(fd, text.data + done, text.len - done, (off_t)(8 + done));
        assert_true(n > 0);
        done += (size_t)n;
    }
    return 8 + (int64_t)text.len + data;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTOCLOSE int fd = memfd_create("header", 0);
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int64_t file_bytes = make_file(row, fd), before = alloc_held();

    alloc_peak_reset();
    int rc = safetensors_read(fd, "f", file_bytes, &l, &err);
    if (row->code)
        assert_failed(rc, err, row->code, row->word);
    else
        assert_ok(rc, err);
    if (alloc_peak() - before > row->most)
        print_error("%s: %lld bytes, allowed are %lld\n", row->name,
                    (long long)(alloc_peak() - before), (long long)row->most);
    assert_true(alloc_peak() - before <= row->most);
    layout_free(TAKE(l));
    assert_int_equal(alloc_held(), before);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows)];

    for (size_t n = 0; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    return _cmocka_run_group_tests("safetensors_bounds", tests, COUNT_OF(rows), NULL, NULL);
}
