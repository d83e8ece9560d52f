/*
 * layout - finding, summing and signing the tensors of a checkpoint.
 * Pure but for memory. Thread: any, as long as nobody frees.
 */
#include "formats/layout.h"

#include <string.h>

#include "base/digest.h"

#include "formats/layout_body.h"

void layout_free(struct layout *l)
{
    if (!l)
        return;
    struct layout_body *body = container_of(l, struct layout_body, layout);
    free(l->tensors);
    free(l->metadata);
    free(l->files);
    free(l->storages);
    free(body->by_name);
    arena_clear(&body->arena);
    free(body);
}

const struct tensor *layout_find(const struct layout *l, const char *name)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct tensor *t = &l->tensors[l->by_name[middle]];
        int order = strcmp(name, t->name);
        if (order == 0)
            return t;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Numbers are written little-endian and texts with their length, so no two tables look alike. */
static size_t put_u64(uint8_t *at, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(x >> 8 * i);
    return 8;
}

static size_t put_text(uint8_t *at, const char *text)
{
    size_t n = strlen(text);

    put_u64(at, n);
    memcpy(at + 8, text, n);
    return 8 + n;
}

static void sign_tensor(struct sha256 *digest, const struct tensor *t)
{
    enum { DTYPE_NAME_MAX = 32 };
    uint8_t record[8 + LAYOUT_NAME_MAX + 8 + DTYPE_NAME_MAX + 8 + 8 * LAYOUT_RANK_MAX];
    size_t n = 0;

    n += put_text(record + n, t->name);
    n += put_text(record + n, dtype_name(t->dtype));
    n += put_u64(record + n, t->rank);
    for (unsigned i = 0; i < t->rank; i++)
        n += put_u64(record + n, (uint64_t)t->shape[i]);
    sha256_update(digest, record, n);
}

int layout_signature(const struct layout *l, uint8_t ret[32], struct sewa_error *err)
{
    static const char domain[] = "sewa layout 1\n"; /* no other digest of ours is one of these */
    AUTOPTR(sha256_free) struct sha256 *digest = sha256_new();

    if (!digest)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to sign a layout");
    sha256_update(digest, domain, sizeof domain - 1);
    for (size_t i = 0; i < l->count; i++)
        sign_tensor(digest, &l->tensors[l->by_name[i]]);
    sha256_final(digest, ret);
    return 0;
}

int64_t layout_data_bytes(const struct layout *l)
{
    int64_t sum = 0; /* the builder has refused a sum past int64 */

    for (size_t i = 0; i < l->count; i++)
        sum += l->tensors[i].bytes;
    return sum;
}

int64_t layout_float_elements(const struct layout *l)
{
    int64_t sum = 0;

    for (size_t i = 0; i < l->count; i++)
        if (dtype_kind(l->tensors[i].dtype) == DTYPE_FLOAT)
            sum += l->tensors[i].elements;
    return sum;
}
