/*
 * page - tokens that say where the next page of a list begins. Opaque to clients: base64url of a
 * few fields; whatever else arrives is refused. Pure.
 */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include "sewa/error.h"

#include <stdint.h>

enum { PAGE_TOKEN_SIZE = 512, PAGE_LIMIT_DEFAULT = 50, PAGE_LIMIT_MAX = 500 };

struct page_key {
    char order[72]; /* which order the token belongs to: a token of another list or order is refused
                     */
    int64_t number; /* step, time or nothing */
    double value;   /* metric */
    int64_t id;
    char text[72]; /* name, for lists ordered by one */
};

const char *page_encode(const struct page_key *key, char ret[PAGE_TOKEN_SIZE]);
int page_decode(const char *token, const char *order, struct page_key *ret, struct sewa_error *err);

#endif
