/*
 * source - one configuration file, made safe for libconfuse, with the line of everything in it.
 *
 * libconfuse 3.3 (read and measured) counts three lines for a comment, refuses comments inside
 * lists, skips characters that it does not know, turns an unset ${VARIABLE} into nothing, drops the
 * backslash of an escape that it does not know, reads an unterminated string as if the file ended,
 * keeps its lexer in the middle of it for the next file, and takes the last of two settings. So the
 * text is walked through first: what is wrong is a mistake with its line, comments and our include
 * statements become blanks, and the lines of settings, values and sections are remembered in their
 * order, which is the order in which libconfuse reports them. Thread: any.
 */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "sewa/error.h"

/* The configuration of a service is text that people write. */
enum { SOURCE_BYTES_MAX = 4 << 20 };

struct source_setting {
    char name[64]; /* cut when longer; then it is unknown anyway */
    int line;
    int section; /* index into sections, -1 outside of all */
    bool append; /* += */
};

struct source_include {
    char *pattern;
    int line;
};

struct source {
    char *path;
    char *text;    /* what libconfuse shall read; as many lines as the file */
    int *sections; /* lines where they begin */
    int *values;   /* lines where they begin, of every value and every item of a list */
    struct source_setting *settings;
    struct source_include *includes;
    size_t section_count, value_count, setting_count, include_count;
};

/*
 * Read and walk. A mistake is SEWA_E_CONFIG and "FILE:LINE: what is wrong"; a file that cannot be
 * read is SEWA_E_NOT_FOUND or SEWA_E_IO.
 */
int source_read(const char *path, struct source **ret, struct sewa_error *err);

/* The same with the text at hand. */
int source_parse(const char *path, const char *text, size_t n, struct source **ret,
                 struct sewa_error *err);

void source_free(struct source *s);
AUTOPTR_DEFINE(source_free, struct source);

#endif
