/*
 * address - where the service is: a URL taken apart and judged. Thread: any.
 */
#ifndef CLIENT_ADDRESS_H
#define CLIENT_ADDRESS_H

#include "sewa/error.h"

#include <stdbool.h>

#define ADDRESS_DEFAULT "http://127.0.0.1:8787"

struct address {
    char *base;    /* "http://host:8787/prefix", without a slash at its end */
    bool is_local; /* a loopback address: never through a proxy */
};

/*
 * A missing scheme is http. SEWA_E_INVALID: what is wrong (user:password@, a query and a fragment
 * have no place in it), or SEWA_E_NO_MEMORY.
 */
int sewa_address_parse(const char *url, struct address *ret, struct sewa_error *err);
void sewa_address_clear(struct address *a);

#endif
