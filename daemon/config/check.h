/*
 * check - is this text a value that an option may have? One function for each kind in options.def.
 *
 *     NUMBER             decimal digits; its range is the option's
 *     AUTHENTICATION     none, tokens
 *     LOG_LEVEL          error, warn, info, debug
 *     TEXT               UTF-8 without control characters; may be empty
 *     ADDRESS            127.0.0.1:8787 or [::1]:8787; no names, which would have to be looked up
 *     PATH               absolute, no empty, "." or ".." part, no slash at the end
 *     JSON_OBJECT        the text of one
 *     OPTIONAL_PATH, OPTIONAL_PATTERN (base/pattern.h), OPTIONAL_MARKER, OPTIONAL_DURATION (as
 *     sbatch --time takes it), OPTIONAL_URL (http or https): or empty
 *     PATH_LIST, TEXT_LIST, WORD_LIST (not empty, no comma), ENVIRONMENT_LIST (NAME=VALUE, NAME
 *     does not begin with SEWA_): each item of the list
 *
 * The text of a failure is what comes behind "FILE:LINE: ". Pure. Thread: any.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "sewa/error.h"

enum config_kind {
    KIND_NUMBER,
    KIND_AUTHENTICATION,
    KIND_LOG_LEVEL,
    KIND_TEXT,
    KIND_ADDRESS,
    KIND_PATH,
    KIND_JSON_OBJECT,
    KIND_OPTIONAL_PATH,
    KIND_OPTIONAL_PATTERN,
    KIND_OPTIONAL_MARKER,
    KIND_OPTIONAL_DURATION,
    KIND_OPTIONAL_URL,
    KIND_PATH_LIST,
    KIND_TEXT_LIST,
    KIND_WORD_LIST,
    KIND_ENVIRONMENT_LIST,
};

/*
 * 0 or SEWA_E_CONFIG (SEWA_E_NO_MEMORY for JSON). @name is used in the message. @min and @max are
 * the range of a number; @max is the most bytes of a text and is not looked at for items of a list.
 */
int config_check(enum config_kind kind, const char *name, const char *value, int64_t min,
                 int64_t max, struct sewa_error *err);

/* The number of a value that config_check() has accepted. */
int64_t config_number(const char *value);

/* Which of its kind's words a value is: the index in the order above; -1 for none of them. */
int config_word(enum config_kind kind, const char *value);

/* The word of that index. */
const char *config_word_text(enum config_kind kind, int word);

/* Whether an address that config_check() accepts is one of the loopback interface. */
bool config_address_is_loopback(const char *address);

#endif
