/*
 * json - strict parsing, stable text, and the reader of one object's fields.
 */
#include "base/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/path.h"
#include "base/unknown.h"

/* jansson quotes the input where it stopped reading, which may be within a character. */
static void replace_invalid(char *text)
{
    for (size_t n; *text; text += n ? n : 1) {
        n = utf8_sequence(text, strlen(text));
        if (n == 0)
            *text = '?';
    }
}

/* Of some of its failed allocations jansson says nothing at all. */
json_t *json_parse(const char *text, size_t n, struct sewa_error *err)
{
    json_error_t e;
    json_t *value = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);

    if (value)
        return value;
    replace_invalid(e.text);
    if (json_error_code(&e) == json_error_out_of_memory || e.text[0] == '\0')
        sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to parse JSON");
    else
        sewa_fail(err, SEWA_E_BAD_JSON, "not valid JSON: line %d, column %d: %s", e.line, e.column,
                  e.text);
    return NULL;
}

/* Append one reference token to a pointer: '~' and '/' are escaped (RFC 6901). */
static void pointer_append(char path[SEWA_ERROR_POINTER_MAX], const char *token)
{
    size_t at = strlen(path);

    if (at + 2 >= SEWA_ERROR_POINTER_MAX)
        return;
    path[at++] = '/';
    for (; *token && at + 3 < SEWA_ERROR_POINTER_MAX; token++) {
        if (*token == '~' || *token == '/') {
            path[at++] = '~';
            path[at++] = *token == '~' ? '0' : '1';
        } else {
            path[at++] = *token;
        }
    }
    path[at] = '\0';
}

/* ---- whole numbers that are too large ---- */

/* The digits that end before @at, or where the next ones before it do. */
static char *find_number(char *text, size_t at, size_t *ret_length)
{
    char *end = text + at;

    while (end > text && (end[-1] < '0' || end[-1] > '9'))
        end--;
    char *begin = end;
    while (begin > text && begin[-1] >= '0' && begin[-1] <= '9')
        begin--;
    if (begin > text && begin[-1] == '-')
        begin--;
    *ret_length = (size_t)(end - begin);
    return begin;
}

/* Append the pointer to the text @wanted within value; false: it is not there. */
static bool find_text(const json_t *value, const char *wanted, char path[SEWA_ERROR_POINTER_MAX])
{
    size_t length = strlen(path), i;
    const char *key;
    char number[24];
    json_t *inner;

    if (json_is_string(value))
        return strcmp(json_string_value(value), wanted) == 0;
    json_object_foreach((json_t *)value, key, inner)
    {
        pointer_append(path, key);
        if (find_text(inner, wanted, path))
            return true;
        path[length] = '\0';
    }
    json_array_foreach(value, i, inner)
    {
        snprintf(number, sizeof number, "%zu", i);
        pointer_append(path, number);
        if (find_text(inner, wanted, path))
            return true;
        path[length] = '\0';
    }
    return false;
}

/* jansson says where it stopped, and has no value that it could say of whom: so the number becomes
 * a text that can be found. It has 19 digits at least. */
static void blame_number(const char *text, size_t n, int at, struct sewa_error *err)
{
    AUTOFREE char *copy = strndup(text, n);
    char pointer[SEWA_ERROR_POINTER_MAX] = "";
    size_t length = 0;

    if (!copy || at < 0 || (size_t)at > n)
        return;
    char *number = find_number(copy, (size_t)at, &length);
    if (length < 3)
        return;
    AUTOFREE char *said = strndup(number, length);
    memset(number, '!', length);
    AUTOFREE char *marker = strndup(number + 2, length - 2);
    number[0] = number[length - 1] = '"';
    AUTOJSON json_t *value = json_loadb(
        copy, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, NULL);
    if (said && marker && value && find_text(value, marker, pointer))
        sewa_fail_at(err, SEWA_E_INVALID, pointer, "%.40s is more than 64 bits hold", said);
}

json_t *json_parse_request(const char *text, size_t n, struct sewa_error *err)
{
    json_error_t e;
    json_t *value = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);

    if (value)
        return value;
    value = json_parse(text, n, err);
    if (!value && json_error_code(&e) == json_error_numeric_overflow)
        blame_number(text, n, e.position, err);
    return value;
}

static int dump_into(const char *bytes, size_t n, void *b)
{
    buf_append(b, bytes, n);
    return buf_failed(b) ? -1 : 0;
}

/* Not json_dumps(): jansson 2.14 does not look whether there was room for a key, and leaves it out.
 * A buf remembers. */
static char *dump(const json_t *value, size_t flags)
{
    struct buf b = { 0 };

    flags |= JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
    if (json_dump_callback(value, dump_into, &b, flags) < 0)
        b.failed = true;
    return buf_take(&b);
}

/* ---- numbers for people ---- */

enum { DIGITS_SHORT = 15 }; /* every decimal number of so many digits survives in a double */

struct short_dump {
    struct buf text;
    bool in_string;
};

/* The fewest digits that give the same double; false: it has them already. */
static bool shorten(const char *token, size_t n, char *ret, size_t size)
{
    char own[40];

    if (n <= DIGITS_SHORT || n >= sizeof own || !strchr("-0123456789", *token))
        return false;
    memcpy(own, token, n);
    own[n] = '\0';
    if (!strpbrk(own, ".e"))
        return false; /* a whole number keeps all of its digits */
    double value = strtod(own, NULL);
    for (int digits = DIGITS_SHORT; digits < 17; digits++) {
        snprintf(ret, size, "%.*g", digits, value);
        if (strpbrk(ret, ".e") && strtod(ret, NULL) == value)
            return true;
    }
    return false;
}

/* jansson hands on a number in one piece, and the quotes of a text in pieces of their own. */
static int dump_short(const char *bytes, size_t n, void *arg)
{
    struct short_dump *d = arg;
    char number[40];

    if (n == 1 && *bytes == '"')
        d->in_string = !d->in_string;
    if (!d->in_string && shorten(bytes, n, number, sizeof number))
        buf_text(&d->text, number);
    else
        buf_append(&d->text, bytes, n);
    return buf_failed(&d->text) ? -1 : 0;
}

char *json_text_short(const json_t *value)
{
    struct short_dump d = { 0 };

    if (json_dump_callback(value, dump_short, &d,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) < 0)
        d.text.failed = true;
    return buf_take(&d.text);
}

char *json_text(const json_t *value)
{
    return dump(value, 0);
}

char *json_canonical(const json_t *value)
{
    return dump(value, JSON_SORT_KEYS);
}

int json_put(json_t *object, const char *key, json_t *value)
{
    return value ? json_object_set_new(object, key, value) : -1;
}

json_t *json_number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int json_reader_fail(struct json_reader *r, int code, const char *name, const char *format, ...)
{
    if (r->rc < 0)
        return r->rc;
    char pointer[SEWA_ERROR_POINTER_MAX];
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;
    memcpy(pointer, r->path, sizeof pointer);
    if (name)
        pointer_append(pointer, name);
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    r->rc = sewa_fail_at(r->err, code, pointer, "%s", text);
    return r->rc;
}

static void reader_begin(struct json_reader *r, const char *pointer, struct sewa_error *err)
{
    memset(r, 0, sizeof *r);
    r->err = err ? err : &r->scratch;
    snprintf(r->path, sizeof r->path, "%s", pointer);
}

void json_reader_init(struct json_reader *r, const json_t *value, const char *pointer,
                      struct sewa_error *err)
{
    reader_begin(r, pointer, err);
    if (json_is_object(value))
        r->object = value;
    else
        json_reader_fail(r, SEWA_E_INVALID, NULL, "%s%smust be an object", pointer,
                         *pointer ? " " : "the body ");
}

/* jansson reads a NULL object as an empty one. */
void json_reader_init_optional(struct json_reader *r, const json_t *value, const char *pointer,
                               struct sewa_error *err)
{
    if (value && !json_is_null(value))
        json_reader_init(r, value, pointer, err);
    else
        reader_begin(r, pointer, err);
}

static const json_t *find(struct json_reader *r, const char *name)
{
    if (r->known_count < JSON_READER_FIELDS_MAX)
        r->known[r->known_count++] = name;
    if (r->rc < 0)
        return NULL;
    const json_t *value = json_object_get(r->object, name);
    return json_is_null(value) ? NULL : value;
}

static bool is_known(const struct json_reader *r, const char *key)
{
    for (int i = 0; i < r->known_count; i++)
        if (strcmp(r->known[i], key) == 0)
            return true;
    return false;
}

static int refuse_unknown(struct json_reader *r, const char *key)
{
    AUTO(unknown_clear) struct unknown u;

    unknown_begin(&u, key);
    for (int i = 0; i < r->known_count; i++) {
        bool again = false; /* a reader may look at a field more than once */
        for (int j = 0; j < i; j++)
            again = again || strcmp(r->known[j], r->known[i]) == 0;
        if (!again)
            unknown_known(&u, r->known[i]);
    }
    return json_reader_fail(r, SEWA_E_UNKNOWN_FIELD, key, "unknown field '%.100s'%s", key,
                            unknown_words(&u));
}

int json_reader_end(struct json_reader *r)
{
    const char *key;
    json_t *value;

    if (r->rc < 0)
        return r->rc;
    json_object_foreach((json_t *)r->object, key, value)
    {
        if (!is_known(r, key))
            return refuse_unknown(r, key);
    }
    return 0;
}

int json_reader_end_lenient(struct json_reader *r)
{
    return r->rc;
}

bool json_has(struct json_reader *r, const char *name)
{
    return find(r, name) != NULL;
}

bool json_is_given(struct json_reader *r, const char *name)
{
    find(r, name);
    return r->rc == 0 && json_object_get(r->object, name) != NULL;
}

int64_t json_get_int(struct json_reader *r, const char *name, int64_t min, int64_t max,
                     int64_t fallback)
{
    const json_t *value = find(r, name);

    if (!value)
        return fallback;
    if (!json_is_integer(value)) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' must be a whole number", name);
        return fallback;
    }
    json_int_t n = json_integer_value(value);
    if (n < min || n > max) {
        json_reader_fail(r, SEWA_E_INVALID, name,
                         "'%s' is %" JSON_INTEGER_FORMAT ", allowed is %lld to %lld", name, n,
                         (long long)min, (long long)max);
        return fallback;
    }
    return n;
}

double json_get_number(struct json_reader *r, const char *name, double min, double max,
                       double fallback)
{
    const json_t *value = find(r, name);

    if (!value)
        return fallback;
    if (!json_is_number(value)) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' must be a number", name);
        return fallback;
    }
    double x = json_number_value(value);
    if (!(x >= min && x <= max)) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' is %g, allowed is %g to %g", name, x, min,
                         max);
        return fallback;
    }
    return x;
}

bool json_get_bool(struct json_reader *r, const char *name, bool fallback)
{
    const json_t *value = find(r, name);

    if (!value)
        return fallback;
    if (!json_is_boolean(value)) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' must be true or false", name);
        return fallback;
    }
    return json_is_true(value);
}

/* A NUL inside (\u0000) would cut the C string: the rest of it would never be checked. */
static const char *text_of(struct json_reader *r, const char *name, const json_t *value)
{
    if (!json_is_string(value)) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' must be a string", name);
        return NULL;
    }
    const char *text = json_string_value(value);
    if (strlen(text) != json_string_length(value)) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' contains a NUL character", name);
        return NULL;
    }
    return text;
}

const char *json_get_string(struct json_reader *r, const char *name, const char *fallback)
{
    const json_t *value = find(r, name);

    if (!value)
        return fallback;
    const char *text = text_of(r, name, value);
    return text ? text : fallback;
}

const char *json_need_string(struct json_reader *r, const char *name)
{
    const json_t *value = find(r, name);

    if (!value) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' is missing", name);
        return "";
    }
    const char *text = text_of(r, name, value);
    return text ? text : "";
}

int64_t json_need_int(struct json_reader *r, const char *name, int64_t min, int64_t max)
{
    if (r->rc == 0 && !json_is_integer(json_object_get(r->object, name)))
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' is missing or not a whole number", name);
    return json_get_int(r, name, min, max, min);
}

const json_t *json_get_object(struct json_reader *r, const char *name)
{
    const json_t *value = find(r, name);

    if (value && !json_is_object(value)) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' must be an object", name);
        return NULL;
    }
    return value;
}

const json_t *json_get_array(struct json_reader *r, const char *name)
{
    const json_t *value = find(r, name);

    if (value && !json_is_array(value)) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' must be an array", name);
        return NULL;
    }
    return value;
}

const json_t *json_get_any(struct json_reader *r, const char *name)
{
    return find(r, name);
}

int json_get_word(struct json_reader *r, const char *name, const char *const words[], int fallback)
{
    const char *text = json_get_string(r, name, NULL);
    AUTO(buf_clear) struct buf list = { 0 };

    if (!text)
        return fallback;
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0)
            return i;
        buf_printf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    json_reader_fail(r, SEWA_E_INVALID, name, "'%s' is '%.60s', allowed is one of %s", name, text,
                     buf_cstr(&list));
    return fallback;
}

const json_t *json_get_strings(struct json_reader *r, const char *name, size_t max_count)
{
    const json_t *array = json_get_array(r, name);
    char element[SEWA_ERROR_POINTER_MAX];

    if (!array)
        return NULL;
    if (json_array_size(array) > max_count) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' has %zu elements, at most %zu are allowed",
                         name, json_array_size(array), max_count);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        snprintf(element, sizeof element, "%s", name);
        if (!text_of(r, element, json_array_get(array, i)))
            return NULL;
    }
    return array;
}

static bool label_is_valid(struct json_reader *r, const char *name, const char *key,
                           const json_t *value, bool allow_null)
{
    size_t n = strlen(key);

    if (n < 1 || n > 63) {
        json_reader_fail(r, SEWA_E_INVALID, name, "a key of '%s' has %zu bytes, allowed is 1 to 63",
                         name, n);
        return false;
    }
    if (allow_null && json_is_null(value))
        return true;
    if (!json_is_string(value) || json_string_length(value) > 255 ||
        strlen(json_string_value(value)) != json_string_length(value)) {
        json_reader_fail(r, SEWA_E_INVALID, name,
                         "'%s' of '%s' must be a string of at most 255 bytes", key, name);
        return false;
    }
    return true;
}

const json_t *json_get_labels(struct json_reader *r, const char *name, bool allow_null)
{
    const json_t *object = json_get_object(r, name);
    const char *key;
    json_t *value;

    if (!object)
        return NULL;
    if (json_object_size(object) > 64) {
        json_reader_fail(r, SEWA_E_INVALID, name, "'%s' has %zu members, at most 64 are allowed",
                         name, json_object_size(object));
        return NULL;
    }
    json_object_foreach((json_t *)object, key, value)
    {
        if (!label_is_valid(r, name, key, value, allow_null))
            return NULL;
    }
    return object;
}
