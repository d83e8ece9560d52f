/*
 * fake - stands in front of the HTTP library where a request asks it for a header field, and
 * listens where an answer is made.
 */
#include "fake.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char answer_body[1 << 16];
static bool no_memory;

void fake_no_memory(bool none)
{
    no_memory = none;
}

const char *MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind,
                                        const char *key)
{
    const struct fake *f = (const struct fake *)c;

    (void)kind;
    for (int i = 0; i < f->field_count; i++)
        if (strcasecmp(f->fields[i].name, key) == 0)
            return f->fields[i].value;
    return NULL;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t n, void *data,
                                                     enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *(*real)(size_t, void *, enum MHD_ResponseMemoryMode);

    if (no_memory)
        return NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "MHD_create_response_from_buffer");
    assert_true(n < sizeof answer_body);
    memcpy(answer_body, data, n);
    answer_body[n] = '\0';
    return real(n, data, mode);
}

void fake_open(struct fake *f, enum http_method method, const char *target)
{
    struct sewa_error err = { 0 };
    unsigned allowed;

    memset(f, 0, sizeof *f);
    *answer_body = '\0';
    f->rq.connection = (struct MHD_Connection *)f;
    f->rq.method = method;
    f->rq.target_text = strdup(target);
    memcpy(f->rq.id, "01K9Z5V7QH8M3N2P4R6S8T0VWX", sizeof f->rq.id);
    assert_ok(guard_target(f->rq.target_text, &f->rq.target, &err), err);
    f->rq.route = router_find(routes, route_count, ROUTE_PUBLIC, &f->rq, &allowed);
}

void fake_field(struct fake *f, const char *name, const char *value)
{
    assert_true(f->field_count < FAKE_FIELDS_MAX);
    f->fields[f->field_count].name = name;
    f->fields[f->field_count++].value = value;
}

void fake_body(struct fake *f, const char *text)
{
    buf_text(&f->rq.body, text);
}

void fake_close(struct fake *f)
{
    for (int i = 0; i < f->rq.header_count; i++) {
        free(f->rq.headers[i].name);
        free(f->rq.headers[i].value);
    }
    if (f->rq.reply)
        MHD_destroy_response(f->rq.reply);
    buf_clear(&f->rq.body);
    free(f->rq.target_text);
}

const char *fake_answer_field(const struct fake *f, const char *name)
{
    for (int i = 0; i < f->rq.header_count; i++)
        if (strcmp(f->rq.headers[i].name, name) == 0)
            return f->rq.headers[i].value;
    return NULL;
}

const char *fake_answer_body(void)
{
    return answer_body;
}

void fake_assert_problem(const struct fake *f, int code, const char *word)
{
    const struct sewa_code_info *info = sewa_code_info(code);
    AUTOJSON json_t *problem = json_parse(answer_body, strlen(answer_body), NULL);

    assert_non_null(f->rq.reply);
    assert_int_equal(f->rq.status, info->http_status);
    assert_string_equal(fake_answer_field(f, "Content-Type"), "application/problem+json");
    assert_string_equal(json_string_value(json_object_get(problem, "code")), info->slug);
    if (!strstr(json_string_value(json_object_get(problem, "detail")), word))
        fail_msg("'%s' is not in %s", word, answer_body);
}
