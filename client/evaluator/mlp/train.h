/*
 * train - stochastic gradient descent with momentum, decided by a seed to the last bit.
 *
 * v = momentum * v + (g + weight_decay * w); w = w - rate * v, as torch.optim.SGD has it. Each
 * minibatch is drawn with replacement. Label noise gives a share of the training labels a class at
 * random (which may be the true one), and is never applied to the other parts.
 */
#ifndef MLP_TRAIN_H
#define MLP_TRAIN_H

#include "data.h"

enum { TRAIN_WIDTHS_MAX = 64 };

struct train_options {
    struct settings settings; /* data is not read here */
    int64_t widths[TRAIN_WIDTHS_MAX];
    size_t width_count;
    const char *directory;
    int64_t batch, burn_in, steps, every;
    double rate, momentum, weight_decay, label_noise;
    uint64_t seed;
    bool is_durable; /* sync each checkpoint */
    bool overwrite;  /* allow checkpoints of the same steps to be replaced */
};

struct train_result {
    int64_t checkpoints, first_step, last_step;
    double loss; /* of the last weights on the training part, with its noisy labels */
};

/* Labels of data's training part are changed in place when there is noise. */
int train_run(const struct train_options *options, struct data *data, struct train_result *ret,
              struct sewa_error *err);

#endif
