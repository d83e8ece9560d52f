/*
 * address - take a URL apart with libcurl's own parser, so that what is judged is what is used.
 */
#include "address.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "text.h"

void sewa_address_clear(struct address *a)
{
    free(a->base);
    *a = (struct address){ 0 };
}

static void cleanup_url(CURLU **u)
{
    curl_url_cleanup(*u);
}

static void cleanup_part(char **part)
{
    curl_free(*part);
}

static bool has(CURLU *u, CURLUPart part)
{
    AUTO(cleanup_part) char *value = NULL;

    return curl_url_get(u, part, &value, 0) == CURLUE_OK;
}

/* libcurl has made a canonical form of it: "127.1" is "127.0.0.1". */
static bool is_loopback(const char *host)
{
    struct in_addr a;
    struct in6_addr a6;
    char bare[64];
    size_t n = strlen(host);

    if (strcasecmp(host, "localhost") == 0 || strcasecmp(host, "localhost.") == 0)
        return true;
    if (inet_pton(AF_INET, host, &a) == 1)
        return ntohl(a.s_addr) >> 24 == 127;
    if (host[0] != '[' || n < 3 || n - 2 >= sizeof bare)
        return false;
    snprintf(bare, sizeof bare, "%.*s", (int)(n - 2), host + 1);
    return inet_pton(AF_INET6, bare, &a6) == 1 && IN6_IS_ADDR_LOOPBACK(&a6);
}

/* Nothing that would be lost, sent to the wrong place or shown in a list of processes. */
static int judge(CURLU *u, const char *url, struct sewa_error *err)
{
    AUTO(cleanup_part) char *scheme = NULL;

    if (has(u, CURLUPART_USER) || has(u, CURLUPART_PASSWORD))
        return sewa_fail(err, SEWA_E_INVALID,
                         "the address holds a user or a password; the service wants a token");
    if (has(u, CURLUPART_QUERY) || has(u, CURLUPART_FRAGMENT))
        return sewa_fail(err, SEWA_E_INVALID, "the address '%.200s' has a query or a fragment",
                         url);
    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return sewa_fail(err, SEWA_E_INVALID, "the address '%.200s' begins with '%s', not http",
                         url, scheme ? scheme : "");
    return 0;
}

static int compose(CURLU *u, const char *url, struct address *ret, struct sewa_error *err)
{
    AUTO(cleanup_part) char *host = NULL;
    AUTO(cleanup_part) char *whole = NULL;

    if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return sewa_fail(err, SEWA_E_INVALID, "the address '%.200s' names no host", url);
    if (curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the address");
    size_t n = strlen(whole);
    while (n > 0 && whole[n - 1] == '/')
        n--;
    ret->base = strndup(whole, n);
    ret->is_local = is_loopback(host);
    return ret->base ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the address");
}

int sewa_address_parse(const char *url, struct address *ret, struct sewa_error *err)
{
    AUTO(cleanup_url) CURLU *u = curl_url();
    AUTO(sewa_text_clear) struct text full = { 0 };

    sewa_text_printf(&full, "%s%s", strstr(url, "://") ? "" : "http://", url);
    if (!u || full.failed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the address");
    CURLUcode code = curl_url_set(u, CURLUPART_URL, sewa_text_get(&full), CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OUT_OF_MEMORY)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the address");
    if (code != CURLUE_OK)
        return sewa_fail(err, SEWA_E_INVALID, "'%.200s' is no address: %s", url,
                         curl_url_strerror(code));
    int rc = judge(u, url, err);
    return rc < 0 ? rc : compose(u, url, ret, err);
}
