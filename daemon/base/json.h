/*
 * json - jansson with the strictness that a contract needs.
 *
 * Parsing refuses duplicate keys and bad UTF-8. A json_reader reads the fields of one object: the
 * first thing that is wrong is remembered with its RFC 6901 pointer and everything after it does
 * nothing, so twenty fields are read in twenty lines and checked once. json_reader_end() refuses
 * fields that nobody asked for, because a typo must not be ignored.
 * Never used on bytes of a checkpoint (formats/ has its own bounded parser). Thread: one at a time.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

static inline void json_decref_auto(json_t **p)
{
    json_decref(*p);
}
#define AUTOJSON __attribute__((cleanup(json_decref_auto)))

/* One JSON text, at most @depth levels deep (jansson's own limit is 2048). NULL on failure. */
json_t *json_parse(const char *text, size_t n, struct sewa_error *err);

/* The same for what a client sends: a whole number beyond 64 bits is SEWA_E_INVALID with its
 * pointer, because that is valid JSON. */
json_t *json_parse_request(const char *text, size_t n, struct sewa_error *err);

/* Compact text with 17 significant digits, so that a double survives. Heap; NULL when out of
 * memory. */
char *json_text(const json_t *value);

/* The same with the fewest digits that give the same doubles, 0.1 for 0.10000000000000001: for what
 * people read. */
char *json_text_short(const json_t *value);

/* json_text() with sorted keys: equal values give equal bytes. */
char *json_canonical(const json_t *value);

/* Set a member; the value is stolen also on failure. NULL value means out of memory. 0 or -1. */
int json_put(json_t *object, const char *key, json_t *value);

/* A finite number or null: JSON has no infinity. */
json_t *json_number_or_null(double value);

enum { JSON_READER_FIELDS_MAX = 64 };

struct json_reader {
    const json_t *object;
    struct sewa_error *err;
    int rc; /* first failure or 0 */
    char path[SEWA_ERROR_POINTER_MAX];
    const char *known[JSON_READER_FIELDS_MAX];
    int known_count;
    struct sewa_error scratch; /* used when the caller gave no err */
};

/* value that is no object is the first failure. pointer: where it stands, "" for the whole text. */
void json_reader_init(struct json_reader *r, const json_t *value, const char *pointer,
                      struct sewa_error *err);

/* The same for a member that may be left out: NULL and null read as an object without fields. */
void json_reader_init_optional(struct json_reader *r, const json_t *value, const char *pointer,
                               struct sewa_error *err);

/* Refuse unknown fields; returns the first failure or 0. */
int json_reader_end(struct json_reader *r);

/* First failure or 0, unknown fields allowed (protocols: an unknown field is ignored). */
int json_reader_end_lenient(struct json_reader *r);

/* Record a failure on a field (name NULL: the object itself). Returns r->rc. */
int json_reader_fail(struct json_reader *r, int code, const char *name, const char *format, ...)
    SEWA_PRINTF(4, 5);

/* Whether the field is there and not null. Marks it as known. */
bool json_has(struct json_reader *r, const char *name);

/* Whether the field is there, null included (in a merge patch null means "remove"). */
bool json_is_given(struct json_reader *r, const char *name);

/*
 * The field's value, or the fallback when it is absent or null. Strings and containers are borrowed
 * from the object. A required one is a failure when it is absent.
 */
int64_t json_get_int(struct json_reader *r, const char *name, int64_t min, int64_t max,
                     int64_t fallback);
double json_get_number(struct json_reader *r, const char *name, double min, double max,
                       double fallback);
bool json_get_bool(struct json_reader *r, const char *name, bool fallback);
const char *json_get_string(struct json_reader *r, const char *name, const char *fallback);
const char *json_need_string(struct json_reader *r, const char *name);
int64_t json_need_int(struct json_reader *r, const char *name, int64_t min, int64_t max);
const json_t *json_get_object(struct json_reader *r, const char *name); /* NULL when absent */
const json_t *json_get_array(struct json_reader *r, const char *name);
const json_t *json_get_any(struct json_reader *r, const char *name);

/* Index into words (NULL-terminated), or the fallback. Anything else is a failure that lists them.
 */
int json_get_word(struct json_reader *r, const char *name, const char *const words[], int fallback);

/* An array of strings; borrowed element i is json_string_value(json_array_get(array, i)). */
const json_t *json_get_strings(struct json_reader *r, const char *name, size_t max_count);

/*
 * {"key": "text"} with at most 64 members, keys up to 63 and values up to 255 bytes of UTF-8: the
 * labels of runs, checkpoints and jobs. With @allow_null, null is a value (merge patch). NULL when
 * absent.
 */
const json_t *json_get_labels(struct json_reader *r, const char *name, bool allow_null);

#endif
