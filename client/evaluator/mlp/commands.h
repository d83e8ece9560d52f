/*
 * commands - what sewa-mlp can be told to do. Each gets the arguments behind its name and returns
 * the exit status: 0, 1 for a failure, 2 for a mistake in the arguments.
 */
#ifndef MLP_COMMANDS_H
#define MLP_COMMANDS_H

#include "sewa/error.h"

#include <stdbool.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_train(int argc, char *const *argv);
int command_evaluate(int argc, char *const *argv);
int command_serve(int argc, char *const *argv);

/* "sewa-mlp train: <text>" on stderr; returns status. */
int command_failed(const char *command, const struct sewa_error *err, int status);

/* Whether --help is among the arguments, before any "--". */
bool command_wants_help(int argc, char *const *argv);

#endif
