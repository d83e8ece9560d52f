/*
 * digest - SHA-256 through libcrypto's EVP, which picks the processor's own instructions.
 */
#include "base/digest.h"

#include <openssl/evp.h>
#include <string.h>

struct sha256 {
    EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
        sha256_free(d);
        return NULL;
    }
    return d;
}

void sha256_free(struct sha256 *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

void sha256_update(struct sha256 *d, const void *data, size_t n)
{
    EVP_DigestUpdate(d->ctx, data, n);
}

void sha256_final(struct sha256 *d, uint8_t ret[SHA256_SIZE])
{
    EVP_DigestFinal_ex(d->ctx, ret, NULL);
}

void sha256_of(const void *data, size_t n, uint8_t ret[SHA256_SIZE])
{
    EVP_Digest(data, n, ret, NULL, EVP_sha256(), NULL);
}

const char *hex_encode(const uint8_t *bytes, size_t n, char *text)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        text[2 * i] = hex[bytes[i] >> 4];
        text[2 * i + 1] = hex[bytes[i] & 15];
    }
    text[2 * n] = '\0';
    return text;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_decode(const char *text, uint8_t *ret, size_t n)
{
    if (strlen(text) != 2 * n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -1;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

const char *base64_encode(const uint8_t *bytes, size_t n, char *text)
{
    EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
    return text;
}
