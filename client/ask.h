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

/* The same without an answer to parse. */
int sewa_tell(struct sewa_client *c, const char *method, const struct text *path,
              struct sewa_error *err);

/* For AUTO(). */
void sewa_document_cleanup(struct sewa_document **d);

#endif
