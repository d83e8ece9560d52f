/*
 * request - the body of a request, made from the options that name a field of it. Pure.
 */
#ifndef CLI_REQUEST_H
#define CLI_REQUEST_H

#include "options.h"

/*
 * @base: the text of a JSON object to start from, whose members the options replace; NULL: an empty
 * one. *ret is heap memory. SEWA_E_INVALID when base is no JSON object, or a field of it that an
 * option adds to has another type.
 */
int request_build(const struct arguments *a, const char *base, char **ret, struct sewa_error *err);

#endif
