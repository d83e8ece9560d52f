/*
 * link - libcurl over the unix socket, with patience.
 */
#include "worker/link.h"

#include <curl/curl.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "sewa/protocol.h"
#include "sewa/version.h"

enum {
    RETRY_FIRST_MS = 20,
    RETRY_MOST_MS = 1000,
    CALL_TIMEOUT_MS = 60000, /* longer than sewad holds a question for work */
    ANSWER_MAX = 64 << 20,
};

struct link {
    CURL *curl;
    struct curl_slist *json_headers, *bytes_headers;
    char *socket;
    int64_t patience_ms;
    const atomic_bool *cancel;
    struct buf answer;
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    struct link *l = arg;

    if (l->answer.len + size * n > ANSWER_MAX)
        return 0;
    buf_append(&l->answer, data, size * n);
    return buf_failed(&l->answer) ? 0 : size * n;
}

static struct curl_slist *headers(const char *token, const char *media_type)
{
    AUTO(buf_clear) struct buf b = { 0 };
    struct curl_slist *list = NULL;

    buf_printf(&b, "Authorization: Bearer %s", token);
    if (!buf_failed(&b))
        list = curl_slist_append(NULL, buf_cstr(&b));
    buf_reset(&b);
    buf_printf(&b, "Content-Type: %s", media_type);
    struct curl_slist *longer = list ? curl_slist_append(list, buf_cstr(&b)) : NULL;
    if (longer)
        list = longer;
    longer = list ? curl_slist_append(list, "Expect:") : NULL; /* no "100 Continue" */
    return longer ? longer : list;
}

int link_open(const struct link_options *o, struct link **ret, struct sewa_error *err)
{
    AUTOPTR(link_close) struct link *l = calloc(1, sizeof *l);

    if (!l || !(l->socket = strdup(o->socket)) || !(l->curl = curl_easy_init()) ||
        !(l->json_headers = headers(o->token, "application/json")) ||
        !(l->bytes_headers = headers(o->token, "application/octet-stream")))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the connection to sewad");
    l->patience_ms = o->patience_ms;
    l->cancel = o->cancel;
    curl_easy_setopt(l->curl, CURLOPT_UNIX_SOCKET_PATH, l->socket);
    curl_easy_setopt(l->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(l->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(l->curl, CURLOPT_TIMEOUT_MS, (long)CALL_TIMEOUT_MS);
    curl_easy_setopt(l->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(l->curl, CURLOPT_WRITEDATA, l);
    curl_easy_setopt(l->curl, CURLOPT_USERAGENT, "sewa-worker/" SEWA_VERSION);
    *ret = TAKE(l);
    return 0;
}

void link_close(struct link *l)
{
    if (!l)
        return;
    curl_easy_cleanup(l->curl);
    curl_slist_free_all(l->json_headers);
    curl_slist_free_all(l->bytes_headers);
    buf_clear(&l->answer);
    free(l->socket);
    free(l);
}

/* One attempt. 0: sewad answered, with this status. */
static int attempt(struct link *l, const char *call, struct curl_slist *head, const char *body,
                   size_t n, long *ret_status, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf url = { 0 };

    buf_reset(&l->answer);
    buf_printf(&url, "http://localhost%s/%s", WORKER_API_PREFIX, call);
    if (buf_failed(&url))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a call");
    curl_easy_setopt(l->curl, CURLOPT_URL, buf_cstr(&url));
    curl_easy_setopt(l->curl, CURLOPT_HTTPHEADER, head);
    curl_easy_setopt(l->curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(l->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
    CURLcode rc = curl_easy_perform(l->curl);
    if (rc != CURLE_OK)
        return sewa_fail(err, SEWA_E_UNREACHABLE, "sewad does not answer at '%s': %s", l->socket,
                         curl_easy_strerror(rc));
    curl_easy_getinfo(l->curl, CURLINFO_RESPONSE_CODE, ret_status);
    return 0;
}

/* A problem+json body becomes the error that it is. */
static int read_problem(const json_t *o, long status, struct sewa_error *err)
{
    const char *slug = json_string_value(json_object_get(o, "code"));
    const char *detail = json_string_value(json_object_get(o, "detail"));
    int code = sewa_code_from_slug(slug);

    return sewa_fail(err, code ? code : SEWA_E_PROTOCOL, "%s (status %ld)",
                     detail ? detail : "sewad refused the call", status);
}

static int read_answer(struct link *l, long status, json_t **ret, struct sewa_error *err)
{
    json_t *o = json_parse(buf_cstr(&l->answer), l->answer.len, NULL);

    if (status >= 200 && status < 300 && json_is_object(o)) {
        *ret = o;
        return 0;
    }
    int rc = read_problem(o, status, err);
    json_decref(o);
    return rc;
}

static bool is_cancelled(const struct link *l)
{
    return l->cancel && atomic_load(l->cancel);
}

/* Sleep in slices, so that a cancelled worker ends at once. */
static void nap(const struct link *l, int64_t ms)
{
    for (int64_t left = ms; left > 0 && !is_cancelled(l); left -= 50) {
        struct timespec ts = { 0, (long)(left < 50 ? left : 50) * 1000000L };
        nanosleep(&ts, NULL);
    }
}

int link_call(struct link *l, const char *call, const json_t *message, json_t **ret,
              struct sewa_error *err)
{
    AUTOFREE char *text = json_text(message);
    int64_t since_ms = clock_monotonic_ms(), pause_ms = RETRY_FIRST_MS;
    long status = 0;

    if (!text)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a call");
    for (;;) {
        int rc = attempt(l, call, l->json_headers, text, strlen(text), &status, err);
        if (rc == 0)
            rc = read_answer(l, status, ret, err);
        if (rc != SEWA_E_UNREACHABLE && rc != SEWA_E_UNAVAILABLE)
            return rc;
        if (is_cancelled(l))
            return sewa_fail(err, SEWA_E_CANCELLED, "the worker was told to stop");
        if (clock_monotonic_ms() - since_ms > l->patience_ms)
            return rc;
        nap(l, pause_ms);
        pause_ms = pause_ms * 2 < RETRY_MOST_MS ? pause_ms * 2 : RETRY_MOST_MS;
    }
}

int link_send(struct link *l, const char *call, const void *data, size_t n, struct sewa_error *err)
{
    long status = 0;
    json_t *ignored = NULL;
    int rc = attempt(l, call, l->bytes_headers, data, n, &status, err);

    if (rc == 0)
        rc = read_answer(l, status, &ignored, err);
    json_decref(ignored);
    return rc;
}
