/*
 * check - is this text a value that an option may have?
 */
#include "config/check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/pattern.h"

static const char *const authentication_words[] = { "none", "tokens", NULL };
static const char *const log_level_words[] = { "error", "warn", "info", "debug", NULL };

struct address {
    int family;
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } ip;
};

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static int check_number(const char *name, const char *value, int64_t min, int64_t max,
                        struct sewa_error *err)
{
    int64_t n;

    if (parse_i64(value, INT64_MIN, INT64_MAX, &n) < 0)
        return sewa_fail(err, SEWA_E_CONFIG, "%s is '%s', which is no whole number", name, value);
    if (n < min || n > max)
        return sewa_fail(err, SEWA_E_CONFIG, "%s is %lld, allowed are %lld to %lld", name,
                         (long long)n, (long long)min, (long long)max);
    return 0;
}

static const char *const *words_of(enum config_kind kind)
{
    return kind == KIND_LOG_LEVEL ? log_level_words : authentication_words;
}

int config_word(enum config_kind kind, const char *value)
{
    const char *const *words = words_of(kind);

    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], value) == 0)
            return i;
    return -1;
}

const char *config_word_text(enum config_kind kind, int word)
{
    return words_of(kind)[word];
}

static int check_word(enum config_kind kind, const char *name, const char *value,
                      struct sewa_error *err)
{
    const char *const *words = words_of(kind);
    char list[64] = "";

    if (config_word(kind, value) >= 0)
        return 0;
    for (int i = 0; words[i]; i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", words[i]);
    }
    return sewa_fail(err, SEWA_E_CONFIG, "%s is '%s', allowed are %s", name, value, list);
}

static int check_text(const char *name, const char *value, struct sewa_error *err)
{
    if (has_control(value))
        return sewa_fail(err, SEWA_E_CONFIG, "%s has a control character", name);
    if (!utf8_is_valid(value, strlen(value)))
        return sewa_fail(err, SEWA_E_CONFIG, "%s is not valid UTF-8", name);
    return 0;
}

/* "1.2.3.4:5" or "[::1]:5"; 0 or -1. */
static int parse_address(const char *text, struct address *ret)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    int64_t port;
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool v6 = text[0] == '[' && n > 2 && text[n - 1] == ']';

    if (!colon || n == 0 || n >= sizeof host || parse_i64(colon + 1, 0, 65535, &port) < 0)
        return -1;
    memcpy(host, text + v6, n - 2 * v6);
    host[n - 2 * v6] = '\0';
    ret->family = v6 ? AF_INET6 : AF_INET;
    return inet_pton(ret->family, host, &ret->ip) == 1 ? 0 : -1;
}

static int check_address(const char *name, const char *value, struct sewa_error *err)
{
    struct address a;

    if (parse_address(value, &a) == 0)
        return 0;
    return sewa_fail(err, SEWA_E_CONFIG,
                     "%s is '%s', which is no ADDRESS:PORT such as 127.0.0.1:8787 or [::1]:8787",
                     name, value);
}

bool config_address_is_loopback(const char *address)
{
    struct address a;

    if (parse_address(address, &a) < 0)
        return false;
    if (a.family == AF_INET)
        return ntohl(a.ip.v4.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&a.ip.v6);
}

static int check_path(const char *name, const char *value, struct sewa_error *err)
{
    if (value[0] != '/')
        return sewa_fail(err, SEWA_E_CONFIG, "%s is '%s', which is no absolute path", name, value);
    if (!path_is_clean(value))
        return sewa_fail(err, SEWA_E_CONFIG,
                         "%s is '%s', which has an empty, '.' or '..' part, a control character or "
                         "a slash at its end",
                         name, value);
    return 0;
}

static int check_json_object(const char *name, const char *value, struct sewa_error *err)
{
    AUTOJSON json_t *json = json_parse(value, strlen(value), err);

    if (!json && err && err->code == SEWA_E_NO_MEMORY)
        return SEWA_E_NO_MEMORY;
    if (!json) {
        if (err)
            err->code = SEWA_E_CONFIG;
        return sewa_context(err, SEWA_E_CONFIG, "%s", name);
    }
    if (!json_is_object(json))
        return sewa_fail(err, SEWA_E_CONFIG, "%s is JSON but no object", name);
    return 0;
}

static int check_pattern(const char *name, const char *value, struct sewa_error *err)
{
    int rc = check_text(name, value, err);

    if (rc < 0)
        return rc;
    if (pattern_check(value, err) == 0)
        return 0;
    if (err)
        err->code = SEWA_E_CONFIG;
    return SEWA_E_CONFIG;
}

/* One {name} or {stem}, and something beside it that makes it another name. */
static int check_marker(const char *name, const char *value, struct sewa_error *err)
{
    const char *by_name = strstr(value, "{name}");
    const char *by_stem = strstr(value, "{stem}");
    const char *place = by_name ? by_name : by_stem;

    int rc = check_text(name, value, err);
    if (rc < 0)
        return rc;
    if (strchr(value, '/'))
        return sewa_fail(err, SEWA_E_CONFIG,
                         "%s is '%s': a marker lies beside its checkpoint and has no slash", name,
                         value);
    if (!place || (by_name && by_stem) || strstr(place + 1, "{name}") ||
        strstr(place + 1, "{stem}"))
        return sewa_fail(err, SEWA_E_CONFIG, "%s is '%s', which must have {name} or {stem} once",
                         name, value);
    if (strlen(value) == strlen("{name}"))
        return sewa_fail(err, SEWA_E_CONFIG, "%s is '%s', which is the checkpoint itself", name,
                         value);
    return 0;
}

/* How many numbers separated by colons there are; 0 when this is something else. */
static int count_numbers(const char *text)
{
    int count = 0;

    for (;;) {
        size_t n = strspn(text, "0123456789");
        if (n == 0 || n > 9)
            return 0;
        count++;
        if (text[n] == '\0')
            return count;
        if (text[n] != ':')
            return 0;
        text += n + 1;
    }
}

/* minutes, minutes:seconds, hours:minutes:seconds, days-hours, and so on up to days-h:m:s */
static int check_duration(const char *name, const char *value, struct sewa_error *err)
{
    const char *dash = strchr(value, '-');
    size_t days = strspn(value, "0123456789");
    int numbers = count_numbers(dash ? dash + 1 : value);

    if (numbers >= 1 && numbers <= 3 && (!dash || (days > 0 && value + days == dash)))
        return 0;
    return sewa_fail(err, SEWA_E_CONFIG, "%s is '%s', which is no time such as 02:00:00 or 1-12",
                     name, value);
}

static int check_url(const char *name, const char *value, struct sewa_error *err)
{
    bool known = strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0;
    const char *host = known ? strstr(value, "://") + 3 : "";

    if ((isalnum((unsigned char)host[0]) || (host[0] == '[' && strchr(host, ']'))) &&
        !has_control(value) && !strpbrk(value, " \"'<>\\"))
        return 0;
    return sewa_fail(err, SEWA_E_CONFIG, "%s is '%s', which is no URL such as http://head:8787",
                     name, value);
}

static int check_item(const char *name, const char *value, struct sewa_error *err)
{
    if (value[0] == '\0' || strpbrk(value, ", \t"))
        return sewa_fail(err, SEWA_E_CONFIG, "%s has the item '%s', which is no single word", name,
                         value);
    return check_text(name, value, err);
}

static int check_environment(const char *name, const char *value, struct sewa_error *err)
{
    const char *equals = strchr(value, '=');
    size_t n = equals ? (size_t)(equals - value) : 0;

    if (n == 0 || isdigit((unsigned char)value[0]))
        return sewa_fail(err, SEWA_E_CONFIG, "%s has '%s', which is no NAME=VALUE", name, value);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)value[i]) && value[i] != '_')
            return sewa_fail(err, SEWA_E_CONFIG, "%s has '%s', which is no NAME=VALUE", name,
                             value);
    if (strncmp(value, "SEWA_", 5) == 0)
        return sewa_fail(err, SEWA_E_CONFIG, "%s has '%s': names with SEWA_ are set by the worker",
                         name, value);
    return 0;
}

typedef int check_fn(const char *name, const char *value, struct sewa_error *err);

static const struct {
    check_fn *check;
    bool may_be_empty;
} kinds[] = {
    [KIND_TEXT] = { check_text, true },
    [KIND_ADDRESS] = { check_address, false },
    [KIND_PATH] = { check_path, false },
    [KIND_JSON_OBJECT] = { check_json_object, false },
    [KIND_OPTIONAL_PATH] = { check_path, true },
    [KIND_OPTIONAL_PATTERN] = { check_pattern, true },
    [KIND_OPTIONAL_MARKER] = { check_marker, true },
    [KIND_OPTIONAL_DURATION] = { check_duration, true },
    [KIND_OPTIONAL_URL] = { check_url, true },
    [KIND_PATH_LIST] = { check_path, false },
    [KIND_TEXT_LIST] = { check_text, true },
    [KIND_WORD_LIST] = { check_item, false },
    [KIND_ENVIRONMENT_LIST] = { check_environment, false },
};

int64_t config_number(const char *value)
{
    int64_t n = 0;

    (void)parse_i64(value, INT64_MIN, INT64_MAX, &n);
    return n;
}

int config_check(enum config_kind kind, const char *name, const char *value, int64_t min,
                 int64_t max, struct sewa_error *err)
{
    if (kind == KIND_NUMBER)
        return check_number(name, value, min, max, err);
    if (kind == KIND_AUTHENTICATION || kind == KIND_LOG_LEVEL)
        return check_word(kind, name, value, err);
    if (kind < KIND_PATH_LIST && strlen(value) > (size_t)max)
        return sewa_fail(err, SEWA_E_CONFIG, "%s has %zu bytes, at most %lld are allowed", name,
                         strlen(value), (long long)max);
    if (value[0] == '\0' && kinds[kind].may_be_empty)
        return 0;
    return kinds[kind].check(name, value, err);
}
