/*
 * context - what every command has: the client, the two screens, and the ways to speak.
 * stdout is data, stderr is talk.
 */
#ifndef CLI_CONTEXT_H
#define CLI_CONTEXT_H

#include <stdio.h>

#include "../text.h"
#include "exits.h"
#include "options.h"
#include "settings.h"
#include "table.h"

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_JSONL, FORMAT_NAME };

#define FORMATS_NONE 0u
#define FORMATS_ALL \
    (1u << FORMAT_TABLE | 1u << FORMAT_JSON | 1u << FORMAT_JSONL | 1u << FORMAT_NAME)

struct screen {
    FILE *file;
    bool is_terminal;
    bool color;
    size_t width; /* columns; 0: no terminal, lines may have any length */
};

struct context {
    const struct arguments *arguments;
    struct settings settings;
    struct sewa_client *client;
    enum format format;
    bool quiet;
    struct screen out, err;
};

/* Read the settings and make the client. An exit status; other than EXIT_OK it was explained. */
int context_open(struct context *c, const struct arguments *a);

/* The exit status in the end: data that could not be written is an error. */
int context_close(struct context *c, int status);

/* A terminal may have another width by now. */
void screen_measure(struct screen *s);

int64_t monotonic_ms(void);  /* only goes forward */
int64_t wall_clock_ms(void); /* since 1970 */

/* ---- talk ---- */

/* A sentence on stderr, unless --quiet. Made visible. */
void say(struct context *c, const char *format, ...) SEWA_PRINTF(2, 3);

/* Explain a failure on stderr; the exit status that fits. */
int explain(struct context *c, const struct sewa_error *err);

/* A mistake in the command line that the parser cannot see: EXIT_USAGE. */
int explain_usage(struct context *c, const char *format, ...) SEWA_PRINTF(2, 3);

/* ---- data ---- */

/* Text on stdout that was made visible already. */
void print_text(struct context *c, const struct text *t);

/* A line of JSON that came from the service: unchanged, but for what a terminal must not get. */
void print_json(struct context *c, const char *json);
void print_json_part(struct context *c, const char *json); /* without the line end */

/* One name or id. */
void print_name(struct context *c, const char *name);

/* The table is freed. */
int print_table(struct context *c, struct table *t);

#endif
