/*
 * network - from names and shapes to layers.
 */
#include "network.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

enum name { NAME_WEIGHT, NAME_BIAS, NAME_OTHER };

/* What "layers.N.weight" is; NAME_OTHER for any other name. "layers.01.weight" is no name of ours:
 * two names would be one layer. */
static enum name parse_name(const char *name, int64_t *ret_number)
{
    static const char prefix[] = "layers.";
    char digits[20];

    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return NAME_OTHER;
    const char *at = name + strlen(prefix);
    size_t n = strspn(at, "0123456789");
    if (n == 0 || n >= sizeof digits || (n > 1 && *at == '0'))
        return NAME_OTHER;
    memcpy(digits, at, n);
    digits[n] = '\0';
    if (parse_i64(digits, 0, INT64_MAX, ret_number) < 0)
        return NAME_OTHER;
    return strcmp(at + n, ".weight") == 0 ? NAME_WEIGHT
           : strcmp(at + n, ".bias") == 0 ? NAME_BIAS
                                          : NAME_OTHER;
}

const char *shape_text(unsigned rank, const int64_t *shape, char ret[96])
{
    size_t at = (size_t)snprintf(ret, 96, "[");

    for (unsigned i = 0; i < rank && at + 24 < 96; i++)
        at += (size_t)snprintf(ret + at, 96 - at, "%s%" PRId64, i ? ", " : "", shape[i]);
    snprintf(ret + at, 96 - at, "]");
    return ret;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const struct network_layer *)a)->number;
    int64_t y = ((const struct network_layer *)b)->number;

    return (x > y) - (x < y);
}

static int add_weight(struct network *n, const struct network_tensor *t, size_t i, int64_t number,
                      struct sewa_error *err)
{
    char shape[96];

    if (t->rank != 2 || t->shape[0] < 1 || t->shape[1] < 1 || t->shape[0] > INT_MAX ||
        t->shape[1] > INT_MAX)
        return sewa_fail(err, SEWA_E_MISMATCH, "tensor '%.100s' is %s, a weight is [out, in]",
                         t->name, shape_text(t->rank, t->shape, shape));
    n->layers[n->count++] = (struct network_layer){ .number = number,
                                                    .outputs = (int)t->shape[0],
                                                    .inputs = (int)t->shape[1],
                                                    .weight = i,
                                                    .bias = NETWORK_NO_BIAS };
    return 0;
}

static int find_weights(struct network *n, const struct network_tensor *tensors, size_t count,
                        struct sewa_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct network_tensor *t = &tensors[i];
        int64_t number;
        enum name part = t->is_float ? parse_name(t->name, &number) : NAME_OTHER;
        int rc = 0;
        if (part == NAME_WEIGHT)
            rc = add_weight(n, t, i, number, err);
        else if (part == NAME_OTHER && t->is_float)
            rc = sewa_fail(err, SEWA_E_MISMATCH,
                           "tensor '%.100s' is no part of a fully connected network "
                           "(layers.N.weight, layers.N.bias)",
                           t->name);
        if (rc < 0)
            return rc;
    }
    qsort(n->layers, n->count, sizeof *n->layers, by_number);
    return n->count ? 0 : sewa_fail(err, SEWA_E_MISMATCH, "no tensor is called 'layers.N.weight'");
}

static int add_bias(struct network *n, const struct network_tensor *t, size_t i, int64_t number,
                    struct sewa_error *err)
{
    struct network_layer key = { .number = number };
    struct network_layer *layer = bsearch(&key, n->layers, n->count, sizeof key, by_number);
    char shape[96];

    if (!layer)
        return sewa_fail(err, SEWA_E_MISMATCH,
                         "tensor '%.100s' is there and 'layers.%" PRId64 ".weight' is not", t->name,
                         number);
    if (t->rank != 1 || t->shape[0] != layer->outputs)
        return sewa_fail(
            err, SEWA_E_MISMATCH, "tensor '%.100s' is %s, its weight [%d, %d] wants [%d]", t->name,
            shape_text(t->rank, t->shape, shape), layer->outputs, layer->inputs, layer->outputs);
    layer->bias = i;
    return 0;
}

static int find_biases(struct network *n, const struct network_tensor *tensors, size_t count,
                       struct sewa_error *err)
{
    for (size_t i = 0; i < count; i++) {
        int64_t number;
        if (!tensors[i].is_float || parse_name(tensors[i].name, &number) != NAME_BIAS)
            continue;
        int rc = add_bias(n, &tensors[i], i, number, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_chain(struct network *n, struct sewa_error *err)
{
    for (size_t i = 0; i < n->count; i++) {
        const struct network_layer *l = &n->layers[i];
        if (i > 0 && l->inputs != l[-1].outputs)
            return sewa_fail(err, SEWA_E_MISMATCH,
                             "'layers.%" PRId64 ".weight' is [%d, %d], but 'layers.%" PRId64
                             ".weight' before it is [%d, %d]",
                             l->number, l->outputs, l->inputs, l[-1].number, l[-1].outputs,
                             l[-1].inputs);
        if (l->outputs > n->widest)
            n->widest = l->outputs;
    }
    return 0;
}

static int find(struct network *n, const struct network_tensor *tensors, size_t count,
                struct sewa_error *err)
{
    int rc = find_weights(n, tensors, count, err);

    if (rc == 0)
        rc = find_biases(n, tensors, count, err);
    return rc < 0 ? rc : check_chain(n, err);
}

int network_find(const struct network_tensor *tensors, size_t count, struct network *ret,
                 struct sewa_error *err)
{
    struct network n = { .layers = calloc(count ? count : 1, sizeof *n.layers) };

    if (!n.layers)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu layers", count);
    int rc = find(&n, tensors, count, err);
    if (rc < 0)
        network_clear(&n);
    else
        *ret = n;
    return rc;
}

void network_clear(struct network *n)
{
    free(n->layers);
    *n = (struct network){ 0 };
}

int network_inputs(const struct network *n)
{
    return n->layers[0].inputs;
}

int network_outputs(const struct network *n)
{
    return n->layers[n->count - 1].outputs;
}
