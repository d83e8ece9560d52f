/*
 * train - the training loop.
 */
#include "train.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/rng.h"
#include "compute.h"
#include "weights.h"
#include "tensors.h"

struct training {
    const struct train_options *options;
    struct settings settings;
    struct examples *examples;
    struct weights weights;
    float **gradients, **velocities; /* like the model's values */
    int64_t *indices;                /* of a minibatch */
    struct compute *compute;
};

static void training_clear(struct training *t)
{
    for (size_t i = 0; i < t->weights.count; i++) {
        free(t->gradients ? t->gradients[i] : NULL);
        free(t->velocities ? t->velocities[i] : NULL);
    }
    compute_free(t->compute);
    free(t->gradients);
    free(t->velocities);
    free(t->indices);
    weights_clear(&t->weights);
}

/* Share of the labels replaced by a class at random, each by its own number. */
static int add_noise(const struct training *t, struct sewa_error *err)
{
    const struct train_options *o = t->options;
    int classes = network_outputs(&t->weights.network);

    if (o->label_noise > 0 && !t->examples->labels)
        return sewa_fail(err, SEWA_E_INVALID, "label noise of %g, but there are no labels",
                         o->label_noise);
    for (int64_t i = 0; o->label_noise > 0 && i < t->examples->count; i++) {
        uint32_t low = (uint32_t)i, high = (uint32_t)(i >> 32);
        if (rng_uniform(o->seed, low, high, 0, STREAM_LABELS) < o->label_noise)
            t->examples->labels[i] =
                (int64_t)(rng_uniform(o->seed, low, high, 1, STREAM_LABELS) * classes);
    }
    return 0;
}

static int allocate(struct training *t, struct sewa_error *err)
{
    size_t count = t->weights.count;
    bool failed = false;

    t->gradients = calloc(count, sizeof *t->gradients);
    t->velocities = calloc(count, sizeof *t->velocities);
    t->indices = calloc((size_t)t->options->batch, sizeof *t->indices);
    failed = !t->gradients || !t->velocities || !t->indices;
    for (size_t i = 0; !failed && i < count; i++) {
        size_t bytes = (size_t)t->weights.sizes[i] * sizeof(float);
        t->gradients[i] = aligned_new(bytes);
        t->velocities[i] = aligned_new(bytes);
        failed = !t->gradients[i] || !t->velocities[i];
        if (!failed)
            memset(t->velocities[i], 0, bytes);
    }
    return failed ? sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to train %zu tensors", count) : 0;
}

static int64_t last_step(const struct train_options *o)
{
    return o->burn_in + o->steps;
}

static bool is_checkpoint(const struct train_options *o, int64_t step)
{
    return step > o->burn_in && (step - o->burn_in) % o->every == 0;
}

/* Two runs in one directory would look like one. */
static int check_directory(const struct train_options *o, struct sewa_error *err)
{
    int rc = directory_make(o->directory, 0755, err);

    for (int64_t step = o->burn_in + o->every; rc == 0 && !o->overwrite && step <= last_step(o);
         step += o->every) {
        char name[48];
        AUTOFREE char *path = path_join(o->directory, weights_file_name(step, name));
        if (!path)
            rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a path");
        else if (access(path, F_OK) == 0)
            rc = sewa_fail(err, SEWA_E_CONFLICT,
                           "'%s' exists; --overwrite allows to replace checkpoints", path);
    }
    return rc;
}

static void gradient_of_batch(struct training *t, int64_t step)
{
    const struct train_options *o = t->options;
    struct compute_result ignored;
    struct compute_request request = { .examples = t->examples,
                                       .indices = t->indices,
                                       .count = o->batch,
                                       .values = (const float *const *)t->weights.values,
                                       .gradients = t->gradients };

    for (int64_t i = 0; i < o->batch; i++) {
        double u = rng_uniform(o->seed, (uint32_t)step, (uint32_t)(step >> 32), (uint32_t)i,
                               STREAM_BATCHES);
        t->indices[i] = (int64_t)(u * (double)t->examples->count);
    }
    for (size_t i = 0; i < t->weights.count; i++)
        memset(t->gradients[i], 0, (size_t)t->weights.sizes[i] * sizeof(float));
    compute_run(t->compute, &request, &ignored);
}

static void descend(struct training *t)
{
    float rate = (float)t->options->rate, momentum = (float)t->options->momentum;
    float decay = (float)t->options->weight_decay;

    for (size_t i = 0; i < t->weights.count; i++) {
        float *w = t->weights.values[i], *v = t->velocities[i];
        const float *g = t->gradients[i];
        for (int64_t j = 0; j < t->weights.sizes[i]; j++) {
            v[j] = momentum * v[j] + (g[j] + decay * w[j]);
            w[j] = w[j] - rate * v[j];
        }
    }
}

static int descend_all(struct training *t, struct train_result *ret, struct sewa_error *err)
{
    const struct train_options *o = t->options;

    for (int64_t step = 1; step <= last_step(o); step++) {
        gradient_of_batch(t, step);
        descend(t);
        if (!is_checkpoint(o, step))
            continue;
        int rc = weights_save(&t->weights, o->directory, step, o->seed, o->is_durable, err);
        if (rc < 0)
            return rc;
        if (ret->checkpoints++ == 0)
            ret->first_step = step;
        ret->last_step = step;
    }
    return 0;
}

static int prepare(struct training *t, const struct data *data, struct sewa_error *err)
{
    const struct train_options *o = t->options;

    int rc = weights_make(&t->weights, o->widths, o->width_count, o->seed, err);
    if (rc == 0)
        rc = data_check(data, PART_TRAIN, &t->weights.network, &t->settings, err);
    if (rc == 0)
        rc = add_noise(t, err);
    if (rc == 0)
        rc = allocate(t, err);
    if (rc == 0)
        rc = compute_new(&t->weights.network, &t->settings, &t->compute, err);
    return rc < 0 ? rc : check_directory(o, err);
}

int train_run(const struct train_options *options, struct data *data, struct train_result *ret,
              struct sewa_error *err)
{
    AUTO(training_clear)
    struct training t = { .options = options,
                          .settings = options->settings,
                          .examples = &data->parts[PART_TRAIN] };
    struct train_result result = { 0 };
    struct compute_result whole;

    int rc = prepare(&t, data, err);
    if (rc == 0)
        rc = descend_all(&t, &result, err);
    if (rc < 0)
        return rc;
    compute_run(t.compute,
                &(struct compute_request){ .examples = t.examples,
                                           .count = t.examples->count,
                                           .values = (const float *const *)t.weights.values },
                &whole);
    result.loss = whole.loss;
    *ret = result;
    return 0;
}
