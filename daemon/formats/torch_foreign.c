/*
 * torch_foreign - what a file is that has a name of PyTorch's and is no zip archive, and what to do
 * about it. Whoever reads the message has a checkpoint that took days to train.
 */
#include <string.h>

#include "formats/torch_body.h"

static const struct {
    const char *bytes;
    size_t n;
    const char *what;
} known[] = {
#define BEGINS(bytes, what)           \
    {                                 \
        bytes, sizeof bytes - 1, what \
    }
    /* PROTO 2 and the magic number of torch.save before 1.6, as LONG1 */
    BEGINS("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
           "in the format of torch.save before PyTorch 1.6: save it again with "
           "torch.save(torch.load(path), other)"),
    BEGINS("\x80", "a bare pickle, which torch.save does not write: save the weights with "
                   "torch.save(model.state_dict(), path)"),
    BEGINS("GGUF", "a GGUF file: average before converting to it"),
    BEGINS("\x89HDF", "an HDF5 file (Keras): it is not read"),
    BEGINS("\x93NUMPY", "a NumPy array: it is not read"),
    BEGINS("\x1f\x8b", "compressed with gzip: unpack it"),
    BEGINS("\x28\xb5\x2f\xfd", "compressed with zstd: unpack it"),
    BEGINS("version https://git-lfs", "a Git LFS pointer and not the file: fetch it with git lfs "
                                      "pull"),
    BEGINS("<!DOCTYPE", "an HTML page and not the file"),
    BEGINS("<html", "an HTML page and not the file"),
    BEGINS("PK\5\6", "an empty zip archive"),
    BEGINS("\x08", "probably an ONNX or TensorFlow file: it is not read"),
    BEGINS("{", "JSON text and not a checkpoint"),
#undef BEGINS
};

enum { HEAD = 512, TAR_MAGIC = 257 };

static bool is_zero(const uint8_t *p, size_t n)
{
    while (n > 0 && *p == 0)
        p++, n--;
    return n == 0;
}

int torch_foreign(const struct window_source *source, int64_t bytes, struct sewa_error *err)
{
    uint8_t head[HEAD] = { 0 };
    ssize_t got = window_source_read(source, head, sizeof head, 0);

    if (got < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", source->name);
    if (bytes < 4 || is_zero(head, (size_t)got))
        return sewa_fail(err, SEWA_E_INCOMPLETE,
                         "'%s' has no beginning yet: it may still be written", source->name);
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if ((size_t)got >= known[i].n && memcmp(head, known[i].bytes, known[i].n) == 0)
            return sewa_fail(err, SEWA_E_UNSUPPORTED, "'%s' is %s", source->name, known[i].what);
    if (memcmp(head + TAR_MAGIC, "ustar", 5) == 0)
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "'%s' is a tar archive (torch.save before PyTorch 0.1.10, or .nemo): take "
                         "the weights out of it and save them again with torch.save",
                         source->name);
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | head[i];
    if (got > 8 && n < (uint64_t)bytes && head[8] == '{')
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "'%s' is a safetensors file: its name must end in '.safetensors'",
                         source->name);
    return sewa_fail(err, SEWA_E_UNSUPPORTED,
                     "'%s' is no PyTorch checkpoint: it begins with the bytes %02x %02x %02x %02x "
                     "and is no zip archive",
                     source->name, head[0], head[1], head[2], head[3]);
}
