/*
 * toy - quadratic toys, golden vectors, and a driver.
 */
#include "toy.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/fdio.h"

static json_t *golden_file;

const int64_t toy_steps[TOY_K_MAX] = {
    10,  20,  30,  40,  50,  60,  70,  80,  90,  100, 110, 120, 130, 140, 150, 160,
    170, 180, 190, 200, 210, 220, 230, 240, 250, 260, 270, 280, 290, 300, 310, 320,
    330, 340, 350, 360, 370, 380, 390, 400, 410, 420, 430, 440, 450, 460, 470, 480,
    490, 500, 510, 520, 530, 540, 550, 560, 570, 580, 590, 600, 610, 620, 630, 640,
};

static void average(const struct toy *toy, const double *alpha, double *w)
{
    for (size_t p = 0; p < toy->p; p++) {
        w[p] = 0;
        for (size_t i = 0; i < toy->k; i++)
            w[p] += alpha[i] * toy->w[i][p];
    }
}

double toy_loss(struct toy *toy, const double *alpha, double *c, double *gradient)
{
    double w[TOY_P_MAX], g[TOY_P_MAX];
    double loss = toy->c0;

    toy->calls++;
    average(toy, alpha, w);
    for (size_t p = 0; p < toy->p; p++) {
        g[p] = 0;
        for (size_t q = 0; q < toy->p; q++)
            g[p] += toy->h[p][q] * (w[q] - toy->wstar[q]);
        loss += 0.5 * g[p] * (w[p] - toy->wstar[p]);
    }
    for (size_t i = 0; c && i < toy->k; i++) {
        c[i] = 0;
        for (size_t p = 0; p < toy->p; p++)
            c[i] += g[p] * (toy->w[i][p] - w[p]);
    }
    if (gradient)
        memcpy(gradient, g, toy->p * sizeof *g);
    return loss;
}

double toy_set_loss(struct toy *toy, const size_t *members, size_t count)
{
    double alpha[TOY_K_MAX] = { 0 };

    for (size_t n = 0; n < count; n++)
        alpha[members[n]] = 1.0 / (double)count;
    return toy_loss(toy, alpha, NULL, NULL);
}

void toy_random(struct toy *toy, size_t k, size_t p, uint64_t seed)
{
    uint64_t n = 0;

    *toy = (struct toy){ .k = k, .p = p, .c0 = 0.1 };
    for (size_t q = 0; q < p; q++) {
        toy->h[q][q] = 0.5 + 4 * splitmix_uniform(seed, n++);
        toy->wstar[q] = splitmix_uniform(seed, n++) - 0.5;
    }
    for (size_t i = 0; i < k; i++)
        for (size_t q = 0; q < p; q++)
            toy->w[i][q] = toy->wstar[q] + 4 * splitmix_uniform(seed, n++) - 2;
}

const json_t *golden(const char *key, ...)
{
    va_list ap;

    if (!golden_file) {
        AUTO(buf_clear) struct buf text = { 0 };
        struct sewa_error err = { 0 };
        assert_ok(file_read("golden/methods/sewa_vectors.json", 1 << 20, &text, &err), err);
        golden_file = json_parse(text.data, text.len, &err);
        assert_ok(err.code, err);
    }
    const json_t *value = golden_file;
    va_start(ap, key);
    for (; key; key = va_arg(ap, const char *))
        value = json_object_get(value, key);
    va_end(ap);
    assert_non_null(value);
    return value;
}

int toy_teardown(void **state)
{
    (void)state;
    json_decref(golden_file);
    golden_file = NULL;
    return 0;
}

size_t golden_numbers(const json_t *array, double *x, size_t max)
{
    size_t n = json_array_size(array);

    assert_true(n > 0 && n <= max);
    for (size_t i = 0; i < n; i++) {
        assert_true(json_is_number(json_array_get(array, i)));
        x[i] = json_number_value(json_array_get(array, i));
    }
    return n;
}

void toy_golden(struct toy *toy)
{
    const json_t *w = golden("setup", "W", NULL), *h = golden("setup", "H", NULL);

    *toy = (struct toy){ .k = json_array_size(w), .p = json_array_size(h) };
    for (size_t i = 0; i < toy->k; i++)
        golden_numbers(json_array_get(w, i), toy->w[i], TOY_P_MAX);
    for (size_t p = 0; p < toy->p; p++)
        golden_numbers(json_array_get(h, p), toy->h[p], TOY_P_MAX);
    golden_numbers(golden("setup", "wstar", NULL), toy->wstar, TOY_P_MAX);
    toy->c0 = json_number_value(golden("setup", "c0", NULL));
}

double splitmix_uniform(uint64_t seed, uint64_t n)
{
    uint64_t z = seed + (n + 1) * UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return ((double)(z >> 11) + 0.5) * 0x1p-53;
}

void toy_assert_close(double a, double b, double tolerance, const char *file, int line)
{
    if (!(fabs(a - b) <= tolerance))
        print_error("%.17g and %.17g differ by %g\n", a, b, a - b);
    _assert_true(fabs(a - b) <= tolerance, "close", file, line);
}

void toy_assert_numbers(const json_t *wanted, const double *x, size_t n, const char *file, int line)
{
    _assert_true(json_array_size(wanted) == n, "as many numbers", file, line);
    for (size_t i = 0; i < n; i++)
        toy_assert_close(x[i], json_number_value(json_array_get(wanted, i)), 1e-12, file, line);
}

void toy_answer(void *arg, const struct method_point *point, struct method_answer *answer,
                double *c)
{
    answer->loss = toy_loss(arg, point->alpha, point->gradient ? c : NULL, NULL);
    answer->c = point->gradient ? c : NULL;
}

int toy_round(struct method *m, size_t k, toy_oracle *oracle, void *arg, struct sewa_error *err)
{
    const struct method_point *points;
    size_t count;

    int rc = method_ask(m, &points, &count, err);
    if (rc <= 0)
        return rc;
    AUTOFREE struct method_answer *answers = calloc(count, sizeof *answers);
    AUTOFREE double *c = calloc(count * k, sizeof *c);
    assert_true(answers && c);
    for (size_t j = 0; j < count; j++) {
        answers[j].metric = NAN;
        oracle(arg, &points[j], &answers[j], c + j * k);
    }
    rc = method_tell(m, answers, count, err);
    return rc < 0 ? rc : 1;
}

int toy_drive(struct method *m, size_t k, toy_oracle *oracle, void *arg, struct sewa_error *err)
{
    int rc;

    while ((rc = toy_round(m, k, oracle, arg, err)) == 1)
        ;
    return rc;
}

struct method *toy_method(const char *name, size_t k, size_t select, uint64_t seed,
                          const char *params, bool gradient)
{
    struct sewa_error err = { 0 };
    struct method_evaluator evaluator = { .gradient = gradient };
    AUTOJSON json_t *object = params && *params ? json_parse(params, strlen(params), &err) : NULL;
    struct method_setup setup = {
        .k = k,
        .steps = toy_steps,
        .select = select,
        .seed = seed,
        .params = object,
        .evaluator = &evaluator,
    };
    struct method *m = NULL;

    assert_ok(err.code, err);
    assert_ok(method_new(name, &setup, &m, &err), err);
    return m;
}
