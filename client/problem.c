/*
 * problem - problem+json (RFC 9457) as a struct sewa_error.
 */
#include "problem.h"

#include <jansson.h>
#include <string.h>

#include "cleanup.h"

static void cleanup_json(json_t **o)
{
    json_decref(*o);
}

/* For services (and proxies in front of them) that give no code that we know. */
static int code_of_status(long status)
{
    static const struct {
        long status;
        int code;
    } rows[] = {
        { 400, SEWA_E_BAD_REQUEST },
        { 401, SEWA_E_UNAUTHORIZED },
        { 403, SEWA_E_FORBIDDEN },
        { 404, SEWA_E_NOT_FOUND },
        { 405, SEWA_E_METHOD_NOT_ALLOWED },
        { 406, SEWA_E_NOT_ACCEPTABLE },
        { 407, SEWA_E_UNAUTHORIZED },
        { 408, SEWA_E_REQUEST_TIMEOUT },
        { 409, SEWA_E_CONFLICT },
        { 410, SEWA_E_NOT_FOUND },
        { 412, SEWA_E_PRECONDITION },
        { 413, SEWA_E_TOO_LARGE },
        { 414, SEWA_E_URI_TOO_LONG },
        { 415, SEWA_E_MEDIA_TYPE },
        { 416, SEWA_E_RANGE },
        { 422, SEWA_E_INVALID },
        { 428, SEWA_E_PRECONDITION },
        { 429, SEWA_E_TOO_MANY },
        { 431, SEWA_E_HEADERS_TOO_LARGE },
        { 500, SEWA_E_INTERNAL },
        { 502, SEWA_E_UNAVAILABLE },
        { 503, SEWA_E_UNAVAILABLE },
        { 504, SEWA_E_TIMEOUT },
        { 507, SEWA_E_NO_SPACE },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].status == status)
            return rows[i].code;
    return status >= 400 && status < 500 ? SEWA_E_BAD_REQUEST
           : status >= 500               ? SEWA_E_INTERNAL
                                         : SEWA_E_PROTOCOL;
}

static const char *string_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* The first field to blame; more than one is rare, and one at a time is how people mend. */
static const char *pointer_of(const json_t *o)
{
    const char *pointer = string_of(json_array_get(json_object_get(o, "errors"), 0), "pointer");

    return pointer ? pointer : "";
}

static int silent(long status, const char *what, int code, struct sewa_error *err)
{
    return sewa_fail(err, code, "%s was answered with status %ld and no reason that a sewad gives",
                     what, status);
}

int sewa_problem_read(long status, const char *body, size_t n, const char *what,
                      struct sewa_error *err)
{
    AUTO(cleanup_json) json_t *o = json_loadb(body, n, JSON_REJECT_DUPLICATES, NULL);
    const char *detail = string_of(o, "detail");
    int code = sewa_code_from_slug(string_of(o, "code"));

    if (code == 0)
        code = code_of_status(status);
    if (!detail)
        detail = string_of(o, "title");
    if (!detail)
        return silent(status, what, code, err);
    sewa_fail_at(err, code, pointer_of(o), "%s", detail);
    /* the log of the service has more about these, under this number */
    const char *id = string_of(o, "request_id");
    if (status >= 500 && code != SEWA_E_UNAVAILABLE && id)
        sewa_context(err, code, "request %.40s", id);
    return code;
}
