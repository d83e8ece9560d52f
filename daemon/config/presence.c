/*
 * presence - what a configuration names and this machine does not have.
 */
#include "config/presence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/path.h"
#include "base/program.h"

struct look {
    presence_fn *found;
    void *arg;
};

static void tell(const struct look *l, const char *origin, const char *format, ...)
    SEWA_PRINTF(3, 4);

static void tell(const struct look *l, const char *origin, const char *format, ...)
{
    AUTO(buf_clear) struct buf line = { 0 };
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (origin)
        buf_printf(&line, "%s: ", origin);
    buf_text(&line, text);
    l->found(buf_cstr(&line), l->arg);
}

static void look_at_directory(const struct look *l, const char *origin, const char *whose,
                              const char *name, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        tell(l, origin, "%s%s: there is no directory '%s' (%s)", whose, name, path,
             strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        tell(l, origin, "%s%s: '%s' is not a directory", whose, name, path);
    else if (access(path, R_OK | X_OK) < 0)
        tell(l, origin, "%s%s: directory '%s' cannot be read (%s)", whose, name, path,
             strerror(errno));
}

/* It is made at the start, with what is missing above it. */
static void look_at_own(const struct look *l, const struct config *c, const char *option,
                        const char *path)
{
    const char *origin = config_origin(c, option);
    AUTOFREE char *above = origin && *path ? strdup(path) : NULL;
    struct stat st;
    char *slash;

    if (!above)
        return;
    while (stat(above, &st) < 0 && errno == ENOENT && (slash = strrchr(above, '/')) && slash[1])
        slash[slash == above] = '\0';
    if (stat(above, &st) == 0 && !S_ISDIR(st.st_mode))
        errno = ENOTDIR;
    else if (access(above, W_OK | X_OK) == 0)
        return;
    tell(l, origin, "%s: nothing can be written to '%s' (%s)", option, above, strerror(errno));
}

static void look_at_socket(const struct look *l, const struct config *c)
{
    const char *origin = config_origin(c, "admin_socket"), *slash = strrchr(c->admin_socket, '/');
    AUTOFREE char *directory =
        origin && slash ? strndup(c->admin_socket, (size_t)(slash - c->admin_socket)) : NULL;

    if (directory && *directory)
        look_at_directory(l, origin, "admin_socket", "", directory);
}

void presence_directories(const struct config *c, presence_fn *found, void *arg)
{
    struct look l = { found, arg };

    look_at_own(&l, c, "state_directory", c->state_directory);
    look_at_own(&l, c, "artifact_directory", c->artifact_directory);
    look_at_socket(&l, c);
    for (size_t i = 0; i < c->run_count; i++)
        look_at_directory(&l, c->runs[i].origin, "run ", c->runs[i].name, c->runs[i].path);
    for (size_t i = 0; i < c->root_count; i++)
        look_at_directory(&l, c->roots[i].origin, "root ", c->roots[i].name, c->roots[i].path);
    for (size_t i = 0; i < c->allowed_roots.count; i++)
        look_at_directory(&l, config_origin(c, "allowed_roots"), "allowed_roots", "",
                          c->allowed_roots.items[i]);
    for (size_t i = 0; i < c->evaluator_count; i++) {
        const struct config_evaluator *e = &c->evaluators[i];
        if (*e->directory)
            look_at_directory(&l, e->origin, "evaluator ", e->name, e->directory);
    }
}

/* As the worker will see it: its own, unless the section sets another one. */
static const char *path_of(const struct config_evaluator *e)
{
    const char *path = getenv("PATH");

    for (size_t i = 0; i < e->environment.count; i++)
        if (strncmp(e->environment.items[i], "PATH=", 5) == 0)
            path = e->environment.items[i] + 5;
    return path ? path : "/usr/local/bin:/usr/bin:/bin";
}

/* Of a relative path without a directory nobody knows before the worker runs. */
static bool is_there(const struct config_evaluator *e, const char *program)
{
    AUTOFREE char *path = NULL;

    if (!strchr(program, '/'))
        return program_find(program, path_of(e), &path) != 0;
    if (program[0] != '/' && !*e->directory)
        return true;
    path = path_join(e->directory, program);
    return !path || access(path, X_OK) == 0;
}

void presence_programs(const struct config *c, presence_fn *found, void *arg)
{
    struct look l = { found, arg };

    for (size_t i = 0; i < c->evaluator_count; i++) {
        const struct config_evaluator *e = &c->evaluators[i];
        const char *program = e->command.items[0];
        if (is_there(e, program))
            continue;
        if (e->command.count == 1 && strchr(program, ' '))
            tell(&l, e->origin,
                 "evaluator %s: no shell splits the command '%s': write each word as an item, "
                 "{\"program\", \"argument\"}",
                 e->name, program);
        else if (strchr(program, '/'))
            tell(&l, e->origin, "evaluator %s: there is no program '%s'", e->name, program);
        else
            tell(&l, e->origin, "evaluator %s: there is no program '%s' in PATH '%s'", e->name,
                 program, path_of(e));
    }
}
