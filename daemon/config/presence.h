/*
 * presence - what a configuration names and this machine does not have. None of it is a mistake of
 * the file: a directory may come with the training, a program with the next installation.
 * Looks at the file system, as the user who asks, and changes nothing. Not for the loop: what is
 * looked at may lie on a file system that hangs.
 */
#ifndef CONFIG_PRESENCE_H
#define CONFIG_PRESENCE_H

#include "config/config.h"

typedef void presence_fn(const char *line, void *arg);

/* Directories of runs, roots and evaluators, and allowed_roots: "FILE:LINE: what is not there".
 * Those of sewad itself, where the file names them, must be such that it can write to them. */
void presence_directories(const struct config *c, presence_fn *found, void *arg);

/* Programs of evaluators; and a command line that stands in one text, which no shell will split. */
void presence_programs(const struct config *c, presence_fn *found, void *arg);

#endif
