/*
 * command_serve - `sewa-mlp serve`: the evaluator, on the C side of the protocol.
 *
 * Weights are used where the host put them, gradients are written where it reads them; only F64
 * tensors go through a copy.
 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "compute.h"
#include "sewa/evaluator.h"
#include "tensors.h"

struct serve {
    struct sewa_evaluator_ops ops;
    json_t *options; /* owns the strings of settings */
    struct settings settings;
    struct data data;
    struct network network;
    struct compute *compute;
    size_t tensor_count;
    bool *is_parameter;   /* per tensor */
    float **copies;       /* per tensor: of F64 ones */
    const float **values; /* per tensor, of the request under way */
    float **gradients;
    int64_t *indices; /* of a minibatch */
    struct sewa_evaluator_split splits[PART_COUNT];
    double correct; /* of the last loss */
};

static struct serve *of(struct sewa_evaluator_ops *self)
{
    return container_of(self, struct serve, ops);
}

static int parse_options(struct serve *s, const char *text, struct sewa_error *err)
{
    s->options = json_parse(text, strlen(text), err);
    if (!s->options)
        return err->code;
    int rc = settings_parse(s->options, &s->settings, err);
    return rc < 0 ? sewa_context(err, rc, "options") : 0;
}

static int find_network(struct serve *s, const struct sewa_evaluator_model *model,
                        struct sewa_error *err)
{
    AUTOFREE struct network_tensor *list = calloc(model->count + 1, sizeof *list);

    if (!list)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu tensors", model->count);
    for (size_t i = 0; i < model->count; i++) {
        const struct sewa_evaluator_tensor *t = &model->tensors[i];
        list[i] = (struct network_tensor){ t->name, t->is_float, t->rank, t->shape };
    }
    return network_find(list, model->count, &s->network, err);
}

static int add_tensor(struct serve *s, const struct sewa_evaluator_model *model, size_t i,
                      struct sewa_error *err)
{
    if (i == NETWORK_NO_BIAS)
        return 0;
    const struct sewa_evaluator_tensor *t = &model->tensors[i];
    s->is_parameter[i] = true;
    if (strcmp(t->dtype, "F64") != 0)
        return 0;
    s->copies[i] = aligned_new((size_t)t->elements * sizeof(float));
    return s->copies[i] ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for '%.100s'", t->name);
}

static int allocate(struct serve *s, const struct sewa_evaluator_model *model,
                    struct sewa_error *err)
{
    size_t n = model->count + 1;

    s->tensor_count = model->count;
    s->is_parameter = calloc(n, sizeof *s->is_parameter);
    s->copies = calloc(n, sizeof *s->copies);
    s->values = calloc(n, sizeof *s->values);
    s->gradients = calloc(n, sizeof *s->gradients);
    s->indices = calloc((size_t)s->settings.batch_size, sizeof *s->indices);
    if (!s->is_parameter || !s->copies || !s->values || !s->gradients || !s->indices)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu tensors", model->count);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->network.count; i++) {
        rc = add_tensor(s, model, s->network.layers[i].weight, err);
        if (rc == 0)
            rc = add_tensor(s, model, s->network.layers[i].bias, err);
    }
    return rc < 0 ? rc : compute_new(&s->network, &s->settings, &s->compute, err);
}

/* Every part of the file is offered; selection must be there, and each must fit the network. */
static int offer_parts(struct serve *s, struct sewa_evaluator_traits *ret, struct sewa_error *err)
{
    for (int i = 0; i < PART_COUNT; i++) {
        if (s->data.parts[i].count == 0 && i != PART_SELECTION)
            continue;
        int rc = data_check(&s->data, (enum part_name)i, &s->network, &s->settings, err);
        if (rc < 0)
            return rc;
        s->splits[ret->split_count++] =
            (struct sewa_evaluator_split){ part_names[i], s->data.parts[i].count };
    }
    return 0;
}

static int setup(struct sewa_evaluator_ops *self, const struct sewa_evaluator_model *model,
                 const char *options, struct sewa_evaluator_traits *ret, struct sewa_error *err)
{
    static const struct sewa_evaluator_metric accuracy = { "accuracy", true };
    struct serve *s = of(self);

    int rc = parse_options(s, options, err);
    if (rc == 0)
        rc = data_load(&s->data, s->settings.data, err);
    if (rc == 0)
        rc = find_network(s, model, err);
    if (rc == 0)
        rc = offer_parts(s, ret, err);
    if (rc == 0)
        rc = allocate(s, model, err);
    if (rc < 0)
        return rc;
    ret->gradient = true;
    ret->is_parameter = s->is_parameter;
    ret->splits = s->splits;
    ret->metrics = &accuracy;
    ret->metric_count = s->settings.loss == LOSS_CROSS_ENTROPY ? 1 : 0;
    return 0;
}

/* Where this request's tensors are. */
static void take_tensors(struct serve *s, const struct sewa_evaluator_model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct sewa_evaluator_tensor *t = &model->tensors[i];
        if (s->copies[i])
            tensor_to_f32(DTYPE_F64, t->values, t->elements, s->copies[i]);
        s->values[i] = s->copies[i] ? s->copies[i] : t->values;
        s->gradients[i] = t->gradient;
    }
}

/* Minibatch number n is batch_size examples drawn with replacement, by n alone. */
static void draw_batch(struct serve *s, int64_t batch, int64_t examples)
{
    for (int64_t i = 0; i < s->settings.batch_size; i++) {
        double u = rng_uniform(0, (uint32_t)batch, (uint32_t)(batch >> 32), (uint32_t)i, 0);
        s->indices[i] = (int64_t)(u * (double)examples);
    }
}

static int loss(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                struct sewa_evaluator_answer *ret, struct sewa_error *err)
{
    struct serve *s = of(self);
    const struct examples *e = data_part(&s->data, request->split);
    struct compute_result result;
    (void)err;

    take_tensors(s, request->model);
    struct compute_request r = { .examples = e,
                                 .count = e->count,
                                 .values = s->values,
                                 .gradients = request->gradient ? s->gradients : NULL,
                                 .example_losses = ret->example_losses };
    if (request->batch >= 0) {
        draw_batch(s, request->batch, e->count);
        r.indices = s->indices;
        r.count = s->settings.batch_size;
        r.example_losses = NULL; /* of examples that the caller cannot name */
        ret->example_losses = NULL;
    }
    compute_run(s->compute, &r, &result);
    ret->loss = result.loss;
    ret->examples = r.count;
    s->correct = result.correct;
    return 0;
}

static int metrics(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                   double *ret, struct sewa_error *err)
{
    (void)request;
    (void)err;
    ret[0] = of(self)->correct;
    return 0;
}

static void teardown(struct sewa_evaluator_ops *self)
{
    struct serve *s = of(self);

    compute_free(s->compute);
    for (size_t i = 0; s->copies && i < s->tensor_count; i++)
        free(s->copies[i]);
    free(s->copies);
    free(s->is_parameter);
    free(s->values);
    free(s->gradients);
    free(s->indices);
    network_clear(&s->network);
    data_clear(&s->data);
    json_decref(s->options);
}

int command_serve(int argc, char *const *argv)
{
    struct serve s = {
        .ops = { .setup = setup, .loss = loss, .metrics = metrics, .teardown = teardown }
    };
    char *const none[] = { (char *)(uintptr_t) "sewa-mlp serve", NULL };
    struct sewa_error err = { 0 };

    if (command_wants_help(argc, argv)) {
        puts("usage: sewa-mlp serve\n"
             "The evaluator: started by sewa-worker, as `command` of an evaluator in sewad.conf.\n"
             "Options (JSON): data (needed), activation (relu, tanh, gelu), loss (cross_entropy,\n"
             "mse), output_activation (none, tanh), output_scale, batch_size (32).");
        return 0;
    }
    if (argc > 0) {
        sewa_fail(&err, SEWA_E_INVALID, "'%.200s' is too much", argv[0]);
        return command_failed("serve", &err, EXIT_USAGE);
    }
    return sewa_evaluator_run(&s.ops, 1, none);
}
