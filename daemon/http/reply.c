/*
 * reply - make a response and hand it to the library, or resume a held request that waits for it.
 */
#include "http/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "http/server.h"

void reply_header(struct request *rq, const char *name, const char *value)
{
    char *n = strdup(name), *v = strdup(value);
    int i = 0;

    while (i < rq->header_count && strcmp(rq->headers[i].name, name) != 0)
        i++;
    if (!n || !v || i == REQUEST_REPLY_HEADERS_MAX) {
        free(n);
        free(v);
        return;
    }
    if (i == rq->header_count) {
        rq->header_count++;
    } else {
        free(rq->headers[i].name);
        free(rq->headers[i].value);
    }
    rq->headers[i].name = n;
    rq->headers[i].value = v;
}

void reply_headerf(struct request *rq, const char *name, const char *format, ...)
{
    char value[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(value, sizeof value, format, ap);
    va_end(ap);
    reply_header(rq, name, value);
}

void reply_response(struct request *rq, unsigned status, struct MHD_Response *response)
{
    if (!response) {
        static char nothing[1];
        status = 503;
        response = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    }
    rq->reply = response;
    rq->status = status;
    if (rq->suspended)
        server_resume(rq);
}

void reply_shared(struct request *rq, unsigned status, struct MHD_Response *response)
{
    rq->reply_is_shared = true;
    reply_response(rq, status, response);
}

void reply_bytes(struct request *rq, unsigned status, const char *media_type, char *data, size_t n)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(n, data, MHD_RESPMEM_MUST_FREE);

    if (!r)
        free(data);
    else
        reply_header(rq, "Content-Type", media_type);
    reply_response(rq, status, r);
}

void reply_json_text(struct request *rq, unsigned status, char *text)
{
    if (!text) {
        reply_response(rq, 503, NULL);
        return;
    }
    reply_bytes(rq, status, "application/json", text, strlen(text));
}

void reply_json(struct request *rq, unsigned status, json_t *value)
{
    char *text = value ? json_text_short(value) : NULL;

    json_decref(value);
    reply_json_text(rq, status, text);
}

void reply_empty(struct request *rq, unsigned status)
{
    static char nothing[1];

    reply_response(rq, status, MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT));
}

/*
 * The length of a 304 would be that of the content, and 0 is not. The library 1.0 leaves it out
 * when it is asked to; older ones only where they end the connection.
 */
#if MHD_VERSION >= 0x01000000
static struct MHD_Response *without_length(void)
{
    return MHD_create_response_empty(MHD_RF_HEAD_ONLY_RESPONSE);
}
#else
static ssize_t read_nothing(void *cls, uint64_t position, char *data, size_t n)
{
    (void)cls;
    (void)position;
    (void)data;
    (void)n;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static struct MHD_Response *without_length(void)
{
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16, read_nothing, NULL, NULL);

    if (r)
        MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return r;
}
#endif

void reply_not_modified(struct request *rq, const char *etag)
{
    reply_header(rq, "ETag", etag);
    reply_header(rq, "Cache-Control", "no-cache");
    reply_response(rq, 304, without_length());
}

static json_t *problem(const struct request *rq, const struct sewa_code_info *info,
                       const struct sewa_error *err)
{
    json_t *p = json_pack("{s:s+, s:s, s:i, s:s, s:s, s:s}", "type",
                          "urn:sewa:problem:", info->slug, "title", info->title, "status",
                          info->http_status, "detail", err->text, "code", info->slug, "request_id",
                          rq->id);

    if (p && err->pointer[0] &&
        json_put(p, "errors",
                 json_pack("[{s:s, s:s}]", "pointer", err->pointer, "detail", err->text)) < 0) {
        json_decref(p);
        return NULL;
    }
    return p;
}

char *reply_problem_text(const struct request *rq, const struct sewa_error *err)
{
    AUTOJSON json_t *value = problem(rq, sewa_code_info(err->code), err);

    return value ? json_text_short(value) : NULL;
}

void reply_error(struct request *rq, const struct sewa_error *err)
{
    const struct sewa_code_info *info = sewa_code_info(err->code);
    char *text = reply_problem_text(rq, err);

    if (info->http_status == 503 || info->http_status == 429)
        reply_header(rq, "Retry-After", "2");
    if (!text)
        reply_response(rq, 503, NULL);
    else
        reply_bytes(rq, (unsigned)info->http_status, "application/problem+json", text,
                    strlen(text));
}

void reply_fail(struct request *rq, int code, const char *format, ...)
{
    struct sewa_error err;
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    sewa_fail(&err, code, "%s", text);
    reply_error(rq, &err);
}
