/*
 * nearest - what somebody may have meant who wrote something that does not exist. Pure.
 */
#ifndef CLI_NEAREST_H
#define CLI_NEAREST_H

#include "options.h"

/* The option that is few letters away, or NULL. */
const char *nearest_option(const struct option *own, const struct option *globals, const char *name,
                           size_t n);

/* The same among the verbs of a noun, or among the nouns when it is NULL. */
const char *nearest_word(const struct cli *cli, const char *noun, const char *word);

#endif
