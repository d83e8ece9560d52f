/*
 * sewa-mlp - fully connected networks: train one, judge checkpoints, serve as an evaluator.
 *
 * It makes the first job possible without Python, and is the worked example of evaluator.h.
 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "sewa/version.h"

static const struct {
    const char *name;
    int (*run)(int argc, char *const *argv);
    const char *help;
} commands[] = {
    { "train", command_train, "train a network and write a checkpoint every few steps" },
    { "evaluate", command_evaluate, "loss and accuracy of safetensors files" },
    { "serve", command_serve, "answer sewa-worker: the evaluator, for sewad.conf" },
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static int usage(FILE *to, int status)
{
    fputs("usage: sewa-mlp COMMAND [ARGUMENTS]\n"
          "Fully connected networks, found by tensor names layers.N.weight and layers.N.bias.\n\n",
          to);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\n`sewa-mlp COMMAND --help` says more.\n", to);
    return status;
}

int command_failed(const char *command, const struct sewa_error *err, int status)
{
    fprintf(stderr, "sewa-mlp %s: %s\n", command, err->text);
    if (status == EXIT_USAGE)
        fprintf(stderr, "`sewa-mlp %s --help` shows what there is.\n", command);
    return status;
}

bool command_wants_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
        return usage(stdout, 0);
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return puts("sewa-mlp " SEWA_VERSION) < 0;
    for (int i = 0; argc > 1 && i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    if (argc > 1)
        fprintf(stderr, "sewa-mlp: there is no command '%.60s'\n\n", argv[1]);
    return usage(stderr, EXIT_USAGE);
}
