/*
 * fuzz_guard - bytes that a client might send before its body: a line with the target, then lines
 * of header fields. What the guard lets through has one meaning; tokens of pages, ranges and lists
 * in fields are taken or refused, and what is taken makes sense.
 */
#include "fuzz.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "http/fields.h"
#include "http/guard.h"
#include "http/page.h"
#include "http/range.h"

static void check(int rc, const struct sewa_error *err)
{
    MUST(rc == err->code && (rc == 0) == (err->text[0] == '\0'));
    MUST(utf8_is_valid(err->text, strlen(err->text)));
}

/* ---- the target ---- */

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

/* A token that is taken is one that could have been given. */
static void take_token(const char *text)
{
    static const char *const orders[] = { "jobs", "runs", "checkpoints 1 step+" };
    struct page_key key, again;
    char token[PAGE_TOKEN_SIZE];

    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct sewa_error err = { 0 };
        int rc = page_decode(text, orders[i], &key, &err);
        check(rc, &err);
        if (rc < 0)
            continue;
        MUST(isfinite(key.value) && key.id >= 0 && strcmp(key.order, orders[i]) == 0);
        MUST(page_decode(page_encode(&key, token), orders[i], &again, &err) == 0);
        MUST(again.number == key.number && again.id == key.id && again.value == key.value);
        MUST(strcmp(again.text, key.text) == 0);
    }
}

static void take_target(char *text)
{
    struct guard_target t;
    struct sewa_error err = { 0 };
    const char *end = text + strlen(text);
    int rc = guard_target(text, &t, &err);

    check(rc, &err);
    if (rc < 0)
        return;
    MUST(t.segment_count <= GUARD_SEGMENTS_MAX && t.query_count <= GUARD_QUERY_MAX);
    for (int i = 0; i < t.segment_count; i++) {
        const char *s = t.segments[i];
        MUST(s > text && s < end && *s && is_printable(s));
        MUST(strcmp(s, ".") != 0 && strcmp(s, "..") != 0);
    }
    for (int i = 0; i < t.query_count; i++) {
        MUST(is_printable(t.query[i].key) && is_printable(t.query[i].value));
        take_token(t.query[i].value);
    }
}

/* ---- header fields ---- */

static void take_range(const char *value)
{
    static const int64_t sizes[] = { 0, 1, 1000, INT64_MAX };

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct range r;
        struct sewa_error err = { 0 };
        int rc = range_parse(value, sizes[i], &r, &err);
        check(rc, &err);
        if (rc == 0)
            MUST(r.first >= 0 && r.length >= r.given && r.length <= sizes[i] - r.first);
    }
}

static void take_lists(const char *value)
{
    int any = fields_quality(value, "text/csv");

    MUST(any >= 0 && any <= QUALITY_MAX);
    if (fields_name_etag(value, "\"v1\""))
        MUST(strcmp(value, "*") == 0 || strstr(value, "\"v1\""));
    if (fields_is_type(value, "text/csv"))
        MUST(strncasecmp(value, "text/csv", 8) == 0);
}

static void take_field(struct guard *g, char *line)
{
    char *colon = strchr(line, ':');
    const char *value = NULL;

    if (colon) {
        *colon = '\0';
        value = colon + 1 + strspn(colon + 1, " \t");
        take_range(value);
        take_lists(value);
    }
    guard_header(g, line, value);
}

static void judge(struct guard *g, const char *version)
{
    struct sewa_error err = { 0 };
    int rc = guard_check(g, version, &err);

    check(rc, &err);
    if (rc < 0)
        return;
    MUST(g->host_count == 1 && g->host && !g->bad_name);
    MUST(g->content_length_count + g->transfer_encoding_count <= 1);
    MUST(g->transfer_encoding_count ? g->content_length == -1 : g->content_length >= 0);
    rc = guard_loopback(g, &err);
    check(rc, &err);
    if (rc == 0)
        MUST(strncasecmp(g->host, "localhost", 9) == 0 || strncmp(g->host, "127.", 4) == 0 ||
             strncmp(g->host, "[::1]", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOFREE char *text = malloc(size + 1);
    struct guard g = { 0 }, old;

    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    char *save = text, *line = strsep(&save, "\n");
    take_target(line);
    while ((line = strsep(&save, "\n")) != NULL)
        take_field(&g, line);
    old = g;
    judge(&g, "HTTP/1.1");
    judge(&old, "HTTP/1.0");
    return 0;
}
