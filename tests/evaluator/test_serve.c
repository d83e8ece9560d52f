/*
 * test_serve - `sewa-mlp serve` at the other end of the host: the same numbers as `compute` gives,
 * to the bit, and every way in which options, data and tensors do not fit.
 */
#include "fixture.h"
#include "made_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compute.h"
#include "weights.h"

enum { INPUTS = 4, HIDDEN = 6, OUTPUTS = 3, EXAMPLES = 150, TENSORS = 5 };

static const int64_t shape_0[] = { HIDDEN, INPUTS }, shape_0b[] = { HIDDEN },
                     shape_1[] = { OUTPUTS, HIDDEN }, shape_1b[] = { OUTPUTS };

/* The last weight is F64, as some trainers leave it; a counter stands beside. */
static const struct evaluator_tensor tensors[TENSORS] = {
    { "layers.0.weight", DTYPE_F32, 2, shape_0, 0, 0 },
    { "layers.0.bias", DTYPE_F32, 1, shape_0b, 128, 128 },
    { "layers.1.weight", DTYPE_F64, 2, shape_1, 192, 192 },
    { "layers.1.bias", DTYPE_F32, 1, shape_1b, 384, 320 },
    { "steps", DTYPE_I64, 0, NULL, 448, 0 },
};

struct world {
    char *scratch;
    struct fixture fixture;
    struct data data;
    char options[4200];
    float values[4][32]; /* what the banks will hold, as float32 */
};

static void make_data(struct world *w, bool with_report)
{
    float x[EXAMPLES * INPUTS];
    int64_t y[EXAMPLES];
    struct sewa_error err = { 0 };

    for (uint32_t i = 0; i < COUNT_OF(x); i++)
        x[i] = (float)made_number(1, i);
    for (int i = 0; i < EXAMPLES; i++)
        y[i] = i % OUTPUTS;
    const struct made_tensor parts[] = {
        { "selection.x", DTYPE_F32, 2, { EXAMPLES, INPUTS }, x },
        { "selection.y", DTYPE_I64, 1, { EXAMPLES }, y },
        { with_report ? "report.x" : NULL, DTYPE_F32, 2, { 50, INPUTS }, x },
        { "report.y", DTYPE_I64, 1, { 50 }, y },
        { 0 },
    };
    AUTOFREE char *path = made_file(w->scratch, "data.safetensors", parts);
    assert_ok(data_load(&w->data, path, &err), err);
    snprintf(w->options, sizeof w->options, "{\"data\": \"%s\", \"activation\": \"tanh\"}", path);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->scratch = scratch_new();
    make_data(w, true);
    fixture_init(&w->fixture, SEWA_MLP, "serve");
    w->fixture.options.options = w->options;
    w->fixture.options.tensors = tensors;
    w->fixture.options.tensor_count = TENSORS;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    data_clear(&w->data);
    fixture_clear(&w->fixture);
    scratch_free(w->scratch);
    free(w);
    return 0;
}

static void fill(struct world *w, struct evaluator *e, unsigned bank, uint32_t seed)
{
    static const int sizes[] = { HIDDEN * INPUTS, HIDDEN, OUTPUTS * HIDDEN, OUTPUTS };
    char *data = evaluator_bank(e, bank);

    for (int t = 0; t < 4; t++)
        for (int i = 0; i < sizes[t]; i++) {
            float value = (float)made_number(seed + (uint32_t)t, (uint32_t)i);
            void *at = data + tensors[t].offset;
            w->values[t][i] = value;
            if (tensors[t].dtype == DTYPE_F64)
                ((double *)at)[i] = (double)value;
            else
                ((float *)at)[i] = value;
        }
}

/* What compute says of the same weights, in this process. */
static struct compute_result expect(struct world *w, enum part_name part, float gradients[4][32],
                                    float *losses)
{
    static const struct network_tensor shapes[] = {
        { "layers.0.weight", true, 2, shape_0 },
        { "layers.0.bias", true, 1, shape_0b },
        { "layers.1.weight", true, 2, shape_1 },
        { "layers.1.bias", true, 1, shape_1b },
    };
    struct settings settings = { .activation = ACTIVATION_TANH,
                                 .loss = LOSS_CROSS_ENTROPY,
                                 .output_scale = 1 };
    const float *values[] = { w->values[0], w->values[1], w->values[2], w->values[3] };
    float *gradient_list[] = { gradients[0], gradients[1], gradients[2], gradients[3] };
    const struct examples *e = &w->data.parts[part];
    AUTO(network_clear) struct network network = { 0 };
    AUTOPTR(compute_free) struct compute *c = NULL;
    struct compute_result r;
    struct sewa_error err = { 0 };

    memset(gradients, 0, 4 * sizeof gradients[0]);
    assert_ok(network_find(shapes, 4, &network, &err), err);
    assert_ok(compute_new(&network, &settings, &c, &err), err);
    compute_run(c,
                &(struct compute_request){ .examples = e,
                                           .count = e->count,
                                           .values = values,
                                           .gradients = gradient_list,
                                           .example_losses = losses },
                &r);
    return r;
}

static void test_traits(void **state)
{
    struct world *w = *state;
    static const bool parameters[] = { true, true, true, true, false };

    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&w->fixture);
    const struct evaluator_traits *t = evaluator_traits(e);
    assert_true(t->gradient && !t->recalibrates);
    assert_memory_equal(t->is_parameter, parameters, sizeof parameters);
    assert_int_equal(t->split_count, 2);
    assert_string_equal(t->splits[0].name, "selection");
    assert_int_equal(t->splits[0].examples, EXAMPLES);
    assert_int_equal(t->splits[1].examples, 50);
    assert_int_equal(t->metric_count, 1);
    assert_string_equal(t->metrics[0].name, "accuracy");
    assert_true(t->metrics[0].bigger_is_better);
}

static void test_same_numbers(void **state)
{
    struct world *w = *state;
    struct evaluator_request request = { 1, "selection", true, -1 };
    struct evaluator_result r;
    struct sewa_error err = { 0 };
    float gradients[4][32], losses[EXAMPLES];

    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&w->fixture);
    for (uint32_t seed = 0; seed < 20; seed += 10) {
        fill(w, e, 1, seed);
        struct compute_result wanted = expect(w, PART_SELECTION, gradients, losses);
        assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
        assert_true(r.loss == wanted.loss && r.metrics[0] == wanted.correct);
        assert_int_equal(r.examples, EXAMPLES);
        assert_memory_equal(r.example_losses, losses, sizeof losses);
        const char *g = evaluator_gradient(e, 1);
        assert_memory_equal(g, gradients[0], HIDDEN * INPUTS * sizeof(float));
        assert_memory_equal(g + 128, gradients[1], HIDDEN * sizeof(float));
        assert_memory_equal(g + 192, gradients[2], OUTPUTS * HIDDEN * sizeof(float));
        assert_memory_equal(g + 320, gradients[3], OUTPUTS * sizeof(float));
    }
}

static void test_report(void **state)
{
    struct world *w = *state;
    struct evaluator_request request = { 0, "report", false, -1 };
    struct evaluator_result r;
    struct sewa_error err = { 0 };
    float gradients[4][32];

    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&w->fixture);
    fill(w, e, 0, 5);
    assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
    assert_true(r.loss == expect(w, PART_REPORT, gradients, NULL).loss);
    assert_int_equal(r.examples, 50);
}

/* A number names a minibatch: the same one again, another one for another number. */
static void test_minibatches(void **state)
{
    struct world *w = *state;
    struct evaluator_result r;
    struct sewa_error err = { 0 };
    double losses[4];
    static const int64_t batches[] = { 7, 8, 7, INT64_MAX };

    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&w->fixture);
    fill(w, e, 0, 5);
    for (int i = 0; i < 4; i++) {
        struct evaluator_request request = { 0, "selection", true, batches[i] };
        assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
        assert_int_equal(r.examples, 32);
        assert_null(r.example_losses);
        losses[i] = r.loss;
    }
    assert_true(losses[0] == losses[2] && losses[0] != losses[1] && losses[3] != losses[0]);
}

static void test_nan_weights(void **state)
{
    struct world *w = *state;
    struct evaluator_request request = { 0, "selection", true, -1 };
    struct evaluator_result r;
    struct sewa_error err = { 0 };

    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&w->fixture);
    fill(w, e, 0, 5);
    ((float *)evaluator_bank(e, 0))[3] = NAN;
    assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
    assert_true(isnan(r.loss));
    fill(w, e, 0, 5);
    assert_ok(evaluator_evaluate(e, &request, &r, &err), err);
    assert_true(isfinite(r.loss));
}

static void test_without_report(void **state)
{
    struct world *w = *state;

    data_clear(&w->data);
    make_data(w, false);
    AUTOPTR(evaluator_stop) struct evaluator *e = fixture_start(&w->fixture);
    assert_int_equal(evaluator_traits(e)->split_count, 1);
}

/* ---- what does not fit ---- */

static void assert_refused(struct world *w, const char *options, int code, const char *word)
{
    struct evaluator *e = NULL;
    struct sewa_error err = { 0 };

    w->fixture.options.options = options;
    int rc = evaluator_start(&w->fixture.options, &e, &err);
    assert_failed(rc, err, code, word);
}

static void test_bad_options(void **state)
{
    struct world *w = *state;

    assert_refused(w, "{}", SEWA_E_EVALUATOR_START, "invalid: options: 'data' is missing");
    assert_refused(w, "{\"data\":\"/nowhere/x.safetensors\"}", SEWA_E_EVALUATOR_START,
                   "not_found: cannot open '/nowhere/x.safetensors'");
    assert_refused(w, "{\"data\":\"x\",\"bath_size\":3}", SEWA_E_EVALUATOR_START,
                   "unknown field 'bath_size'");
}

static void test_another_model(void **state)
{
    struct world *w = *state;
    struct evaluator_tensor other[TENSORS];

    memcpy(other, tensors, sizeof other);
    other[3].name = "norm.bias";
    w->fixture.options.tensors = other;
    assert_refused(w, w->options, SEWA_E_EVALUATOR_MISMATCH, "mismatch: tensor 'norm.bias'");
    other[3].name = "layers.1.bias";
    other[0].shape = (const int64_t[]){ HIDDEN, INPUTS + 1 };
    other[0].offset = 512;
    assert_refused(w, w->options, SEWA_E_EVALUATOR_MISMATCH,
                   "selection.x is [150, 4], but 'layers.0.weight' is [6, 5]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_traits),      TEST(test_same_numbers),  TEST(test_report),
        TEST(test_minibatches), TEST(test_nan_weights),   TEST(test_without_report),
        TEST(test_bad_options), TEST(test_another_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
