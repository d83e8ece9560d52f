/*
 * engine - open the team and choose the kernels.
 */
#include "engine/engine.h"

#include <string.h>

int engine_init(struct engine *e, unsigned threads, struct sewa_error *err)
{
    const struct kernels *kernels;
    int rc = kernels_from_environment(&kernels, err);

    if (rc < 0)
        return rc;
    rc = pool_open(threads, &e->pool, err);
    if (rc < 0)
        return rc;
    e->kernels = kernels;
    return 0;
}

void engine_clear(struct engine *e)
{
    pool_close(e->pool);
    memset(e, 0, sizeof *e);
}
