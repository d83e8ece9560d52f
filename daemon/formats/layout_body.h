/*
 * layout_body - what stands behind a struct layout: the memory of its parts. Only for the files
 * layout*.c; everybody else sees layout.h.
 */
#ifndef FORMATS_LAYOUT_BODY_H
#define FORMATS_LAYOUT_BODY_H

#include "formats/arena.h"
#include "formats/layout.h"

struct layout_body {
    struct layout layout;
    uint32_t *by_name;  /* the same as layout.by_name */
    struct arena arena; /* names, shapes, strides, metadata, notes and format */
};

struct layout_builder {
    struct layout_body *body; /* NULL once it was handed over */
    size_t tensors_room, metadata_room, files_room, storages_room;
    int64_t data_bytes;
};

/* Room for one more element; doubling. The new array, or NULL and the old one stays. */
void *layout_grow(void *array, size_t count, size_t *room, size_t size);

/* Fails with SEWA_E_NO_MEMORY. */
int layout_no_memory(struct sewa_error *err, const struct layout *l);

/*
 * What follows from type, shape and strides: fills elements, span_bytes and, where the strides are
 * those of C order, stride = NULL. Fails as layout_builder_tensor() does.
 */
int layout_place(struct tensor *t, struct sewa_error *err);

/* Fill alias_of of all tensors, which are in order. SEWA_E_NO_MEMORY. */
int layout_find_aliases(struct layout *l, struct sewa_error *err);

/* Everything but the tensors: metadata, files, storages, state key, notes, what was left, and the
 * size and the digest of the header. */
int layout_builder_copy_rest(struct layout_builder *b, const struct layout *l,
                             struct sewa_error *err);

#endif
