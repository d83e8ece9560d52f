/*
 * made_file - write small safetensors files.
 */
#include "made_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/path.h"
#include "base/rng.h"
#include "formats/safetensors.h"

char *made_file(const char *directory, const char *name, const struct made_tensor *tensors)
{
    struct safetensors_item items[16] = { 0 };
    AUTO(buf_clear) struct buf bytes = { 0 };
    struct sewa_error err = { 0 };
    size_t count = 0;

    for (; tensors[count].name; count++)
        items[count] = (struct safetensors_item){ .name = tensors[count].name,
                                                  .dtype = tensors[count].dtype,
                                                  .rank = tensors[count].rank,
                                                  .shape = tensors[count].shape };
    assert_ok(safetensors_header(items, count, NULL, 0, &bytes, &err), err);
    for (size_t i = 0; i < count; i++) {
        int64_t n = 1;
        for (uint8_t r = 0; r < tensors[i].rank; r++)
            n *= tensors[i].shape[r];
        size_t size = (size_t)dtype_bytes(tensors[i].dtype, n);
        AUTOFREE void *zeros = calloc(1, size + 1);
        buf_append(&bytes, tensors[i].values ? tensors[i].values : zeros, size);
    }
    scratch_write(directory, name, bytes.data, bytes.len);
    return path_join(directory, name);
}

double made_number(uint32_t stream, uint32_t i)
{
    return 2 * rng_uniform(4711, i, 0, 0, stream) - 1;
}
