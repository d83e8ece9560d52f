/*
 * sleepy - an evaluator that takes its time: each loss sleeps, so that what a job costs beyond its
 * evaluations can be seen. The loss is the squared length of the weights, with its gradient.
 *
 * Option: {"milliseconds": 50}
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sewa/evaluator.h"

struct sleepy {
    struct sewa_evaluator_ops ops;
    struct timespec nap;
};

static struct sleepy *self_of(struct sewa_evaluator_ops *ops)
{
    return (struct sleepy *)(void *)((char *)ops - offsetof(struct sleepy, ops));
}

static int setup(struct sewa_evaluator_ops *ops, const struct sewa_evaluator_model *model,
                 const char *options, struct sewa_evaluator_traits *ret, struct sewa_error *err)
{
    static const struct sewa_evaluator_split splits[] = { { "selection", 0 }, { "report", 0 } };
    const char *p = strstr(options, "\"milliseconds\"");
    long ms = 50;

    (void)model;
    (void)err;
    if (p && (p = strchr(p, ':')) != NULL)
        ms = strtol(p + 1, NULL, 10);
    self_of(ops)->nap = (struct timespec){ ms / 1000, ms % 1000 * 1000000L };
    *ret = (struct sewa_evaluator_traits){ .gradient = true, .split_count = 2, .splits = splits };
    return 0;
}

static int loss(struct sewa_evaluator_ops *ops, const struct sewa_evaluator_request *request,
                struct sewa_evaluator_answer *ret, struct sewa_error *err)
{
    (void)err;
    ret->loss = 0;
    for (size_t t = 0; t < request->model->count; t++) {
        const struct sewa_evaluator_tensor *tensor = &request->model->tensors[t];
        const float *w = tensor->values;
        for (int64_t i = 0; tensor->is_float && i < tensor->elements; i++) {
            ret->loss += (double)w[i] * (double)w[i];
            if (request->gradient)
                tensor->gradient[i] = 2 * w[i];
        }
    }
    nanosleep(&self_of(ops)->nap, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    struct sleepy s = { .ops = { .setup = setup, .loss = loss } };

    return sewa_evaluator_run(&s.ops, argc, argv);
}
