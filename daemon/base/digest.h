/*
 * digest - SHA-256 (FIPS 180-4) by libcrypto, and hexadecimal text. Thread: one per object.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE     32
#define SHA256_HEX_SIZE 65

struct sha256; /* a digest under way */

struct sha256 *sha256_new(void); /* NULL when out of memory */
void sha256_free(struct sha256 *d);
void sha256_update(struct sha256 *d, const void *data, size_t n);
void sha256_final(struct sha256 *d, uint8_t ret[SHA256_SIZE]); /* afterwards only free */
AUTOPTR_DEFINE(sha256_free, struct sha256);

void sha256_of(const void *data, size_t n, uint8_t ret[SHA256_SIZE]);

/* Lower-case hexadecimal; text has room for 2 n + 1. Returns text. */
const char *hex_encode(const uint8_t *bytes, size_t n, char *text);

/* Exactly 2 n hexadecimal digits; 0 or -1. */
int hex_decode(const char *text, uint8_t *ret, size_t n);

/* base64 (RFC 4648) of n bytes; text has room for 4 * ((n + 2) / 3) + 1. Returns text. */
const char *base64_encode(const uint8_t *bytes, size_t n, char *text);

#endif
