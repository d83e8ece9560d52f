/*
 * token - words and numbers of a name.
 *
 * Letters and digits that stand together are cut where one kind meets the other. Before that, what
 * only looks like whole numbers is taken out as one: decimal fractions and versions, numbers with
 * an exponent, dates with a time, hashes and UUIDs.
 */
#include "ingest/token.h"

#include <string.h>
#include <strings.h>

enum { HASH_MIN = 7 };

/* Where the splitting is. */
struct place {
    const char *text;
    size_t n, at;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_lower(c) || is_upper(c) || (unsigned char)c >= 0x80;
}

static bool is_hex_letter(char c)
{
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The byte there, 0 behind the end. */
static char byte_at(const struct place *p, size_t at)
{
    return at < p->n ? p->text[at] : '\0';
}

static size_t digits_at(const struct place *p, size_t at)
{
    size_t n = 0;

    while (is_digit(byte_at(p, at + n)))
        n++;
    return n;
}

/* The value of at most a few digits. */
static int value_of(const struct place *p, size_t at, size_t n)
{
    int value = 0;

    for (size_t i = 0; i < n; i++)
        value = value * 10 + (p->text[at + i] - '0');
    return value;
}

/* ---- what is no whole number; each returns its length, or 0 ---- */

/* "3f2a91bc" has letters and digits by turns; "ba1000" could be a word and its number. */
static size_t hash_length(const struct place *p)
{
    size_t n = 0;
    int turns = 0;

    for (char c; is_digit(c = byte_at(p, p->at + n)) || is_letter(c); n++) {
        if (!is_digit(c) && !is_hex_letter(c))
            return 0;
        turns += n > 0 && is_digit(c) != is_digit(p->text[p->at + n - 1]);
    }
    return n >= HASH_MIN && turns >= 2 ? n : 0;
}

static size_t uuid_length(const struct place *p)
{
    static const size_t groups[] = { 8, 4, 4, 4, 12 };
    size_t n = 0;

    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        if (g > 0 && byte_at(p, p->at + n++) != '-')
            return 0;
        for (size_t i = 0; i < groups[g]; i++, n++)
            if (!is_digit(byte_at(p, p->at + n)) && !is_hex_letter(byte_at(p, p->at + n)))
                return 0;
    }
    char behind = byte_at(p, p->at + n);
    return is_digit(behind) || is_letter(behind) ? 0 : n;
}

/* HHMM or HHMMSS, also with one separator between the parts. */
static size_t clock_length(const struct place *p, size_t at)
{
    size_t n = digits_at(p, at);

    if ((n == 4 || n == 6) && value_of(p, at, 2) < 24 && value_of(p, at + 2, 2) < 60)
        return n;
    if (n != 2 || value_of(p, at, 2) > 23)
        return 0;
    for (int part = 0; part < 2; part++) {
        char c = byte_at(p, at + n);
        if (c == '\0' || !strchr("-_.:", c) || digits_at(p, at + n + 1) != 2)
            return part == 0 ? 0 : n;
        n += 3;
    }
    return n;
}

static bool is_day(const struct place *p, size_t year, size_t month, size_t month_n, size_t day,
                   size_t day_n)
{
    int y = value_of(p, year, 4), m = value_of(p, month, month_n), d = value_of(p, day, day_n);

    return y >= 1970 && y < 2100 && m >= 1 && m <= 12 && d >= 1 && d <= 31;
}

/* "+00" or "+0200" behind a time. */
static size_t zone_length(const struct place *p, size_t at)
{
    size_t n = byte_at(p, at) == '+' ? digits_at(p, at + 1) : 0;

    return n == 2 || n == 4 ? n + 1 : 0;
}

/* 2024-05-01; 20240501 only with a time behind it, for it may be any number. */
static size_t date_length(const struct place *p)
{
    size_t at = p->at, n = digits_at(p, at);
    bool needs_time = n == 8 && is_day(p, at, at + 4, 2, at + 6, 2);

    if (n == 4) {
        char c = byte_at(p, at + 4);
        size_t month = c && strchr("-_", c) ? digits_at(p, at + 5) : 0;
        size_t day_at = at + 5 + month + 1;
        size_t day = month && byte_at(p, day_at - 1) == c ? digits_at(p, day_at) : 0;
        if (month == 0 || month > 2 || day == 0 || day > 2 ||
            !is_day(p, at, at + 5, month, day_at, day))
            return 0;
        n = day_at + day - at;
    } else if (!needs_time) {
        return 0;
    }
    char c = byte_at(p, at + n);
    size_t time = c && strchr("-_T+ .", c) ? clock_length(p, at + n + 1) : 0;
    if (time == 0)
        return needs_time ? 0 : n;
    n += 1 + time;
    return n + zone_length(p, at + n);
}

/* 0.25, 1.2.3, 0,25, and the ".25" of "loss=.25". */
static size_t fraction_length(const struct place *p)
{
    size_t n = digits_at(p, p->at);
    char before = p->at > 1 ? p->text[p->at - 2] : '\0';
    bool has_point = p->at > 0 && p->text[p->at - 1] == '.' && !is_digit(before) &&
                     !is_letter(before);

    for (char c; (c = byte_at(p, p->at + n)) == '.' || c == ',';) {
        size_t more = digits_at(p, p->at + n + 1);
        if (more == 0)
            break;
        has_point = true;
        n += 1 + more;
    }
    return has_point ? n : 0;
}

/* The exponent behind n bytes of a number: "e-05". */
static size_t exponent_length(const struct place *p, size_t n)
{
    size_t at = p->at + n;

    if (byte_at(p, at) != 'e' && byte_at(p, at) != 'E')
        return 0;
    at++;
    if (byte_at(p, at) == '-' || byte_at(p, at) == '+')
        at++;
    size_t digits = digits_at(p, at);
    return digits > 0 && !is_letter(byte_at(p, at + digits)) ? at + digits - (p->at + n) : 0;
}

static size_t no_whole_number(const struct place *p)
{
    bool begins = p->at == 0 || (!is_digit(p->text[p->at - 1]) && !is_letter(p->text[p->at - 1]));
    size_t n = begins ? uuid_length(p) : 0;

    if (n == 0 && begins)
        n = hash_length(p);
    if (n > 0 || !is_digit(p->text[p->at]))
        return n;
    n = date_length(p);
    if (n > 0)
        return n;
    n = fraction_length(p);
    size_t exponent = exponent_length(p, n ? n : digits_at(p, p->at));
    if (exponent > 0)
        n = (n ? n : digits_at(p, p->at)) + exponent;
    return n;
}

/* ---- words ---- */

static size_t word_length(const struct place *p)
{
    size_t n = 1;

    while (is_letter(byte_at(p, p->at + n)) &&
           !(is_upper(byte_at(p, p->at + n)) && is_lower(p->text[p->at + n - 1])))
        n++;
    return n;
}

/* ---- splitting ---- */

static bool is_near(char c)
{
    return c != '\0' && strchr("-_=.:# ", c) != NULL;
}

static void take(struct place *p, struct token *t)
{
    *t = (struct token){ .kind = TOKEN_OTHER, .text = p->text + p->at, .n = no_whole_number(p) };
    if (t->n == 0) {
        t->kind = is_digit(p->text[p->at]) ? TOKEN_NUMBER : TOKEN_WORD;
        t->n = t->kind == TOKEN_NUMBER ? digits_at(p, p->at) : word_length(p);
    }
    p->at += t->n;
}

size_t token_split(const char *text, size_t n, struct token ret[TOKENS_MAX])
{
    struct place p = { text, n, 0 };
    enum token_gap gap = GAP_FAR;
    size_t count = 0;

    while (p.at < n && count < TOKENS_MAX) {
        char c = text[p.at];
        if (is_digit(c) || is_letter(c)) {
            take(&p, &ret[count]);
            ret[count++].gap = gap;
            gap = GAP_NONE;
            continue;
        }
        gap = is_near(c) && gap != GAP_FAR ? GAP_NEAR : GAP_FAR;
        p.at++;
    }
    return count;
}

bool token_is(const struct token *t, const char *word)
{
    return t->kind == TOKEN_WORD && strlen(word) == t->n && strncasecmp(t->text, word, t->n) == 0;
}
