/*
 * command_evaluate - `sewa-mlp evaluate FILE...`: what the evaluator would say, without a host.
 */
#include "commands.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "base/json.h"
#include "base/path.h"
#include "compute.h"
#include "weights.h"

enum { TABLE_ROWS = 9, FILES_MAX = 10000 };

struct evaluate_command {
    struct settings settings;
    int part;
    bool as_json;
};

static void fill_table(struct evaluate_command *c, struct argument table[TABLE_ROWS])
{
    struct settings *s = &c->settings;
    const struct argument rows[TABLE_ROWS] = {
        { "data", "FILE", "safetensors with the examples (needed)", .text = &s->data },
        { "split", "WORD", "train, selection, report (report)", .word = &c->part,
          .words = part_names },
        { "activation", "WORD", "relu, tanh, gelu (relu)", .word = &s->activation,
          .words = activation_words },
        { "loss", "WORD", "cross_entropy, mse (auto: by the type of y)", .word = &s->loss,
          .words = loss_words },
        { "output-activation", "WORD", "none, tanh (none)", .word = &s->output_activation,
          .words = output_words },
        { "output-scale", "X", "outputs are multiplied by it (1)", .real = &s->output_scale,
          .low = -1e30, .high = 1e30 },
        { "json", NULL, "one JSON object a line", .flag = &c->as_json },
        { 0 },
    };

    memcpy(table, rows, sizeof rows);
}

static int show(const struct evaluate_command *c, const char *file, const struct compute_result *r,
                int64_t examples)
{
    const char *split = part_names[c->part];

    if (!c->as_json) {
        printf("%s: loss %.6g", file, r->loss);
        if (!isnan(r->correct))
            printf(", accuracy %.4f", r->correct);
        return printf(", %" PRId64 " examples of %s\n", examples, split) < 0;
    }
    AUTOFREE char *name = path_to_text(file);
    AUTOJSON json_t *o = json_pack("{s:s,s:s,s:o,s:I}", "file", name ? name : "", "split", split,
                                   "loss", json_number_or_null(r->loss), "examples",
                                   (json_int_t)examples);
    if (o && !isnan(r->correct))
        json_put(o, "accuracy", json_real(r->correct));
    AUTOFREE char *text = o ? json_text(o) : NULL;
    return !text || puts(text) < 0;
}

static int evaluate(const struct evaluate_command *c, const struct data *data, const char *file,
                    struct compute_result *ret, struct sewa_error *err)
{
    AUTO(weights_clear) struct weights weights;
    AUTOPTR(compute_free) struct compute *compute = NULL;
    struct settings settings = c->settings;

    int rc = weights_load(&weights, file, err);
    if (rc == 0)
        rc = data_check(data, (enum part_name)c->part, &weights.network, &settings, err);
    if (rc == 0)
        rc = compute_new(&weights.network, &settings, &compute, err);
    if (rc < 0)
        return rc;
    const struct examples *e = &data->parts[c->part];
    compute_run(compute,
                &(struct compute_request){ .examples = e,
                                           .count = e->count,
                                           .values = (const float *const *)weights.values },
                ret);
    return 0;
}

static int help(struct evaluate_command *c)
{
    struct argument table[TABLE_ROWS];

    fill_table(c, table);
    puts("usage: sewa-mlp evaluate FILE... --data FILE [ARGUMENTS]\n"
         "Loss (and, for labels, accuracy) of the network in each safetensors file.\n");
    arguments_show(table, stdout);
    return 0;
}

static int evaluate_all(const struct evaluate_command *c, const char *const *files, int count)
{
    AUTO(data_clear) struct data data;
    struct compute_result result;
    struct sewa_error err = { 0 };
    int status = 0;

    if (data_load(&data, c->settings.data, &err) < 0)
        return command_failed("evaluate", &err, EXIT_FAILED);
    for (int i = 0; i < count; i++) {
        if (evaluate(c, &data, files[i], &result, &err) < 0)
            status = command_failed("evaluate", &err, EXIT_FAILED);
        else if (show(c, files[i], &result, data.parts[c->part].count))
            status = EXIT_FAILED;
    }
    return status;
}

int command_evaluate(int argc, char *const *argv)
{
    struct evaluate_command c = { .settings = SETTINGS_DEFAULT, .part = PART_REPORT };
    AUTOFREE const char **files = calloc((size_t)argc + 1, sizeof *files);
    struct argument table[TABLE_ROWS];
    struct sewa_error err = { 0 };
    int count = 0, rc;

    if (command_wants_help(argc, argv))
        return help(&c);
    fill_table(&c, table);
    rc = files ? arguments_parse(table, argc, argv, files, FILES_MAX, &count, &err)
               : sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory for %d names", argc);
    if (rc == 0 && (count == 0 || !c.settings.data))
        rc = sewa_fail(&err, SEWA_E_INVALID, "%s is missing", count ? "--data" : "FILE");
    if (rc < 0)
        return command_failed("evaluate", &err, EXIT_USAGE);
    return evaluate_all(&c, files, count);
}
