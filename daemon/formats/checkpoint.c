/*
 * checkpoint - the table of formats.
 */
#include "formats/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/path.h"

#include "formats/safetensors.h"

static const char *const safetensors_suffixes[] = { ".safetensors", NULL };

static const struct checkpoint_format formats[] = {
    { "safetensors", safetensors_suffixes, safetensors_read },
};

/* Names that people try, and what to tell them. */
static const struct {
    const char *suffix, *hint;
} hints[] = {
    { ".safetensors.index.json", "it is an index of safetensors files, not one of them" },
    { ".pt", "PyTorch files can be saved again with safetensors.torch.save_file" },
    { ".pth", "PyTorch files can be saved again with safetensors.torch.save_file" },
    { ".bin", "PyTorch files can be saved again with safetensors.torch.save_file" },
    { ".ckpt", "PyTorch files can be saved again with safetensors.torch.save_file" },
};

const struct checkpoint_format *checkpoint_format_at(size_t i)
{
    return i < COUNT_OF(formats) ? &formats[i] : NULL;
}

/* Length of the suffix when the name has it and something before it, else 0. */
static size_t has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), length = strlen(suffix);

    return n > length && strcmp(name + n - length, suffix) == 0 ? length : 0;
}

const struct checkpoint_format *checkpoint_format_for(const char *filename)
{
    const char *name = path_base(filename);
    const struct checkpoint_format *best = NULL;
    size_t best_length = 0;

    for (size_t i = 0; i < COUNT_OF(formats); i++)
        for (const char *const *suffix = formats[i].suffixes; *suffix; suffix++) {
            size_t length = has_suffix(name, *suffix);
            if (length > best_length) {
                best = &formats[i];
                best_length = length;
            }
        }
    return best;
}

const struct checkpoint_format *checkpoint_format_named(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

int checkpoint_unclaimed(const char *filename, struct sewa_error *err)
{
    char known[256] = "";
    size_t n = 0;
    const char *hint = NULL;

    for (size_t i = 0; i < COUNT_OF(formats); i++)
        for (const char *const *suffix = formats[i].suffixes; *suffix; suffix++)
            if (n < sizeof known)
                n +=
                    (size_t)snprintf(known + n, sizeof known - n, "%s'%s'", n ? ", " : "", *suffix);
    for (size_t i = 0; i < COUNT_OF(hints) && !hint; i++)
        if (has_suffix(path_base(filename), hints[i].suffix))
            hint = hints[i].hint;
    return sewa_fail(err, SEWA_E_UNSUPPORTED,
                     "no format is known for '%s': names of checkpoints end in %s%s%s", filename,
                     known, hint ? "; " : "", hint ? hint : "");
}

int checkpoint_read(int fd, const char *filename, int64_t bytes, struct layout **ret,
                    struct sewa_error *err)
{
    const struct checkpoint_format *format = checkpoint_format_for(filename);

    if (!format)
        return checkpoint_unclaimed(filename, err);
    return format->read(fd, filename, bytes, ret, err);
}
