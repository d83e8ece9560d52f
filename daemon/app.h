/*
 * app - sewad as a whole: starts every room in order and stops them in reverse. The only place that
 * has seen the whole configuration.
 */
#ifndef APP_H
#define APP_H

#include "sewa/error.h"

struct app_options {
    const char *config_path;     /* NULL: the usual place if it is there, else defaults */
    const char *state_directory; /* NULL: as configured */
    const char *listen;          /* NULL: as configured */
};

/* Run until a signal ends it. 0, or why it could not start. */
int app_run(const struct app_options *o, struct sewa_error *err);

/*
 * Only read the configuration. 0, or the mistake in it; @found is called for everything that it
 * names and that is not there.
 */
int app_check(const struct app_options *o, void (*found)(const char *line, void *arg), void *arg,
              struct sewa_error *err);

#endif
