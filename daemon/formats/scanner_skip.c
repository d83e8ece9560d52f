/*
 * scanner_skip - values that nobody asks for: checked to be JSON, whatever they are, and forgotten.
 * What is open is one bit for each level, so nesting costs nothing and cannot overrun a stack.
 */
#include "formats/scanner.h"

#include <string.h>

#include "base/parse.h"

/*
 * Longer numbers are refused: the reference refuses what a double cannot hold, and no writer needs
 * more than 25 characters for one that it can.
 */
enum { NUMBER_MAX = 63 };

struct nest {
    unsigned outside; /* containers open around the value */
    unsigned depth;   /* and within it */
    uint64_t is_object[(SCANNER_DEPTH_MAX + 63) / 64];
};

static bool is_in_object(const struct nest *n)
{
    unsigned level = n->depth - 1;

    return n->is_object[level / 64] >> level % 64 & 1;
}

static void push(struct nest *n, bool is_object)
{
    uint64_t bit = (uint64_t)1 << n->depth % 64, *word = &n->is_object[n->depth / 64];

    *word = is_object ? *word | bit : *word & ~bit;
    n->depth++;
}

static int skip_key(struct scanner *s)
{
    int rc = scanner_string(s, 0, NULL, NULL);

    return rc < 0 ? rc : scanner_take(s, ':', "':'");
}

static int skip_literal(struct scanner *s, const char *word)
{
    for (const char *p = word; *p; p++) {
        if (!window_has(&s->in, 1) || *s->in.at != (uint8_t)*p)
            return scanner_unexpected(s, word);
        s->in.at++;
    }
    return 0;
}

/* The characters that can stand in a number, into text. Returns how many, or -1 for too many. */
static int take_number(struct scanner *s, char text[NUMBER_MAX + 1])
{
    int n = 0;

    while (window_has(&s->in, 1) && *s->in.at && strchr("+-.0123456789Ee", *s->in.at)) {
        if (n == NUMBER_MAX)
            return -1;
        text[n++] = (char)*s->in.at++;
    }
    text[n] = '\0';
    return n;
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_number(const char *text)
{
    const char *p = text + (*text == '-');
    size_t whole = digits(p);

    if (whole == 0 || (whole > 1 && *p == '0'))
        return false;
    p += whole;
    if (*p == '.') {
        if (digits(++p) == 0)
            return false;
        p += digits(p);
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        if (digits(p) == 0)
            return false;
        p += digits(p);
    }
    return *p == '\0';
}

static int skip_number(struct scanner *s)
{
    int64_t at = window_offset(&s->in);
    char text[NUMBER_MAX + 1];
    double value;

    if (take_number(s, text) < 0)
        return scanner_fail(s, SEWA_E_UNSUPPORTED, at,
                            "a number of more than %d characters is not supported", NUMBER_MAX);
    if (scanner_peek(s) <= 0) /* nothing can end with a number: more is missing, or not yet there */
        return scanner_unexpected(s, "the end of a number");
    if (!is_number(text))
        return scanner_fail(s, SEWA_E_CORRUPT, at, "'%s' is not a number", text);
    if (parse_f64(text, &value) < 0)
        return scanner_fail(s, SEWA_E_CORRUPT, at, "the number '%s' is out of range", text);
    return 0;
}

/* A scalar, an empty container (0), or the opening of one that has a first value (1). */
static int skip_one(struct scanner *s, struct nest *n)
{
    int c = scanner_peek(s);
    bool is_object = c == '{';

    if (c == '"')
        return scanner_string(s, 0, NULL, NULL);
    if (c == '-' || (c >= '0' && c <= '9'))
        return skip_number(s);
    if (c == 't' || c == 'f' || c == 'n')
        return skip_literal(s, c == 't' ? "true" : c == 'f' ? "false" : "null");
    if (c != '{' && c != '[')
        return scanner_unexpected(s, "a value");
    if (n->outside + n->depth == SCANNER_DEPTH_MAX)
        return scanner_fail(s, SEWA_E_CORRUPT, window_offset(&s->in),
                            "containers are nested deeper than %d", SCANNER_DEPTH_MAX);
    s->in.at++;
    if (scanner_peek(s) == (is_object ? '}' : ']')) {
        s->in.at++;
        return 0;
    }
    push(n, is_object);
    int rc = is_object ? skip_key(s) : 0;
    return rc < 0 ? rc : 1;
}

/* Behind a value: close what ends here. 1 when another value follows, 0 when all is closed. */
static int skip_closing(struct scanner *s, struct nest *n)
{
    for (; n->depth > 0; n->depth--) {
        bool is_object = is_in_object(n), is_first = false;
        int rc = scanner_next(s, is_object ? '}' : ']', &is_first);
        if (rc > 0) {
            int bad = is_object ? skip_key(s) : 0;
            return bad < 0 ? bad : 1;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

int scanner_skip(struct scanner *s, unsigned depth)
{
    struct nest n = { .outside = depth };
    int rc;

    do {
        rc = skip_one(s, &n);
        if (rc == 0)
            rc = skip_closing(s, &n);
    } while (rc > 0);
    return rc;
}
