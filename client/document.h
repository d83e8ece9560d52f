/*
 * document - one answer: its text, its parsed JSON, and the memory of what is made of it.
 *
 * Strings in the structs of client.h point into the parsed JSON, arrays into blocks of the
 * document. So a struct is filled without copying text, and released as a whole. Thread: any.
 */
#ifndef CLIENT_DOCUMENT_H
#define CLIENT_DOCUMENT_H

#include <jansson.h>

#include "sewa/client.h"

struct sewa_document {
    char *text;
    json_t *root;
    char *etag;   /* or NULL */
    char *slices; /* a second copy of text, cut into the items of a list */
    struct block *blocks;
};

/*
 * Parse an answer to @what ("GET /api/v1/jobs"). The text is taken, also on failure.
 * SEWA_E_PROTOCOL when it is no JSON object.
 */
int sewa_document_new(char *text, size_t n, const char *what, struct sewa_document **ret,
                      struct sewa_error *err);
void sewa_document_free(struct sewa_document *d); /* NULL is fine */

/* Zeroed memory that lives as long as the document; NULL when there is none. */
void *sewa_document_alloc(struct sewa_document *d, size_t count, size_t size);

/* ---- members of an object; all take NULL for one that is not there ---- */

const char *sewa_get_text(const json_t *o, const char *key); /* NULL: absent or no string */
int64_t sewa_get_integer(const json_t *o, const char *key, int64_t fallback);
double sewa_get_number(const json_t *o, const char *key); /* NaN: absent or no number */
bool sewa_get_bool(const json_t *o, const char *key);
int64_t sewa_get_time(const json_t *o, const char *key); /* milliseconds since 1970, 0: none */

/* Fails with SEWA_E_PROTOCOL, naming the member, when it is no string. */
int sewa_need_text(const json_t *o, const char *key, const char **ret, struct sewa_error *err);

/* An array of strings, those that are none left out. */
int sewa_get_texts(struct sewa_document *d, const json_t *o, const char *key,
                   const char *const **ret, size_t *ret_count, struct sewa_error *err);

/* An object of strings as labels. */
int sewa_get_labels(struct sewa_document *d, const json_t *o, const char *key,
                    const struct sewa_label **ret, size_t *ret_count, struct sewa_error *err);

/* "2026-11-22T04:41:38.323Z" as milliseconds since 1970; 0 for what is no such time. */
int64_t sewa_time_parse(const char *text);

/* ---- lists ---- */

struct list {
    const json_t *items;     /* the array "items" */
    const char *const *json; /* the text of each item, as it came */
    const char *next_page_token;
};

/* Take the page of a list apart. SEWA_E_PROTOCOL when it is none. */
int sewa_document_list(struct sewa_document *d, struct list *ret, struct sewa_error *err);

/*
 * Cut the text of a JSON object in place: every element of the array that is its member @key
 * becomes a string of its own. @text must be valid JSON (it was parsed already) with @count
 * elements there. Returns how many were found.
 */
size_t sewa_slice(char *text, const char *key, const char **ret, size_t count);

int sewa_no_memory(struct sewa_error *err);

#endif
