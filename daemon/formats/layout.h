/*
 * layout - what a checkpoint's header says: its tensors, by name, type, shape and place.
 *
 * Where a change of ours lets a file that did not change give another layout than before, what the
 * index has is read again: a migration as sql/schema/0003_read_again.sql belongs to that change.
 *
 * A layout is made by a format's reader, never changed afterwards, and may be shared by threads
 * that only read. Names and shapes live in memory that belongs to the layout.
 */
#ifndef FORMATS_LAYOUT_H
#define FORMATS_LAYOUT_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/dtype.h"
#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_RANK_MAX     16
#define LAYOUT_NAME_MAX     1024
#define LAYOUT_TENSORS_MAX  1000000
#define LAYOUT_METADATA_MAX 1000000
#define LAYOUT_FILES_MAX    10000
#define LAYOUT_NOTES_MAX    100
#define LAYOUT_LEFT_MAX     64
#define LAYOUT_NO_ALIAS     UINT32_MAX

struct tensor {
    const char *name; /* UTF-8, NUL-terminated, at most LAYOUT_NAME_MAX bytes, contains no NUL */
    enum dtype dtype;
    uint8_t rank;
    uint32_t file;        /* which file of the checkpoint; 0 when there is one */
    const int64_t *shape; /* rank numbers, NULL for rank 0 */
    int64_t elements;     /* product of shape; 1 for rank 0 */
    int64_t offset;       /* of the first byte, from the start of the file */
    int64_t bytes;        /* of the elements: elements * size of one, however they lie */

    /*
     * Where the elements lie. Element [i, j, ...] begins at offset + size * (i * stride[0] + j *
     * stride[1] + ...). NULL: in C order, one behind the other, as in every safetensors file. Rank
     * numbers from 0; 0 repeats an element, as Tensor.expand() does. Never NULL by accident: what
     * is contiguous has no strides, so whoever cannot gather refuses what has some.
     */
    const int64_t *stride;
    int64_t span_bytes; /* from offset to the end of the last element; bytes when stride is NULL */

    /*
     * The tensor (an index into tensors) that has exactly these elements: the same file, type,
     * shape, place and strides. It comes before this one, is an alias of none, and has bytes. Two
     * tied weights are one tensor with two names: averaged once, written once.
     */
    uint32_t alias_of; /* LAYOUT_NO_ALIAS when there is none */
};

struct layout_metadata {
    const char *key, *value;
};

/* A file of a checkpoint that has several. */
struct layout_file {
    const char *name;          /* below the checkpoint's directory */
    int64_t bytes, mtime_ns;   /* what stat said when its header was read */
    uint8_t header_digest[32]; /* as if it were a checkpoint of its own */
};

/* Bytes of a file whose checksum is known without reading them. */
struct layout_storage {
    int64_t offset, bytes;
    uint32_t file;
    uint32_t crc32; /* that of zip, over all of them; 0 when the writer computed none */
};

struct layout {
    const char *format; /* "safetensors"; lives as long as the layout */
    size_t count;
    struct tensor *tensors;  /* by file, then offset, then end (empty ones first), then name */
    const uint32_t *by_name; /* indices into tensors, in strcmp order of names */
    size_t metadata_count;
    struct layout_metadata *metadata; /* "__metadata__", in file order */
    int64_t file_bytes;               /* what the header says the (first) file must measure */
    uint8_t
        header_digest[32]; /* SHA-256 of what identifies the content; each reader says of what */

    /*
     * Checkpoints that are directories. tensors[].file is an index into files. A checkpoint that is
     * one file has none here, and tensors[].file is 0.
     */
    size_t file_count;
    struct layout_file *files;
    const char *last_file; /* the one that the writer of such a directory writes last; or NULL */

    size_t storage_count;
    struct layout_storage *storages; /* by file, then offset; none for safetensors */

    const char *state_key; /* the way to the tensors inside the file: "state_dict"; "" for none */

    /*
     * What is beside them in the file and was not taken, by the way to it: "optimizer",
     * "app.optim", "ema"; "." for tensors under no key. Of more than LAYOUT_LEFT_MAX the first.
     */
    size_t left_count;
    const char **left;
    size_t note_count;
    const char **notes; /* sentences for people: what was found and left aside, or renamed */
};

void layout_free(struct layout *l); /* NULL is fine */
AUTOPTR_DEFINE(layout_free, struct layout);

/*
 * Whether every tensor lies in the one file as in a safetensors file: in C order, and no two are
 * one. Whoever only looks at offset and bytes may read such a layout and no other.
 */
bool layout_is_plain(const struct layout *l, const struct tensor **ret_other);

/* The tensor with this name, or NULL. O(log count). */
const struct tensor *layout_find(const struct layout *l, const char *name);

/*
 * SHA-256 over names, types and shapes in order of names: two checkpoints with the same signature
 * can be averaged whatever order their files have. Offsets do not count.
 */
int layout_signature(const struct layout *l, uint8_t ret[32], struct sewa_error *err);

/*
 * Say how b differs from a: 0 when they can be averaged; otherwise SEWA_E_MISMATCH and a text that
 * names the first five of each kind (missing in b, only in b, other shape, other type) with counts.
 * All four counts are always there; of the names, as many of the five as the text has room for.
 * Also SEWA_E_MISMATCH: the same tensors, but averages of training (EMA) in one and raw weights in
 * the other.
 */
int layout_compare(const struct layout *a, const char *name_a, const struct layout *b,
                   const char *name_b, struct sewa_error *err);

/*
 * The tensor table as bytes for the index, and back. Equal tables give equal bytes. Metadata,
 * storages, size and header digest of a single file are not in it: they differ from file to file.
 * Strides, files, state key, notes and what was left are. The bytes are appended to ret. Decoding
 * trusts nothing: SEWA_E_CORRUPT, or SEWA_E_UNSUPPORTED when a newer version wrote them.
 */
int layout_encode(const struct layout *l, struct buf *ret, struct sewa_error *err);
int layout_decode(const void *bytes, size_t n, struct layout **ret, struct sewa_error *err);

/* Sums over all tensors: bytes of data, number of elements of averaged (float) tensors. */
int64_t layout_data_bytes(const struct layout *l);
int64_t layout_float_elements(const struct layout *l);

/*
 * Take what wraps a model in training off the names, as often as it is there: "module." in front
 * (DistributedDataParallel), "_orig_mod." (torch.compile), "_fsdp_wrapped_module." and
 * "_checkpoint_wrapped_module." anywhere, because parts of a model are wrapped too. A note says how
 * many names have changed. *l is replaced, or stays as it is when no name has any. SEWA_E_CORRUPT
 * when two names become one: the text has both.
 */
int layout_strip_prefixes(struct layout **l, struct sewa_error *err);

/* ---- for readers of formats: build a layout piece by piece ---- */

struct layout_builder; /* owns everything until layout_builder_finish() */

struct layout_builder *layout_builder_new(const char *format); /* NULL when out of memory */
void layout_builder_free(struct layout_builder *b);
AUTOPTR_DEFINE(layout_builder_free, struct layout_builder);

/*
 * Add a tensor. Name, shape and strides are copied; strides that say no more than C order are
 * dropped. @elements, @span_bytes and @alias_of are not read but computed. SEWA_E_CORRUPT when a
 * product overflows, the bytes are not those of the elements, a stride is negative, the place is no
 * place in a file or the name is no UTF-8; SEWA_E_UNSUPPORTED past one of the limits above.
 */
int layout_builder_tensor(struct layout_builder *b, const struct tensor *t, struct sewa_error *err);
int layout_builder_metadata(struct layout_builder *b, const char *key, const char *value,
                            struct sewa_error *err);

/* Add a file, the next index; a storage; a note (printf, cut at 500 bytes). Texts are copied. */
int layout_builder_file(struct layout_builder *b, const struct layout_file *file,
                        struct sewa_error *err);
int layout_builder_storage(struct layout_builder *b, const struct layout_storage *storage,
                           struct sewa_error *err);
int layout_builder_note(struct layout_builder *b, struct sewa_error *err, const char *format, ...)
    SEWA_PRINTF(3, 4);
int layout_builder_state_key(struct layout_builder *b, const char *key, struct sewa_error *err);
int layout_builder_last_file(struct layout_builder *b, const char *name, struct sewa_error *err);
int layout_builder_left(struct layout_builder *b, const char *what,
                        struct sewa_error *err); /* once is enough: it may be there already */

/*
 * Sorts, finds tensors that are one, refuses duplicate names and metadata keys (SEWA_E_CORRUPT),
 * hands over. The reader fills file_bytes and header_digest, if they are zero. The builder is only
 * freed afterwards, whatever this returned.
 */
int layout_builder_finish(struct layout_builder *b, struct layout **ret, struct sewa_error *err);

#endif
