/*
 * pattern - names with "{step}" and "*" in them.
 */
#include "base/pattern.h"

#include <stdbool.h>
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
