/*
 * relations - what options of a configuration demand of each other.
 */
#include "config/relations.h"

#include <string.h>

#include "base/path.h"

static int check_same_files(const struct config *c, struct sewa_error *err)
{
    for (size_t i = 0; i < c->run_count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct config_source *a = &c->runs[j], *b = &c->runs[i];
            if (strcmp(a->path, b->path) == 0 && strcmp(a->pattern, b->pattern) == 0)
                return sewa_fail(err, SEWA_E_CONFIG,
                                 "%s: run '%s' has the path and the pattern of run '%s' (%s)",
                                 b->origin, b->name, a->name, a->origin);
        }
    for (size_t i = 0; i < c->root_count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct config_source *a = &c->roots[j], *b = &c->roots[i];
            if (strcmp(a->path, b->path) == 0)
                return sewa_fail(err, SEWA_E_CONFIG, "%s: root '%s' has the path of root '%s' (%s)",
                                 b->origin, b->name, a->name, a->origin);
        }
    return 0;
}

/* A run sees its own directory, a root also those one level below. */
static bool sees(const struct config_source *s, bool is_root, const char *directory)
{
    if (path_is_under(s->path, directory))
        return true;
    return is_root && path_is_under(directory, s->path);
}

static int check_own_output(const struct config *c, const struct config_source *sources,
                            size_t count, bool is_root, struct sewa_error *err)
{
    const struct {
        const char *name, *path;
    } own[] = {
        { "state_directory", c->state_directory },
        { "artifact_directory", c->artifact_directory },
    };

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < COUNT_OF(own); j++)
            if (own[j].path[0] && sees(&sources[i], is_root, own[j].path))
                return sewa_fail(err, SEWA_E_CONFIG,
                                 "%s: path '%s' would find what the service writes itself (%s is "
                                 "'%s')",
                                 sources[i].origin, sources[i].path, own[j].name, own[j].path);
    return 0;
}

/* Two workers on one device would take each other's memory. */
static int check_devices(const struct config *c, struct sewa_error *err)
{
    const struct config_list *d = &c->device_slots;

    for (size_t i = 0; i < d->count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(d->items[i], d->items[j]) == 0)
                return config_mistake(c, "device_slots", err, "device_slots has '%s' twice",
                                      d->items[i]);
    return 0;
}

int relations_check(const struct config *c, struct sewa_error *err)
{
    int rc = check_same_files(c, err);

    if (rc == 0)
        rc = check_devices(c, err);
    if (rc == 0)
        rc = check_own_output(c, c->runs, c->run_count, false, err);
    if (rc == 0)
        rc = check_own_output(c, c->roots, c->root_count, true, err);
    return rc;
}
