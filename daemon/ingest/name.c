/*
 * name - what the name of a file says.
 */
#include "ingest/name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/pattern.h"

/* A part of a path; never NUL-terminated. */
struct part {
    const char *text;
    size_t n;
};

enum answer { NONE, FOUND, AMBIGUOUS, TOO_LARGE };

/* What a search has seen so far; two different numbers make it ambiguous. */
struct search {
    enum answer answer;
    const char *word; /* behind which word it was, NULL for a number on its own */
    int64_t step[2];
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of UTF-8 sequences count as letters: "fußstep1" does not contain the word step. */
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static size_t digits_at(struct part p, size_t at)
{
    size_t n = 0;

    while (at + n < p.n && is_digit(p.text[at + n]))
        n++;
    return n;
}

static void search_add(struct search *s, const char *digits, size_t n)
{
    int64_t value;

    if (s->answer == AMBIGUOUS || s->answer == TOO_LARGE)
        return;
    if (pattern_number(digits, n, &value) < 0) {
        s->answer = TOO_LARGE;
    } else if (s->answer == NONE) {
        s->answer = FOUND;
        s->step[0] = value;
    } else if (s->step[0] != value) {
        s->answer = AMBIGUOUS;
        s->step[1] = value;
    }
}

/* Length of "-00001-of-00002" when it begins at this byte and ends the name or meets its extension.
 */
static size_t shard_mark(struct part p, size_t at, int64_t *index, int64_t *count)
{
    if (p.text[at] != '-')
        return 0;
    size_t first = digits_at(p, at + 1);
    size_t of = at + 1 + first;
    if (first == 0 || p.n - of < 4 || memcmp(p.text + of, "-of-", 4) != 0)
        return 0;
    size_t second = digits_at(p, of + 4);
    size_t end = of + 4 + second;
    if (second == 0 || (end < p.n && p.text[end] != '.'))
        return 0;
    if (pattern_number(p.text + at + 1, first, index) < 0 ||
        pattern_number(p.text + of + 4, second, count) < 0 || *count < 1 || *index > *count)
        return 0;
    return end - at;
}

/* Where the mark of a shard begins; p.n when there is none. */
static size_t shard_find(struct part p, int64_t *index, int64_t *count)
{
    for (size_t i = 0; i < p.n; i++)
        if (shard_mark(p, i, index, count) > 0)
            return i;
    return p.n;
}

bool name_shard(const char *name, int64_t *ret_index, int64_t *ret_count)
{
    struct part p = { name, strlen(name) };
    int64_t index, count;

    if (shard_find(p, &index, &count) == p.n)
        return false;
    *ret_index = index;
    *ret_count = count;
    return true;
}

/* The number behind a word that begins at this byte; 0 digits when this is not the word. */
static size_t number_behind(struct part p, size_t at, const char *word, size_t *ret_n)
{
    size_t n = strlen(word);

    *ret_n = 0;
    if (p.n - at < n || strncasecmp(p.text + at, word, n) != 0)
        return 0;
    if (at > 0 && is_letter(p.text[at - 1]))
        return 0;
    at += n;
    while (at < p.n && strchr("-_=.", p.text[at]))
        at++;
    n = digits_at(p, at);
    if (n > 0 && (at + n == p.n || !is_letter(p.text[at + n])))
        *ret_n = n;
    return at;
}

static struct search search_words(struct part p)
{
    static const char *const words[] = { "step", "iter", "global_step", "checkpoint", "ckpt" };
    struct search s = { .answer = NONE };

    for (size_t w = 0; w < COUNT_OF(words) && s.answer == NONE; w++) {
        s.word = words[w];
        for (size_t i = 0; i < p.n; i++) {
            size_t n, at = number_behind(p, i, words[w], &n);
            if (n > 0)
                search_add(&s, p.text + at, n);
        }
    }
    return s;
}

/* Numbers that stand alone: between bytes that are neither letters nor digits. */
static struct search search_numbers(struct part p)
{
    struct search s = { .answer = NONE };

    for (size_t i = 0, end; i < p.n; i = end + 1) {
        bool all_digits = true;
        for (end = i; end < p.n && (is_letter(p.text[end]) || is_digit(p.text[end])); end++)
            all_digits = all_digits && is_digit(p.text[end]);
        if (end > i && all_digits)
            search_add(&s, p.text + i, end - i);
    }
    return s;
}

/* The part before the one that begins at text, or an empty one. */
static struct part part_above(const char *path, const char *text)
{
    struct part p = { path, 0 };

    if (text == path)
        return p;
    const char *end = text - 1;
    for (p.text = end; p.text > path && p.text[-1] != '/'; p.text--)
        ;
    p.n = (size_t)(end - p.text);
    return p;
}

static struct search search_directories(const char *path, const char *base,
                                        struct search (*look)(struct part), bool whole)
{
    struct search s = { .answer = NONE };

    for (struct part p = part_above(path, base); p.n > 0 && s.answer == NONE;
         p = part_above(path, p.text))
        if (!whole || digits_at(p, 0) == p.n)
            s = look(p);
    return s;
}

static struct search search_path(const char *path)
{
    const char *base = path_base(path);
    struct part file = { base, strlen(base) };
    int64_t index, count;

    file.n = shard_find(file, &index, &count);
    struct search s = search_words(file);
    if (s.answer == NONE)
        s = search_directories(path, base, search_words, false);
    if (s.answer != NONE)
        return s;
    struct search alone = search_numbers(file);
    if (alone.answer == FOUND)
        return alone;
    s = search_directories(path, base, search_numbers, true);
    return s.answer == FOUND ? s : alone;
}

static int by_rule(const char *path, int64_t *ret_step, char reason[NAME_REASON_SIZE])
{
    struct search s = search_path(path);
    int64_t index, count;

    if (s.answer == FOUND) {
        *ret_step = s.step[0];
        return 1;
    }
    if (s.answer == TOO_LARGE)
        snprintf(reason, NAME_REASON_SIZE, "its number does not fit into 64 bits");
    else if (s.answer == AMBIGUOUS && s.word)
        snprintf(reason, NAME_REASON_SIZE,
                 "%" PRId64 " and %" PRId64 " both stand behind the word %s", s.step[0], s.step[1],
                 s.word);
    else if (s.answer == AMBIGUOUS)
        snprintf(reason, NAME_REASON_SIZE,
                 "it has several numbers (%" PRId64 " and %" PRId64
                 ") and no word such as step before one of them",
                 s.step[0], s.step[1]);
    else if (name_shard(path_base(path), &index, &count))
        snprintf(reason, NAME_REASON_SIZE,
                 "it is shard %" PRId64 " of %" PRId64 " and has no other number", index, count);
    else
        snprintf(reason, NAME_REASON_SIZE, "it has no number that stands alone or behind a word");
    return 0;
}

int name_step(const char *pattern, const char *path, int64_t *ret_step,
              char reason[NAME_REASON_SIZE], struct sewa_error *err)
{
    int64_t step[2];

    if (!pattern || pattern[0] == '\0')
        return by_rule(path, ret_step, reason);
    int rc = pattern_check(pattern, err);
    if (rc < 0)
        return rc;
    switch (pattern_match(pattern, path, step)) {
    case PATTERN_STEP: *ret_step = step[0]; return 1;
    case PATTERN_AMBIGUOUS:
        snprintf(reason, NAME_REASON_SIZE,
                 "%" PRId64 " and %" PRId64 " both fit {step} of the pattern", step[0], step[1]);
        return 0;
    case PATTERN_TOO_LARGE:
        snprintf(reason, NAME_REASON_SIZE, "the number at {step} does not fit into 64 bits");
        return 0;
    case PATTERN_NO_MATCH: break;
    }
    snprintf(reason, NAME_REASON_SIZE, "it does not match the pattern of the run");
    return 0;
}

int name_run(const char *root, const char *directory, char ret[NAME_RUN_SIZE],
             char reason[NAME_REASON_SIZE])
{
    char name[NAME_RUN_SIZE];
    int n = snprintf(name, sizeof name, "%s.", root);

    for (const char *p = directory; *p && n < (int)sizeof name; p++) {
        bool plain = (is_letter(*p) && (unsigned char)*p < 0x80) || is_digit(*p) ||
                     strchr("._-", *p) != NULL;
        n += snprintf(name + n, sizeof name - (size_t)n, plain ? "%c" : "_%02X", (unsigned char)*p);
    }
    if (n >= (int)sizeof name) {
        snprintf(reason, NAME_REASON_SIZE, "the run would have a name of more than %d bytes",
                 NAME_RUN_SIZE - 1);
        return 0;
    }
    memcpy(ret, name, sizeof name);
    return 1;
}
