/*
 * schedule - a number that changes from the first iteration to the last.
 */
#include "methods/schedule.h"

#include <math.h>
#include <stdio.h>

static const char *const kinds[] = { "constant", "linear", "exponential", "cosine", NULL };

double schedule_at(const struct schedule *s, int64_t t, int64_t iterations)
{
    if (s->kind == SCHEDULE_CONSTANT || iterations == 1)
        return s->start;
    double part = (double)t / (double)(iterations - 1);
    switch (s->kind) {
    case SCHEDULE_LINEAR: return s->start + (s->end - s->start) * part;
    case SCHEDULE_EXPONENTIAL: return s->start * pow(s->end / s->start, part);
    case SCHEDULE_COSINE: return s->end + (s->start - s->end) * (1 + cos(M_PI * part)) / 2;
    case SCHEDULE_CONSTANT: break;
    }
    return s->start;
}

static void read_object(struct json_reader *r, double min, double max, struct schedule *ret)
{
    bool has_end = json_has(r, "end");

    if (!json_has(r, "start"))
        json_reader_fail(r, SEWA_E_INVALID, "start", "'start' is missing");
    ret->start = json_get_number(r, "start", min, max, ret->start);
    ret->end = json_get_number(r, "end", min, max, ret->start);
    ret->kind = (enum schedule_kind)json_get_word(r, "schedule", kinds,
                                                  has_end ? SCHEDULE_LINEAR : SCHEDULE_CONSTANT);
    if (has_end && ret->kind == SCHEDULE_CONSTANT)
        json_reader_fail(r, SEWA_E_INVALID, "end",
                         "'end' has no meaning when 'schedule' is constant");
    if (!has_end && ret->kind != SCHEDULE_CONSTANT)
        json_reader_fail(r, SEWA_E_INVALID, "end", "'end' is missing, 'schedule' is %s",
                         kinds[ret->kind]);
    json_reader_end(r);
}

void schedule_read(struct json_reader *r, const char *name, double min, double max,
                   struct schedule *ret)
{
    const json_t *value = json_get_any(r, name);
    char pointer[SEWA_ERROR_POINTER_MAX * 2];
    struct json_reader inner;

    if (!json_is_object(value)) {
        if (value)
            *ret = (struct schedule){ SCHEDULE_CONSTANT, 0, 0 };
        ret->start = ret->end = json_get_number(r, name, min, max, ret->start);
        return;
    }
    snprintf(pointer, sizeof pointer, "%s/%s", r->path, name);
    json_reader_init(&inner, value, pointer, r->err);
    read_object(&inner, min, max, ret);
    if (r->rc == 0)
        r->rc = inner.rc;
}

json_t *schedule_json(const struct schedule *s)
{
    if (s->kind == SCHEDULE_CONSTANT)
        return json_real(s->start);
    return json_pack("{s:f, s:f, s:s}", "start", s->start, "end", s->end, "schedule",
                     kinds[s->kind]);
}
