/*
 * command_train - `sewa-mlp train`: from arguments to training, and what it says at the end.
 */
#include "commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/path.h"
#include "train.h"

struct train_command {
    struct train_options options;
    const char *layers;
    int64_t seed;
    bool as_json;
};

enum { TABLE_ROWS = 24 };

static void fill_table(struct train_command *c, struct argument table[TABLE_ROWS])
{
    struct train_options *o = &c->options;
    struct settings *s = &o->settings;
    const struct argument rows[] = {
        { "data", "FILE", "safetensors with train.x [n, d] and train.y (needed)",
          .text = &s->data },
        { "out", "DIRECTORY", "where checkpoints go, made when it is missing (needed)",
          .text = &o->directory },
        { "layers", "A,B,...", "widths from features to outputs, as 64,48,10 (needed)",
          .text = &c->layers },
        { "steps", "N", "steps after the burn-in (1000)", .integer = &o->steps, .most = INT32_MAX },
        { "burn-in", "N", "steps before the first checkpoint can come (0)", .integer = &o->burn_in,
          .most = INT32_MAX },
        { "every", "N", "a checkpoint every N steps (10)", .integer = &o->every, .least = 1,
          .most = INT32_MAX },
        { "batch", "N", "examples of a step (16)", .integer = &o->batch, .least = 1,
          .most = 1000000 },
        { "rate", "X", "learning rate (0.03)", .real = &o->rate, .high = 1e6 },
        { "momentum", "X", "(0.9)", .real = &o->momentum, .high = 1 },
        { "weight-decay", "X", "(0.0001)", .real = &o->weight_decay, .high = 1e6 },
        { "label-noise", "X", "share of training labels drawn at random (0)",
          .real = &o->label_noise, .high = 1 },
        { "seed", "N", "decides every random number (0)", .integer = &c->seed, .most = INT64_MAX },
        { "activation", "WORD", "relu, tanh, gelu (relu)", .word = &s->activation,
          .words = activation_words },
        { "loss", "WORD", "cross_entropy, mse (auto: by the type of y)", .word = &s->loss,
          .words = loss_words },
        { "output-activation", "WORD", "none, tanh (none)", .word = &s->output_activation,
          .words = output_words },
        { "output-scale", "X", "outputs are multiplied by it (1)", .real = &s->output_scale,
          .low = -1e30, .high = 1e30 },
        { "fsync", NULL, "sync each checkpoint to disk", .flag = &o->is_durable },
        { "overwrite", NULL, "replace checkpoints that are there", .flag = &o->overwrite },
        { "json", NULL, "print the summary as JSON", .flag = &c->as_json },
        { 0 },
    };

    _Static_assert(sizeof rows <= TABLE_ROWS * sizeof *table, "the table is too small");
    memcpy(table, rows, sizeof rows);
}

static int parse_layers(const char *text, struct train_options *o, struct sewa_error *err)
{
    while (*text) {
        char number[16];
        size_t n = strcspn(text, ",");
        if (o->width_count == TRAIN_WIDTHS_MAX)
            return sewa_fail(err, SEWA_E_INVALID, "--layers has more than %d widths",
                             TRAIN_WIDTHS_MAX);
        snprintf(number, sizeof number, "%.*s", (int)(n < sizeof number ? n : sizeof number - 1),
                 text);
        if (parse_i64(number, 1, 1000000, &o->widths[o->width_count++]) < 0)
            return sewa_fail(err, SEWA_E_INVALID,
                             "--layers has the width '%s', allowed is 1 to 1000000", number);
        text += n;
        if (*text == ',' && *++text == '\0')
            return sewa_fail(err, SEWA_E_INVALID, "--layers ends with a comma");
    }
    return o->width_count >= 2
               ? 0
               : sewa_fail(err, SEWA_E_INVALID, "--layers has %zu widths, at least 2 are needed",
                           o->width_count);
}

static int parse(struct train_command *c, int argc, char *const *argv, struct sewa_error *err)
{
    struct argument table[TABLE_ROWS];
    int positional;

    fill_table(c, table);
    int rc = arguments_parse(table, argc, argv, NULL, 0, &positional, err);
    if (rc < 0)
        return rc;
    if (!c->options.settings.data || !c->options.directory || !c->layers)
        return sewa_fail(err, SEWA_E_INVALID, "--%s is missing",
                         !c->options.settings.data ? "data"
                         : !c->options.directory   ? "out"
                                                   : "layers");
    c->options.seed = (uint64_t)c->seed;
    return parse_layers(c->layers, &c->options, err);
}

static int show(const struct train_command *c, const struct train_result *r)
{
    if (!c->as_json)
        return printf("%" PRId64 " checkpoints in '%s', steps %" PRId64 " to %" PRId64
                      ", training loss %.6g\n",
                      r->checkpoints, c->options.directory, r->first_step, r->last_step,
                      r->loss) < 0;
    AUTOJSON json_t *o = json_pack("{s:s,s:I,s:I,s:I,s:o}", "directory", c->options.directory,
                                   "checkpoints", (json_int_t)r->checkpoints, "first_step",
                                   (json_int_t)r->first_step, "last_step", (json_int_t)r->last_step,
                                   "training_loss", json_number_or_null(r->loss));
    AUTOFREE char *text = o ? json_text(o) : NULL;
    return !text || puts(text) < 0;
}

static int help(const struct train_command *c)
{
    struct argument table[TABLE_ROWS];

    fill_table((struct train_command *)(uintptr_t)c, table);
    puts("usage: sewa-mlp train --data FILE --out DIRECTORY --layers A,B,... [ARGUMENTS]\n"
         "Train a fully connected network by SGD with momentum and write checkpoints\n"
         "step-N.safetensors, each under its final name only when it is whole. The same arguments\n"
         "give the same bytes.\n");
    arguments_show(table, stdout);
    return 0;
}

static int train(struct train_command *c, struct train_result *ret, struct sewa_error *err)
{
    AUTO(data_clear) struct data data;

    int rc = data_load(&data, c->options.settings.data, err);
    return rc < 0 ? rc : train_run(&c->options, &data, ret, err);
}

int command_train(int argc, char *const *argv)
{
    struct train_command c = { .options = { .settings = SETTINGS_DEFAULT,
                                            .steps = 1000,
                                            .every = 10,
                                            .batch = 16,
                                            .rate = 0.03,
                                            .momentum = 0.9,
                                            .weight_decay = 1e-4 } };
    struct train_result result;
    struct sewa_error err = { 0 };

    if (command_wants_help(argc, argv))
        return help(&c);
    if (parse(&c, argc, argv, &err) < 0)
        return command_failed("train", &err, EXIT_USAGE);
    if (train(&c, &result, &err) < 0)
        return command_failed("train", &err, EXIT_FAILED);
    return show(&c, &result) ? EXIT_FAILED : 0;
}
