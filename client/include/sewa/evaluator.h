/*
 * evaluator.h - write an evaluator in C: the program that sewa-worker asks how good a model is and
 * which way is downhill. The protocol itself is described in proto/evaluator.md; this library
 * speaks it, so that what is left to write is the model and the data.
 *
 *     static int loss(struct sewa_evaluator_ops *self,
 *                     const struct sewa_evaluator_request *request,
 *                     struct sewa_evaluator_answer *ret, struct sewa_error *err)
 *     {
 *         struct mine *m = self->user;
 *         ...
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct mine m = { 0 };
 *         struct sewa_evaluator_ops ops = { .user = &m, .setup = setup, .loss = loss };
 *         return sewa_evaluator_run(&ops, argc, argv);
 *     }
 *
 * Everything happens on the thread that calls sewa_evaluator_run(), one callback at a time.
 * A callback returns 0, or a negative sewa_code with *err filled by sewa_fail() and the like.
 * What the program prints on stdout and stderr becomes the log of the job; stdin is empty.
 * `pkg-config --cflags --libs libsewa-evaluator` says how to compile it; libjansson is all that it
 * needs.
 */
#ifndef SEWA_EVALUATOR_H
#define SEWA_EVALUATOR_H

#include "sewa/error.h"
#include "sewa/version.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One tensor of the checkpoints. Little endian, C order, 64-byte aligned. */
struct sewa_evaluator_tensor {
    const char *name;
    const char *dtype; /**< "F32", "F64", or an integer type as safetensors calls it */
    bool is_float;     /**< F32 or F64: averaged; otherwise copied from one checkpoint */
    unsigned rank;
    const int64_t *shape; /**< rank numbers */
    int64_t elements;     /**< their product, 1 for rank 0 */
    size_t bytes;         /**< of the values */
    /** The weights to judge; NULL during setup. May be written to: the pages are the program's own
     * and the next request begins with fresh ones. */
    void *values;
    /** `elements` floats; NULL during setup, for integers, and when none are wanted. In loss():
     * where dL/dvalues goes, zero to begin with. In recalibrate(): where new values go. */
    float *gradient;
};

struct sewa_evaluator_model {
    size_t count;
    const struct sewa_evaluator_tensor *tensors;
    unsigned threads; /**< how many the program should use */
};

/** The tensor with this name, or NULL. O(log count). */
SEWA_EXPORT const struct sewa_evaluator_tensor *sewa_evaluator_find(
    const struct sewa_evaluator_model *model, const char *name);

/** Data that a loss can be asked of. */
struct sewa_evaluator_split {
    const char *name; /**< "selection" is needed, "report" is what the verdict rests on */
    /** How many examples it has, when loss() can give one loss for each; otherwise 0. */
    int64_t examples;
};

struct sewa_evaluator_metric {
    const char *name;
    bool bigger_is_better;
};

/** What setup() says of the evaluator. The memory stays the callbacks' and valid to the end. */
struct sewa_evaluator_traits {
    bool gradient; /**< loss() can fill gradients; without, selection goes by losses alone */
    /** One per tensor: differentiated by loss(). NULL: every float tensor is. */
    const bool *is_parameter;
    size_t split_count;
    const struct sewa_evaluator_split *splits;
    size_t metric_count;
    const struct sewa_evaluator_metric *metrics;
};

struct sewa_evaluator_request {
    const struct sewa_evaluator_model *model;
    const char *split; /**< one of the traits' */
    bool gradient;     /**< false for metrics() and recalibrate() */
    /** A number that names a minibatch: the same number, the same examples. -1: the whole split. */
    int64_t batch;
};

struct sewa_evaluator_answer {
    double loss;      /**< a mean; NaN and infinities are legal and mean "infinitely bad" */
    int64_t examples; /**< how many it is a mean of; 0: not said */
    /** In: room for as many floats as the largest split has examples; NULL when none has any.
     * Out: leave it, having filled `examples` of them, or set it to NULL. */
    float *example_losses;
};

struct sewa_evaluator_ops {
    void *user; /**< the program's own: this library does not look at it */

    /**
     * Once: read the data, look at the model. @options is the JSON object of the configuration.
     * Tensors that do not fit are SEWA_E_MISMATCH. A failure ends the program.
     */
    int (*setup)(struct sewa_evaluator_ops *self, const struct sewa_evaluator_model *model,
                 const char *options, struct sewa_evaluator_traits *ret, struct sewa_error *err);

    /** The loss, and with request->gradient the gradient of every parameter. A failure is reported
     * and the program goes on. */
    int (*loss)(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                struct sewa_evaluator_answer *ret, struct sewa_error *err);

    /** Called after loss() with the same request; @ret has one place per metric, NaN to begin with.
     * NULL when the traits have no metric. */
    int (*metrics)(struct sewa_evaluator_ops *self, const struct sewa_evaluator_request *request,
                   double *ret, struct sewa_error *err);

    /** Recompute buffers that depend on data (statistics of batch norm): write them, as floats, to
     * tensor->gradient and set ret_changed (one per tensor). NULL when there are none. */
    int (*recalibrate)(struct sewa_evaluator_ops *self,
                       const struct sewa_evaluator_request *request, bool *ret_changed,
                       struct sewa_error *err);

    /** Release what setup() made; called also after a failure of it. May be NULL. */
    void (*teardown)(struct sewa_evaluator_ops *self);
};

/**
 * Serve until the host says stop or goes away. Blocks.
 * @argc, @argv  the program's: --help and --version are answered, anything else is a mistake. A
 *               program with arguments of its own passes 1 and its own argv.
 * @return       the exit status: 0 after a stop, 1 after a failure (also printed on stderr), 2 when
 *               the program was not started by a host or has unknown arguments.
 */
SEWA_EXPORT int sewa_evaluator_run(struct sewa_evaluator_ops *ops, int argc, char *const *argv);

#ifdef __cplusplus
}
#endif
#endif
