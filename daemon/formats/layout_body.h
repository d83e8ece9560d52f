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
    struct arena arena; /* names, shapes, metadata and format */
};

#endif
