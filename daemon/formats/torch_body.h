/*
 * torch_body - what the files that read PyTorch checkpoints share. Only for torch*.c and dcp*.c.
 */
#ifndef FORMATS_TORCH_BODY_H
#define FORMATS_TORCH_BODY_H

#include "formats/layout.h"
#include "formats/pickle.h"
#include "formats/zip.h"

/* An archive whose pickle was read. */
struct torch_archive {
    const char *name; /* for messages */
    struct zip *zip;
    char *prefix; /* "archive/": of all members that count */
    void *pickle_bytes;
    size_t pickle_size;
    struct pickle *pickle;
};

/* Open the archive in the @bytes of the source that begin at @begin. */
int torch_archive_open(const struct window_source *source, int64_t begin, int64_t bytes,
                       struct torch_archive *ret, struct sewa_error *err);
void torch_archive_clear(struct torch_archive *a); /* zero-filled is fine */

/* Say what a file is that is no zip archive: UNSUPPORTED with advice, or INCOMPLETE. */
int torch_foreign(const struct window_source *source, int64_t bytes, struct sewa_error *err);

/* Whether the node was a tensor (or a parameter) in Python, of a kind that we know or not. */
bool torch_is_tensor(const struct pickle_node *n);

/* A tensor of the archive; name is not set. Shape and strides go to the two arrays. */
struct torch_numbers {
    int64_t shape[LAYOUT_RANK_MAX], stride[LAYOUT_RANK_MAX];
};
int torch_tensor(const struct torch_archive *a, const struct pickle_node *n, const char *key,
                 struct torch_numbers *numbers, struct tensor *ret, struct sewa_error *err);

/* A dictionary, or what its subclasses of the standard library are made of; NULL for others. */
const struct pickle_node *torch_dictionary(const struct pickle_node *n);

/* The value of a text key, or NULL. */
const struct pickle_node *torch_lookup(const struct pickle_node *dictionary, const char *key);

/* What a key of a checkpoint is by its name alone. */
enum torch_key { TORCH_KEY_OTHER, TORCH_KEY_RAW, TORCH_KEY_EMA, TORCH_KEY_ASIDE };
enum torch_key torch_key(const char *key);

/* Whether the state at the end of this way (layout.h: state_key) holds averages of training. */
bool torch_is_ema_key(const char *state_key);

/* A tuple of whole numbers, or torch.Size of one; -1 when it is none or has a negative one. */
int torch_counts(const struct pickle_node *n, int64_t ret[LAYOUT_RANK_MAX]);

/* The type that a global like torch.float32 names, or -1. */
int torch_dtype(const struct pickle_node *n);

/* A text of the pickle as C string (room bytes with the NUL); false when it is no text, too long
 * or contains a NUL. */
bool torch_text(const struct pickle_node *n, char *ret, size_t room);

/* For messages: what a node is in Python, "an object of class a.B", "a list"... */
const char *torch_kind(const struct pickle_node *n, char *text, size_t room);

/* Find the state and add its tensors, notes and state key to the builder. */
int torch_state(const struct torch_archive *a, const char *state_key, struct layout_builder *b,
                struct sewa_error *err);

#endif
