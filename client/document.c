/*
 * document - one answer, parsed, and readers for its members.
 */
#include "document.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
    _Alignas(max_align_t) char bytes[];
};

int sewa_no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for an answer");
}

void sewa_document_free(struct sewa_document *d)
{
    if (!d)
        return;
    while (d->blocks) {
        struct block *next = d->blocks->next;
        free(d->blocks);
        d->blocks = next;
    }
    json_decref(d->root);
    free(d->slices);
    free(d->etag);
    free(d->text);
    free(d);
}

static int parse(struct sewa_document *d, size_t n, const char *what, struct sewa_error *err)
{
    json_error_t e;

    d->root = json_loadb(d->text, n, JSON_REJECT_DUPLICATES, &e);
    if (json_is_object(d->root))
        return 0;
    if (!d->root && (json_error_code(&e) == json_error_out_of_memory || !e.text[0]))
        return sewa_no_memory(err);
    return sewa_fail(err, SEWA_E_PROTOCOL,
                     "the answer to %s (%zu bytes) is no JSON object: is this address a sewad?",
                     what, n);
}

int sewa_document_new(char *text, size_t n, const char *what, struct sewa_document **ret,
                      struct sewa_error *err)
{
    struct sewa_document *d = calloc(1, sizeof *d);

    if (!d) {
        free(text);
        return sewa_no_memory(err);
    }
    d->text = text;
    int rc = text ? parse(d, n, what, err) : sewa_no_memory(err);
    if (rc < 0) {
        sewa_document_free(d);
        return rc;
    }
    *ret = d;
    return 0;
}

void *sewa_document_alloc(struct sewa_document *d, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct block), &bytes))
        return NULL;
    struct block *b = calloc(1, bytes);
    if (!b)
        return NULL;
    b->next = d->blocks;
    d->blocks = b;
    return b->bytes;
}

/* ---- members ---- */

const char *sewa_get_text(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

int64_t sewa_get_integer(const json_t *o, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(o, key);

    return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

double sewa_get_number(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

bool sewa_get_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

int64_t sewa_get_time(const json_t *o, const char *key)
{
    const char *text = sewa_get_text(o, key);

    return text ? sewa_time_parse(text) : 0;
}

int sewa_need_text(const json_t *o, const char *key, const char **ret, struct sewa_error *err)
{
    *ret = sewa_get_text(o, key);
    return *ret ? 0
                : sewa_fail(err, SEWA_E_PROTOCOL, "the answer has no '%s': is this a sewad?", key);
}

int sewa_get_texts(struct sewa_document *d, const json_t *o, const char *key,
                   const char *const **ret, size_t *ret_count, struct sewa_error *err)
{
    const json_t *array = json_object_get(o, key);
    const char **texts = sewa_document_alloc(d, json_array_size(array), sizeof *texts);
    size_t n = 0;

    if (!texts)
        return sewa_no_memory(err);
    for (size_t i = 0; i < json_array_size(array); i++)
        if (json_is_string(json_array_get(array, i)))
            texts[n++] = json_string_value(json_array_get(array, i));
    *ret = texts;
    *ret_count = n;
    return 0;
}

int sewa_get_labels(struct sewa_document *d, const json_t *o, const char *key,
                    const struct sewa_label **ret, size_t *ret_count, struct sewa_error *err)
{
    json_t *object = json_object_get(o, key);
    struct sewa_label *labels = sewa_document_alloc(d, json_object_size(object), sizeof *labels);
    const char *name;
    json_t *value;
    size_t n = 0;

    if (!labels)
        return sewa_no_memory(err);
    json_object_foreach(object, name, value)
    {
        if (json_is_string(value))
            labels[n++] = (struct sewa_label){ name, json_string_value(value) };
    }
    *ret = labels;
    *ret_count = n;
    return 0;
}

/* ---- times ---- */

/* Days since 1970-01-01 of a day of the Gregorian calendar (H. Hinnant's days_from_civil). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = y / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int milliseconds(const char *fraction, int n)
{
    int ms = 0;

    for (int i = 1; i < 4; i++)
        ms = ms * 10 + (i < n ? fraction[i] - '0' : 0);
    return ms;
}

/* The service writes one form only: UTC, with a point and milliseconds or without. */
int64_t sewa_time_parse(const char *text)
{
    int y, mon, d, h, min, s, at = 0;

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &y, &mon, &d, &h, &min, &s, &at) != 6 || y < 1 ||
        mon < 1 || mon > 12 || d < 1 || d > 31 || h < 0 || h > 23 || min < 0 || min > 59 || s < 0 ||
        s > 60)
        return 0;
    const char *rest = text + at;
    int fraction = *rest == '.' ? 1 + (int)strspn(rest + 1, "0123456789") : 0;
    if (strcmp(rest + fraction, "Z") != 0)
        return 0;
    int64_t seconds = days_from_civil(y, mon, d) * 86400 + h * 3600 + min * 60 + s;
    return seconds * 1000 + (fraction > 1 ? milliseconds(rest, fraction) : 0);
}
