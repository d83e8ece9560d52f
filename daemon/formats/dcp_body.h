/*
 * dcp_body - what the files that read distributed checkpoints share. Only for dcp*.c.
 */
#ifndef FORMATS_DCP_BODY_H
#define FORMATS_DCP_BODY_H

#include "formats/arena.h"
#include "formats/directory.h"
#include "formats/torch_body.h"

enum { DCP_NAME_SIZE = LAYOUT_NAME_MAX + 1 };

/* A tensor, or a part of one, and where it is. */
struct part {
    const char *name; /* the whole of it */
    const char *file;
    int64_t offset, bytes;
};

/* How a tensor is reached through the keys of the state that was saved. */
struct route {
    const char *name;
    const struct pickle_node *path;
};

struct dcp {
    const struct directory *d;
    char *path; /* of .metadata */
    struct buf bytes;
    struct pickle *pickle;
    const struct pickle_node *tensors, *planner, *storage; /* dictionaries; planner may be NULL */
    struct arena arena;
    struct part *parts; /* in order of names */
    size_t count;
    uint32_t *order;      /* of parts, by file */
    struct route *routes; /* in order of names */
    size_t route_count;
    const char *group; /* the way to the tensors that are taken; "" for none */
    bool is_asked;     /* the group is what the configuration says, and not a kind that was found */
    struct sha256 *digest; /* of the file that is being read: over the digests of its archives */
    uint8_t (*digests)[SHA256_SIZE]; /* by file */
    struct layout_builder *b;
};

int dcp_no_memory(const struct dcp *c);
int dcp_corrupt(const struct dcp *c, const char *what); /* says which file; SEWA_E_CORRUPT */

/* The attributes of an object of a class of PyTorch's with this name, wherever it is defined; and
 * one of them, NULL when it is not there or None (or the attributes are NULL). */
const struct pickle_node *dcp_attributes(const struct pickle_node *n, const char *class);
const struct pickle_node *dcp_attribute(const struct pickle_node *attributes, const char *name);

/* Those of an entry of state_dict_metadata that is a tensor; NULL for others. */
const struct pickle_node *dcp_tensor(const struct pickle_node *n);

/* Decide which tensors are the model's: c->group. Adds notes. */
int dcp_find_group(struct dcp *c);

/* Whether a tensor belongs to it. */
bool dcp_is_taken(const struct dcp *c, const char *name);

/* Read the parts of those, file by file. */
int dcp_add_tensors(struct dcp *c);

#endif
