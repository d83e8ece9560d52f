/*
 * guard - refuse requests whose framing or address is ambiguous, before anything else looks at
 * them.
 *
 * The HTTP library accepts some that it should not (measured with 0.9.75, strict mode included):
 * Content-Length together with Transfer-Encoding, two Content-Length, two Host, a transfer coding
 * that only begins with "chunked", a space between a field's name and its colon (which hides the
 * field from the library and not from others), and %00 in the path. It ends a value at a NUL, joins
 * lines that are folded, and takes a LF alone for the end of a line. Each is a way to smuggle a
 * request past a proxy or a check. RFC 9112 sections 2.2, 5 and 6, RFC 9110 section 7.2. Pure.
 * Thread: any.
 */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include "sewa/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a request's header section says about framing; filled by guard_header() from zero. */
struct guard {
    int content_length_count;
    int transfer_encoding_count;
    int host_count;
    bool bad_name;
    bool bad_length;
    bool bad_coding;
    bool expects_continue;  /* the client waits for "100 Continue" before it sends the body */
    int64_t content_length; /* -1: chunked; valid when guard_check() said yes */
    const char *host;       /* borrowed from the caller of guard_header() */
    const char *origin;
    int origin_count;

    /*
     * Where the next field must begin, or NULL when that is not looked at. Up to 0.9.77 the library
     * leaves the fields where they came, one behind the other, with NULs in the place of each colon
     * and of the CR and LF behind each line. So a value that does not end two bytes before the next
     * field was cut, joined or ended otherwise.
     */
    const char *next;
    const char *end; /* of the header section, with next */
    bool has_gap;
};

/* Look at one header field. */
void guard_header(struct guard *g, const char *name, const char *value);

/* 0, or SEWA_E_BAD_REQUEST. version is "HTTP/1.1". */
int guard_check(struct guard *g, const char *version, struct sewa_error *err);

/*
 * Without authentication only this machine may ask, and a web page of another site must not be able
 * to make a browser do it: Host must be a loopback name (DNS rebinding), and Origin, when there is
 * one, must be that same host. SEWA_E_FORBIDDEN otherwise.
 */
int guard_loopback(const struct guard *g, struct sewa_error *err);

/*
 * Split and decode a request target into its path segments and its query. Works in place on
 * @target. Refuses: not beginning with '/', control characters, '#', bad or %00 escapes, "." and
 * ".." segments (escaped or not), empty segments, more than the limits.
 */
enum { GUARD_SEGMENTS_MAX = 12, GUARD_QUERY_MAX = 24 };

struct guard_target {
    char *segments[GUARD_SEGMENTS_MAX]; /* decoded; none for "/" */
    int segment_count;
    struct {
        char *key, *value; /* decoded; value "" when there is no '=' */
    } query[GUARD_QUERY_MAX];
    int query_count;
};

int guard_target(char *target, struct guard_target *ret, struct sewa_error *err);

#endif
