/*
 * test_guard - what is refused before anything else looks at a request: framing, foreign hosts, and
 * targets that mean two things.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "http/guard.h"

/* ---- framing ---- */

struct framing {
    const char *name;
    const char *fields; /* "Name: value\n" each; Host is added unless it is there */
    const char *version;
    const char *word;       /* of the refusal, or NULL */
    int64_t content_length; /* otherwise */
};

#define V11 "HTTP/1.1"

static const struct framing framings[] = {
    { "no body", "", V11, NULL, 0 },
    { "version 1.0", "", "HTTP/1.0", NULL, 0 },
    { "version 1.2", "", "HTTP/1.2", "'HTTP/1.2'", 0 },
    { "version 2", "", "HTTP/2.0", "version", 0 },
    { "version 0.9", "", "", "version", 0 },
    { "version in lower case", "", "http/1.1", "version", 0 },
    { "a length", "Content-Length: 5\n", V11, NULL, 5 },
    { "length zero", "Content-Length: 0\n", V11, NULL, 0 },
    { "length with zeros before", "Content-Length: 0005\n", V11, NULL, 5 },
    { "the longest length", "Content-Length: 999999999999999999\n", V11, NULL, 999999999999999999 },
    { "length of 19 digits", "Content-Length: 1000000000000000000\n", V11, "not a number", 0 },
    { "length of 100 digits", "Content-Length: 00000000000000000000000000000000000005\n", V11,
      "not a number", 0 },
    { "no length", "Content-Length: \n", V11, "not a number", 0 },
    { "negative length", "Content-Length: -1\n", V11, "not a number", 0 },
    { "length with a sign", "Content-Length: +5\n", V11, "not a number", 0 },
    { "length in hexadecimal", "Content-Length: 0x5\n", V11, "not a number", 0 },
    { "length with a point", "Content-Length: 5.0\n", V11, "not a number", 0 },
    { "length as a list", "Content-Length: 5, 5\n", V11, "not a number", 0 },
    { "length with a space behind", "Content-Length: 5 \n", V11, "not a number", 0 },
    { "two lengths", "Content-Length: 5\nContent-Length: 6\n", V11, "2 Content-Length", 0 },
    { "two equal lengths", "Content-Length: 5\ncontent-length: 5\n", V11, "2 Content-Length", 0 },
    { "three lengths, one bad", "Content-Length: x\nContent-Length: 5\nContent-Length: 5\n", V11,
      "3 Content-Length", 0 },
    { "chunked", "Transfer-Encoding: chunked\n", V11, NULL, -1 },
    { "chunked in capitals", "TRANSFER-ENCODING: CHUNKED\n", V11, NULL, -1 },
    { "xchunked", "Transfer-Encoding: xchunked\n", V11, "only transfer coding", 0 },
    { "chunkedx", "Transfer-Encoding: chunkedx\n", V11, "only transfer coding", 0 },
    { "chunked with a parameter", "Transfer-Encoding: chunked;a=b\n", V11, "only transfer", 0 },
    { "gzip, chunked", "Transfer-Encoding: gzip, chunked\n", V11, "only transfer coding", 0 },
    { "chunked twice in one", "Transfer-Encoding: chunked, chunked\n", V11, "only transfer", 0 },
    { "chunked twice", "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", V11,
      "only transfer", 0 },
    { "chunked, then another", "Transfer-Encoding: chunked\nTransfer-Encoding: identity\n", V11,
      "only transfer", 0 },
    { "no coding", "Transfer-Encoding: \n", V11, "only transfer coding", 0 },
    { "identity", "Transfer-Encoding: identity\n", V11, "only transfer coding", 0 },
    { "chunked behind a vertical tab", "Transfer-Encoding: \vchunked\n", V11, "only transfer", 0 },
    { "length and coding", "Content-Length: 5\nTransfer-Encoding: chunked\n", V11,
      "exclude each other", 0 },
    { "coding and length", "Transfer-Encoding: chunked\nContent-Length: 0\n", V11,
      "exclude each other", 0 },
    { "coding in 1.0", "Transfer-Encoding: chunked\n", "HTTP/1.0", "HTTP/1.0", 0 },
    { "two hosts", "Host: localhost\nHost: localhost\n", V11, "2 Host", 0 },
    { "no host", "-\n", V11, "Host header is missing", 0 },
    { "no host in 1.0", "-\n", "HTTP/1.0", "Host header is missing", 0 },
    { "space before the colon", "Content-Length : 5\n", V11, "name of a header field", 0 },
    { "tab before the colon", "Transfer-Encoding\t: chunked\n", V11, "name of a header", 0 },
    { "space before the name", " Content-Length: 5\n", V11, "name of a header field", 0 },
    { "no name", ": 5\n", V11, "name of a header field", 0 },
    { "name with a control byte", "X-\001: 5\n", V11, "name of a header field", 0 },
    { "name beyond ASCII", "X-\xc3\xa4: 5\n", V11, "name of a header field", 0 },
    { "name with a bracket", "X(y): 5\n", V11, "name of a header field", 0 },
    { "name of all that is allowed", "!#$%&'*+-.^_`|~09azAZ: 5\n", V11, NULL, 0 },
    { "underscores are another name", "Content_Length: 5\n", V11, NULL, 0 },
};

static void give_header(struct guard *g, char *line)
{
    char *colon = strstr(line, ": ");

    assert_non_null(colon);
    *colon = '\0';
    guard_header(g, line, colon + 2);
}

/* The text owns what the guard points to. */
static void give_headers(struct guard *g, char *fields)
{
    bool without_host = *fields == '-';
    char *line, *save = without_host ? fields + 2 : fields;

    while ((line = strsep(&save, "\n")) && *line)
        give_header(g, line);
    if (!without_host && g->host_count == 0)
        guard_header(g, "Host", "localhost");
}

static void test_framing(void **state)
{
    const struct framing *f = *state;
    AUTOFREE char *fields = strdup(f->fields);
    struct guard g = { 0 };
    struct sewa_error err = { 0 };

    give_headers(&g, fields);
    int rc = guard_check(&g, f->version, &err);
    if (f->word) {
        assert_failed(rc, err, SEWA_E_BAD_REQUEST, f->word);
    } else {
        assert_ok(rc, err);
        assert_int_equal(g.content_length, f->content_length);
    }
}

static void test_expectations(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool expects;
    } rows[] = { { "100-continue", true }, { "100-Continue", true }, { "200-ok", false } };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct guard g = { 0 };
        guard_header(&g, "Expect", rows[i].value);
        assert_int_equal(g.expects_continue, rows[i].expects);
    }
    struct guard g = { 0 };
    guard_header(&g, "X-Flag", NULL); /* the library gives NULL where there is no value */
    guard_header(&g, "Content-Length", NULL);
    assert_true(g.bad_length && !g.bad_name);
}

/* ---- who may ask ---- */

static const struct {
    const char *host, *origin, *word;
} hosts[] = {
    { "localhost", NULL, NULL },
    { "LocalHost:8787", NULL, NULL },
    { "127.0.0.1", NULL, NULL },
    { "127.0.0.1:8787", NULL, NULL },
    { "127.255.0.9:1", NULL, NULL },
    { "[::1]", NULL, NULL },
    { "[::1]:8787", NULL, NULL },
    { "", NULL, "Host ''" },
    { "example.org", NULL, "'example.org' is not this machine" },
    { "example.org:8787", NULL, "Host" },
    { "localhost.example.org", NULL, "Host" },
    { "localhost.", NULL, "Host" },
    { "notlocalhost", NULL, "Host" },
    { "127.0.0.1.example.org", NULL, "Host" },
    { "127.example.org", NULL, "Host" },
    { "128.0.0.1", NULL, "Host" },
    { "1127.0.0.1", NULL, "Host" },
    { "0.0.0.0", NULL, "Host" },
    { "192.168.1.5", NULL, "Host" },
    { "[::1", NULL, "Host" },
    { "[::1]x", NULL, "Host" },
    { "[::2]", NULL, "Host" },
    { "[::1]example.org", NULL, "Host" },
    { "::1", NULL, "Host" },
    { "localhost:", NULL, "Host" },
    { "localhost:x", NULL, "Host" },
    { "localhost:123456", NULL, "Host" },
    { "localhost:80@example.org", NULL, "Host" },
    { "localhost@example.org", NULL, "Host" },
    { "example.org:127.0.0.1", NULL, "Host" },
    { "localhost:8787", "http://localhost:8787", NULL },
    { "localhost:8787", "http://LOCALHOST:8787", NULL },
    { "localhost:8787", "http://localhost", "Origin" },
    { "localhost:8787", "http://localhost:8788", "Origin" },
    { "localhost:8787", "http://127.0.0.1:8787", "Origin" },
    { "localhost:8787", "https://localhost:8787", "Origin" },
    { "localhost:8787", "http://example.org", "'http://example.org' is a foreign site" },
    { "localhost:8787", "http://localhost:8787.example.org", "Origin" },
    { "localhost:8787", "null", "Origin" },
    { "localhost:8787", "", "Origin" },
};

static void test_hosts_and_origins(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct guard g = { 0 };
        struct sewa_error err = { 0 };
        guard_header(&g, "host", hosts[i].host);
        if (hosts[i].origin)
            guard_header(&g, "origin", hosts[i].origin);
        int rc = guard_loopback(&g, &err);
        if (hosts[i].word)
            assert_failed(rc, err, SEWA_E_FORBIDDEN, hosts[i].word);
        else
            assert_ok(rc, err);
    }
}

static void test_two_origins(void **state)
{
    (void)state;
    struct guard g = { 0 };
    struct sewa_error err = { 0 };

    guard_header(&g, "host", "localhost");
    guard_header(&g, "origin", "http://example.org");
    guard_header(&g, "origin", "http://localhost");
    assert_failed(guard_loopback(&g, &err), err, SEWA_E_FORBIDDEN, "Origin");
}

/* ---- targets ---- */

struct target {
    const char *text;
    const char *seen; /* "[segment][segment] key=value;" or NULL: refused */
    int code;
    const char *word;
};

static const struct target targets[] = {
    { "/", "", 0, NULL },
    { "/healthz", "[healthz]", 0, NULL },
    { "/api/v1/runs", "[api][v1][runs]", 0, NULL },
    { "/a%20b", "[a b]", 0, NULL },
    { "/a%2Fb", "[a/b]", 0, NULL },
    { "/a%2fb/c", "[a/b][c]", 0, NULL },
    { "/%C3%A4", "[\xc3\xa4]", 0, NULL },
    { "/a+b", "[a+b]", 0, NULL },
    { "/...", "[...]", 0, NULL },
    { "/.hidden", "[.hidden]", 0, NULL },
    { "/a.b..c", "[a.b..c]", 0, NULL },
    { "/?a=1", "a=1;", 0, NULL },
    { "/x?a=1&b=2", "[x]a=1;b=2;", 0, NULL },
    { "/x?a", "[x]a=;", 0, NULL },
    { "/x?a=", "[x]a=;", 0, NULL },
    { "/x?=1", "[x]=1;", 0, NULL },
    { "/x?", "[x]", 0, NULL },
    { "/x?&&a=1&&", "[x]a=1;", 0, NULL },
    { "/x?a=b=c", "[x]a=b=c;", 0, NULL },
    { "/x?a=1+2%2B3", "[x]a=1 2+3;", 0, NULL },
    { "/x?a%3D=%26", "[x]a==&;", 0, NULL },
    { "/x?a=../..", "[x]a=../..;", 0, NULL },
    { "/x?a=?b", "[x]a=?b;", 0, NULL },

    { "", NULL, SEWA_E_BAD_REQUEST, "does not begin with '/'" },
    { "healthz", NULL, SEWA_E_BAD_REQUEST, "does not begin with '/'" },
    { "*", NULL, SEWA_E_BAD_REQUEST, "does not begin with '/'" },
    { "http://localhost/healthz", NULL, SEWA_E_BAD_REQUEST, "does not begin with '/'" },
    { "?a=1", NULL, SEWA_E_BAD_REQUEST, "does not begin with '/'" },
    { "//", NULL, SEWA_E_NOT_FOUND, "empty segment" },
    { "//healthz", NULL, SEWA_E_NOT_FOUND, "empty segment" },
    { "/healthz/", NULL, SEWA_E_NOT_FOUND, "empty segment" },
    { "/api//runs", NULL, SEWA_E_NOT_FOUND, "empty segment" },
    { "/.", NULL, SEWA_E_BAD_REQUEST, "a '.' segment" },
    { "/..", NULL, SEWA_E_BAD_REQUEST, "a '..' segment" },
    { "/a/../b", NULL, SEWA_E_BAD_REQUEST, "a '..' segment" },
    { "/%2e%2e/b", NULL, SEWA_E_BAD_REQUEST, "a '..' segment" },
    { "/.%2E", NULL, SEWA_E_BAD_REQUEST, "a '..' segment" },
    { "/%2e", NULL, SEWA_E_BAD_REQUEST, "a '.' segment" },
    { "/a%00b", NULL, SEWA_E_BAD_REQUEST, "bad escape" },
    { "/a%0ab", NULL, SEWA_E_BAD_REQUEST, "bad escape" },
    { "/a%7f", NULL, SEWA_E_BAD_REQUEST, "bad escape" },
    { "/a%", NULL, SEWA_E_BAD_REQUEST, "bad escape" },
    { "/a%4", NULL, SEWA_E_BAD_REQUEST, "bad escape" },
    { "/a%4/b", NULL, SEWA_E_BAD_REQUEST, "bad escape" },
    { "/a%zz", NULL, SEWA_E_BAD_REQUEST, "bad escape" },
    { "/a%+1", NULL, SEWA_E_BAD_REQUEST, "bad escape" },
    { "/x?a=%00", NULL, SEWA_E_BAD_REQUEST, "query contains a bad escape" },
    { "/x?%=1", NULL, SEWA_E_BAD_REQUEST, "query contains a bad escape" },
    { "/x?a=%1", NULL, SEWA_E_BAD_REQUEST, "query contains a bad escape" },
    { "/x#y", NULL, SEWA_E_BAD_REQUEST, "must be escaped" },
    { "/x?a=#", NULL, SEWA_E_BAD_REQUEST, "must be escaped" },
    { "/x y", NULL, SEWA_E_BAD_REQUEST, "must be escaped" },
    { "/x\ty", NULL, SEWA_E_BAD_REQUEST, "must be escaped" },
    { "/x\001", NULL, SEWA_E_BAD_REQUEST, "must be escaped" },
    { "/x\177", NULL, SEWA_E_BAD_REQUEST, "must be escaped" },
    { "/\xc3\xa4", NULL, SEWA_E_BAD_REQUEST, "must be escaped" },
};

static void show(const struct guard_target *t, char *text, size_t size)
{
    *text = '\0';
    for (int i = 0; i < t->segment_count; i++)
        snprintf(text + strlen(text), size - strlen(text), "[%s]", t->segments[i]);
    for (int i = 0; i < t->query_count; i++)
        snprintf(text + strlen(text), size - strlen(text), "%s=%s;", t->query[i].key,
                 t->query[i].value);
}

static void test_target(void **state)
{
    const struct target *t = *state;
    AUTOFREE char *text = strdup(t->text);
    struct guard_target ret;
    struct sewa_error err = { 0 };
    char seen[200];
    int rc = guard_target(text, &ret, &err);

    if (!t->seen) {
        assert_failed(rc, err, t->code, t->word);
        return;
    }
    assert_ok(rc, err);
    show(&ret, seen, sizeof seen);
    assert_string_equal(seen, t->seen);
}

static void test_limits(void **state)
{
    (void)state;
    char text[400] = "";
    struct guard_target ret;
    struct sewa_error err = { 0 };

    for (int i = 0; i < GUARD_SEGMENTS_MAX; i++)
        strncat(text, "/s", sizeof text - strlen(text) - 1);
    assert_ok(guard_target(text, &ret, &err), err);
    assert_int_equal(ret.segment_count, GUARD_SEGMENTS_MAX);
    *text = '\0';
    for (int i = 0; i <= GUARD_SEGMENTS_MAX; i++)
        strncat(text, "/s", sizeof text - strlen(text) - 1);
    assert_failed(guard_target(text, &ret, &err), err, SEWA_E_NOT_FOUND, "more than 12 segments");

    snprintf(text, sizeof text, "/x?");
    for (int i = 0; i < GUARD_QUERY_MAX; i++)
        strncat(text, "a=1&", sizeof text - strlen(text) - 1);
    AUTOFREE char *more = NULL;
    assert_true(asprintf(&more, "%sa", text) > 0);
    assert_ok(guard_target(text, &ret, &err), err);
    assert_int_equal(ret.query_count, GUARD_QUERY_MAX);
    assert_failed(guard_target(more, &ret, &err), err, SEWA_E_BAD_REQUEST, "more than 24 query");
}

/* ---- where the fields stand ---- */

/* As the library leaves it: NULs for the first colon and the end of each line. Here a '|' stands
 * for a NUL that the client has sent. */
static int judge_section(const char *text, const char *end)
{
    char section[200];
    struct guard g = { 0 };
    struct sewa_error err = { 0 };
    size_t n = strlen(text);

    memcpy(section, text, n + 1);
    g.next = section;
    g.end = section + n;
    for (char *line = section; *line != '\r';) {
        char *colon = strchr(line, ':'), *stop = strstr(line, end);
        *colon = *stop = '\0';
        memset(stop, 0, strlen(end));
        for (char *p = strchr(colon + 1, '|'); p; p = NULL)
            *p = '\0';
        guard_header(&g, line, colon + 1 + strspn(colon + 1, " "));
        line = stop + strlen(end);
    }
    return guard_check(&g, V11, &err);
}

static void test_sections(void **state)
{
    (void)state;
    assert_int_equal(judge_section("Host: localhost\r\n\r\n", "\r\n"), 0);
    assert_int_equal(judge_section("Host:localhost\r\nX:\r\nY:  \r\nZ: a:b  \r\n\r\n", "\r\n"), 0);
    assert_int_equal(judge_section("Host: localhost|.evil\r\n\r\n", "\r\n"), SEWA_E_BAD_REQUEST);
    assert_int_equal(judge_section("Host: localhost\r\nX: y|z\r\nZ: z\r\n\r\n", "\r\n"),
                     SEWA_E_BAD_REQUEST);
    assert_int_equal(judge_section("Host: localhost\n\r\n", "\n"), SEWA_E_BAD_REQUEST);
}

/* A value that was put together elsewhere, and one that was lost. */
static void test_field_elsewhere(void **state)
{
    (void)state;
    char section[] = "Host\0 localhost\0\0X\0 y\0\0\0";
    struct guard g = { .next = section, .end = section + sizeof section };
    struct sewa_error err = { 0 };

    guard_header(&g, section, section + 6);
    guard_header(&g, "X", "yz");
    assert_failed(guard_check(&g, V11, &err), err, SEWA_E_BAD_REQUEST, "folded line");
    g = (struct guard){ .next = section, .end = section + sizeof section };
    guard_header(&g, section, section + 6);
    assert_failed(guard_check(&g, V11, &err), err, SEWA_E_BAD_REQUEST, "folded line");
    g = (struct guard){ .next = section, .end = section + sizeof section };
    guard_header(&g, section, section + 6);
    guard_header(&g, section + 17, NULL);
    assert_failed(guard_check(&g, V11, &err), err, SEWA_E_BAD_REQUEST, "folded line");
    g = (struct guard){ .next = section, .end = section + sizeof section };
    guard_header(&g, section, section + 6);
    guard_header(&g, section + 17, section + 20);
    assert_ok(guard_check(&g, V11, &err), err);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(framings) + COUNT_OF(targets) + 6];
    size_t n = 0;

    for (size_t i = 0; i < COUNT_OF(framings); i++)
        tests[n++] = (struct CMUnitTest){ .name = framings[i].name,
                                          .test_func = test_framing,
                                          .initial_state = (void *)&framings[i] };
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        tests[n++] = (struct CMUnitTest){ .name = targets[i].text,
                                          .test_func = test_target,
                                          .initial_state = (void *)&targets[i] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_expectations);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_hosts_and_origins);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_two_origins);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_limits);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_sections);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_field_elsewhere);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
