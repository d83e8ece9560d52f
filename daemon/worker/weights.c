/*
 * weights - candidates in memory, or streamed.
 */
#include "worker/weights.h"

#include <stdlib.h>

#include "engine/resident.h"
#include "engine/stream.h"

struct weights {
    struct resident *resident; /* one of the two */
    struct stream *stream;
    int64_t told_bytes;
};

static int open_resident(struct weights *w, const struct engine *e, const struct weights_options *o,
                         struct sewa_error *err)
{
    struct resident_options r = { .candidates = o->candidates,
                                  .count = o->count,
                                  .memory_budget_bytes = o->memory_bytes,
                                  .allow_nonfinite = o->allow_nonfinite,
                                  .cancel = o->cancel };

    return resident_open(e, &r, &w->resident, err);
}

static int open_stream(struct weights *w, const struct engine *e, const struct weights_options *o,
                       struct sewa_error *err)
{
    struct stream_options s = { .candidates = o->candidates,
                                .count = o->count,
                                .memory_budget_bytes = o->memory_bytes,
                                .allow_nonfinite = o->allow_nonfinite,
                                .cancel = o->cancel };

    return stream_open(e, &s, &w->stream, err);
}

int weights_open(const struct engine *e, const struct weights_options *o, struct weights **ret,
                 struct sewa_error *err)
{
    AUTOPTR(weights_close) struct weights *w = calloc(1, sizeof *w);

    if (!w)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu checkpoints", o->count);
    int rc = o->streams ? open_stream(w, e, o, err) : open_resident(w, e, o, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(w);
    return 0;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    resident_close(w->resident);
    stream_close(w->stream);
    free(w);
}

struct source *weights_source(struct weights *w)
{
    return w->stream ? stream_source(w->stream) : resident_source(w->resident);
}

const struct model *weights_model(const struct weights *w)
{
    return w->stream ? stream_model(w->stream) : resident_model(w->resident);
}

int64_t weights_take_bytes_read(struct weights *w)
{
    int64_t all = w->stream ? stream_bytes_read(w->stream) : resident_bytes_read(w->resident);
    int64_t fresh = all - w->told_bytes;

    w->told_bytes = all;
    return fresh;
}
