/*
 * config_file - "key = value", one a line, for people who always talk to the same service. Pure.
 *
 *     # comment
 *     url = http://127.0.0.1:8787
 *     token_file = /etc/sewa/token
 */
#ifndef CLI_CONFIG_FILE_H
#define CLI_CONFIG_FILE_H

#include "sewa/error.h"

#include <stddef.h>

enum config_key {
    CONFIG_URL,             /* as --url */
    CONFIG_SOCKET,          /* as --socket */
    CONFIG_TOKEN,           /* the token itself: the file should be nobody else's to read */
    CONFIG_TOKEN_FILE,      /* as --token-file */
    CONFIG_REQUEST_TIMEOUT, /* as --request-timeout, seconds */
    CONFIG_COLOR,           /* yes or no */
    CONFIG_KEY_COUNT,
};

struct config_file {
    char *values[CONFIG_KEY_COUNT]; /* NULL: not in the file */
};

/* Values may stand in double quotes. SEWA_E_CONFIG: "NAME:LINE: what is wrong". @text is changed.
 */
int config_file_parse(char *text, const char *name, struct config_file *ret,
                      struct sewa_error *err);
void config_file_clear(struct config_file *c);

#endif
