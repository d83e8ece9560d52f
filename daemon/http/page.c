/*
 * page - a key as "number;value;id;text;order" in hexadecimal, which needs no escaping in a URL.
 * The order comes last: the name of a metric in it may have any characters.
 */
#include "http/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/parse.h"

enum { PLAIN_MAX = (PAGE_TOKEN_SIZE - 1) / 2 };

/* Two whole numbers of 20 characters, a hexadecimal double of 24, and the separators. */
_Static_assert(2 * 20 + 24 + 4 + PAGE_TEXT_SIZE + PAGE_ORDER_SIZE <= PLAIN_MAX,
               "every key must fit into a token");

const char *page_encode(const struct page_key *key, char ret[PAGE_TOKEN_SIZE])
{
    char plain[PLAIN_MAX + 1];
    int n = snprintf(plain, sizeof plain, "%lld;%a;%lld;%s;%s", (long long)key->number, key->value,
                     (long long)key->id, key->text, key->order);

    return hex_encode((const uint8_t *)plain, (size_t)n, ret);
}

static int read_fields(char *plain, struct page_key *ret)
{
    char *save = plain, *end;
    char *number = strsep(&save, ";"), *value = strsep(&save, ";"), *id = strsep(&save, ";"),
         *text = strsep(&save, ";"), *order = save;

    if (!order || strlen(order) >= sizeof ret->order || strlen(text) >= sizeof ret->text)
        return -1;
    snprintf(ret->order, sizeof ret->order, "%s", order);
    snprintf(ret->text, sizeof ret->text, "%s", text);
    ret->value = strtod(value, &end);
    if (end == value || *end || !isfinite(ret->value))
        return -1;
    if (parse_i64(number, INT64_MIN, INT64_MAX, &ret->number) < 0)
        return -1;
    return parse_i64(id, 0, INT64_MAX, &ret->id);
}

int page_decode(const char *token, const char *order, struct page_key *ret, struct sewa_error *err)
{
    char plain[PLAIN_MAX + 1];
    size_t n = strlen(token) / 2;

    memset(ret, 0, sizeof *ret);
    if (n > PLAIN_MAX || hex_decode(token, (uint8_t *)plain, n) < 0)
        return sewa_fail(err, SEWA_E_INVALID, "'page_token' is none of ours");
    plain[n] = '\0';
    if (strlen(plain) != n || read_fields(plain, ret) < 0)
        return sewa_fail(err, SEWA_E_INVALID, "'page_token' is none of ours");
    if (strcmp(ret->order, order) != 0)
        return sewa_fail(err, SEWA_E_INVALID, "'page_token' belongs to another list or order");
    return 0;
}
