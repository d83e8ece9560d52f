/*
 * reply - the ways to answer a request. Loop thread only. Each request is answered once.
 * Running out of memory while answering becomes a bare 503.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "http/request.h"

/* A header of the reply that follows; one of the same name is replaced. */
void reply_header(struct request *rq, const char *name, const char *value);
void reply_headerf(struct request *rq, const char *name, const char *format, ...) SEWA_PRINTF(3, 4);

/* The value is stolen; NULL (out of memory while it was built) becomes a 503. */
void reply_json(struct request *rq, unsigned status, json_t *value);

/* Heap text that is JSON already; stolen. */
void reply_json_text(struct request *rq, unsigned status, char *text);

/* Bytes on the heap; stolen. */
void reply_bytes(struct request *rq, unsigned status, const char *media_type, char *data, size_t n);

/* No body. */
void reply_empty(struct request *rq, unsigned status);

/* 304: the client has what this tag names. */
void reply_not_modified(struct request *rq, const char *etag);

/* What a problem+json (RFC 9457) says; heap, NULL when out of memory. */
char *reply_problem_text(const struct request *rq, const struct sewa_error *err);

/* Answer with one: status and words come from the table of codes. */
void reply_error(struct request *rq, const struct sewa_error *err);
void reply_fail(struct request *rq, int code, const char *format, ...) SEWA_PRINTF(3, 4);

/* A response that is kept for others: the caller's reference stays the caller's. */
void reply_shared(struct request *rq, unsigned status, struct MHD_Response *response);

/* A response of the HTTP library; one reference is taken over. */
void reply_response(struct request *rq, unsigned status, struct MHD_Response *response);

#endif
