/*
 * pattern - names with "{step}" and "*" in them.
 */
#include "base/pattern.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char STEP[] = "{step}";
enum { STEP_BYTES = sizeof STEP - 1 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int pattern_number(const char *digits, size_t n, int64_t *ret)
{
    int64_t value = 0;

    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(digits[i] - '0'), &value))
            return -1;
    *ret = value;
    return 0;
}

static int check_components(const char *pattern, struct sewa_error *err)
{
    for (const char *p = pattern;; p++) {
        size_t n = strcspn(p, "/");
        bool dots = (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.');
        if (n == 0 || dots)
            return sewa_fail(
                err, SEWA_E_INVALID,
                "pattern '%s' must be a relative path without empty, '.' and '..' parts", pattern);
        p += n;
        if (*p == '\0')
            return 0;
    }
}

int pattern_check(const char *pattern, struct sewa_error *err)
{
    size_t n = strlen(pattern);
    const char *step = strstr(pattern, STEP);

    if (n > PATTERN_BYTES_MAX)
        return sewa_fail(err, SEWA_E_INVALID, "the pattern has %zu bytes, at most %d are allowed",
                         n, PATTERN_BYTES_MAX);
    for (const char *p = pattern; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return sewa_fail(err, SEWA_E_INVALID, "the pattern has a control character at byte %zu",
                             (size_t)(p - pattern));
    if (!step)
        return sewa_fail(err, SEWA_E_INVALID, "pattern '%s' has no {step}", pattern);
    if (strstr(step + STEP_BYTES, STEP))
        return sewa_fail(err, SEWA_E_INVALID, "pattern '%s' has {step} more than once", pattern);
    if ((step > pattern && is_digit(step[-1])) || is_digit(step[STEP_BYTES]))
        return sewa_fail(err, SEWA_E_INVALID,
                         "pattern '%s' has a digit beside {step}, which can never match", pattern);
    return check_components(pattern, err);
}

/*
 * Whether pattern[0..np) matches text[0..nt) as a whole. The usual greedy walk that goes back to
 * the last star only: a '*' never crosses a slash, and a literal slash ends what the star before it
 * can take, so an earlier star never needs to be tried again.
 */
static bool glob_match(const char *pattern, size_t np, const char *text, size_t nt)
{
    size_t p = 0, t = 0;
    size_t star = 0, resume = 0;
    bool has_star = false;

    while (t < nt) {
        if (p < np && pattern[p] == '*') {
            has_star = true;
            star = ++p;
            resume = t;
        } else if (p < np && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (has_star && text[resume] != '/') {
            p = star;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < np && pattern[p] == '*')
        p++;
    return p == np;
}

enum pattern_match pattern_match(const char *pattern, const char *path, int64_t step[2])
{
    const char *mark = strstr(pattern, STEP);
    const char *behind = mark + STEP_BYTES;
    size_t n = strlen(path);
    enum pattern_match found = PATTERN_NO_MATCH;

    for (size_t i = 0, end; i < n; i = end + 1) {
        for (end = i; end < n && is_digit(path[end]); end++)
            ;
        if (end == i || !glob_match(pattern, (size_t)(mark - pattern), path, i) ||
            !glob_match(behind, strlen(behind), path + end, n - end))
            continue;
        int64_t value;
        if (pattern_number(path + i, end - i, &value) < 0)
            return PATTERN_TOO_LARGE;
        if (found == PATTERN_STEP && value != step[0]) {
            step[1] = value;
            return PATTERN_AMBIGUOUS;
        }
        step[0] = value;
        found = PATTERN_STEP;
    }
    return found;
}

/* ---- proposing one ---- */

/* A name with more numbers than this has a date in it: which number is meant is left to people. */
enum { NUMBERS_MAX = 3, TEMPLATES_MAX = 16 };

/* "*" for digits, and for what stands between those of a fraction. Returns where the text goes on.
 */
static const char *skip_number(const char *text)
{
    while (is_digit(*text) || (*text == '.' && is_digit(text[1])))
        text++;
    return text;
}

/* The name with {step} for the number that begins at @step. 0, or -1 when it is no pattern. */
static int pattern_from(const char *name, const char *step, char *ret)
{
    size_t n = 0;

    if (strlen(name) > PATTERN_BYTES_MAX / 2 || strpbrk(name, "*{"))
        return -1; /* such a name would mean something else */
    for (const char *p = name; *p;) {
        if (!is_digit(*p)) {
            ret[n++] = *p++;
            continue;
        }
        const char *end = skip_number(p);
        size_t length = p == step ? STEP_BYTES : 1;
        memcpy(ret + n, p == step ? STEP : "*", length);
        n += length;
        p = end;
    }
    ret[n] = '\0';
    return pattern_check(ret, NULL);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* How many different steps the names get. */
static size_t count_steps(const char *pattern, const char *const *names, size_t count,
                          int64_t *values)
{
    size_t n = 0, different = 0;
    int64_t step[2];

    for (size_t i = 0; i < count; i++)
        if (pattern_match(pattern, names[i], step) == PATTERN_STEP)
            values[n++] = step[0];
    if (n > 0)
        qsort(values, n, sizeof *values, by_value);
    for (size_t i = 0; i < n; i++)
        different += i == 0 || values[i] != values[i - 1];
    return different;
}

/* The best pattern that this name gives, if it is better than what is there. */
static void propose_from(const char *name, const char *const *names, size_t count, int64_t *values,
                         size_t *best, char *ret)
{
    char pattern[PATTERN_BYTES_MAX + 1];
    size_t numbers = 0;

    for (const char *p = name; *p; p = is_digit(*p) ? skip_number(p) : p + 1)
        numbers += is_digit(*p);
    if (numbers > NUMBERS_MAX)
        return;
    for (const char *p = name; *p; p = is_digit(*p) ? skip_number(p) : p + 1) {
        bool is_whole = is_digit(*p) && !memchr(p, '.', (size_t)(skip_number(p) - p));
        if (!is_whole || pattern_from(name, p, pattern) < 0)
            continue;
        size_t steps = count_steps(pattern, names, count, values);
        if (steps > *best) {
            *best = steps;
            memcpy(ret, pattern, strlen(pattern) + 1);
        }
    }
}

int pattern_propose(const char *const *names, size_t count, char *ret)
{
    size_t best = 1;
    int64_t *values = count ? calloc(count, sizeof *values) : NULL;

    for (size_t i = 0; values && i < count && i < TEMPLATES_MAX; i++)
        propose_from(names[i], names, count, values, &best, ret);
    free(values);
    return best > 1;
}
