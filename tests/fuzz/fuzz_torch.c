/*
 * fuzz_torch - the input is a checkpoint; and then it is the pickle of one, in an archive that is
 * sound and has a few storages, which is where the numbers of a pickle can do harm. Every tensor
 * that is accepted lies within one storage, whatever its offset and strides are.
 */
#include "check_layout.h"

#include "formats/torch.h"

#include "../unit/formats/archive.h"

static void check_storage(const struct layout *l, const struct tensor *t)
{
    for (size_t i = 0; i < l->storage_count; i++) {
        const struct layout_storage *s = &l->storages[i];
        if (t->offset >= s->offset && t->span_bytes <= s->offset + s->bytes - t->offset)
            return;
    }
    MUST(!"a tensor lies outside of all storages");
}

static void read_one(const uint8_t *data, size_t size, const char *key)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    struct checkpoint_options options = { .state_key = key };
    int rc = torch_parse(data, size, "f", &options, &l, &err);

    MUST((rc == 0) == (l != NULL) && rc == err.code);
    if (rc < 0) {
        MUST((rc == SEWA_E_CORRUPT || rc == SEWA_E_INCOMPLETE || rc == SEWA_E_UNSUPPORTED) &&
             err.text[0]);
        return;
    }
    MUST(l->count > 0 && l->file_bytes == (int64_t)size);
    for (size_t i = 0; i < l->count; i++)
        check_storage(l, &l->tensors[i]);
    check_layout(l);
    rc = layout_strip_prefixes(&l, &err);
    MUST(rc == 0 || rc == SEWA_E_CORRUPT);
    if (rc == 0)
        check_layout(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(archive_clear) struct archive a = { .count = 0 };

    read_one(data, size, NULL);
    archive_checkpoint(&a, data, size);
    read_one((const uint8_t *)a.bytes.data, a.bytes.len, NULL);
    read_one((const uint8_t *)a.bytes.data, a.bytes.len, "model.a");
    return 0;
}
