/*
 * fuzz_index - the input is the index of a sharded checkpoint. What is accepted is
 * in order, and each of its names is found.
 */
#include "fuzz.h"

#include <string.h>

#include "base/path.h"
#include "formats/layout.h"
#include "formats/shard_index.h"

static void check(const struct shard_index *x)
{
    MUST(x->count > 0 && x->file_count > 0 && x->file_count <= x->count);
    for (size_t i = 0; i < x->count; i++) {
        const struct shard_index_entry *e = &x->entries[i];
        MUST(e->file < x->file_count && strlen(e->name) <= LAYOUT_NAME_MAX);
        MUST(shard_index_find(x, e->name) == e);
        MUST(i == 0 || strcmp(x->entries[i - 1].name, e->name) < 0);
    }
    for (size_t i = 0; i < x->file_count; i++) {
        MUST(path_is_name(x->files[i]) && x->files[i][0] != '.');
        MUST(i == 0 || strcmp(x->files[i - 1], x->files[i]) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct window_source source = { .name = "f", .fd = -1, .bytes = data, .n = size };
    AUTOPTR(shard_index_free) struct shard_index *x = NULL;
    struct sewa_error err = { 0 };
    int rc = shard_index_read(&source, (int64_t)size, &x, &err);

    MUST((rc == 0) == (x != NULL) && rc == err.code);
    if (rc == 0)
        check(x);
    else
        MUST((rc == SEWA_E_CORRUPT || rc == SEWA_E_INCOMPLETE || rc == SEWA_E_UNSUPPORTED) &&
             err.text[0]);
    return 0;
}
