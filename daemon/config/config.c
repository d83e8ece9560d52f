/*
 * config - defaults, overriding from the command line, and what options say about each other.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/path.h"
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
    return relations_check(c, err);
}

bool config_is_loopback(const struct config *c)
{
    return config_address_is_loopback(c->listen);
}
