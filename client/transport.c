/*
 * transport - one request over libcurl.
 */
#include "transport.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cleanup.h"
#include "problem.h"

void sewa_call_clear(struct call *call)
{
    sewa_text_clear(&call->answer);
}

int64_t sewa_clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool sewa_is_passing(int code)
{
    return code == SEWA_E_UNREACHABLE || code == SEWA_E_UNAVAILABLE || code == SEWA_E_TOO_MANY;
}

static int interrupted(struct sewa_client *c, struct sewa_error *err)
{
    if (c->interrupted && c->interrupted(c->arg))
        return sewa_fail(err, SEWA_E_CANCELLED, "interrupted");
    return 0;
}

int sewa_nap(struct sewa_client *c, int64_t ms, struct sewa_error *err)
{
    int64_t end_ms = sewa_clock_ms() + ms;

    for (;;) {
        int rc = interrupted(c, err);
        int64_t left = end_ms - sewa_clock_ms();
        if (rc < 0 || left <= 0)
            return rc;
        if (left > 500)
            left = 500;
        struct timespec ts = { 0, (long)left * 1000000L };
        nanosleep(&ts, NULL); /* a signal ends it, and the loop asks again */
    }
}

/* ---- what curl calls ---- */

static bool is_wanted(const struct call *call)
{
    return call->status >= 200 && call->status < 300;
}

/* Remember why the transfer is stopped; curl is told by a short count. */
static size_t stop(struct call *call, int rc)
{
    call->rc = rc;
    return 0;
}

static int keep(struct call *call, const void *data, size_t n)
{
    size_t most = is_wanted(call) ? ANSWER_MAX : PROBLEM_MAX;

    if (call->answer.length + n > most)
        return sewa_fail(call->err, SEWA_E_PROTOCOL, "the answer to %s %s has more than %zu bytes",
                         call->method, call->path, most);
    sewa_text_append(&call->answer, data, n);
    if (call->answer.failed)
        return sewa_fail(call->err, SEWA_E_NO_MEMORY, "no memory for an answer of %zu bytes",
                         call->answer.length + n);
    return 0;
}

/* All header fields are there. */
static int begin(struct call *call)
{
    curl_off_t length = -1;

    if (call->has_begun)
        return 0;
    call->has_begun = true;
    curl_easy_getinfo(call->client->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    call->content_length = (int64_t)length;
    return is_wanted(call) && call->began ? call->began(call, call->err) : 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct call *call = arg;
    int rc = begin(call);

    n *= size;
    call->heard_ms = sewa_clock_ms();
    if (rc == 0 && is_wanted(call) && call->sink)
        rc = call->sink->write(call->sink, data, n, call->err);
    else if (rc == 0)
        rc = keep(call, data, n);
    return rc < 0 ? stop(call, rc) : n;
}

/* The value of a field without its surrounding space; too long ones are left out. */
static void copy_value(char *to, size_t size, const char *value, size_t n)
{
    if (n < size) {
        memcpy(to, value, n);
        to[n] = '\0';
    }
}

static void take_header(struct call *call, const char *name, size_t name_length, const char *value,
                        size_t n)
{
    const struct {
        const char *name;
        char *to;
        size_t size;
    } wanted[] = {
        { "etag", call->etag, sizeof call->etag },
        { "content-type", call->media_type, sizeof call->media_type },
        { "repr-digest", call->repr_digest, sizeof call->repr_digest },
        { "content-range", call->content_range, sizeof call->content_range },
    };

    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (strlen(wanted[i].name) == name_length &&
            strncasecmp(name, wanted[i].name, name_length) == 0)
            copy_value(wanted[i].to, wanted[i].size, value, n);
    if (name_length == 19 && strncasecmp(name, "idempotent-replayed", 19) == 0)
        call->replayed = n == 4 && strncasecmp(value, "true", 4) == 0;
}

/* A new status line: what came before belonged to an interim answer. */
static void begin_answer(struct call *call)
{
    call->etag[0] = call->media_type[0] = call->repr_digest[0] = call->content_range[0] = '\0';
    call->replayed = false;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct call *call = arg;
    const char *end = data + size * n;
    const char *colon = memchr(data, ':', size * n);

    call->header_bytes += size * n;
    call->heard_ms = sewa_clock_ms();
    if (call->header_bytes > HEADERS_MAX)
        return stop(call, sewa_fail(call->err, SEWA_E_PROTOCOL,
                                    "the header fields of the answer to %s %s have more than %d "
                                    "bytes",
                                    call->method, call->path, HEADERS_MAX));
    if (strncmp(data, "HTTP/", 5) == 0) {
        begin_answer(call);
    } else if (colon) {
        const char *value = colon + 1;
        while (value < end && (*value == ' ' || *value == '\t'))
            value++;
        while (end > value && strchr(" \t\r\n", end[-1]))
            end--;
        take_header(call, data, (size_t)(colon - data), value, (size_t)(end - value));
    }
    curl_easy_getinfo(call->client->curl, CURLINFO_RESPONSE_CODE, &call->status);
    return size * n;
}

/* curl can limit silence too, but measures it as a mean over several seconds. */
static int too_silent(const struct call *call)
{
    const struct sewa_client *c = call->client;

    if (!call->streams || call->may_be_silent || sewa_clock_ms() - call->heard_ms <= c->timeout_ms)
        return 0;
    return sewa_fail(call->err, SEWA_E_TIMEOUT, "no answer from %s: not a byte for %" PRId64 " ms",
                     c->shown, c->timeout_ms);
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
    struct call *call = arg;

    (void)a, (void)b, (void)d, (void)e;
    int rc = interrupted(call->client, call->err);
    if (rc == 0)
        rc = too_silent(call);
    if (rc < 0)
        stop(call, rc);
    return rc < 0;
}

/* ---- the question ---- */

static bool add_header(struct curl_slist **list, const char *format, const char *value)
{
    AUTO(sewa_text_clear) struct text line = { 0 };

    if (!value)
        return true;
    sewa_text_put(&line, format);
    sewa_text_put(&line, value);
    struct curl_slist *longer = line.failed ? NULL : curl_slist_append(*list, sewa_text_get(&line));
    if (longer)
        *list = longer;
    return longer != NULL;
}

static void cleanup_list(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static bool make_headers(const struct sewa_client *c, const struct call *call,
                         struct curl_slist **ret)
{
    const char *type = !call->json      ? NULL
                       : call->is_patch ? "application/merge-patch+json"
                                        : "application/json";

    return add_header(ret, "", c->bearer) && add_header(ret, "Content-Type: ", type) &&
           add_header(ret, "Idempotency-Key: ", call->key) &&
           add_header(ret, "If-None-Match: ", call->if_none_match) &&
           add_header(ret, "If-Range: ", call->if_range) &&
           add_header(ret, "", "Expect:"); /* bodies are small: no "100 Continue" */
}

static void set_connection(struct sewa_client *c, struct call *call)
{
    CURL *h = c->curl;
    int64_t timeout_ms = c->timeout_ms + call->wait_ms;
    int64_t connect_ms = timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS;

    curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    /* curl 8 takes "%2E%2E" for "..", and would ask for another thing: a name is no way */
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    if (c->socket || c->address.is_local)
        curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    if (!call->streams)
        curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    if (call->streams)
        curl_easy_setopt(h, CURLOPT_BUFFERSIZE, (long)STREAM_BUFFER);
}

static void set_callbacks(struct sewa_client *c, struct call *call)
{
    CURL *h = c->curl;

    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, call);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
}

static bool set_question(struct sewa_client *c, struct call *call, struct curl_slist *headers)
{
    AUTO(sewa_text_clear) struct text url = { 0 };
    char range[32];
    CURL *h = c->curl;

    sewa_text_printf(&url, "%s%s", c->address.base, call->path);
    if (url.failed || curl_easy_setopt(h, CURLOPT_URL, sewa_text_get(&url)) != CURLE_OK ||
        curl_easy_setopt(h, CURLOPT_USERAGENT, c->user_agent) != CURLE_OK)
        return false;
    if (call->json) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, call->json);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(call->json));
    } else if (strcmp(call->method, "POST") == 0) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, "");
    }
    if (strcmp(call->method, "GET") != 0 &&
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method) != CURLE_OK)
        return false;
    if (call->range_from > 0) {
        snprintf(range, sizeof range, "%" PRId64 "-", call->range_from);
        if (curl_easy_setopt(h, CURLOPT_RANGE, range) != CURLE_OK)
            return false;
    }
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    return true;
}

/* ---- the answer ---- */

static int code_of(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return SEWA_E_TIMEOUT;
    case CURLE_OUT_OF_MEMORY: return SEWA_E_NO_MEMORY;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9: something that is not HTTP has answered */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR: return SEWA_E_PROTOCOL;
    default: return SEWA_E_UNREACHABLE;
    }
}

/* In the words of the system: of a unix socket curl says "port 80", and of a refusal that it could
 * not connect. The number tells callers that nobody was there. */
static int no_connection(const struct sewa_client *c, struct sewa_error *err)
{
    long number = 0;

    curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &number);
    errno = number ? (int)number : ECONNREFUSED;
    return sewa_fail_errno(err, SEWA_E_UNREACHABLE, "cannot reach %s", c->shown);
}

static int transfer_failed(const struct sewa_client *c, const struct call *call, CURLcode code,
                           const char *detail, struct sewa_error *err)
{
    if (call->rc < 0)
        return call->rc; /* err is filled already */
    if (code == CURLE_COULDNT_CONNECT)
        return no_connection(c, err);
    const char *why = *detail ? detail : curl_easy_strerror(code);
    switch (code_of(code)) {
    case SEWA_E_TIMEOUT:
        return sewa_fail(err, SEWA_E_TIMEOUT, "no answer from %s: %s", c->shown, why);
    case SEWA_E_NO_MEMORY: return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a request");
    case SEWA_E_PROTOCOL:
        return sewa_fail(err, SEWA_E_PROTOCOL, "what answers at %s does not speak HTTP: %s",
                         c->shown, why);
    default: return sewa_fail(err, SEWA_E_UNREACHABLE, "cannot reach %s: %s", c->shown, why);
    }
}

static int judge(struct sewa_client *c, struct call *call, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text what = { 0 };

    if (is_wanted(call) || (call->status == 304 && call->if_none_match))
        return 0;
    sewa_text_printf(&what, "%s %s", call->method, call->path);
    if (call->status >= 300 && call->status < 400) {
        char *to = NULL;
        curl_easy_getinfo(c->curl, CURLINFO_REDIRECT_URL, &to);
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "%s was answered with status %ld to '%.200s', which is not followed",
                         sewa_text_get(&what), call->status, to ? to : "");
    }
    return sewa_problem_read(call->status, sewa_text_get(&call->answer), call->answer.length,
                             sewa_text_get(&what), err);
}

int sewa_call(struct sewa_client *c, struct call *call, struct sewa_error *err)
{
    AUTO(cleanup_list) struct curl_slist *headers = NULL;
    struct sewa_error scratch;
    char detail[CURL_ERROR_SIZE] = "";

    err = err ? err : &scratch;
    call->client = c;
    call->err = err;
    call->heard_ms = sewa_clock_ms();
    int rc = interrupted(c, err);
    if (rc < 0)
        return rc;
    curl_easy_reset(c->curl); /* keeps its connections */
    set_connection(c, call);
    set_callbacks(c, call);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, detail);
    if (!make_headers(c, call, &headers) || !set_question(c, call, headers))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a request");
    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &call->status);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL); /* it goes out of scope */
    c->was_there = c->was_there || is_wanted(call);       /* even if it has not come to its end */
    if (code != CURLE_OK)
        return transfer_failed(c, call, code, detail, err);
    rc = begin(call); /* of a body without bytes */
    return rc < 0 ? rc : judge(c, call, err);
}
