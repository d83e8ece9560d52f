/*
 * checkpoint - the table of formats.
 */
#include "formats/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/path.h"

#include "formats/directory.h"
#include "formats/safetensors.h"
#include "formats/shown.h"
#include "formats/torch.h"
#include "formats/trainer_state.h"

static int read_safetensors(int fd, const char *name, int64_t bytes,
                            const struct checkpoint_options *options, struct layout **ret,
                            struct sewa_error *err)
{
    (void)options;
    return safetensors_read(fd, name, bytes, ret, err);
}

static const char *const safetensors_suffixes[] = { ".safetensors", NULL };
static const char *const torch_suffixes[] = { ".pt", ".pth", ".pth.tar", ".ckpt", ".bin", NULL };

static const struct checkpoint_format formats[] = {
    { "safetensors", safetensors_suffixes, read_safetensors },
    { "torch", torch_suffixes, torch_read },
};

/* Names that people try, and what to tell them. */
static const struct {
    const char *suffix, *hint;
} hints[] = {
    { ".index.json", "it is the index of a checkpoint of several files, which is a directory" },
    { ".gguf", "GGUF files are made for inference: average before converting" },
    { ".onnx", "ONNX files are made for inference: average before converting" },
    { ".npz", "save the weights with safetensors.numpy.save_file" },
    { ".npy", "save the weights with safetensors.numpy.save_file" },
    { ".h5", "save the weights with safetensors" },
    { ".keras", "save the weights with safetensors" },
    { ".msgpack", "save the weights with safetensors.flax.save_file" },
    { ".ckpt.index", "TensorFlow checkpoints are not read: save the weights with safetensors" },
    { ".ckpt.meta", "TensorFlow checkpoints are not read: save the weights with safetensors" },
    { ".data-00000-of-00001",
      "TensorFlow checkpoints are not read: save the weights with safetensors" },
    { ".pb", "TensorFlow models are not read: save the weights with safetensors" },
    { ".tar", "it is an archive: what is in it can be read" },
    { ".pt2", "exported programs are not read: save model.state_dict()" },
    { ".distcp", "it is a part of a distributed checkpoint, which is a directory" },
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

bool checkpoint_is_companion(const char *filename)
{
    static const char *const beginnings[] = { "optimizer",     "scheduler", "rng_state",
                                              "random_states", "scaler",    "training_args",
                                              "lr_scheduler",  "sampler",   "custom_checkpoint" };
    const char *name = path_base(filename);

    for (size_t i = 0; i < COUNT_OF(beginnings); i++) {
        size_t n = strlen(beginnings[i]);
        if (strncmp(name, beginnings[i], n) == 0 && (name[n] == '.' || name[n] == '_'))
            return true;
    }
    return false;
}

const struct checkpoint_format *checkpoint_format_for(const char *filename)
{
    const char *name = path_base(filename);
    const struct checkpoint_format *best = NULL;
    size_t best_length = 0;

    if (checkpoint_is_companion(name))
        return NULL;
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
    if (checkpoint_is_companion(filename))
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "'%s' has the name of what trainers write beside the weights", filename);
    return sewa_fail(err, SEWA_E_UNSUPPORTED,
                     "no format is known for '%s': names of checkpoints end in %s%s%s", filename,
                     known, hint ? "; " : "", hint ? hint : "");
}

int checkpoint_clean(struct layout **l, const struct checkpoint_options *options,
                     struct sewa_error *err)
{
    int rc = trainer_state_leave(l, err);

    return rc == 0 && (!options || !options->keeps_prefixes) ? layout_strip_prefixes(l, err) : rc;
}

int checkpoint_read_file(int fd, const char *filename, int64_t bytes,
                         const struct checkpoint_options *options, struct layout **ret,
                         struct sewa_error *err)
{
    const struct checkpoint_format *format = checkpoint_format_for(filename);
    AUTOPTR(layout_free) struct layout *l = NULL;

    if (!format)
        return checkpoint_unclaimed(filename, err);
    int rc = format->read(fd, filename, bytes, options, &l, err);
    if (rc < 0)
        return rc;
    rc = checkpoint_clean(&l, options, err);
    if (rc < 0)
        return sewa_context(err, rc, "'%s'", filename);
    *ret = TAKE(l);
    return 0;
}

int checkpoint_read(int fd, const char *filename, int64_t bytes, struct layout **ret,
                    struct sewa_error *err)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    const struct tensor *other = NULL;
    char shown[SHOWN_NAME_SIZE];
    int rc = checkpoint_read_file(fd, filename, bytes, NULL, &l, err);

    if (rc < 0)
        return rc;
    if (!layout_is_plain(l, &other))
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "'%s': tensor '%s' shares its bytes with another or does not lie in one "
                         "piece, which is not read here",
                         filename, shown_name(other ? other->name : "", shown));
    *ret = TAKE(l);
    return 0;
}
