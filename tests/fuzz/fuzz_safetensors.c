/*
 * fuzz_safetensors - the input is a file. It is read with a wide and with the narrowest window,
 * which must not matter; what is accepted must be a layout that survives everything that is done
 * with one, and a header that is written from it must be read as the same tensors.
 *
 * Small inputs cannot hold large tensors. So a header is also tried with the file size that it
 * asks for itself, which the message about a file that is too long gives away.
 */
#include "check_layout.h"

#include <inttypes.h>

#include "formats/safetensors.h"
#include "formats/window.h"

static int parse(const uint8_t *data, size_t size, size_t window, int64_t file_bytes,
                 struct layout **ret, struct sewa_error *err)
{
    struct window_source source = { .name = "f", .fd = -1, .bytes = data, .n = size };

    return safetensors_read_from(&source, window, file_bytes, ret, err);
}

/* Tensors of a safetensors file lie one behind the other up to its end. */
static void check_places(const struct layout *l, int64_t file_bytes)
{
    int64_t at = file_bytes - layout_data_bytes(l);

    MUST(l->file_bytes == file_bytes && at >= 10);
    for (size_t i = 0; i < l->count; i++) {
        MUST(l->tensors[i].file == 0 && l->tensors[i].offset == at);
        at += l->tensors[i].bytes;
    }
    MUST(at == file_bytes);
}

static void check_writer(const struct layout *l)
{
    AUTO(buf_clear) struct buf header = { 0 };
    AUTOPTR(layout_free) struct layout *back = NULL;
    AUTOFREE struct safetensors_item *items = calloc(l->count + 1, sizeof *items);
    uint8_t before[32], after[32];

    MUST(items != NULL);
    for (size_t i = 0; i < l->count; i++)
        items[i] = (struct safetensors_item){ l->tensors[i].name, l->tensors[i].dtype,
                                              l->tensors[i].rank, l->tensors[i].shape };
    struct sewa_error err = { 0 };
    int rc = safetensors_header(items, l->count, l->metadata, l->metadata_count, &header, &err);
    MUST(rc == 0);
    MUST(header.len % 8 == 0);
    MUST(safetensors_parse(header.data, header.len, "f", (int64_t)header.len + layout_data_bytes(l),
                           &back, &err) == 0);
    MUST(layout_signature(l, before, NULL) == 0 && layout_signature(back, after, NULL) == 0);
    MUST(memcmp(before, after, sizeof before) == 0);
    MUST(back->metadata_count == l->metadata_count);
    for (size_t i = 0; i < l->metadata_count; i++)
        MUST(strcmp(back->metadata[i].key, l->metadata[i].key) == 0 &&
             strcmp(back->metadata[i].value, l->metadata[i].value) == 0);
}

static int run(const uint8_t *data, size_t size, int64_t file_bytes, struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL, *narrow = NULL;
    struct sewa_error err_narrow = { 0 };
    int rc = parse(data, size, WINDOW_BYTES, file_bytes, &l, err);

    MUST(parse(data, size, WINDOW_BYTES_MIN, file_bytes, &narrow, &err_narrow) == rc);
    MUST(strcmp(err->text, err_narrow.text) == 0);
    MUST((rc == 0) == (l != NULL) && rc == err->code);
    if (rc < 0) {
        MUST(rc == SEWA_E_CORRUPT || rc == SEWA_E_INCOMPLETE || rc == SEWA_E_UNSUPPORTED);
        MUST(err->text[0]);
        return rc;
    }
    check_same(l, narrow);
    MUST(memcmp(l->header_digest, narrow->header_digest, sizeof l->header_digest) == 0);
    check_places(l, file_bytes);
    check_layout(l);
    check_writer(l);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sewa_error err = { 0 };
    int64_t end;
    int read = 0;

    if (run(data, size, (int64_t)size, &err) == 0)
        return 0;
    memset(&err, 0, sizeof err);
    if (run(data, size, INT64_MAX, &err) == SEWA_E_CORRUPT &&
        sscanf(err.text, "'f', offset %" SCNd64 ": the last tensor ends here%n", &end, &read) ==
            1 &&
        read > 0) {
        memset(&err, 0, sizeof err);
        MUST(run(data, size, end, &err) == 0);
    }
    return 0;
}

#ifdef SEWA_FUZZING
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static uint64_t get_length(const uint8_t *data)
{
    uint64_t n = 0;

    for (int i = 7; i >= 0; i--)
        n = n << 8 | data[i];
    return n;
}

/* Mutate, and mostly let the length field follow: otherwise nearly all inputs die there. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint64_t tail = 0;

    if (size >= 8 && get_length(data) <= size - 8)
        tail = size - 8 - get_length(data);
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < 8 + tail || seed % 8 == 0)
        return size;
    for (int i = 0; i < 8; i++)
        data[i] = (uint8_t)((size - 8 - tail) >> 8 * i);
    return size;
}
#endif
