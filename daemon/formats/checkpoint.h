/*
 * checkpoint - every format of checkpoint that can be read, one row each. Other rooms ask here and
 * name no format: a new one is a reader and a row. Pure table; reading blocks. Thread: any.
 */
#ifndef FORMATS_CHECKPOINT_H
#define FORMATS_CHECKPOINT_H

#include "formats/layout.h"

#include <stdbool.h>

/* How to read. Zero-filled, and NULL instead of it, is what most want. */
struct checkpoint_options {
    /*
     * PyTorch files: where the weights are, "model" or "a.b"; "." is the file itself. NULL or "":
     * look for them under the names that trainers use, and refuse where there is a choice.
     */
    const char *state_key;
    bool keeps_prefixes; /* do not call layout_strip_prefixes() */
};

struct checkpoint_format {
    const char *name;            /* "safetensors": what a layout of it has as its format */
    const char *const *suffixes; /* of the file names that it claims; NULL behind the last */

    /* Layout of the file behind fd. @name is for messages, @bytes what stat said. */
    int (*read)(int fd, const char *name, int64_t bytes, const struct checkpoint_options *options,
                struct layout **ret, struct sewa_error *err);
};

/* Row i of the table, NULL behind the last. */
const struct checkpoint_format *checkpoint_format_at(size_t i);

/*
 * The format that claims a file by its name (directories before it do not count), or NULL. Names
 * that are nothing but a suffix are claimed by none, nor are companions. The longest suffix wins.
 */
const struct checkpoint_format *checkpoint_format_for(const char *filename);

/*
 * Whether a name is one of those that trainers give to what they write beside the weights:
 * "optimizer.pt", "rng_state_0.pth", "training_args.bin"... No format claims them.
 */
bool checkpoint_is_companion(const char *filename);

/* The format with this name, or NULL. */
const struct checkpoint_format *checkpoint_format_named(const char *name);

/*
 * Read by the format that claims the name, and take prefixes of training wrappers off the names of
 * tensors. The layout may have views and tied tensors (layout.h: stride, alias_of): the caller
 * gathers by strides. @filename (UTF-8 when it is to stand in messages)
 * chooses and is what messages say. SEWA_E_UNSUPPORTED when no format claims it, with a sentence
 * that says which names are; otherwise what the format's reader returns.
 */
int checkpoint_read_file(int fd, const char *filename, int64_t bytes,
                         const struct checkpoint_options *options, struct layout **ret,
                         struct sewa_error *err);

/*
 * The same without options, for callers that know no more than offset and bytes of a tensor: a
 * layout that is not plain (layout_is_plain()) is SEWA_E_UNSUPPORTED.
 */
int checkpoint_read(int fd, const char *filename, int64_t bytes, struct layout **ret,
                    struct sewa_error *err);

/*
 * A checkpoint that is a directory, open behind @fd; @name is for messages. Nothing is followed out
 * of it. Read are: shards of safetensors or PyTorch files with the index of Hugging Face's
 * libraries (one tensor in one file, as the index says; a shard that is missing is
 * SEWA_E_INCOMPLETE, files that the index does not name are ignored), a directory with one such
 * file (checkpoint-N of their trainer), and distributed checkpoints of PyTorch whose tensors are
 * whole. Others are SEWA_E_UNSUPPORTED, with what they are and the command that converts them. The
 * layout has file_count > 0; its format is that of the files, "dcp" for distributed ones. Its
 * header digest is SHA-256 over the index (or .metadata) and the names and digests of the files.
 */
int checkpoint_read_directory(int fd, const char *name, const struct checkpoint_options *options,
                              struct layout **ret, struct sewa_error *err);

/* That sentence, for callers who only have the name. Returns SEWA_E_UNSUPPORTED. */
int checkpoint_unclaimed(const char *filename, struct sewa_error *err);

#endif
