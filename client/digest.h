/*
 * digest - SHA-256, and the header fields that speak of it and of ranges. Thread: any.
 */
#ifndef CLIENT_DIGEST_H
#define CLIENT_DIGEST_H

#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_HEX_SIZE 65

/* A digest that is computed piece by piece. Zero is valid to clear. */
struct sha256 {
    struct evp_md_ctx_st *context;
};

int sewa_sha256_begin(struct sha256 *s, struct sewa_error *err); /* also to begin again */
int sewa_sha256_add(struct sha256 *s, const void *data, size_t n, struct sewa_error *err);
int sewa_sha256_end(struct sha256 *s, char ret[SHA256_HEX_SIZE], struct sewa_error *err);
void sewa_sha256_clear(struct sha256 *s);

int sewa_sha256_hex(const void *data, size_t n, char ret[SHA256_HEX_SIZE], struct sewa_error *err);

/* 64 lower case hexadecimal digits. */
bool sewa_is_sha256(const char *hex);

/* From an ETag: "\"sha256-<hex>\"". False: it says nothing about the bytes. */
bool sewa_etag_digest(const char *etag, char ret[SHA256_HEX_SIZE]);

/* From a Repr-Digest (RFC 9530): "sha-256=:<base64>:", among others. False: there is none. */
bool sewa_repr_digest(const char *field, char ret[SHA256_HEX_SIZE]);

/* "bytes 5-9/10": first byte, and the size of the whole. False: it is something else. */
bool sewa_content_range(const char *field, int64_t *ret_first, int64_t *ret_size);

#endif
