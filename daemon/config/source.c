/*
 * source - walk through the text of a configuration file before libconfuse does.
 *
 * The walk follows the shape of statements closely enough to know which token is a name, a value or
 * a title. What has a wrong shape is left for libconfuse to refuse: its line is right now.
 */
#include "config/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "config/lexer.h"

/* Where the walk is within a statement. */
enum place {
    AT_START,     /* a name or '}' comes */
    BEHIND_NAME,  /* '=', '+=', a title or '{' */
    BEHIND_TITLE, /* '{' */
    AT_VALUE,     /* one value or '{' */
    IN_LIST,      /* values until '}' */
};

struct walk {
    struct source *s;
    struct lexer x; /* in s->text */
    enum place place;
    int depth;         /* open sections */
    int open_count;    /* open braces: a section and a list in it */
    int open_line[2];  /* their lines */
    size_t name_start; /* of the statement */
    int name_line;
};

static int no_memory(struct walk *w)
{
    return sewa_fail(w->x.err, SEWA_E_NO_MEMORY, "no memory to read '%s'", w->s->path);
}

/* The array with room for one more; it grows when count is a power of two from 8 on. */
static void *grown(void *array, size_t count, size_t size)
{
    if (count == 0 || (count >= 8 && (count & (count - 1)) == 0))
        return realloc(array, (count == 0 ? 8 : count * 2) * size);
    return array;
}

static int add_line(struct walk *w, int **array, size_t *count, int line)
{
    int *more = grown(*array, *count, sizeof *more);

    if (!more)
        return no_memory(w);
    *array = more;
    more[(*count)++] = line;
    return 0;
}

static int add_setting(struct walk *w, bool append)
{
    struct source *s = w->s;
    const char *name = s->text + w->name_start;
    struct source_setting *more = grown(s->settings, s->setting_count, sizeof *more);

    if (!more)
        return no_memory(w);
    s->settings = more;
    struct source_setting *set = &more[s->setting_count++];
    memset(set, 0, sizeof *set);
    snprintf(set->name, sizeof set->name, "%.*s", (int)strcspn(name, " =+\n"), name);
    set->line = w->name_line;
    set->section = w->depth > 0 ? (int)s->section_count - 1 : -1;
    set->append = append;
    return 0;
}

/* include "pattern": remembered and blanked, since libconfuse would not know it. */
static int add_include(struct walk *w)
{
    struct source *s = w->s;
    const char *text = s->text + w->x.start + 1; /* behind the quote */
    size_t n = w->x.at - w->x.start - 2;

    if (n == 0 || memchr(text, '\\', n) || memchr(text, '$', n) || memchr(text, '\n', n))
        return lexer_mistake(&w->x, w->x.start_line,
                             "an include takes a plain path without '\\' and '$'");
    struct source_include *more = grown(s->includes, s->include_count, sizeof *more);
    if (!more)
        return no_memory(w);
    s->includes = more;
    struct source_include *include = &more[s->include_count];
    include->pattern = strndup(text, n);
    include->line = w->name_line;
    if (!include->pattern)
        return no_memory(w);
    s->include_count++;
    for (size_t i = w->name_start; i < w->x.at; i++)
        if (s->text[i] != '\n')
            s->text[i] = ' ';
    w->place = AT_START;
    return 0;
}

static bool is_include(const struct walk *w)
{
    static const char word[] = "include";
    const char *name = w->s->text + w->name_start;
    size_t n = sizeof word - 1;

    return w->depth == 0 && strncmp(name, word, n) == 0 && strchr(" \n\"'", name[n]);
}

static void open_brace(struct walk *w)
{
    if (w->open_count < 2)
        w->open_line[w->open_count] = w->x.start_line;
    w->open_count++;
}

static int open_section(struct walk *w)
{
    open_brace(w);
    w->depth++;
    w->place = AT_START;
    return add_line(w, &w->s->sections, &w->s->section_count, w->name_line);
}

static int take_name(struct walk *w, int token)
{
    if (token == TOKEN_CLOSE && w->open_count > 0) {
        w->open_count--;
        w->depth--;
    } else if (token == TOKEN_WORD) {
        /* libconfuse takes "a|b" for option b of section a */
        if (memchr(w->s->text + w->x.start, '|', w->x.at - w->x.start))
            return lexer_mistake(&w->x, w->x.start_line, "unexpected '|' in a name");
        w->name_start = w->x.start;
        w->name_line = w->x.start_line;
        w->place = BEHIND_NAME;
    }
    return 0;
}

/* This statement has no shape; libconfuse will say so. Braces still count. */
static int give_up(struct walk *w, int token)
{
    w->place = AT_START;
    return token == TOKEN_CLOSE ? take_name(w, token) : 0;
}

static int take_behind_name(struct walk *w, int token)
{
    switch (token) {
    case TOKEN_EQUALS:
    case TOKEN_APPEND: w->place = AT_VALUE; return add_setting(w, token == TOKEN_APPEND);
    case TOKEN_OPEN: return open_section(w);
    case TOKEN_STRING:
    case TOKEN_WORD:
        if (is_include(w) && strchr("\"'", w->s->text[w->x.start]))
            return add_include(w);
        if (is_include(w))
            return lexer_mistake(&w->x, w->x.start_line, "an include takes a path in quotes");
        w->place = BEHIND_TITLE;
        return 0;
    default: return give_up(w, token);
    }
}

static int take_value(struct walk *w, int token)
{
    if (token == TOKEN_STRING || token == TOKEN_WORD) {
        if (w->place == AT_VALUE)
            w->place = AT_START;
        return add_line(w, &w->s->values, &w->s->value_count, w->x.start_line);
    }
    if (token == TOKEN_OPEN && w->place == AT_VALUE) {
        open_brace(w);
        w->place = IN_LIST;
    } else if (token == TOKEN_CLOSE && w->place == IN_LIST) {
        w->open_count--;
        w->place = AT_START;
    }
    return 0;
}

static int take(struct walk *w, int token)
{
    switch (w->place) {
    case AT_START: return take_name(w, token);
    case BEHIND_NAME: return take_behind_name(w, token);
    case BEHIND_TITLE: return token == TOKEN_OPEN ? open_section(w) : give_up(w, token);
    case AT_VALUE:
    case IN_LIST: return take_value(w, token);
    }
    return 0;
}

static int walk(struct walk *w)
{
    int token;

    while ((token = lexer_next(&w->x)) > TOKEN_END) {
        int rc = take(w, token);
        if (rc < 0)
            return rc;
    }
    if (token == TOKEN_END && w->open_count > 0)
        return lexer_mistake(&w->x, w->open_line[w->open_count > 1], "this '{' is never closed");
    return token;
}

/* NUL bytes would end the text for libconfuse; the mark of UTF-8 that some editors write is fine.
 */
static int check_bytes(struct lexer *x)
{
    const char *nul = memchr(x->text, '\0', x->n);
    int line = 1;

    if (x->n >= 3 && memcmp(x->text, "\xef\xbb\xbf", 3) == 0)
        memset(x->text, ' ', 3);
    if (!nul)
        return 0;
    for (const char *p = x->text; p < nul; p++)
        line += *p == '\n';
    return lexer_mistake(x, line, "this is no text: it has a NUL byte");
}

int source_parse(const char *path, const char *text, size_t n, struct source **ret,
                 struct sewa_error *err)
{
    AUTOPTR(source_free) struct source *s = calloc(1, sizeof *s);

    if (!s || !(s->path = strdup(path)) || !(s->text = malloc(n + 1)))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", path);
    memcpy(s->text, text, n);
    s->text[n] = '\0';
    struct walk w = { .s = s,
                      .x = { .path = s->path, .text = s->text, .n = n, .err = err, .line = 1 } };
    int rc = check_bytes(&w.x);
    if (rc == 0)
        rc = walk(&w);
    if (rc < 0)
        return rc;
    *ret = TAKE(s);
    return 0;
}

int source_read(const char *path, struct source **ret, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf b = { 0 };

    int rc = file_read(path, SOURCE_BYTES_MAX, &b, err);
    if (rc < 0)
        return rc;
    return source_parse(path, buf_cstr(&b), b.len, ret, err);
}

void source_free(struct source *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->include_count; i++)
        free(s->includes[i].pattern);
    free(s->includes);
    free(s->settings);
    free(s->values);
    free(s->sections);
    free(s->text);
    free(s->path);
    free(s);
}
