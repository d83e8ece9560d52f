/*
 * range - which part of a file a client wants (RFC 9110, section 14). Pure. Thread: any.
 */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include "sewa/error.h"

#include <stdbool.h>
#include <stdint.h>

struct range {
    bool given; /* answer 206 with Content-Range; otherwise the whole file is meant */
    int64_t first, length;
};

/*
 * From the value of a Range field, NULL when there is none: "bytes=a-b", "bytes=a-" or "bytes=-n".
 * Several ranges, other units and what cannot be read are ignored, as the RFC allows. SEWA_E_RANGE
 * when no byte of the range is there.
 */
int range_parse(const char *text, int64_t size, struct range *ret, struct sewa_error *err);

#endif
