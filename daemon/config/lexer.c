/*
 * lexer - the tokens of a configuration file.
 */
#include "config/lexer.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lexer_mistake(struct lexer *x, int line, const char *format, ...)
{
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return sewa_fail(x->err, SEWA_E_CONFIG, "%s:%d: %s", x->path, line, text);
}

static char peek(const struct lexer *x, size_t ahead)
{
    return x->at + ahead < x->n ? x->text[x->at + ahead] : '\0';
}

static void skip(struct lexer *x)
{
    if (x->text[x->at] == '\n')
        x->line++;
    x->at++;
}

static void blank(struct lexer *x)
{
    char *c = &x->text[x->at];

    if (*c != '\n')
        *c = ' ';
    skip(x);
}

static bool in_set(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void blank_line(struct lexer *x)
{
    while (x->at < x->n && peek(x, 0) != '\n')
        blank(x);
}

static int blank_comment(struct lexer *x)
{
    int line = x->line;

    blank(x);
    blank(x);
    while (x->at < x->n && !(peek(x, 0) == '*' && peek(x, 1) == '/'))
        blank(x);
    if (x->at == x->n)
        return lexer_mistake(x, line, "this comment is never closed");
    blank(x);
    blank(x);
    return 0;
}

/* ${NAME} or ${NAME:-default}, which libconfuse replaces wherever it is not in single quotes. */
static int lex_variable(struct lexer *x)
{
    char name[128];
    size_t n = 0;
    size_t end = x->at + 2;

    while (end < x->n && !in_set(x->text[end], "}\"\n"))
        end++;
    if (end == x->n || x->text[end] != '}')
        return lexer_mistake(x, x->line, "'${' without '}' (write '\\$' for a plain dollar sign)");
    for (const char *p = &x->text[x->at + 2]; isalnum((unsigned char)*p) || *p == '_'; p++)
        if (n < sizeof name - 1)
            name[n++] = *p;
    name[n] = '\0';
    const char *behind = &x->text[x->at + 2 + n];
    if (n == 0 || (*behind != '}' && strncmp(behind, ":-", 2) != 0))
        return lexer_mistake(x, x->line, "'${' begins no ${NAME} or ${NAME:-default}");
    if (*behind == '}' && !getenv(name))
        return lexer_mistake(x, x->line,
                             "the variable '%s' is not set (write ${%s:-} if it may be missing)",
                             name, name);
    x->at = end + 1;
    return 0;
}

/* A backslash in double quotes. */
static int lex_escape(struct lexer *x)
{
    const char *p = &x->text[x->at + 1];
    size_t digits = strspn(p, "0123456789");

    if (digits > 0) {
        char *end;
        long value = strtol(p, &end, 8);
        if (digits > 3 || end != p + digits || value < 1 || value > 255)
            return lexer_mistake(x, x->line, "the escape '\\%.*s' is no byte from \\001 to \\377",
                                 (int)digits, p);
        x->at += 1 + digits;
        return 0;
    }
    if (*p == 'x') {
        size_t hex = strspn(p + 1, "0123456789abcdefABCDEF");
        hex = hex > 2 ? 2 : hex;
        if (hex == 0 || strspn(p + 1, "0") >= hex)
            return lexer_mistake(x, x->line, "the escape '\\x' needs a byte from 01 to ff");
        x->at += 2 + hex;
        return 0;
    }
    if (*p != '\0' && !in_set(*p, "\"'\\/$nrtbfaev\n"))
        return lexer_mistake(x, x->line, "unknown escape '\\%c' (write '\\\\' for a backslash)",
                             *p);
    skip(x);
    if (x->at < x->n)
        skip(x);
    return 0;
}

static int lex_string(struct lexer *x, char quote)
{
    int rc = 0;

    skip(x);
    while (rc == 0) {
        char c = peek(x, 0);
        if (x->at >= x->n)
            return lexer_mistake(x, x->start_line, "this string is never closed");
        if (c == quote) {
            skip(x);
            return TOKEN_STRING;
        }
        if (c == '\\' && quote == '"') {
            rc = lex_escape(x);
        } else if (c == '\\' && x->at + 1 < x->n) {
            skip(x);
            skip(x);
        } else if (c == '$' && peek(x, 1) == '{' && quote == '"') {
            rc = lex_variable(x);
        } else {
            skip(x);
        }
    }
    return rc;
}

/* Blanks and comments in front of the next token. */
static int skip_space(struct lexer *x)
{
    int rc = 0;

    while (rc == 0 && x->at < x->n) {
        char c = peek(x, 0);
        if (in_set(c, " \t\n\r"))
            blank(x);
        else if (c == '#' || (c == '/' && peek(x, 1) == '/'))
            blank_line(x);
        else if (c == '/' && peek(x, 1) == '*')
            rc = blank_comment(x);
        else
            break;
    }
    return rc;
}

int lexer_next(struct lexer *x)
{
    static const char single[] = "{}=,";
    static const enum token of[] = { TOKEN_OPEN, TOKEN_CLOSE, TOKEN_EQUALS, TOKEN_COMMA };

    int rc = skip_space(x);
    if (rc < 0)
        return rc;
    char c = peek(x, 0);
    x->start = x->at;
    x->start_line = x->line;
    if (x->at >= x->n)
        return TOKEN_END;
    if (c == '"' || c == '\'')
        return lex_string(x, c);
    if (c == '$' && peek(x, 1) == '{') {
        rc = lex_variable(x);
        return rc < 0 ? rc : TOKEN_STRING;
    }
    if (in_set(c, single)) {
        skip(x);
        return (int)of[strchr(single, c) - single];
    }
    if (c == '+' && peek(x, 1) == '=') {
        x->at += 2;
        return TOKEN_APPEND;
    }
    while (x->at < x->n && !in_set(peek(x, 0), " #\"'\t\n\r={}()+,*") &&
           !(peek(x, 0) == '/' && peek(x, 1) == '*'))
        skip(x);
    if (x->at == x->start)
        return lexer_mistake(x, x->line, "unexpected '%c'", c);
    return TOKEN_WORD;
}
