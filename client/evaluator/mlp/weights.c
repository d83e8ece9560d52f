/*
 * weights - load, make and save weights.
 */
#include "weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/rng.h"
#include "formats/safetensors.h"
#include "tensors.h"

void weights_clear(struct weights *m)
{
    for (size_t i = 0; m->values && i < m->count; i++)
        free(m->values[i]);
    free(m->values);
    free(m->sizes);
    network_clear(&m->network);
    *m = (struct weights){ 0 };
}

static int make_lists(struct weights *m, size_t count, struct sewa_error *err)
{
    m->count = count;
    m->values = calloc(count ? count : 1, sizeof *m->values);
    m->sizes = calloc(count ? count : 1, sizeof *m->sizes);
    return m->values && m->sizes ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a model");
}

/* ---- from a file ---- */

static int load_tensor(struct weights *m, const struct tensor_file *f, size_t i,
                       struct sewa_error *err)
{
    if (i == NETWORK_NO_BIAS)
        return 0;
    m->sizes[i] = f->layout->tensors[i].elements;
    return tensor_read_f32(f, &f->layout->tensors[i], &m->values[i], err);
}

static int load_from(struct weights *m, const struct tensor_file *f, struct sewa_error *err)
{
    AUTOFREE struct network_tensor *list = tensor_file_list(f);

    if (!list)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to read '%s'", f->path);
    int rc = network_find(list, f->layout->count, &m->network, err);
    if (rc < 0)
        return sewa_context(err, rc, "'%s'", f->path);
    rc = make_lists(m, f->layout->count, err);
    for (size_t i = 0; rc == 0 && i < m->network.count; i++) {
        rc = load_tensor(m, f, m->network.layers[i].weight, err);
        if (rc == 0)
            rc = load_tensor(m, f, m->network.layers[i].bias, err);
    }
    return rc;
}

int weights_load(struct weights *m, const char *path, struct sewa_error *err)
{
    AUTO(tensor_file_close) struct tensor_file f;

    *m = (struct weights){ 0 };
    int rc = tensor_file_open(&f, path, err);
    if (rc == 0)
        rc = load_from(m, &f, err);
    if (rc < 0)
        weights_clear(m);
    return rc;
}

/* ---- by a seed ---- */

/* kind 0: weight, 1: bias */
static int draw(struct weights *m, size_t layer, unsigned kind, int64_t n, double bound,
                uint64_t seed, struct sewa_error *err)
{
    float *values = aligned_new((size_t)n * sizeof *values);

    if (!values)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %" PRId64 " weights", n);
    m->values[2 * layer + kind] = values;
    m->sizes[2 * layer + kind] = n;
    for (int64_t i = 0; i < n; i++) {
        double u = rng_uniform(seed, (uint32_t)i, (uint32_t)(i >> 32), (uint32_t)(2 * layer + kind),
                               STREAM_INIT);
        values[i] = (float)((2 * u - 1) * bound);
    }
    return 0;
}

static int make_layers(struct weights *m, const int64_t *widths, size_t layers, uint64_t seed,
                       struct sewa_error *err)
{
    m->network.layers = calloc(layers, sizeof *m->network.layers);
    if (!m->network.layers)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu layers", layers);
    for (size_t i = 0; i < layers; i++) {
        double bound = 1 / sqrt((double)widths[i]);
        m->network.layers[m->network.count++] =
            (struct network_layer){ .number = (int64_t)i,
                                    .inputs = (int)widths[i],
                                    .outputs = (int)widths[i + 1],
                                    .weight = 2 * i,
                                    .bias = 2 * i + 1 };
        if (widths[i + 1] > m->network.widest)
            m->network.widest = (int)widths[i + 1];
        int rc = draw(m, i, 0, widths[i] * widths[i + 1], bound, seed, err);
        if (rc == 0)
            rc = draw(m, i, 1, widths[i + 1], bound, seed, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int weights_make(struct weights *m, const int64_t *widths, size_t width_count, uint64_t seed,
                 struct sewa_error *err)
{
    *m = (struct weights){ 0 };
    int rc = make_lists(m, 2 * (width_count - 1), err);
    if (rc == 0)
        rc = make_layers(m, widths, width_count - 1, seed, err);
    if (rc < 0)
        weights_clear(m);
    return rc;
}

/* ---- to a file ---- */

const char *weights_file_name(int64_t step, char ret[48])
{
    snprintf(ret, 48, "step-%" PRId64 ".safetensors", step);
    return ret;
}

/* What safetensors_header() wants, of one tensor, with the memory behind its pointers. */
struct named_item {
    char name[64];
    int64_t shape[2];
};

static void describe(const struct weights *m, size_t i, struct named_item *memory,
                     struct safetensors_item *ret)
{
    const struct network_layer *l = &m->network.layers[i / 2];
    bool is_weight = i % 2 == 0;

    snprintf(memory->name, sizeof memory->name, "layers.%" PRId64 ".%s", l->number,
             is_weight ? "weight" : "bias");
    memory->shape[0] = l->outputs;
    memory->shape[1] = l->inputs;
    *ret = (struct safetensors_item){
        .name = memory->name, .dtype = DTYPE_F32, .rank = is_weight ? 2 : 1, .shape = memory->shape
    };
}

static int build(const struct weights *m, int64_t step, uint64_t seed, struct buf *ret,
                 struct sewa_error *err)
{
    AUTOFREE struct safetensors_item *items = calloc(m->count, sizeof *items);
    AUTOFREE struct named_item *memory = calloc(m->count, sizeof *memory);
    char step_text[24], seed_text[24];
    struct layout_metadata metadata[] = { { "step", step_text }, { "seed", seed_text } };

    if (!items || !memory)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to save %zu tensors", m->count);
    snprintf(step_text, sizeof step_text, "%" PRId64, step);
    snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed);
    for (size_t i = 0; i < m->count; i++)
        describe(m, i, &memory[i], &items[i]);
    int rc = safetensors_header(items, m->count, metadata, COUNT_OF(metadata), ret, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < m->count; i++)
        buf_append(ret, m->values[i], (size_t)m->sizes[i] * sizeof(float));
    return buf_failed(ret)
               ? sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to save step %" PRId64, step)
               : 0;
}

int weights_save(const struct weights *m, const char *directory, int64_t step, uint64_t seed,
                 bool is_durable, struct sewa_error *err)
{
    AUTO(buf_clear) struct buf bytes = { 0 };
    char name[48];

    int rc = build(m, step, seed, &bytes, err);
    if (rc < 0)
        return rc;
    return (is_durable ? file_publish : file_replace)(directory, weights_file_name(step, name),
                                                      0644, bytes.data, bytes.len, err);
}
