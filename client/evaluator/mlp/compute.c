/*
 * compute - forward and backward, block by block.
 */
#include "compute.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"
#include "tensors.h"

struct compute {
    const struct network *network;
    const struct settings *settings;
    float *x;                  /* [block][inputs]: examples gathered by index */
    float **sums;              /* per layer [block][outputs]: before the function */
    float **after;             /* per layer [block][outputs]: behind it */
    float *delta, *next_delta; /* [block][widest] */
};

static int allocate(struct compute *c)
{
    const struct network *n = c->network;
    size_t block = COMPUTE_BLOCK * sizeof(float);

    c->sums = calloc(n->count, sizeof *c->sums);
    c->after = calloc(n->count, sizeof *c->after);
    c->x = aligned_new(block * (size_t)network_inputs(n));
    c->delta = aligned_new(block * (size_t)n->widest);
    c->next_delta = aligned_new(block * (size_t)n->widest);
    if (!c->sums || !c->after || !c->x || !c->delta || !c->next_delta)
        return -1;
    for (size_t i = 0; i < n->count; i++) {
        c->sums[i] = aligned_new(block * (size_t)n->layers[i].outputs);
        c->after[i] = aligned_new(block * (size_t)n->layers[i].outputs);
        if (!c->sums[i] || !c->after[i])
            return -1;
    }
    return 0;
}

int compute_new(const struct network *network, const struct settings *settings,
                struct compute **ret, struct sewa_error *err)
{
    struct compute *c = calloc(1, sizeof *c);

    openblas_set_num_threads(1);
    if (c) {
        c->network = network;
        c->settings = settings;
    }
    if (!c || allocate(c) < 0) {
        compute_free(c);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a network %d wide", network->widest);
    }
    *ret = c;
    return 0;
}

void compute_free(struct compute *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->network->count; i++) {
        free(c->sums ? c->sums[i] : NULL);
        free(c->after ? c->after[i] : NULL);
    }
    free(c->sums);
    free(c->after);
    free(c->x);
    free(c->delta);
    free(c->next_delta);
    free(c);
}

/* Which example stands at place i of the request. */
static int64_t example_at(const struct compute_request *r, int64_t i)
{
    return r->indices ? r->indices[i] : i;
}

/* The features of a block: where they lie when the examples follow each other, else a copy. */
static const float *features(struct compute *c, const struct compute_request *r, int64_t start,
                             int rows)
{
    size_t width = (size_t)r->examples->inputs;

    if (!r->indices)
        return r->examples->x + (size_t)start * width;
    for (int i = 0; i < rows; i++)
        memcpy(c->x + (size_t)i * width, r->examples->x + (size_t)example_at(r, start + i) * width,
               width * sizeof(float));
    return c->x;
}

/* sums = input W^T + b */
static void layer_forward(const struct network_layer *l, const float *const *values,
                          const float *input, int rows, float *sums)
{
    const float *bias = l->bias == NETWORK_NO_BIAS ? NULL : values[l->bias];

    for (int i = 0; bias && i < rows; i++)
        memcpy(sums + (size_t)i * (size_t)l->outputs, bias, (size_t)l->outputs * sizeof(float));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, l->outputs, l->inputs, 1, input,
                l->inputs, values[l->weight], l->inputs, bias ? 1 : 0, sums, l->outputs);
}

static void forward(struct compute *c, const float *const *values, const float *input, int rows)
{
    const struct network *n = c->network;

    for (size_t i = 0; i < n->count; i++) {
        size_t cells = (size_t)rows * (size_t)n->layers[i].outputs;
        layer_forward(&n->layers[i], values, input, rows, c->sums[i]);
        if (i + 1 < n->count)
            activation_apply(c->settings->activation, c->sums[i], c->after[i], cells);
        else
            output_apply(c->settings->output_activation, (float)c->settings->output_scale,
                         c->sums[i], c->after[i], cells);
        input = c->after[i];
    }
}

/* Losses of a block, added to the sums in the order of the examples; delta when it is wanted. */
static void judge(struct compute *c, const struct compute_request *r, int64_t start, int rows,
                  double *loss, double *correct)
{
    int n = network_outputs(c->network);
    const float *out = c->after[c->network->count - 1];
    double weight = 1.0 / (double)r->count;

    for (int i = 0; i < rows; i++, out += n) {
        int64_t e = example_at(r, start + i);
        float *delta = r->gradients ? c->delta + (size_t)i * (size_t)n : NULL;
        double one;
        if (c->settings->loss == LOSS_CROSS_ENTROPY) {
            one = cross_entropy(out, n, r->examples->labels[e], weight, delta);
            *correct += largest(out, n) == r->examples->labels[e];
        } else {
            one = squared_error(out, n, r->examples->values + e * n, weight, delta);
        }
        *loss += one;
        if (r->example_losses)
            r->example_losses[start + i] = (float)one;
    }
}

/* dW += delta^T input, db += the sum of delta's rows, in their order */
static void layer_gradients(const struct network_layer *l, float *const *gradients,
                            const float *input, const float *delta, int rows)
{
    float *weight = gradients[l->weight];
    float *bias = l->bias == NETWORK_NO_BIAS ? NULL : gradients[l->bias];

    if (weight)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, l->outputs, l->inputs, rows, 1, delta,
                    l->outputs, input, l->inputs, 1, weight, l->inputs);
    for (int i = 0; bias && i < rows; i++)
        for (int j = 0; j < l->outputs; j++)
            bias[j] += delta[(size_t)i * (size_t)l->outputs + (size_t)j];
}

static void backward(struct compute *c, const struct compute_request *r, const float *input,
                     int rows)
{
    const struct network *n = c->network;
    size_t last = n->count - 1;

    output_derive(c->settings->output_activation, (float)c->settings->output_scale, c->after[last],
                  c->delta, (size_t)rows * (size_t)network_outputs(n));
    for (size_t i = last;; i--) {
        const struct network_layer *l = &n->layers[i];
        layer_gradients(l, r->gradients, i ? c->after[i - 1] : input, c->delta, rows);
        if (i == 0)
            return;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, l->inputs, l->outputs, 1,
                    c->delta, l->outputs, r->values[l->weight], l->inputs, 0, c->next_delta,
                    l->inputs);
        activation_derive(c->settings->activation, c->sums[i - 1], c->after[i - 1], c->next_delta,
                          (size_t)rows * (size_t)l->inputs);
        float *spare = c->delta;
        c->delta = c->next_delta;
        c->next_delta = spare;
    }
}

void compute_run(struct compute *c, const struct compute_request *request,
                 struct compute_result *ret)
{
    double loss = 0, correct = 0;

    for (int64_t start = 0; start < request->count; start += COMPUTE_BLOCK) {
        int64_t left = request->count - start;
        int rows = left < COMPUTE_BLOCK ? (int)left : COMPUTE_BLOCK;
        const float *input = features(c, request, start, rows);
        forward(c, request->values, input, rows);
        judge(c, request, start, rows, &loss, &correct);
        if (request->gradients)
            backward(c, request, input, rows);
    }
    bool is_classification = c->settings->loss == LOSS_CROSS_ENTROPY;
    ret->loss = loss / (double)request->count;
    ret->correct = is_classification ? correct / (double)request->count : NAN;
}
