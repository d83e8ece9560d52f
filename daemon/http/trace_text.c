/*
 * trace_text - rows of a trace in words. Written straight into the text: a trace may have a million
 * numbers, and a tree of them would be many times as large.
 */
#include "http/trace_text.h"

#include <math.h>
#include <string.h>

static double term(double p)
{
    return p <= 0 ? 0 : -p * log(p); /* NaN stays NaN */
}

static float probability(const struct trace_row *row, size_t i)
{
    float s;

    memcpy(&s, (const char *)row->probabilities + i * sizeof s, sizeof s);
    return s;
}

struct trace_statistics trace_summarise(const struct trace_row *row)
{
    struct trace_statistics st = { .min = INFINITY, .max = -INFINITY };
    size_t n = row->probability_count;

    if (n == 0)
        return (struct trace_statistics){ NAN, NAN, NAN, NAN, NAN };
    for (size_t i = 0; i < n; i++) {
        double p = (double)probability(row, i);
        st.min = fmin(st.min, p);
        st.max = fmax(st.max, p);
        st.mean += p / (double)n;
        st.entropy += term(p) + term(1 - p);
        st.spread += p * (1 - p);
    }
    return st;
}

/* ---- JSON ---- */

static void put_number(struct buf *b, double value)
{
    if (isfinite(value))
        buf_printf(b, "%.17g", value);
    else
        buf_text(b, "null");
}

static void put_member(struct buf *b, const char *name, double value)
{
    buf_printf(b, ",\"%s\":", name);
    put_number(b, value);
}

/* Nine digits hold a float32. */
static void put_float(struct buf *b, float value)
{
    if (isfinite(value))
        buf_printf(b, "%.9g", (double)value);
    else
        buf_text(b, "null");
}

void trace_put_object(struct buf *b, const struct trace_row *row)
{
    struct trace_statistics st = trace_summarise(row);

    buf_printf(b, "{\"iteration\":%lld", (long long)row->iteration);
    put_member(b, "loss", row->loss);
    put_member(b, "temperature", row->temperature);
    put_member(b, "learning_rate", row->learning_rate);
    buf_printf(b, ",\"dropped\":%lld", (long long)row->dropped);
    put_member(b, "min", st.min);
    put_member(b, "mean", st.mean);
    put_member(b, "max", st.max);
    put_member(b, "entropy", st.entropy);
    put_member(b, "spread", st.spread);
    buf_text(b, ",\"probabilities\":[");
    for (size_t i = 0; i < row->probability_count; i++) {
        if (i > 0)
            buf_char(b, ',');
        put_float(b, probability(row, i));
    }
    buf_text(b, "]}");
}

/* ---- CSV ---- */

void trace_put_heading(struct buf *b, const json_t *candidates)
{
    buf_text(b, "iteration,loss,temperature,learning_rate,dropped,min,mean,max,entropy,spread");
    for (size_t i = 0; i < json_array_size(candidates); i++) {
        const json_t *step = json_object_get(json_array_get(candidates, i), "step");
        if (json_is_integer(step))
            buf_printf(b, ",step_%lld", (long long)json_integer_value(step));
        else
            buf_printf(b, ",candidate_%zu", i);
    }
    buf_text(b, "\r\n");
}

static void put_cell(struct buf *b, double value)
{
    buf_char(b, ',');
    if (isfinite(value))
        buf_printf(b, "%.9g", value);
}

void trace_put_line(struct buf *b, const struct trace_row *row)
{
    struct trace_statistics st = trace_summarise(row);

    buf_printf(b, "%lld", (long long)row->iteration);
    put_cell(b, row->loss);
    put_cell(b, row->temperature);
    put_cell(b, row->learning_rate);
    buf_printf(b, ",%lld", (long long)row->dropped);
    put_cell(b, st.min);
    put_cell(b, st.mean);
    put_cell(b, st.max);
    put_cell(b, st.entropy);
    put_cell(b, st.spread);
    for (size_t i = 0; i < row->probability_count; i++)
        put_cell(b, (double)probability(row, i));
    buf_text(b, "\r\n");
}
