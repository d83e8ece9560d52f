/*
 * weights - a network with weights of its own: read from a file for evaluate, made for train.
 */
#ifndef MLP_WEIGHTS_H
#define MLP_WEIGHTS_H

#include "network.h"

struct weights {
    struct network network;
    size_t count;   /* tensors; only those of the network have values */
    float **values; /* [count], NULL where the network has no use for it */
    int64_t *sizes; /* [count], elements */
};

/* Zero-filled is empty. */
void weights_clear(struct weights *m);

/* The weights of a safetensors file as float32. */
int weights_load(struct weights *m, const char *path, struct sewa_error *err);

/*
 * Widths 64, 48, 10 make two layers. Weights and biases are uniform within 1 / sqrt(inputs), as
 * nn.Linear has them, drawn by seed. Tensor 2 i is the weight and 2 i + 1 the bias of layer i.
 */
int weights_make(struct weights *m, const int64_t *widths, size_t width_count, uint64_t seed,
                 struct sewa_error *err);

/*
 * Publish a made model as directory/step-<step>.safetensors, atomically; with is_durable it has
 * been synced when this returns. seed goes into the metadata.
 */
int weights_save(const struct weights *m, const char *directory, int64_t step, uint64_t seed,
                 bool is_durable, struct sewa_error *err);

/* "step-1510.safetensors" */
const char *weights_file_name(int64_t step, char ret[48]);

/* Streams of random numbers that one seed has (see base/rng.h). */
enum { STREAM_INIT, STREAM_LABELS, STREAM_BATCHES };

#endif
