/*
 * shown - how names and shapes from a file that somebody else wrote stand in our messages. Messages
 * go to terminals, logs and JSON: control characters are shown as '?', long names lose their
 * middle, and the result is valid UTF-8 if the name is. Pure. Thread: any.
 */
#ifndef FORMATS_SHOWN_H
#define FORMATS_SHOWN_H

#include <stddef.h>
#include <stdint.h>

#define SHOWN_NAME_SIZE  64
#define SHOWN_SHAPE_SIZE 64

/* At most SHOWN_NAME_SIZE - 1 bytes: "model.layers.0...self_attn.q_proj.weight". Returns text. */
const char *shown_name(const char *name, char text[SHOWN_NAME_SIZE]);

/* "[2, 3]", "[]" for rank 0; a long one ends in "...]". Returns text. */
const char *shown_shape(const int64_t *shape, unsigned rank, char text[SHOWN_SHAPE_SIZE]);

#endif
