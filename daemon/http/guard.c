/*
 * guard - framing, host and target of a request.
 */
#include "http/guard.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static void length_header(struct guard *g, const char *value)
{
    int64_t n = 0;

    g->content_length_count++;
    if (!*value || strlen(value) > 18)
        g->bad_length = true;
    for (const char *p = value; *p && !g->bad_length; p++) {
        if (!isdigit((unsigned char)*p))
            g->bad_length = true;
        n = n * 10 + (*p - '0');
    }
    g->content_length = g->bad_length ? 0 : n;
}

/* A token of RFC 9110, section 5.6.2. */
static bool is_token(const char *name)
{
    const char *p = name;

    while (isalnum((unsigned char)*p) || (*p && strchr("!#$%&'*+-.^_`|~", *p)))
        p++;
    return p > name && !*p;
}

static void place_header(struct guard *g, const char *name, const char *value)
{
    g->has_gap = g->has_gap || name != g->next || !value;
    if (value)
        g->next = value + strlen(value) + 2;
}

void guard_header(struct guard *g, const char *name, const char *value)
{
    if (g->next)
        place_header(g, name, value);
    if (!value)
        value = "";
    g->bad_name = g->bad_name || !is_token(name);
    if (strcasecmp(name, "content-length") == 0) {
        length_header(g, value);
    } else if (strcasecmp(name, "transfer-encoding") == 0) {
        g->transfer_encoding_count++;
        g->bad_coding = g->bad_coding || strcasecmp(value, "chunked") != 0;
    } else if (strcasecmp(name, "host") == 0) {
        g->host_count++;
        g->host = value;
    } else if (strcasecmp(name, "origin") == 0) {
        g->origin_count++;
        g->origin = value;
    } else if (strcasecmp(name, "expect") == 0) {
        g->expects_continue = strcasecmp(value, "100-continue") == 0;
    }
}

int guard_check(struct guard *g, const char *version, struct sewa_error *err)
{
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return sewa_fail(err, SEWA_E_BAD_REQUEST, "version '%.20s' is not HTTP/1.1", version);
    if (g->next && (g->has_gap || g->next + 2 != g->end))
        return sewa_fail(err, SEWA_E_BAD_REQUEST,
                         "the header section contains a NUL, a folded line, or a line that does "
                         "not end in CR and LF");
    if (g->bad_name)
        return sewa_fail(err, SEWA_E_BAD_REQUEST,
                         "the name of a header field contains a character that is not allowed");
    if (g->content_length_count > 1)
        return sewa_fail(err, SEWA_E_BAD_REQUEST, "%d Content-Length headers, one is allowed",
                         g->content_length_count);
    if (g->bad_length)
        return sewa_fail(err, SEWA_E_BAD_REQUEST, "Content-Length is not a number");
    if (g->content_length_count && g->transfer_encoding_count)
        return sewa_fail(err, SEWA_E_BAD_REQUEST,
                         "Content-Length and Transfer-Encoding exclude each other");
    if (g->transfer_encoding_count > 1 || g->bad_coding)
        return sewa_fail(err, SEWA_E_BAD_REQUEST, "the only transfer coding is 'chunked'");
    if (g->transfer_encoding_count && strcmp(version, "HTTP/1.0") == 0)
        return sewa_fail(err, SEWA_E_BAD_REQUEST, "HTTP/1.0 knows no Transfer-Encoding");
    if (g->host_count > 1)
        return sewa_fail(err, SEWA_E_BAD_REQUEST, "%d Host headers, one is allowed", g->host_count);
    if (g->host_count == 0)
        return sewa_fail(err, SEWA_E_BAD_REQUEST, "the Host header is missing");
    if (g->transfer_encoding_count)
        g->content_length = -1;
    return 0;
}

/* "localhost", "127.x.y.z" or "[::1]", with or without a port. */
static bool is_loopback(const char *host)
{
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    if (n > strlen(host))
        return false;
    const char *rest = host + n;
    if (*rest == ':') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits < 1 || digits > 5)
            return false;
        rest += 1 + digits;
    }
    if (*rest)
        return false;
    if (n == 9 && strncasecmp(host, "localhost", 9) == 0)
        return true;
    if (n == 5 && strncmp(host, "[::1]", 5) == 0)
        return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

int guard_loopback(const struct guard *g, struct sewa_error *err)
{
    if (!is_loopback(g->host))
        return sewa_fail(err, SEWA_E_FORBIDDEN,
                         "Host '%.100s' is not this machine (there is no authentication, so only "
                         "loopback names are answered)",
                         g->host);
    if (g->origin_count == 0)
        return 0;
    if (g->origin_count == 1 && strncmp(g->origin, "http://", 7) == 0 &&
        strcasecmp(g->origin + 7, g->host) == 0)
        return 0;
    return sewa_fail(err, SEWA_E_FORBIDDEN, "Origin '%.100s' is a foreign site", g->origin);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode %XX (and '+' in a query) in place; -1 for a bad or a forbidden one. */
static int decode(char *text, bool is_query)
{
    char *out = text;

    for (const char *p = text; *p; p++) {
        char c = *p;
        if (c == '%') {
            int high = hex(p[1]), low = high < 0 ? -1 : hex(p[2]);
            if (low < 0)
                return -1;
            c = (char)(high << 4 | low);
            p += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return -1;
        *out++ = c;
    }
    *out = '\0';
    return 0;
}

static int parse_path(char *path, struct guard_target *ret, struct sewa_error *err)
{
    char *save = path + 1;

    if (path[0] != '/')
        return sewa_fail(err, SEWA_E_BAD_REQUEST, "the request target does not begin with '/'");
    if (path[1] == '\0')
        return 0;
    while (save) {
        char *segment = strsep(&save, "/");
        if (ret->segment_count == GUARD_SEGMENTS_MAX)
            return sewa_fail(err, SEWA_E_NOT_FOUND, "the path has more than %d segments",
                             GUARD_SEGMENTS_MAX);
        if (decode(segment, false) < 0)
            return sewa_fail(err, SEWA_E_BAD_REQUEST,
                             "the path contains a bad escape or a control character");
        if (strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
            return sewa_fail(err, SEWA_E_BAD_REQUEST, "the path contains a '%s' segment", segment);
        if (!*segment)
            return sewa_fail(err, SEWA_E_NOT_FOUND, "the path contains an empty segment");
        ret->segments[ret->segment_count++] = segment;
    }
    return 0;
}

static int parse_query(char *query, struct guard_target *ret, struct sewa_error *err)
{
    while (query) {
        char *value = strsep(&query, "&");
        if (!*value)
            continue;
        char *key = strsep(&value, "=");
        if (ret->query_count == GUARD_QUERY_MAX)
            return sewa_fail(err, SEWA_E_BAD_REQUEST, "more than %d query parameters",
                             GUARD_QUERY_MAX);
        if (decode(key, true) < 0 || (value && decode(value, true) < 0))
            return sewa_fail(err, SEWA_E_BAD_REQUEST,
                             "the query contains a bad escape or a control character");
        static char empty[1];
        ret->query[ret->query_count].key = key;
        ret->query[ret->query_count++].value = value ? value : empty;
    }
    return 0;
}

int guard_target(char *target, struct guard_target *ret, struct sewa_error *err)
{
    memset(ret, 0, sizeof *ret);
    for (const char *p = target; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '#')
            return sewa_fail(err, SEWA_E_BAD_REQUEST,
                             "the request target contains a character that must be escaped");
    char *query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    int rc = parse_path(target, ret, err);
    return rc < 0 ? rc : parse_query(query, ret, err);
}
