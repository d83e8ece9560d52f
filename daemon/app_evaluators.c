/*
 * app_evaluators - evaluators as JSON.
 */
#include "app_evaluators.h"

#include <string.h>

#include "base/json.h"

static json_t *strings(const struct config_list *list)
{
    AUTOJSON json_t *a = json_array();

    for (size_t i = 0; a && i < list->count; i++)
        if (json_array_append_new(a, json_string(list->items[i])) < 0)
            return NULL;
    return TAKE(a);
}

static json_t *one(const struct config_evaluator *e)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "name", json_string(e->name));
    rc |= json_put(o, "command", strings(&e->command));
    rc |= json_put(o, "directory", json_string(e->directory));
    rc |= json_put(o, "environment", strings(&e->environment));
    rc |= json_put(o, "timeout_ms", json_integer(e->timeout_seconds * 1000));
    rc |= json_put(o, "start_timeout_ms", json_integer(e->start_timeout_seconds * 1000));
    rc |= json_put(o, "memory_mib", json_integer(e->memory_mib));
    rc |= json_put(o, "options", json_parse(e->options, strlen(e->options), NULL));
    return rc < 0 ? NULL : TAKE(o);
}

json_t *app_evaluators(const struct config *c)
{
    AUTOJSON json_t *all = json_object();

    for (size_t i = 0; all && i < c->evaluator_count; i++)
        if (json_put(all, c->evaluators[i].name, one(&c->evaluators[i])) < 0)
            return NULL;
    return TAKE(all);
}
