/*
 * settings - what the weights alone do not say about a network: its functions and its loss. They
 * come as options of an evaluator (JSON) or as arguments of a command, by the same words.
 */
#ifndef MLP_SETTINGS_H
#define MLP_SETTINGS_H

#include "base/json.h"
#include "sewa/error.h"

enum activation { ACTIVATION_RELU, ACTIVATION_TANH, ACTIVATION_GELU };
enum loss { LOSS_AUTO, LOSS_CROSS_ENTROPY, LOSS_MSE }; /* auto: by the type of y */
enum output_activation { OUTPUT_NONE, OUTPUT_TANH };

/* NULL-terminated, in the order of the enums. */
extern const char *const activation_words[], *const loss_words[], *const output_words[];

struct settings {
    const char *data; /* path of the data file; NULL: not given */
    int activation;   /* between layers */
    int loss;
    int output_activation; /* after the last layer */
    double output_scale;   /* and then times this */
    int64_t batch_size;    /* examples of a numbered minibatch */
};

#define SETTINGS_DEFAULT                    \
    {                                       \
        .output_scale = 1, .batch_size = 32 \
    }

/* From the options of the protocol, which stay owned by the caller and must outlive ret. An option
 * that is not known is SEWA_E_UNKNOWN_FIELD: a typo must not be ignored. */
int settings_parse(const json_t *options, struct settings *ret, struct sewa_error *err);

#endif
