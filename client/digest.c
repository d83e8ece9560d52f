/*
 * digest - SHA-256 and the header fields that carry it.
 */
#include "digest.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"

enum { SHA256_BYTES = 32, SHA256_BASE64 = 44 };

static int failed(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "cannot compute a SHA-256");
}

int sewa_sha256_begin(struct sha256 *s, struct sewa_error *err)
{
    if (!s->context)
        s->context = EVP_MD_CTX_new();
    return s->context && EVP_DigestInit_ex(s->context, EVP_sha256(), NULL) ? 0 : failed(err);
}

int sewa_sha256_add(struct sha256 *s, const void *data, size_t n, struct sewa_error *err)
{
    return EVP_DigestUpdate(s->context, data, n) ? 0 : failed(err);
}

static void hex_of(const unsigned char *bytes, char ret[SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * SHA256_BYTES] = '\0';
}

int sewa_sha256_end(struct sha256 *s, char ret[SHA256_HEX_SIZE], struct sewa_error *err)
{
    unsigned char digest[SHA256_BYTES];

    if (!EVP_DigestFinal_ex(s->context, digest, NULL))
        return failed(err);
    hex_of(digest, ret);
    return 0;
}

void sewa_sha256_clear(struct sha256 *s)
{
    EVP_MD_CTX_free(s->context);
    s->context = NULL;
}

int sewa_sha256_hex(const void *data, size_t n, char ret[SHA256_HEX_SIZE], struct sewa_error *err)
{
    AUTO(sewa_sha256_clear) struct sha256 s = { 0 };
    int rc = sewa_sha256_begin(&s, err);

    if (rc == 0)
        rc = sewa_sha256_add(&s, data, n, err);
    return rc < 0 ? rc : sewa_sha256_end(&s, ret, err);
}

bool sewa_is_sha256(const char *hex)
{
    return strlen(hex) == SHA256_HEX_SIZE - 1 &&
           strspn(hex, "0123456789abcdef") == SHA256_HEX_SIZE - 1;
}

bool sewa_etag_digest(const char *etag, char ret[SHA256_HEX_SIZE])
{
    char hex[SHA256_HEX_SIZE];

    if (strncmp(etag, "\"sha256-", 8) != 0 || strlen(etag) != 8 + 64 + 1 || etag[8 + 64] != '"')
        return false;
    memcpy(hex, etag + 8, 64);
    hex[64] = '\0';
    if (!sewa_is_sha256(hex))
        return false;
    memcpy(ret, hex, sizeof hex);
    return true;
}

/* A dictionary of byte sequences (RFC 8941): "sha-512=:...:, sha-256=:...:". */
bool sewa_repr_digest(const char *field, char ret[SHA256_HEX_SIZE])
{
    unsigned char bytes[SHA256_BYTES + 2];

    for (const char *p = field; p; p = strchr(p, ',')) {
        p += strspn(p, ", \t");
        if (strncmp(p, "sha-256=:", 9) != 0)
            continue;
        const char *base64 = p + 9;
        if (strcspn(base64, ":") != SHA256_BASE64 || base64[SHA256_BASE64] != ':' ||
            base64[SHA256_BASE64 - 1] != '=')
            return false;
        if (EVP_DecodeBlock(bytes, (const unsigned char *)base64, SHA256_BASE64) !=
            SHA256_BYTES + 1) /* the padding counts as a byte */
            return false;
        hex_of(bytes, ret);
        return true;
    }
    return false;
}

bool sewa_content_range(const char *field, int64_t *ret_first, int64_t *ret_size)
{
    int64_t first, last, size;
    int at = 0;

    if (sscanf(field, "bytes %18" SCNd64 "-%18" SCNd64 "/%18" SCNd64 "%n", &first, &last, &size,
               &at) != 3 ||
        field[at] || first < 0 || last < first || size <= last)
        return false;
    *ret_first = first;
    *ret_size = size;
    return true;
}
