/*
 * quadratic - a well-behaved evaluator on the C library: loss = mean over the parameters of
 * (w - target)^2 / 2. Every float tensor is a parameter but those whose names begin with "buffer".
 * Options: "target" (number), "gradient" (bool), "scribble" (writes to what it was given),
 * "fail" ("setup", "loss", "metrics"), "losses_too_many", "no_examples".
 */
#include "sewa/evaluator.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMPLES = 4, TENSORS_MAX = 16 };

struct quadratic {
    struct sewa_evaluator_ops ops; /* first: callbacks get its address */
    json_t *options;
    bool is_parameter[TENSORS_MAX];
    struct sewa_evaluator_split splits[2];
};

static struct quadratic *of(struct sewa_evaluator_ops *self)
{
    return (struct quadratic *)(void *)self;
}

static bool fails_in(const struct quadratic *q, const char *where)
{
    const char *text = json_string_value(json_object_get(q->options, "fail"));

    return text && strcmp(text, where) == 0;
}

static bool is_set(const struct quadratic *q, const char *option)
{
    return json_is_true(json_object_get(q->options, option));
}

static int setup(struct sewa_evaluator_ops *self, const struct sewa_evaluator_model *model,
                 const char *options, struct sewa_evaluator_traits *ret, struct sewa_error *err)
{
    static const struct sewa_evaluator_metric metrics[] = { { "distance", false },
                                                            { "batch", true } };
    struct quadratic *q = of(self);

    q->options = json_loads(options, 0, NULL);
    if (model->count > TENSORS_MAX)
        return sewa_fail(err, SEWA_E_MISMATCH, "%zu tensors, at most %d are allowed", model->count,
                         TENSORS_MAX);
    if (fails_in(q, "setup"))
        return sewa_fail(err, SEWA_E_NOT_FOUND, "no such data");
    printf("setup with %u threads, w is %s\n", model->threads,
           sewa_evaluator_find(model, "w") ? "there" : "missing");
    fflush(stdout);
    for (size_t i = 0; i < model->count; i++)
        q->is_parameter[i] = model->tensors[i].is_float &&
                             strncmp(model->tensors[i].name, "buffer", 6) != 0;
    int64_t examples = is_set(q, "no_examples") ? 0 : EXAMPLES;
    q->splits[0] = (struct sewa_evaluator_split){ "selection", examples };
    q->splits[1] = (struct sewa_evaluator_split){ "report", examples };
    *ret = (struct sewa_evaluator_traits){ .gradient = !json_is_false(
                                               json_object_get(q->options, "gradient")),
                                           .is_parameter = q->is_parameter,
                                           .split_count = 2,
                                           .splits = q->splits,
                                           .metric_count = 2,
                                           .metrics = metrics };
    return 0;
}

/* What the model is made of, with everything that it can read: buffers count into the loss. */
static double sum_of(struct quadratic *q, const struct sewa_evaluator_tensor *t, double target,
                     bool scribble)
{
    double sum = 0;

    for (int64_t i = 0; t->is_float && i < t->elements; i++) {
        bool is_double = strcmp(t->dtype, "F64") == 0;
        double w = is_double ? ((double *)t->values)[i] : (double)((float *)t->values)[i];
        sum += (w - target) * (w - target) / 2;
        if (t->gradient)
            t->gradient[i] += (float)(w - target);
        if (scribble && !is_double)
            ((float *)t->values)[i] = 1e6f;
    }
    (void)q;
    return sum;
}

static int loss(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                struct sewa_evaluator_answer *ret, struct sewa_error *err)
{
    struct quadratic *q = of(self);
    double target = json_number_value(json_object_get(q->options, "target"));

    if (fails_in(q, "loss"))
        return sewa_fail(err, SEWA_E_IO, "disk on fire");
    ret->loss = strcmp(request->split, "report") == 0 ? 100 : 0;
    for (size_t i = 0; i < request->model->count; i++)
        ret->loss += sum_of(q, &request->model->tensors[i], target, is_set(q, "scribble"));
    ret->examples = is_set(q, "losses_too_many") ? EXAMPLES + 1 : EXAMPLES;
    for (int64_t i = 0; ret->example_losses && i < EXAMPLES; i++)
        ret->example_losses[i] = (float)i;
    return 0;
}

static int metrics(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                   double *ret, struct sewa_error *err)
{
    if (fails_in(of(self), "metrics"))
        return sewa_fail(err, SEWA_E_IO, "no metric today");
    ret[0] = INFINITY;
    ret[1] = (double)request->batch;
    return 0;
}

static int recalibrate(struct sewa_evaluator_ops *self,
                       const struct sewa_evaluator_request *request, bool *ret_changed,
                       struct sewa_error *err)
{
    (void)self;
    (void)err;
    for (size_t i = 0; i < request->model->count; i++) {
        const struct sewa_evaluator_tensor *t = &request->model->tensors[i];
        ret_changed[i] = t->is_float && strncmp(t->name, "buffer", 6) == 0;
        for (int64_t j = 0; ret_changed[i] && j < t->elements; j++)
            t->gradient[j] = (float)(j + 1);
    }
    return 0;
}

static void teardown(struct sewa_evaluator_ops *self)
{
    json_decref(of(self)->options);
    printf("teardown\n");
}

int main(int argc, char **argv)
{
    struct quadratic q = { .ops = { .setup = setup,
                                    .loss = loss,
                                    .metrics = metrics,
                                    .recalibrate = recalibrate,
                                    .teardown = teardown } };

    return sewa_evaluator_run(&q.ops, argc, argv);
}
