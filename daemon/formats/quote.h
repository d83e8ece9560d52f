/*
 * quote - text as a string of JSON, for what we write ourselves: headers and indices.
 */
#ifndef FORMATS_QUOTE_H
#define FORMATS_QUOTE_H

#include "base/buf.h"

/* Bytes past ASCII stand as they are: whoever reads the text says if they are bad. */
void quote(struct buf *b, const char *text);

#endif
