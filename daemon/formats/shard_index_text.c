/*
 * shard_index_text - write an index. As with a header, what was written is read back by our own
 * reader before it is handed out.
 */
#include "formats/shard_index.h"

#include <inttypes.h>

#include "formats/quote.h"

/* One tensor a line, as Hugging Face's libraries do it: people look into this file. */
static void put_text(struct buf *b, const struct shard_index_entry *entries, size_t count,
                     const char *const files[], int64_t total_size)
{
    buf_printf(b, "{\n  \"metadata\": {\n    \"total_size\": %" PRId64 "\n  },\n", total_size);
    buf_text(b, "  \"weight_map\": {");
    for (size_t i = 0; i < count; i++) {
        buf_text(b, i ? ",\n    " : "\n    ");
        quote(b, entries[i].name);
        buf_text(b, ": ");
        quote(b, files[entries[i].file]);
    }
    buf_text(b, "\n  }\n}\n");
}

int shard_index_text(const struct shard_index_entry *entries, size_t count,
                     const char *const files[], int64_t total_size, struct buf *ret,
                     struct sewa_error *err)
{
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOPTR(shard_index_free) struct shard_index *check = NULL;

    put_text(&b, entries, count, files, total_size);
    if (buf_failed(&b))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for an index of %zu tensors", count);
    struct window_source source = { .name = "the new index", .bytes = b.data, .n = b.len };
    int rc = shard_index_read(&source, (int64_t)b.len, &check, err);
    if (rc == SEWA_E_NO_MEMORY)
        return rc;
    if (rc < 0)
        return sewa_fail(err, SEWA_E_INVALID, "%s", err ? err->text : "");
    buf_append(ret, b.data, b.len);
    return buf_failed(ret) ? sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for an index") : 0;
}
