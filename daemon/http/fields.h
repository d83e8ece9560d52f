/*
 * fields - what header fields that hold lists say: entity tags and accepted media types. Pure.
 * Thread: any.
 */
#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include <stdbool.h>

/*
 * Whether a list of entity tags (If-None-Match) names this one, which has its quotes. Weak ones
 * count too: none of ours differ only weakly. "*" names every one.
 */
bool fields_name_etag(const char *list, const char *etag);

/* The same for If-Match, where a weak one names nothing. */
bool fields_match_etag(const char *list, const char *etag);

enum { QUALITY_MAX = 1000 };

/*
 * How much a client wants a media type by its Accept field (RFC 9110, section 12.5.1), in
 * thousandths; 0: not at all. The most specific range decides. Without the field all are welcome.
 */
int fields_quality(const char *accept, const char *media_type);

/* Whether a Content-Type is this media type, whatever its parameters. */
bool fields_is_type(const char *content_type, const char *media_type);

#endif
