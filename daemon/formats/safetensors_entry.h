/*
 * safetensors_entry - the entry of a tensor exactly as the reference implementation writes it:
 *
 *     "<name>":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}
 *
 * without white space or escapes and with the fields in this order. Nearly all headers have nothing
 * else, and going over such a text takes a third of the time of going from token to token. Whatever
 * deviates by a byte is left to safetensors.c, which knows what else is right and says what is
 * wrong: nothing is refused here. Only for safetensors.c. Pure. Thread: any.
 */
#ifndef FORMATS_SAFETENSORS_ENTRY_H
#define FORMATS_SAFETENSORS_ENTRY_H

#include "formats/layout.h"
#include "formats/window.h"

#include <stdbool.h>

struct safetensors_entry {
    const char *name; /* in the window: until that moves */
    size_t name_length;
    int dtype; /* negative: not known */
    unsigned rank;
    int64_t shape[LAYOUT_RANK_MAX];
    int64_t begin, end; /* data_offsets: below 10^18, in any order */
};

/* Take the entry that begins where the window is; false, and the window has not moved. */
bool safetensors_entry(struct window *w, struct safetensors_entry *ret);

#endif
