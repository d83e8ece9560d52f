/*
 * config - the configuration file as plain data.
 *
 * The syntax is libconfuse's, with what it lets pass made a mistake (config/source.h), and an
 * include of our own that takes a wildcard and is relative to the file it stands in.
 * A mistake is SEWA_E_CONFIG with the text "FILE:LINE: what is wrong".
 * Only app.c sees the whole; every room gets a small options struct of its own.
 * Thread: one load at a time, because libconfuse's lexer is global. A loaded struct is only read.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "sewa/error.h"

enum config_authentication { CONFIG_NO_AUTHENTICATION, CONFIG_TOKENS };

struct config_list {
    char **items;
    size_t count;
};

/* run "name" { } is one directory; root "name" { } is one whose directories are runs. */
struct config_source {
    char *name;
    char *path;      /* absolute, clean */
    char *pattern;   /* base/pattern.h; "": by the rule of ingest/name.h */
    char *state_key; /* "": the usual ones */
    char *marker;    /* watch/candidate.h; "": none */
    int64_t settle_seconds;
    char *origin; /* "FILE:LINE" where the section begins */
};

struct config_evaluator {
    char *name;
    struct config_list command; /* at least one, the first is not empty */
    char *directory;            /* "": where the worker runs */
    struct config_list environment;
    int64_t timeout_seconds;
    int64_t start_timeout_seconds;
    int64_t memory_mib; /* 0: nothing is set aside */
    char *options;      /* text of a JSON object */
    char *origin;
};

struct config_slurm {
    bool is_given;
    char *partition;
    char *gres;
    char *time;
    char *callback;
    int64_t max_workers;
    char *origin; /* NULL when it is not given */
};

struct config {
    char *listen; /* "127.0.0.1:8787" or "[::1]:8787" */
    char *admin_socket;
    char *state_directory;
    char *artifact_directory; /* "": artifacts/ in the state directory */
    int authentication;       /* enum config_authentication */
    int log_level;            /* enum log_level of base/log.h */
    int64_t scan_interval_seconds;
    int64_t settle_seconds;
    struct config_list allowed_roots;
    struct config_list device_slots;
    int64_t local_workers;
    int64_t worker_threads;
    int64_t worker_memory_mib;
    struct config_source *runs;
    size_t run_count;
    struct config_source *roots;
    size_t root_count;
    struct config_evaluator *evaluators;
    size_t evaluator_count;
    struct config_slurm slurm;
    char **origins; /* for config_origin() */
};

/*
 * Read a file and what it includes. SEWA_E_NOT_FOUND when the file itself does not exist, SEWA_E_IO
 * when it cannot be read, SEWA_E_CONFIG for a mistake in it.
 */
int config_load(const char *path, struct config **ret, struct sewa_error *err);

/* What holds without any file. */
int config_defaults(struct config **ret, struct sewa_error *err);

void config_free(struct config *c);
AUTOPTR_DEFINE(config_free, struct config);

/*
 * Set an option outside the sections that holds one text or word, for the command line; checked
 * like a line of the file, relations to other options included. SEWA_E_NOT_FOUND when there is no
 * such option.
 */
int config_override(struct config *c, const char *name, const char *value, struct sewa_error *err);

/* "FILE:LINE" where an option outside of all sections was set; NULL when no file sets it. */
const char *config_origin(const struct config *c, const char *name);

/* A mistake in the value of such an option, beginning with its origin if it has one. */
int config_mistake(const struct config *c, const char *name, struct sewa_error *err,
                   const char *format, ...) SEWA_PRINTF(4, 5);

/*
 * Options outside of the sections that differ, and that a running service cannot take over: a line
 * with both values for each.
 */
void config_needs_restart(const struct config *running, const struct config *fresh,
                          void (*say)(const char *line));

/* Whether only this machine can reach the address in listen. */
bool config_is_loopback(const struct config *c);

/* ---- the table, for help texts and tests ---- */

struct config_option {
    const char *section;       /* "", "run", "root", "evaluator" or "launcher" */
    const char *name;          /* "listen" */
    const char *default_value; /* as it would stand in the file; NULL: it must be given */
    const char *help;
};

/* What an option outside of all sections has when the file does not say; NULL when there is none.
 */
const char *config_default(const char *name);

/* Row i of options.def, or NULL past its end. */
const struct config_option *config_option_at(size_t i);

#endif
