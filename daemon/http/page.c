/*
 * page - a key as "order;number;value;id;text" in hexadecimal, which needs no escaping in a URL.
 */
#include "http/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/parse.h"

enum { PLAIN_MAX = (PAGE_TOKEN_SIZE - 1) / 2 };

const char *page_encode(const struct page_key *key, char ret[PAGE_TOKEN_SIZE])
{
    char plain[PLAIN_MAX + 1];
    int n = snprintf(plain, sizeof plain, "%s;%lld;%a;%lld;%s", key->order, (long long)key->number,
                     key->value, (long long)key->id, key->text);

    if (n < 0 || n >= (int)sizeof plain)
        n = 0; /* orders and names are bounded well below this */
    return hex_encode((const uint8_t *)plain, (size_t)n, ret);
}

static int fields(char *plain, struct page_key *ret)
{
    char *save = plain;
    char *order = strsep(&save, ";"), *number = strsep(&save, ";"), *value = strsep(&save, ";"),
         *id = strsep(&save, ";"), *text = save, *end;

    if (!text || strlen(order) >= sizeof ret->order || strlen(text) >= sizeof ret->text)
        return -1;
    snprintf(ret->order, sizeof ret->order, "%s", order);
    snprintf(ret->text, sizeof ret->text, "%s", text);
    ret->value = strtod(value, &end);
    if (!*value || *end)
        return -1;
    return parse_i64(number, INT64_MIN, INT64_MAX, &ret->number) < 0 ||
                   parse_i64(id, INT64_MIN, INT64_MAX, &ret->id) < 0
               ? -1
               : 0;
}

int page_decode(const char *token, const char *order, struct page_key *ret, struct sewa_error *err)
{
    char plain[PLAIN_MAX + 1];
    size_t n = strlen(token) / 2;

    memset(ret, 0, sizeof *ret);
    if (n > PLAIN_MAX || hex_decode(token, (uint8_t *)plain, n) < 0)
        return sewa_fail(err, SEWA_E_INVALID, "'page_token' is none of ours");
    plain[n] = '\0';
    if (strlen(plain) != n || fields(plain, ret) < 0)
        return sewa_fail(err, SEWA_E_INVALID, "'page_token' is none of ours");
    if (strcmp(ret->order, order) != 0)
        return sewa_fail(err, SEWA_E_INVALID, "'page_token' belongs to another list or order");
    return 0;
}
