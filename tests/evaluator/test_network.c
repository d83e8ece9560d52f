/*
 * test_network - which tensors are a network, and what it computes: values by hand, gradients by
 * finite differences, answers that do not depend on how they are asked for.
 */
#include "made_file.h"

#include <math.h>
#include <string.h>

#include "compute.h"
#include "functions.h"
#include "tensors.h"

/* ---- names and shapes ---- */

static const int64_t s_1[] = { 1 }, s_2[] = { 2 }, s_3[] = { 3 }, s_3x2[] = { 3, 2 },
                     s_2x3[] = { 2, 3 }, s_0x2[] = { 0, 2 };

struct row {
    const char *name;
    struct network_tensor tensors[5];
    const char *word; /* of the failure; NULL: it is a network */
};

static const struct row rows[] = {
    { "one layer",
      { { "layers.0.weight", true, 2, s_3x2 }, { "layers.0.bias", true, 1, s_3 } },
      NULL },
    { "no bias", { { "layers.0.weight", true, 2, s_3x2 } }, NULL },
    { "gaps and order of the file",
      { { "layers.10.weight", true, 2, s_2x3 },
        { "layers.2.bias", true, 1, s_3 },
        { "layers.2.weight", true, 2, s_3x2 },
        { "layers.10.bias", true, 1, s_2 } },
      NULL },
    { "a counter beside it",
      { { "layers.0.weight", true, 2, s_3x2 }, { "steps", false, 0, NULL } },
      NULL },
    { "nothing", { { 0 } }, "'layers.N.weight'" },
    { "only a counter", { { "layers.0.weight", false, 2, s_3x2 } }, "'layers.N.weight'" },
    { "another model", { { "conv.weight", true, 2, s_3x2 } }, "'conv.weight' is no part" },
    { "leading zero", { { "layers.00.weight", true, 2, s_3x2 } }, "'layers.00.weight' is no part" },
    { "no number", { { "layers..weight", true, 2, s_3x2 } }, "'layers..weight' is no part" },
    { "number too large",
      { { "layers.99999999999999999999.weight", true, 2, s_3x2 } },
      "is no part" },
    { "another ending", { { "layers.0.weights", true, 2, s_3x2 } }, "is no part" },
    { "weight of rank 1",
      { { "layers.0.weight", true, 1, s_3 } },
      "is [3], a weight is [out, in]" },
    { "weight without outputs", { { "layers.0.weight", true, 2, s_0x2 } }, "is [0, 2]" },
    { "bias alone",
      { { "layers.0.weight", true, 2, s_3x2 }, { "layers.1.bias", true, 1, s_3 } },
      "'layers.1.weight' is not" },
    { "bias too short",
      { { "layers.0.weight", true, 2, s_3x2 }, { "layers.0.bias", true, 1, s_1 } },
      "is [1], its weight [3, 2] wants [3]" },
    { "layers that do not meet",
      { { "layers.0.weight", true, 2, s_3x2 }, { "layers.1.weight", true, 2, s_3x2 } },
      "'layers.1.weight' is [3, 2], but 'layers.0.weight' before it is [3, 2]" },
};

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTO(network_clear) struct network n = { 0 };
    struct sewa_error err = { 0 };
    size_t count = 0;

    while (count < COUNT_OF(row->tensors) && row->tensors[count].name)
        count++;
    int rc = network_find(row->tensors, count, &n, &err);
    if (row->word) {
        assert_failed(rc, err, SEWA_E_MISMATCH, row->word);
        return;
    }
    assert_ok(rc, err);
    assert_int_equal(network_inputs(&n), 2);
    for (size_t i = 1; i < n.count; i++)
        assert_true(n.layers[i - 1].number < n.layers[i].number);
}

/* ---- functions ---- */

static bool is_near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * (1 + fabs(b));
}

static void test_known_values(void **state)
{
    (void)state;
    static const float z[] = { -2, -0.5f, 0, 1 };
    static const double relu[] = { 0, 0, 0, 1 };
    static const double gelu[] = { -0.04550026, -0.15426877, 0, 0.84134475 };
    float a[4], out[3] = { 1, 2, 3 }, delta[3];

    activation_apply(ACTIVATION_RELU, z, a, 4);
    for (int i = 0; i < 4; i++)
        assert_true(a[i] == relu[i]);
    activation_apply(ACTIVATION_GELU, z, a, 4);
    for (int i = 0; i < 4; i++)
        assert_true(is_near(a[i], gelu[i], 1e-6));
    activation_apply(ACTIVATION_TANH, z, a, 4);
    assert_true(is_near(a[3], tanh(1), 1e-7));
    assert_true(is_near(cross_entropy((const float[]){ 7, 7, 7 }, 3, 1, 1, NULL), log(3), 1e-12));
    assert_true(is_near(cross_entropy((const float[]){ 1000, 0 }, 2, 1, 1, NULL), 1000, 1e-12));
    assert_true(isnan(cross_entropy((const float[]){ NAN, 0 }, 2, 1, 1, NULL)));
    assert_true(isnan(cross_entropy((const float[]){ 0, NAN }, 2, 0, 1, NULL)));
    assert_true(squared_error(out, 3, (const float[]){ 1, 0, 0 }, 1, delta) == 13.0 / 3);
    assert_true(delta[0] == 0 && is_near(delta[2], 2, 1e-7));
    assert_int_equal(largest(out, 3), 2);
    assert_int_equal(largest((const float[]){ 5, 5 }, 2), 0);
    float nan_in[] = { NAN };
    activation_apply(ACTIVATION_RELU, nan_in, a, 1);
    assert_true(isnan(a[0]));
}

/* ---- gradients ---- */

enum { INPUTS = 5, HIDDEN = 7, OUTPUTS = 3, EXAMPLES = 300, TENSORS = 5, LARGEST = 64 };

static const int64_t shape_0[] = { HIDDEN, INPUTS }, shape_0b[] = { HIDDEN },
                     shape_1[] = { HIDDEN, HIDDEN }, shape_2[] = { OUTPUTS, HIDDEN },
                     shape_2b[] = { OUTPUTS };
static const struct network_tensor small[TENSORS] = {
    { "layers.0.weight", true, 2, shape_0 }, { "layers.0.bias", true, 1, shape_0b },
    { "layers.1.weight", true, 2, shape_1 }, { "layers.2.weight", true, 2, shape_2 },
    { "layers.2.bias", true, 1, shape_2b },
};
static const int sizes[TENSORS] = { HIDDEN * INPUTS, HIDDEN, HIDDEN *HIDDEN, OUTPUTS *HIDDEN,
                                    OUTPUTS };

/* A network of three layers, one without bias, and 300 examples: more than two blocks. */
struct world {
    struct settings settings;
    struct network network;
    struct compute *compute;
    float values[TENSORS][LARGEST], gradients[TENSORS][LARGEST];
    const float *value_list[TENSORS];
    float *gradient_list[TENSORS];
    float x[EXAMPLES * INPUTS], y[EXAMPLES * OUTPUTS], losses[EXAMPLES];
    int64_t labels[EXAMPLES];
    struct examples examples;
};

static void world_init(struct world *w, struct settings settings)
{
    struct sewa_error err = { 0 };

    memset(w, 0, sizeof *w);
    w->settings = settings;
    assert_ok(network_find(small, TENSORS, &w->network, &err), err);
    assert_ok(compute_new(&w->network, &w->settings, &w->compute, &err), err);
    for (uint32_t t = 0; t < TENSORS; t++) {
        w->value_list[t] = w->values[t];
        w->gradient_list[t] = w->gradients[t];
        for (int i = 0; i < sizes[t]; i++)
            w->values[t][i] = (float)made_number(t, (uint32_t)i);
    }
    for (uint32_t i = 0; i < COUNT_OF(w->x); i++)
        w->x[i] = (float)made_number(10, i);
    for (uint32_t i = 0; i < COUNT_OF(w->y); i++)
        w->y[i] = (float)made_number(11, i);
    for (int i = 0; i < EXAMPLES; i++)
        w->labels[i] = (i * 7 + i / 5) % OUTPUTS;
    bool is_labels = settings.loss == LOSS_CROSS_ENTROPY;
    w->examples = (struct examples){ .count = EXAMPLES,
                                     .inputs = INPUTS,
                                     .x = w->x,
                                     .labels = is_labels ? w->labels : NULL,
                                     .values = is_labels ? NULL : w->y,
                                     .width = is_labels ? 0 : OUTPUTS };
}

static void world_clear(struct world *w)
{
    compute_free(w->compute);
    network_clear(&w->network);
}

static struct compute_result run(struct world *w, struct compute_request request)
{
    struct compute_result r;

    request.examples = &w->examples;
    request.values = w->value_list;
    if (request.count == 0)
        request.count = EXAMPLES;
    compute_run(w->compute, &request, &r);
    return r;
}

/* (L(w + h) - L(w)) / h along one weight */
static double one_sided(struct world *w, float *weight, double here, float h)
{
    float was = *weight;

    *weight = was + h;
    double quotient = (run(w, (struct compute_request){ 0 }).loss - here) / ((double)*weight - was);
    *weight = was;
    return quotient;
}

/*
 * Differences to both sides of each weight; their mean is compared. float32 leaves about 1e-7 / h
 * of noise in a quotient, and a smooth function h^2 of curvature in the mean: both are small
 * against 2e-3. relu has kinks instead: where the two sides disagree an example stands at one, and
 * the weight is passed over.
 */
static void check_gradient(struct world *w, const char *name)
{
    bool has_kinks = w->settings.activation == ACTIVATION_RELU;
    float h = has_kinks ? 5e-4f : 5e-3f;
    int weights = 0, kinks = 0;

    double here = run(w, (struct compute_request){ .gradients = w->gradient_list }).loss;
    for (int t = 0; t < TENSORS; t++)
        for (int i = 0; i < sizes[t]; i++, weights++) {
            double up = one_sided(w, &w->values[t][i], here, h);
            double down = one_sided(w, &w->values[t][i], here, -h);
            double mean = (up + down) / 2;
            if (has_kinks && fabs(up - down) > 1e-3)
                kinks++;
            else if (fabs(mean - w->gradients[t][i]) > 2e-3 * (1 + fabs(mean)))
                fail_msg("%s: tensor %d, weight %d: difference %g, gradient %g", name, t, i, mean,
                         (double)w->gradients[t][i]);
        }
    assert_true(kinks < weights / 5);
}

static void test_gradients(void **state)
{
    (void)state;
    for (int a = 0; activation_words[a]; a++)
        for (int l = LOSS_CROSS_ENTROPY; loss_words[l]; l++)
            for (int o = 0; output_words[o]; o++)
                for (int scaled = 0; scaled < 2; scaled++) {
                    AUTO(world_clear) struct world w;
                    char name[64];
                    snprintf(name, sizeof name, "%s, %s, output %s%s", activation_words[a],
                             loss_words[l], output_words[o], scaled ? ", scaled" : "");
                    world_init(&w, (struct settings){ .activation = a,
                                                      .loss = l,
                                                      .output_activation = o,
                                                      .output_scale = scaled ? -1.7 : 1 });
                    check_gradient(&w, name);
                }
}

/* A gradient that is no gradient at all would be caught: the largest is far above the tolerance. */
static void test_gradients_are_not_small(void **state)
{
    (void)state;
    AUTO(world_clear) struct world w;
    float most = 0;

    world_init(&w, (struct settings){ .loss = LOSS_CROSS_ENTROPY, .output_scale = 1 });
    run(&w, (struct compute_request){ .gradients = w.gradient_list });
    for (int t = 0; t < TENSORS; t++)
        for (int i = 0; i < sizes[t]; i++)
            most = fmaxf(most, fabsf(w.gradients[t][i]));
    assert_true(most > 0.1f);
}

/* ---- the same however it is asked ---- */

static void test_losses_of_examples(void **state)
{
    (void)state;
    AUTO(world_clear) struct world w;
    double sum = 0;

    world_init(&w, (struct settings){ .loss = LOSS_CROSS_ENTROPY, .output_scale = 1 });
    struct compute_result r = run(&w, (struct compute_request){ .example_losses = w.losses });
    for (int i = 0; i < EXAMPLES; i++)
        sum += (double)w.losses[i];
    assert_true(is_near(sum / EXAMPLES, r.loss, 1e-6));
    for (int64_t i = 0; i < EXAMPLES; i += 37) { /* one at a time, chosen by index */
        float one;
        run(&w, (struct compute_request){ .indices = &i, .count = 1, .example_losses = &one });
        assert_true(is_near((double)one, (double)w.losses[i], 1e-5));
    }
}

/* All examples by index, in order: the copies are the same numbers in the same blocks. */
static void test_indices_in_order_change_no_bit(void **state)
{
    (void)state;
    AUTO(world_clear) struct world w;
    int64_t indices[EXAMPLES];
    float gradients[TENSORS][LARGEST];

    world_init(&w, (struct settings){ .loss = LOSS_MSE, .output_scale = 1 });
    for (int i = 0; i < EXAMPLES; i++)
        indices[i] = i;
    struct compute_result a = run(&w, (struct compute_request){ .gradients = w.gradient_list });
    memcpy(gradients, w.gradients, sizeof gradients);
    memset(w.gradients, 0, sizeof w.gradients);
    struct compute_result b = run(&w, (struct compute_request){ .gradients = w.gradient_list,
                                                                .indices = indices,
                                                                .count = EXAMPLES });
    assert_true(a.loss == b.loss);
    assert_memory_equal(gradients, w.gradients, sizeof gradients);
    assert_true(isnan(a.correct));
}

/* Weights by hand: the output is twice the input, so the label is where the input is largest. */
static void test_accuracy(void **state)
{
    (void)state;
    static const int64_t square[] = { 2, 2 };
    static const struct network_tensor one[] = { { "layers.3.weight", true, 2, square } };
    static float weight[] = { 2, 0, 0, 2 };
    static float x[] = { 1, 0, 0, 1, 3, 1, 0, 0 };
    static int64_t labels[] = { 0, 1, 1, 0 };
    const float *values[] = { weight };
    struct settings settings = { .loss = LOSS_CROSS_ENTROPY, .output_scale = 1 };
    struct examples e = { .count = 4, .inputs = 2, .x = x, .labels = labels };
    AUTO(network_clear) struct network n = { 0 };
    AUTOPTR(compute_free) struct compute *c = NULL;
    struct compute_result r;
    struct sewa_error err = { 0 };

    assert_ok(network_find(one, 1, &n, &err), err);
    assert_ok(compute_new(&n, &settings, &c, &err), err);
    compute_run(c, &(struct compute_request){ .examples = &e, .count = 4, .values = values }, &r);
    assert_true(r.correct == 0.75);
    double two = log(1 + exp(-2)), wrong = 4 + log(1 + exp(-4));
    assert_true(is_near(r.loss, (two + two + wrong + log(2)) / 4, 1e-6));
}

/* ---- narrower and wider floats ---- */

static void test_conversion(void **state)
{
    (void)state;
    static const struct {
        uint16_t bits;
        float value;
    } halves[] = {
        { 0x0000, 0 },
        { 0x3c00, 1 },
        { 0xc000, -2 },
        { 0x7bff, 65504 },
        { 0x0400, 0x1p-14f },
        { 0x0001, 0x1p-24f },
        { 0x83ff, -1023 * 0x1p-24f },
        { 0x7c00, INFINITY },
        { 0xfc00, -INFINITY },
        { 0x3555, 0.333251953125f },
    };
    for (size_t i = 0; i < COUNT_OF(halves); i++) {
        float x;
        tensor_to_f32(DTYPE_F16, &halves[i].bits, 1, &x);
        assert_true(x == halves[i].value);
    }
    float x[2];
    tensor_to_f32(DTYPE_F16, (const uint16_t[]){ 0x7e01, 0x8000 }, 2, x);
    assert_true(isnan(x[0]) && x[1] == 0 && signbit(x[1]));
    tensor_to_f32(DTYPE_BF16, (const uint16_t[]){ 0x3fc0, 0xff80 }, 2, x);
    assert_true(x[0] == 1.5f && x[1] == -INFINITY);
    tensor_to_f32(DTYPE_F64, (const double[]){ 0.1, 1e300 }, 2, x);
    assert_true(x[0] == 0.1f && x[1] == INFINITY);
    tensor_to_f32(DTYPE_F8_E4M3, (const uint8_t[]){ 0x7f, 0x81 }, 2, x);
    assert_true(isnan(x[0]) && x[1] == -0x1p-9f);
    tensor_to_f32(DTYPE_F8_E4M3, (const uint8_t[]){ 0x7e, 0x08 }, 2, x);
    assert_true(x[0] == 448 && x[1] == 0x1p-6f);
    tensor_to_f32(DTYPE_F8_E5M2, (const uint8_t[]){ 0xfc, 0x01 }, 2, x);
    assert_true(isinf(x[0]) && x[1] == 0x1p-16f);
    tensor_to_f32(DTYPE_F32, (const float[]){ 0.25f, -7 }, 2, x);
    assert_true(x[0] == 0.25f && x[1] == -7);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 7];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] =
            (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)(uintptr_t)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_known_values);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_gradients);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_gradients_are_not_small);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_losses_of_examples);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_indices_in_order_change_no_bit);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_accuracy);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_conversion);
    return _cmocka_run_group_tests("network", tests, n, NULL, NULL);
}
