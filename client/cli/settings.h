/*
 * settings - where the service is and how to talk to it: the command line, then the environment,
 * then the user's file, then the machine's. An address is taken from one place as a whole, and so
 * is a token: what a nearer place says hides what a farther one says.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "options.h"

struct settings {
    char *url;          /* NULL: the default of the library */
    char *socket;       /* NULL: TCP */
    char *address_from; /* who said so: "--url", a file; NULL: nobody */
    char *token;        /* NULL: none */
    int64_t timeout_ms; /* 0: the default of the library */
    bool color;         /* nobody has said no */
    char *warning;      /* for people; NULL: nothing to say */
};

#define SETTINGS_SYSTEM_FILE "/etc/sewa/client.conf"

/*
 * @system_file: SETTINGS_SYSTEM_FILE but for tests. The user's file is $XDG_CONFIG_HOME/sewa/config
 * or ~/.config/sewa/config. SEWA_E_CONFIG names the file and the line; SEWA_E_IO a file that cannot
 * be read.
 */
int settings_load(const struct arguments *a, const char *system_file, struct settings *ret,
                  struct sewa_error *err);
void settings_clear(struct settings *s);

#endif
