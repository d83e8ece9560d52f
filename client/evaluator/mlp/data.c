/*
 * data - read the parts, check them against each other and against a network.
 */
#include "data.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensors.h"

const char *const part_names[PART_COUNT + 1] = { "train", "selection", "report", NULL };

static int wrong_shape(const struct tensor_file *f, const struct tensor *t, const char *wanted,
                       struct sewa_error *err)
{
    char shape[96];

    return sewa_fail(err, SEWA_E_MISMATCH, "tensor '%s' of '%s' is %s %s, wanted is %s", t->name,
                     f->path, dtype_name(t->dtype), shape_text(t->rank, t->shape, shape), wanted);
}

static int load_x(const struct tensor_file *f, const struct tensor *t, struct examples *e,
                  struct sewa_error *err)
{
    if (t->dtype != DTYPE_F32 || t->rank != 2 || t->shape[0] < 1 || t->shape[1] < 1 ||
        t->shape[1] > INT_MAX)
        return wrong_shape(f, t, "F32 [n, d]", err);
    e->count = t->shape[0];
    e->inputs = (int)t->shape[1];
    return tensor_read_f32(f, t, &e->x, err);
}

static int load_y(const struct tensor_file *f, const struct tensor *t, struct examples *e,
                  struct sewa_error *err)
{
    char wanted[96];
    void *labels = NULL;

    snprintf(wanted, sizeof wanted, "I64 [%" PRId64 "] or F32 [%" PRId64 ", m]", e->count,
             e->count);
    if (t->dtype == DTYPE_F32 && t->rank == 2 && t->shape[0] == e->count && t->shape[1] > 0 &&
        t->shape[1] <= INT_MAX) {
        e->width = (int)t->shape[1];
        return tensor_read_f32(f, t, &e->values, err);
    }
    if (t->dtype != DTYPE_I64 || t->rank != 1 || t->shape[0] != e->count)
        return wrong_shape(f, t, wanted, err);
    int rc = tensor_read(f, t, &labels, err);
    e->labels = labels;
    return rc;
}

static int load_part(const struct tensor_file *f, const char *name, struct examples *e,
                     struct sewa_error *err)
{
    char x_name[32], y_name[32];

    snprintf(x_name, sizeof x_name, "%s.x", name);
    snprintf(y_name, sizeof y_name, "%s.y", name);
    const struct tensor *x = layout_find(f->layout, x_name);
    const struct tensor *y = layout_find(f->layout, y_name);
    if (!x && !y)
        return 0;
    if (!x || !y)
        return sewa_fail(err, SEWA_E_MISMATCH, "'%s' has '%s' and no '%s'", f->path,
                         x ? x_name : y_name, x ? y_name : x_name);
    int rc = load_x(f, x, e, err);
    return rc < 0 ? rc : load_y(f, y, e, err);
}

static int check_agreement(const struct data *d, struct sewa_error *err)
{
    const struct examples *first = NULL;

    for (int i = 0; i < PART_COUNT; i++) {
        const struct examples *e = &d->parts[i];
        if (e->count == 0)
            continue;
        if (!first)
            first = e;
        if (e->inputs != first->inputs || e->width != first->width)
            return sewa_fail(err, SEWA_E_MISMATCH,
                             "'%s': %s has %d features and %d values an example, %s has %d and %d",
                             d->path, part_names[first - d->parts], first->inputs, first->width,
                             part_names[i], e->inputs, e->width);
    }
    return first ? 0
                 : sewa_fail(err, SEWA_E_MISMATCH,
                             "'%s' has none of train.x, selection.x and report.x", d->path);
}

int data_load(struct data *d, const char *path, struct sewa_error *err)
{
    AUTO(tensor_file_close) struct tensor_file f;

    *d = (struct data){ .path = strdup(path) };
    int rc = tensor_file_open(&f, path, err);
    if (rc == 0 && !d->path)
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", path);
    for (int i = 0; rc == 0 && i < PART_COUNT; i++)
        rc = load_part(&f, part_names[i], &d->parts[i], err);
    return rc < 0 ? rc : check_agreement(d, err);
}

void data_clear(struct data *d)
{
    for (int i = 0; i < PART_COUNT; i++) {
        free(d->parts[i].x);
        free(d->parts[i].labels);
        free(d->parts[i].values);
    }
    free(d->path);
    *d = (struct data){ 0 };
}

const struct examples *data_part(const struct data *d, const char *name)
{
    for (int i = 0; i < PART_COUNT; i++)
        if (strcmp(part_names[i], name) == 0 && d->parts[i].count > 0)
            return &d->parts[i];
    return NULL;
}

static int check_labels(const struct data *d, enum part_name part, int outputs,
                        struct sewa_error *err)
{
    const struct examples *e = &d->parts[part];

    for (int64_t i = 0; i < e->count; i++)
        if (e->labels[i] < 0 || e->labels[i] >= outputs)
            return sewa_fail(err, SEWA_E_MISMATCH,
                             "'%s': label %" PRId64 " of example %" PRId64
                             " of %s.y is not within the %d outputs of the network",
                             d->path, e->labels[i], i, part_names[part], outputs);
    return 0;
}

int data_check(const struct data *d, enum part_name part, const struct network *n,
               struct settings *settings, struct sewa_error *err)
{
    const struct examples *e = &d->parts[part];
    const char *name = part_names[part];
    int outputs = network_outputs(n);

    if (e->count == 0)
        return sewa_fail(err, SEWA_E_MISMATCH, "'%s' has no %s.x and %s.y", d->path, name, name);
    if (e->inputs != network_inputs(n))
        return sewa_fail(err, SEWA_E_MISMATCH,
                         "'%s': %s.x is [%" PRId64 ", %d], but 'layers.%" PRId64
                         ".weight' is [%d, %d]",
                         d->path, name, e->count, e->inputs, n->layers[0].number,
                         n->layers[0].outputs, n->layers[0].inputs);
    if (settings->loss == LOSS_AUTO)
        settings->loss = e->labels ? LOSS_CROSS_ENTROPY : LOSS_MSE;
    if ((settings->loss == LOSS_CROSS_ENTROPY) != (e->labels != NULL))
        return sewa_fail(err, SEWA_E_MISMATCH, "loss '%s' wants %s, '%s' has %s",
                         loss_words[settings->loss], e->labels ? "F32 values" : "I64 labels",
                         d->path, e->labels ? "labels" : "values");
    if (e->labels)
        return check_labels(d, part, outputs, err);
    if (e->width != outputs)
        return sewa_fail(err, SEWA_E_MISMATCH,
                         "'%s': %s.y is [%" PRId64 ", %d], but the network has %d outputs", d->path,
                         name, e->count, e->width, outputs);
    return 0;
}
