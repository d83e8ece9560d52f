/*
 * safetensors_header - write a header. What was written is read back by our own reader before it
 * is handed out, so the two cannot disagree and nothing leaves that others would refuse.
 */
#include "formats/safetensors.h"

#include <inttypes.h>
#include <string.h>

#include "formats/quote.h"

enum { ALIGNMENT = 8, LENGTH_BYTES = 8 };

static void put_metadata(struct buf *b, const struct layout_metadata *metadata, size_t count)
{
    if (count == 0)
        return;
    buf_text(b, "\"__metadata__\":{");
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_char(b, ',');
        quote(b, metadata[i].key);
        buf_char(b, ':');
        quote(b, metadata[i].value);
    }
    buf_char(b, '}');
}

/* Bytes of the tensor, or -1. A rank past the limit is left to the reader. */
static int64_t item_bytes(const struct safetensors_item *item)
{
    int64_t elements = 1;

    for (unsigned i = 0; i < item->rank; i++)
        if (item->shape[i] < 0 || __builtin_mul_overflow(elements, item->shape[i], &elements))
            return -1;
    return dtype_bytes(item->dtype, elements);
}

static int put_items(struct buf *b, const struct safetensors_item *items, size_t count,
                     bool is_first, int64_t *ret_end, struct sewa_error *err)
{
    int64_t begin = 0, end;

    for (size_t i = 0; i < count; i++, begin = end) {
        int64_t bytes = item_bytes(&items[i]);
        if (bytes < 0 || __builtin_add_overflow(begin, bytes, &end))
            return sewa_fail(err, SEWA_E_INVALID,
                             "tensor %zu of %zu has no size that a file could hold", i + 1, count);
        if (i || !is_first)
            buf_char(b, ',');
        quote(b, items[i].name);
        buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(items[i].dtype));
        for (unsigned k = 0; k < items[i].rank; k++)
            buf_printf(b, k ? ",%" PRId64 : "%" PRId64, items[i].shape[k]);
        buf_printf(b, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", begin, end);
    }
    *ret_end = begin;
    return 0;
}

/* The length field, and the padding that it counts. */
static void close_header(struct buf *b)
{
    while (!buf_failed(b) && b->len % ALIGNMENT)
        buf_char(b, ' ');
    if (buf_failed(b))
        return;
    uint64_t length = b->len - LENGTH_BYTES;
    for (int i = 0; i < LENGTH_BYTES; i++)
        b->data[i] = (char)(length >> 8 * i);
}

int safetensors_header(const struct safetensors_item *items, size_t count,
                       const struct layout_metadata *metadata, size_t metadata_count,
                       struct buf *ret, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOPTR(layout_free) struct layout *check = NULL;
    int64_t end = 0;

    buf_append(&b, "\0\0\0\0\0\0\0\0{", LENGTH_BYTES + 1);
    put_metadata(&b, metadata, metadata_count);
    int rc = put_items(&b, items, count, metadata_count == 0, &end, err);
    if (rc < 0)
        return rc;
    buf_char(&b, '}');
    close_header(&b);
    if (buf_failed(&b))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a header of %zu tensors", count);
    rc = safetensors_parse(b.data, b.len, "the new header", (int64_t)b.len + end, &check, err);
    if (rc == SEWA_E_NO_MEMORY)
        return rc;
    if (rc < 0)
        return sewa_fail(err, SEWA_E_INVALID, "%s", err ? err->text : "");
    buf_append(ret, b.data, b.len);
    return buf_failed(ret) ? sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a header") : 0;
}
