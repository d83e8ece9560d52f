/*
 * client - open and close, and what the service says of itself.
 */
#include "sewa/client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "cleanup.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode curl_state;

/* The one global of the library. It is never undone: other parts of the process may use curl. */
static void start_curl(void)
{
    curl_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* A token becomes a header field: anything but visible ASCII would end the field, or the request.
 */
static int check_token(const char *token, struct sewa_error *err)
{
    size_t n = strlen(token);

    if (n < 1 || n > 4096)
        return sewa_fail(err, SEWA_E_INVALID, "the token has %zu bytes, allowed is 1 to 4096", n);
    for (size_t i = 0; i < n; i++)
        if (token[i] <= 0x20 || token[i] >= 0x7f)
            return sewa_fail(err, SEWA_E_INVALID,
                             "byte %zu of the token is no visible ASCII character", i + 1);
    return 0;
}

static int set_token(struct sewa_client *c, const char *token, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text line = { 0 };

    if (!token)
        return 0;
    int rc = check_token(token, err);
    if (rc < 0)
        return rc;
    sewa_text_printf(&line, "Authorization: Bearer %s", token);
    c->bearer = sewa_text_take(&line);
    return c->bearer ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a client");
}

static int check_options(const struct sewa_client_options *o, struct sewa_error *err)
{
    if (o->timeout_ms < 0 || o->timeout_ms > 24 * 3600 * 1000)
        return sewa_fail(err, SEWA_E_INVALID,
                         "the timeout is %lld ms, allowed is 0 to 86400000 (a day)",
                         (long long)o->timeout_ms);
    if (o->unix_socket && !*o->unix_socket)
        return sewa_fail(err, SEWA_E_INVALID, "the path of the unix socket is empty");
    for (const char *p = o->user_agent; p && *p; p++)
        if (*p < 0x20 || *p >= 0x7f)
            return sewa_fail(err, SEWA_E_INVALID, "the user agent is no printable ASCII");
    return 0;
}

static int set_address(struct sewa_client *c, const struct sewa_client_options *o,
                       struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text shown = { 0 };
    const char *fallback = o->unix_socket ? "http://localhost" : ADDRESS_DEFAULT;
    int rc = sewa_address_parse(o->url ? o->url : fallback, &c->address, err);

    if (rc < 0)
        return rc;
    if (o->unix_socket && !(c->socket = strdup(o->unix_socket)))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a client");
    sewa_text_printf(&shown, "%s%s", c->socket ? "unix:" : "",
                     c->socket ? c->socket : c->address.base);
    c->shown = sewa_text_take(&shown);
    return c->shown ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a client");
}

static void cleanup_client(struct sewa_client **c)
{
    sewa_client_close(*c);
}

int sewa_client_open(const struct sewa_client_options *o, struct sewa_client **ret,
                     struct sewa_error *err)
{
    AUTO(cleanup_client) struct sewa_client *c = calloc(1, sizeof *c);
    int rc = check_options(o, err);

    pthread_once(&once, start_curl);
    if (rc < 0)
        return rc;
    if (!c || curl_state != CURLE_OK || !(c->curl = curl_easy_init()) ||
        !(c->user_agent = strdup(o->user_agent ? o->user_agent : "libsewa/" SEWA_VERSION)))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a client");
    c->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
    c->interrupted = o->interrupted;
    c->arg = o->arg;
    rc = set_token(c, o->token, err);
    if (rc == 0)
        rc = set_address(c, o, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(c);
    return 0;
}

void sewa_client_close(struct sewa_client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    sewa_address_clear(&c->address);
    if (c->bearer)
        explicit_bzero(c->bearer, strlen(c->bearer));
    free(c->bearer);
    free(c->socket);
    free(c->shown);
    free(c->user_agent);
    free(c);
}

const char *sewa_client_address(const struct sewa_client *c)
{
    return c->shown;
}

/* ---- the service ---- */

int sewa_service_version(struct sewa_client *c, struct sewa_service *ret, struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_call_clear) struct call call = { 0 };
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct sewa_service s = { 0 };

    *ret = s;
    sewa_text_put(&path, "/version");
    int rc = sewa_ask(c, &call, &path, &d, err);
    if (rc == 0)
        rc = sewa_need_text(d->root, "name", &s.name, err);
    if (rc == 0)
        rc = sewa_need_text(d->root, "version", &s.version, err);
    if (rc == 0)
        rc = sewa_need_text(d->root, "api", &s.api, err);
    if (rc < 0)
        return rc;
    s.json = d->text;
    s.document = TAKE(d);
    *ret = s;
    return 0;
}

void sewa_service_clear(struct sewa_service *s)
{
    sewa_document_free(s->document);
    *s = (struct sewa_service){ 0 };
}

int sewa_service_ready(struct sewa_client *c, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };

    sewa_text_put(&path, "/readyz");
    return sewa_tell(c, "GET", &path, err);
}
