/*
 * judge - on libsewa-evaluator, as anybody would write one.
 */
#include "judge.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "sewa/evaluator.h"
#include "shop.h"

static json_t *options;
static bool is_parameter[SHOP_TENSORS];

double judge_target(int64_t e)
{
    return (double)(e * 5 % 16) / 8;
}

double judge_fresh(size_t tensor, int64_t e, double first_parameter)
{
    return (double)((e * 3 + (int64_t)tensor * 11) % 61) / 8 - 4 + first_parameter;
}

double judge_term(size_t tensor, int64_t e, double value)
{
    return value * (double)(1 + (e * 13 + (int64_t)tensor * 7) % 101);
}

static bool is_off(const char *name)
{
    return json_is_false(json_object_get(options, name));
}

static int setup(struct sewa_evaluator_ops *self, const struct sewa_evaluator_model *model,
                 const char *text, struct sewa_evaluator_traits *ret, struct sewa_error *err)
{
    static struct sewa_evaluator_split splits[2] = { { "selection", JUDGE_EXAMPLES },
                                                     { "report", JUDGE_EXAMPLES } };
    static const struct sewa_evaluator_metric metrics[] = {
        { "batch", true }, { "recalibrated", true }, { "buffers", true }, { "integers", true }
    };

    (void)self;
    options = json_loads(text, 0, NULL);
    if (is_off("paired"))
        splits[0].examples = splits[1].examples = 0;
    if (model->count != SHOP_TENSORS)
        return sewa_fail(err, SEWA_E_MISMATCH, "%zu tensors", model->count);
    for (size_t i = 0; i < model->count; i++)
        is_parameter[i] = shop_tensors[i].is_parameter;
    *ret = (struct sewa_evaluator_traits){ .gradient = !is_off("gradient"),
                                           .is_parameter = is_parameter,
                                           .split_count = 2,
                                           .splits = splits,
                                           .metric_count = 4,
                                           .metrics = metrics };
    return 0;
}

static double sum_where(const struct sewa_evaluator_model *m,
                        bool (*is_wanted)(const struct shop_tensor *t))
{
    double sum = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct sewa_evaluator_tensor *t = &m->tensors[i];
        enum dtype dtype = !t->is_float                   ? shop_tensors[i].dtype
                           : strcmp(t->dtype, "F64") == 0 ? DTYPE_F64
                                                          : DTYPE_F32;
        for (int64_t e = 0; is_wanted(&shop_tensors[i]) && e < t->elements; e++)
            sum += judge_term(i, e, shop_number(dtype, t->values, e));
    }
    return sum;
}

static bool is_recalibrated(const struct shop_tensor *t)
{
    return t->is_recalibrated;
}

static bool is_other_buffer(const struct shop_tensor *t)
{
    return dtype_kind(t->dtype) == DTYPE_FLOAT && !t->is_parameter && !t->is_recalibrated;
}

static bool is_integer(const struct shop_tensor *t)
{
    return dtype_kind(t->dtype) == DTYPE_INTEGER;
}

static double parameters(const struct sewa_evaluator_tensor *t, double scale)
{
    double sum = 0;

    for (int64_t e = 0; e < t->elements; e++) {
        bool is_double = strcmp(t->dtype, "F64") == 0;
        double d = shop_number(is_double ? DTYPE_F64 : DTYPE_F32, t->values, e) - judge_target(e);
        sum += d * d / 2;
        if (t->gradient)
            t->gradient[e] = (float)(d * scale);
    }
    return sum * scale;
}

static int loss(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                struct sewa_evaluator_answer *ret, struct sewa_error *err)
{
    const struct sewa_evaluator_model *m = request->model;
    double factor = strcmp(request->split, "report") == 0 ? 3 : 1, scale = factor / JUDGE_SCALE;

    (void)self;
    (void)err;
    ret->loss = 0;
    for (size_t i = 0; i < m->count; i++)
        if (is_parameter[i])
            ret->loss += parameters(&m->tensors[i], scale);
    if (*(const float *)m->tensors[0].values > JUDGE_NAN_ABOVE)
        ret->loss = NAN;
    ret->examples = JUDGE_EXAMPLES;
    for (int i = 0; ret->example_losses && i < JUDGE_EXAMPLES; i++)
        ret->example_losses[i] = (float)(sum_where(m, is_recalibrated) * (i + 1) * factor);
    return 0;
}

static int metrics(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                   double *ret, struct sewa_error *err)
{
    (void)self;
    (void)err;
    ret[0] = (double)request->batch;
    ret[1] = sum_where(request->model, is_recalibrated);
    ret[2] = sum_where(request->model, is_other_buffer);
    ret[3] = sum_where(request->model, is_integer);
    return 0;
}

static int recalibrate(struct sewa_evaluator_ops *self,
                       const struct sewa_evaluator_request *request, bool *ret_changed,
                       struct sewa_error *err)
{
    double first = (double)*(const float *)request->model->tensors[0].values;

    (void)self;
    (void)err;
    for (size_t i = 0; i < request->model->count; i++) {
        const struct sewa_evaluator_tensor *t = &request->model->tensors[i];
        ret_changed[i] = shop_tensors[i].is_recalibrated;
        for (int64_t e = 0; ret_changed[i] && e < t->elements; e++)
            t->gradient[e] = (float)judge_fresh(i, e, first);
    }
    return 0;
}

static void teardown(struct sewa_evaluator_ops *self)
{
    (void)self;
    json_decref(options);
}

int judge_main(int argc, char **argv)
{
    struct sewa_evaluator_ops ops = { .setup = setup,
                                      .loss = loss,
                                      .metrics = metrics,
                                      .recalibrate = recalibrate,
                                      .teardown = teardown };

    return argc == 2 && strcmp(argv[1], "judge") == 0 ? sewa_evaluator_run(&ops, 1, argv) : -1;
}
