/*
 * download - fetch an artifact, taking up where an earlier attempt ended.
 *
 * What the file must be is known before it is asked for: size and SHA-256 stand in the list of the
 * job's artifacts, and the ETag is the digest. So Range with If-Range can only ever append bytes of
 * the same content; a service that does not know it any more sends the whole.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "cleanup.h"
#include "partfile.h"

enum {
    PROGRESS_MS = 50,
    FRUITLESS_MAX = 4, /* attempts in a row that brought nothing */
    PAUSE_MS = 250,
};

struct fetch {
    struct sewa_sink sink;
    const struct sewa_download *what;
    int64_t size;
    char sha256[SHA256_HEX_SIZE];
    char etag[SHA256_HEX_SIZE + 16];
    struct partfile part;
    int64_t resumed_from;
    int64_t shown_ms;
};

static void cleanup_fetch(struct fetch *f)
{
    sewa_partfile_close(&f->part);
}

static void show(struct fetch *f, bool now)
{
    int64_t now_ms = sewa_clock_ms();

    if (!f->what->progress || (!now && now_ms - f->shown_ms < PROGRESS_MS))
        return;
    f->shown_ms = now_ms;
    f->what->progress(f->what->arg, f->part.size, f->size);
}

/* ---- what is to be fetched ---- */

static int remember(struct fetch *f, const struct sewa_artifact *a, struct sewa_error *err)
{
    if (!sewa_is_sha256(a->sha256) || a->size < 0)
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "artifact '%s' has size %" PRId64 " and SHA-256 '%.80s': is this a sewad?",
                         a->name, a->size, a->sha256);
    f->size = a->size;
    snprintf(f->sha256, sizeof f->sha256, "%s", a->sha256);
    snprintf(f->etag, sizeof f->etag, "\"sha256-%s\"", a->sha256);
    return 0;
}

static int look_up(struct sewa_client *c, struct fetch *f, struct sewa_error *err)
{
    const struct sewa_artifact *found = NULL;
    struct sewa_artifact_list list = { 0 };
    int rc = sewa_artifact_list(c, f->what->job, &list, err);

    for (size_t i = 0; rc == 0 && !found && i < list.count; i++)
        if (strcmp(list.items[i].name, f->what->artifact) == 0)
            found = &list.items[i];
    if (rc == 0 && !found)
        rc = sewa_fail(err, SEWA_E_NOT_FOUND, "job '%s' has no artifact '%.80s'", f->what->job,
                       f->what->artifact);
    if (rc == 0)
        rc = remember(f, found, err);
    sewa_artifact_list_clear(&list);
    return rc;
}

/* ---- one attempt ---- */

/* The digest that comes with the bytes must be the one that the list gave. */
static int check_digest(const struct fetch *f, const struct call *call, struct sewa_error *err)
{
    char offered[SHA256_HEX_SIZE];
    bool there = call->repr_digest[0] ? sewa_repr_digest(call->repr_digest, offered)
                                      : sewa_etag_digest(call->etag, offered);

    if (!there || strcmp(offered, f->sha256) == 0)
        return 0;
    return sewa_fail(err, SEWA_E_CHANGED,
                     "artifact '%s' is offered with SHA-256 %s, the job says %s", f->what->artifact,
                     offered, f->sha256);
}

static int check_rest(const struct fetch *f, const struct call *call, struct sewa_error *err)
{
    int64_t first, size;

    if (!sewa_content_range(call->content_range, &first, &size) || first != f->part.size ||
        size != f->size)
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "asked for bytes %" PRId64 " to the end of %" PRId64 ", got '%.60s'",
                         f->part.size, f->size, call->content_range);
    return 0;
}

static int on_began(struct call *call, struct sewa_error *err)
{
    struct fetch *f = container_of(call->sink, struct fetch, sink);
    int rc = check_digest(f, call, err);

    if (rc < 0)
        return rc;
    if (call->status == 206)
        return check_rest(f, call, err);
    if (call->content_length >= 0 && call->content_length != f->size)
        return sewa_fail(err, SEWA_E_CHANGED,
                         "artifact '%s' has %" PRId64 " bytes, the job says %" PRId64,
                         f->what->artifact, call->content_length, f->size);
    if (f->part.size == 0)
        return 0;
    f->resumed_from = 0; /* the whole comes, although only the rest was asked for */
    return sewa_partfile_restart(&f->part, err);
}

static int on_bytes(struct sewa_sink *self, const void *data, size_t n, struct sewa_error *err)
{
    struct fetch *f = container_of(self, struct fetch, sink);

    if ((int64_t)n > f->size - f->part.size)
        return sewa_fail(err, SEWA_E_PROTOCOL, "artifact '%s' goes on after its %" PRId64 " bytes",
                         f->what->artifact, f->size);
    int rc = sewa_partfile_add(&f->part, data, n, err);
    if (rc == 0)
        show(f, false);
    return rc;
}

static int attempt(struct sewa_client *c, struct fetch *f, struct sewa_error *err)
{
    AUTO(sewa_text_clear) struct text path = { 0 };
    AUTO(sewa_call_clear)
    struct call call = { .method = "GET",
                         .streams = true,
                         .sink = &f->sink,
                         .began = on_began,
                         .range_from = f->part.size,
                         .if_range = f->part.size ? f->etag : NULL };

    sewa_path(&path, "jobs", f->what->job, "artifacts/");
    sewa_text_escape(&path, f->what->artifact);
    if (path.failed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a request");
    call.path = sewa_text_get(&path);
    return sewa_call(c, &call, err);
}

/* Until all bytes are there, or nothing comes any more. */
static int fetch_all(struct sewa_client *c, struct fetch *f, struct sewa_error *err)
{
    int fruitless = 0;

    while (f->part.size < f->size) {
        int64_t before = f->part.size;
        int rc = attempt(c, f, err);
        if (rc == SEWA_E_RANGE && before > 0) {
            rc = sewa_partfile_restart(&f->part, err);
            f->resumed_from = 0;
        }
        if (rc < 0 && rc != SEWA_E_TIMEOUT && !sewa_is_passing(rc))
            return rc;
        fruitless = f->part.size > before ? 0 : fruitless + 1;
        if (fruitless == FRUITLESS_MAX)
            return rc < 0 ? rc
                          : sewa_fail(err, SEWA_E_PROTOCOL,
                                      "artifact '%s' stops after %" PRId64 " of %" PRId64 " bytes",
                                      f->what->artifact, f->part.size, f->size);
        if (f->part.size < f->size && (rc = sewa_nap(c, PAUSE_MS, err)) < 0)
            return rc;
    }
    return 0;
}

/* ---- the whole ---- */

/* 1: the bytes are right. 0: they are not, but they were not all of this attempt. */
static int verify(struct fetch *f, struct sewa_error *err)
{
    char found[SHA256_HEX_SIZE];
    int rc = sewa_sha256_end(&f->part.sha, found, err);

    if (rc < 0)
        return rc;
    if (strcmp(found, f->sha256) == 0)
        return 1;
    if (f->resumed_from > 0) {
        f->resumed_from = 0;
        return sewa_partfile_restart(&f->part, err);
    }
    sewa_partfile_remove(&f->part);
    return sewa_fail(err, SEWA_E_CORRUPT, "artifact '%s' arrived with SHA-256 %s, it must be %s",
                     f->what->artifact, found, f->sha256);
}

static int fetch_into_place(struct sewa_client *c, struct fetch *f, struct sewa_error *err)
{
    struct sewa_sink *sink = f->what->sink;
    int rc = sink ? sewa_partfile_stream(&f->part, sink, err)
                  : sewa_partfile_open(&f->part, f->what->path, f->sha256, f->size, err);

    if (rc < 0)
        return rc;
    f->resumed_from = f->part.size;
    do {
        show(f, true);
        rc = fetch_all(c, f, err);
        if (rc == 0)
            rc = verify(f, err);
    } while (rc == 0);
    if (rc < 0)
        return rc;
    show(f, true);
    return sink ? 0 : sewa_partfile_publish(&f->part, err);
}

int sewa_artifact_download(struct sewa_client *c, const struct sewa_download *what,
                           struct sewa_downloaded *ret, struct sewa_error *err)
{
    AUTO(cleanup_fetch) struct fetch f = { .what = what, .sink.write = on_bytes, .part.fd = -1 };

    *ret = (struct sewa_downloaded){ 0 };
    if (!what->path == !what->sink)
        return sewa_fail(err, SEWA_E_INVALID, "a download goes to either a path or a sink");
    int rc = look_up(c, &f, err);
    if (rc < 0)
        return rc;
    int there = what->sink ? 0 : sewa_file_matches(what->path, f.sha256, f.size, err);
    rc = there == 0 ? fetch_into_place(c, &f, err) : there;
    if (rc < 0)
        return rc;
    ret->size = f.size;
    ret->resumed_from = f.resumed_from;
    ret->was_there = there > 0;
    snprintf(ret->sha256, sizeof ret->sha256, "%s", f.sha256);
    return 0;
}
