/*
 * ask - the two steps that every resource takes: make a path, and turn an answer into a document.
 * Thread: one at a time per client.
 */
#ifndef CLIENT_ASK_H
#define CLIENT_ASK_H

#include "document.h"
#include "transport.h"

/* Append "/api/v1/<collection>/<name>/<rest>"; name is escaped, and it and rest may be NULL. */
void sewa_path(struct text *path, const char *collection, const char *name, const char *rest);

/* Append "limit" and "page_token" of a list; 0 and NULL are left out. */
void sewa_query_page(struct text *path, int limit, const char *page_token);

/* Make the call to this path and parse its answer. A 304 gives success and *ret NULL. */
int sewa_ask(struct sewa_client *c, struct call *call, const struct text *path,
             struct sewa_document **ret, struct sewa_error *err);

/* Fill one struct from an object, whose text is json. Strings and arrays are the document's. */
typedef int sewa_read_item(struct sewa_document *d, const json_t *o, const char *json, void *ret,
                           struct sewa_error *err);

/* A page of a list: structs that a reader has filled. */
struct page {
    struct sewa_document *document; /* the caller's */
    void *items;
    size_t count;
    const char *next_page_token;
};

/* Get the page at this path, with items of so many bytes. Nothing to free after a failure. */
int sewa_ask_page(struct sewa_client *c, const struct text *path, size_t item_bytes,
                  sewa_read_item *read, struct page *ret, struct sewa_error *err);

/* The same without an answer to parse. */
int sewa_tell(struct sewa_client *c, const char *method, const struct text *path,
              struct sewa_error *err);

/* For AUTO(). */
void sewa_document_cleanup(struct sewa_document **d);

#endif
