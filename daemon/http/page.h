/*
 * page - tokens that say where the next page of a list begins. Opaque to clients; whatever else
 * arrives is refused. Pure.
 */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include "sewa/error.h"

#include <stdint.h>

enum {
    PAGE_ORDER_SIZE = 160,
    PAGE_TEXT_SIZE = 72,
    PAGE_TOKEN_SIZE = 704,
    PAGE_LIMIT_DEFAULT = 50,
    PAGE_LIMIT_MAX = 500
};

struct page_key {
    char order[PAGE_ORDER_SIZE]; /* of which list and in which order: a token of another is refused
                                  */
    int64_t number;              /* step, time or nothing */
    double value;                /* metric; finite */
    int64_t id;
    char text[PAGE_TEXT_SIZE]; /* name, for lists ordered by one; without ';' */
};

const char *page_encode(const struct page_key *key, char ret[PAGE_TOKEN_SIZE]);
int page_decode(const char *token, const char *order, struct page_key *ret, struct sewa_error *err);

#endif
