/*
 * api_read - a read that may take long: on the pool, with a connection of its own. The request is
 * held meanwhile; when the server closes first, the answer is thrown away.
 */
#include <string.h>

#include "http/api_body.h"

static void run(struct work *base)
{
    struct api_read *r = container_of(base, struct api_read, base);
    AUTOPTR(db_close) struct db *db = NULL;

    base->rc = db_open(r->path, DB_READ, &db, &base->err);
    if (base->rc == 0)
        base->rc = r->read(r, db, &base->err);
}

static void finish(struct api_read *r)
{
    free(r->path);
    r->release(r);
}

static void done(struct work *base)
{
    struct api_read *r = container_of(base, struct api_read, base);

    if (r->rq)
        r->rq->on_lost = NULL;
    if (r->rq && base->rc < 0)
        reply_error(r->rq, &base->err);
    else if (r->rq)
        r->answer(r);
    finish(r);
}

static void on_lost(struct request *rq)
{
    ((struct api_read *)rq->user)->rq = NULL;
}

static int submit(struct api *a, struct api_read *r, struct sewa_error *err)
{
    r->base.run = run;
    r->base.done = done;
    r->path = strdup(store_path(a->o.store));
    return r->path ? work_submit(a->o.loop, &r->base, err)
                   : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the request");
}

void api_read_submit(struct api *a, struct request *rq, struct api_read *r)
{
    struct sewa_error err;

    r->rq = rq;
    int rc = r->begin(a, rq, r, &err);
    if (rc >= 0)
        rc = submit(a, r, &err);
    if (rc < 0) {
        reply_error(rq, &err);
        finish(r);
        return;
    }
    rq->user = r;
    rq->on_lost = on_lost;
    request_hold(rq);
}
