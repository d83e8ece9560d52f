/*
 * config - defaults, overriding from the command line, and what options say about each other.
 */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/check.h"
#include "config/fields.h"
#include "config/relations.h"

int config_defaults(struct config **ret, struct sewa_error *err)
{
    AUTOPTR(config_free) struct config *c = calloc(1, sizeof *c);

    if (!c)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the configuration");
    int rc = fields_set_defaults(SCOPE_SERVICE, c, err);
    if (rc == 0)
        rc = fields_set_defaults(SCOPE_SLURM, &c->slurm, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(c);
    return 0;
}

static void clear_sources(enum scope scope, struct config_source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fields_clear(scope, &sources[i]);
        free(sources[i].name);
        free(sources[i].origin);
    }
    free(sources);
}

void config_free(struct config *c)
{
    if (!c)
        return;
    clear_sources(SCOPE_RUN, c->runs, c->run_count);
    clear_sources(SCOPE_ROOT, c->roots, c->root_count);
    for (size_t i = 0; i < c->evaluator_count; i++) {
        fields_clear(SCOPE_EVALUATOR, &c->evaluators[i]);
        free(c->evaluators[i].name);
        free(c->evaluators[i].origin);
    }
    free(c->evaluators);
    fields_clear(SCOPE_SLURM, &c->slurm);
    free(c->slurm.origin);
    for (size_t i = 0; c->origins && i < field_count; i++)
        free(c->origins[i]);
    free(c->origins);
    fields_clear(SCOPE_SERVICE, c);
    free(c);
}

int config_override(struct config *c, const char *name, const char *value, struct sewa_error *err)
{
    const struct field *f = field_find(SCOPE_SERVICE, name);

    if (!f || (f->shape != SHAPE_TEXT && f->shape != SHAPE_WORD))
        return sewa_fail(err, SEWA_E_NOT_FOUND, "there is no option '%s' to override", name);
    int rc = field_set(f, c, value, err);
    if (rc < 0)
        return rc;
    if (c->origins) {
        free(c->origins[f - fields]);
        c->origins[f - fields] = NULL; /* no line of a file is to blame any more */
    }
    return relations_check(c, err);
}

const char *config_origin(const struct config *c, const char *name)
{
    const struct field *f = field_find(SCOPE_SERVICE, name);

    return f && c->origins ? c->origins[f - fields] : NULL;
}

int config_mistake(const struct config *c, const char *name, struct sewa_error *err,
                   const char *format, ...)
{
    const char *origin = config_origin(c, name);
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return sewa_fail(err, SEWA_E_CONFIG, "%s%s%s", origin ? origin : "", origin ? ": " : "", text);
}

void config_needs_restart(const struct config *running, const struct config *fresh,
                          void (*say)(const char *line))
{
    for (size_t i = 0; i < field_count; i++) {
        AUTO(buf_clear) struct buf line = { 0 };
        const struct field *f = &fields[i];
        const char *origin = f->scope == SCOPE_SERVICE ? config_origin(fresh, f->option.name) : "";
        if (f->when != WHEN_RESTART || field_is_equal(f, running, fresh))
            continue;
        if (origin)
            buf_printf(&line, "%s: ", origin);
        buf_printf(&line, "%s needs a restart: until then it stays ", f->option.name);
        field_show(f, running, &line);
        buf_text(&line, ", and does not become ");
        field_show(f, fresh, &line);
        say(buf_cstr(&line));
    }
}

bool config_is_loopback(const struct config *c)
{
    return config_address_is_loopback(c->listen);
}
