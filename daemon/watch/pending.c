/*
 * pending - files that wait for their proof, and the looks that give it.
 *
 * A look at a waiting file opens it, because opening makes a network file system ask its server:
 * stat() alone may answer from a cache for a minute. It is looked at again after its header was
 * read: what changed in between proves nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "metrics/metrics.h"
#include "watch/candidate.h"
#include "watch/members.h"
#include "watch/target_body.h"

/* One call does no more than this: commands and other directories of the mount get their turn. */
enum { WORK_MAX = 1000, RETRY_FIRST_MS = 10000, RETRY_MAX_MS = 600000 };

struct pending {
    struct list link; /* in the target */
    struct known_file *file;
    enum pending_purpose purpose;
    struct settle settle;
    int64_t first_look_ms; /* UTC */
    int64_t due_ms;        /* monotonic; INT64_MAX: when a scan or a hint sees something */
    int64_t retry_ms;      /* the delay after the last failure, 0 when there was none */
    uint64_t told;         /* which reason has been told, 0 for none */
};

/* What one look into a file gave. */
struct insight {
    struct look look;
    struct moment before, after;
    uint64_t marker;
    struct inspection *inspection;
};

void pending_reason(const struct target *t, const char *name, char text[PENDING_REASON_SIZE])
{
    AUTOFREE char *marker = t->spec.marker ? candidate_marker(t->spec.marker, name) : NULL;

    if (marker)
        snprintf(text, PENDING_REASON_SIZE, "its marker '%s' is not there yet", marker);
    else
        snprintf(text, PENDING_REASON_SIZE,
                 "its size and time must stay the same for %g seconds first",
                 (double)t->spec.settle_ms / 1000);
}

struct pending *pending_new(struct pass *p)
{
    struct pending *fresh = calloc(1, sizeof *fresh);

    if (!fresh)
        pass_no_memory(p);
    return fresh;
}

/* The file was seen like this, at the latest now. */
static void settle_from(struct target *t, struct pending *pd, const struct look *look,
                        struct moment now)
{
    if (settle_look(&pd->settle, look, now.monotonic_ms, now.monotonic_ms, t->spec.settle_ms) ==
        SETTLE_BEGAN) {
        pd->first_look_ms = now.utc_ms;
        pd->retry_ms = 0;
        pd->due_ms = settle_due_ms(&pd->settle, t->spec.settle_ms);
        if (look->is_directory) /* its last file may be there already */
            pd->due_ms = now.monotonic_ms;
    }
    if (t->spec.marker)
        pd->due_ms = now.monotonic_ms;
}

void pending_begin(struct pass *p, struct known_file *f, struct pending *fresh,
                   enum pending_purpose purpose, const struct look *look)
{
    struct moment now = target_now(p->t);

    pending_end(f);
    fresh->file = f;
    fresh->purpose = purpose;
    f->pending = fresh;
    list_append(&p->t->pending, &fresh->link);
    settle_from(p->t, fresh, look, now);
    if (purpose != PENDING_PROOF)
        fresh->due_ms = now.monotonic_ms;
}

void pending_end(struct known_file *f)
{
    if (!f->pending)
        return;
    list_remove(&f->pending->link);
    free(f->pending);
    f->pending = NULL;
}

void pending_saw(struct pass *p, struct known_file *f, const struct look *look)
{
    f->look = *look;
    if (f->pending) {
        settle_from(p->t, f->pending, look, target_now(p->t));
        return;
    }
    struct pending *fresh = pending_new(p);
    if (fresh)
        pending_begin(p, f, fresh, PENDING_PROOF, look);
}

void pending_ask_all(struct target *t)
{
    list_for_each(node, &t->pending)
        list_entry(node, struct pending, link)->due_ms = INT64_MIN;
}

int64_t pending_due_ms(const struct target *t)
{
    int64_t due = INT64_MAX;

    list_for_each(node, &t->pending) {
        const struct pending *pd = list_entry(node, struct pending, link);
        if (pd->due_ms < due)
            due = pd->due_ms;
    }
    return due;
}

/* ---- failing ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h ^= x + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
    return h * 0xff51afd7ed558ccdu;
}

/* The same reason for the same state of the file is told once. */
static uint64_t reason_key(int code, const char *text, const struct look *look)
{
    uint64_t h = mix((uint64_t)code, (uint64_t)look->size);

    h = mix(h, (uint64_t)look->mtime_ns);
    for (; *text; text++)
        h = mix(h, (unsigned char)*text);
    return h | 1;
}

static void try_again_later(struct target *t, struct pending *pd)
{
    int64_t first = t->rules->retry_first_ms > 0 ? t->rules->retry_first_ms : RETRY_FIRST_MS;
    int64_t most = t->rules->retry_max_ms > 0 ? t->rules->retry_max_ms : RETRY_MAX_MS;
    int64_t delay = pd->retry_ms ? pd->retry_ms * 2 : first;

    pd->retry_ms = delay < most ? delay : most;
    pd->due_ms = target_now(t).monotonic_ms + pd->retry_ms;
}

static void tell_not_proven(struct pass *p, struct pending *pd, const struct sewa_error *err)
{
    struct report r = { .kind = REPORT_NOT_PROVEN, .code = err->code, .look = pd->settle.look };
    uint64_t key = reason_key(err->code, err->text, &r.look);

    if (pd->told != key && pass_tell(p, &r, pd->file->name, "%s", err->text) == 0)
        pd->told = key;
}

static void not_proven(struct pass *p, struct pending *pd, const struct sewa_error *err)
{
    try_again_later(p->t, pd);
    if (err->code == SEWA_E_IO || err->code == SEWA_E_NO_MEMORY)
        pass_failed(p, err);
    if (pd->purpose == PENDING_PROOF)
        tell_not_proven(p, pd, err);
}

/* ---- succeeding ---- */

static bool same_header(const struct known_file *f, const struct inspection *i)
{
    uint64_t digest;

    if (!f->has_digest || !i || !i->has_digest)
        return true;
    memcpy(&digest, i->header_digest, sizeof digest);
    return digest == f->digest;
}

static void accept(struct pass *p, struct known_file *f, const struct insight *in)
{
    f->look = in->look;
    f->marker = in->marker;
    if (in->inspection && in->inspection->has_digest) {
        memcpy(&f->digest, in->inspection->header_digest, sizeof f->digest);
        f->has_digest = true;
    }
    known_set_state(&p->t->known, f, KNOWN_COMPLETE);
    pending_end(f);
}

static bool is_last_there(const struct insight *in)
{
    return in->inspection && in->inspection->last_file[0];
}

/* What the last file of a directory proves, it proves at once; a marker goes before both. */
static void proven(struct pass *p, struct pending *pd, struct insight *in, bool settled)
{
    enum proof_rule rule = p->t->spec.marker   ? PROOF_MARKER
                           : is_last_there(in) ? PROOF_LAST
                                               : PROOF_SETTLED;
    struct report r = { .kind = REPORT_PROVEN,
                        .look = in->look,
                        .proof = { .rule = rule,
                                   .first_look_ms = pd->first_look_ms,
                                   .second_look_ms = in->before.utc_ms,
                                   .settle_ms = p->t->spec.settle_ms },
                        .inspection = in->inspection };

    if (!settled) /* one look was enough */
        r.proof.first_look_ms = in->before.utc_ms;
    if (rule == PROOF_LAST)
        memcpy(r.proof.last_file, in->inspection->last_file, sizeof r.proof.last_file);
    if (pass_tell(p, &r, pd->file->name, NULL) < 0) {
        try_again_later(p->t, pd);
        return;
    }
    accept(p, pd->file, in);
    in->inspection = NULL; /* the report's */
}

static void is_back(struct pass *p, struct pending *pd, const struct insight *in)
{
    struct report r = { .kind = REPORT_BACK, .look = in->look };

    if (pass_tell(p, &r, pd->file->name, NULL) < 0)
        try_again_later(p->t, pd);
    else
        accept(p, pd->file, in);
}

/* The weights are those that we know, whatever has come or gone beside them. */
static void is_same(struct pass *p, struct pending *pd, const struct insight *in)
{
    struct report r = { .kind = REPORT_BESIDE, .look = in->look };

    if (!look_is_same(&pd->file->look, &in->look) && pass_tell(p, &r, pd->file->name, NULL) < 0)
        try_again_later(p->t, pd);
    else
        accept(p, pd->file, in);
}

/* ---- one look ---- */

/* Whether its marker is there: 1, 0, or a failure. @ret_key tells one marker from the next. */
static int look_at_marker(struct pass *p, const char *name, uint64_t *ret_key,
                          struct sewa_error *err)
{
    AUTOFREE char *marker = candidate_marker(p->t->spec.marker, name);
    struct look look;
    unsigned mode, links;

    if (!marker)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the name of its marker");
    if (listing_stat(p->fd, marker, AT_STATX_FORCE_SYNC, &look, &mode, &links) < 0)
        return errno == ENOENT
                   ? 0
                   : sewa_fail_errno(err, SEWA_E_IO, "cannot look at its marker '%s'", marker);
    *ret_key = mix(look.inode, (uint64_t)look.mtime_ns) | 1;
    return S_ISREG(mode);
}

/* 1 when its marker lets it be read, 0 when it must go on waiting. */
static int pass_marker(struct pass *p, struct pending *pd, struct insight *in)
{
    struct sewa_error err = { 0 };

    if (!p->t->spec.marker || pd->purpose != PENDING_PROOF)
        return 1;
    int rc = look_at_marker(p, pd->file->name, &in->marker, &err);
    if (rc < 0) {
        not_proven(p, pd, &err);
        return 0;
    }
    if (rc == 1 && in->marker != pd->file->marker)
        return 1;
    pd->due_ms = INT64_MAX;
    if (rc == 1) {
        sewa_fail(&err, SEWA_E_INCOMPLETE, "its marker is still that of the file before it");
        tell_not_proven(p, pd, &err);
    }
    return 0;
}

/* 1 and a look at an open file or directory; 0 when it can be no checkpoint; or a failure. */
static int look_at_open(const struct pass *p, const char *name, int fd, struct look *ret,
                        struct sewa_error *err)
{
    const struct target_rules *rules = p->t->rules;
    unsigned mode, links;

    if (listing_stat(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, ret, &mode, &links) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot look at '%s'", name);
    if (S_ISREG(mode))
        return 1;
    if (!S_ISDIR(mode) || !rules->wants_directory || !rules->wants_directory(&p->t->spec, name))
        return 0;
    int rc = members_look(rules, &p->t->spec, fd, ret, err);
    return rc < 0 ? sewa_context(err, rc, "'%s'", name) : rc;
}

/* Open the file and look at it: the descriptor, or -1 when there is nothing to see any more. */
static int open_file(struct pass *p, struct pending *pd, struct insight *in)
{
    struct sewa_error err = { 0 };
    int rc = 0;

    in->before = target_now(p->t);
    AUTOCLOSE int fd =
        openat(p->fd, pd->file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP)) {
        pd->due_ms = INT64_MAX; /* the next scan says what has become of it */
        return -1;
    }
    if (fd < 0)
        rc = sewa_fail_errno(&err, SEWA_E_IO, "cannot open '%s'", pd->file->name);
    else
        rc = look_at_open(p, pd->file->name, fd, &in->look, &err);
    in->after = target_now(p->t);
    if (rc < 0) {
        not_proven(p, pd, &err);
        return -1;
    }
    if (rc > 0)
        return take_fd(&fd);
    pd->due_ms = INT64_MAX;
    return -1;
}

/* Whether it has been the same long enough; if not, when to look again is set. */
static bool is_settled(struct pass *p, struct pending *pd, const struct insight *in)
{
    const struct target_spec *spec = &p->t->spec;
    enum settle_answer answer = settle_look(&pd->settle, &in->look, in->before.monotonic_ms,
                                            in->after.monotonic_ms, spec->settle_ms);

    if (answer == SETTLE_BEGAN) {
        pd->first_look_ms = in->after.utc_ms;
        pd->retry_ms = 0;
    }
    if (spec->marker || answer == SETTLE_DONE)
        return true;
    pd->due_ms = settle_due_ms(&pd->settle, spec->settle_ms);
    return false;
}

/* Read its header, and see that it did not change meanwhile. 1 whole, 0 it changed, or a failure.
 */
static int inspect(struct pass *p, struct pending *pd, int fd, struct insight *in,
                   struct sewa_error *err)
{
    struct target *t = p->t;
    struct look again = { 0 };
    struct sewa_error late = { 0 };

    metric_add(METRIC_FILES_INSPECTED, 1);
    int rc = t->rules->inspect(&t->spec, pd->file->name, fd, &in->look, &in->inspection, err);
    int there = look_at_open(p, pd->file->name, fd, &again, &late);
    if (there < 0) {
        *err = late;
        return there;
    }
    if (there == 0 || !look_is_same(&again, &in->look)) {
        if (there > 0)
            settle_from(t, pd, &again, target_now(t));
        pd->due_ms = settle_due_ms(&pd->settle, t->spec.settle_ms);
        return 0;
    }
    return rc < 0 ? rc : 1;
}

static void prove(struct pass *p, struct pending *pd, int fd, struct insight *in)
{
    struct sewa_error err = { 0 };

    bool settled = is_settled(p, pd, in);
    if (!settled && !in->look.is_directory)
        return;
    int rc = inspect(p, pd, fd, in, &err);
    if (!settled && (rc < 0 || (rc > 0 && !is_last_there(in))))
        return; /* too early to say anything: it may only be half written */
    if (rc < 0)
        not_proven(p, pd, &err);
    else if (rc > 0)
        proven(p, pd, in, settled);
}

/* A complete file with another inode, or one that was gone: is it the one that we know? */
static void recognise(struct pass *p, struct pending *pd, int fd, struct insight *in)
{
    struct known_file *f = pd->file;
    struct sewa_error err = { 0 };
    bool by_header = pd->purpose == PENDING_VERIFY && in->look.is_directory && f->has_digest;

    if (!by_header && !look_is_same(&f->look, &in->look)) {
        observe_file(p, f, f->name, &in->look);
        return;
    }
    int rc = inspect(p, pd, fd, in, &err);
    if (rc == 0)
        return;
    if (rc == SEWA_E_IO || rc == SEWA_E_NO_MEMORY) {
        not_proven(p, pd, &err);
    } else if (rc < 0 || !same_header(f, in->inspection)) {
        observe_change(p, f, &in->look, rc < 0 ? err.text : "it has another header");
    } else {
        in->marker = f->marker;
        if (pd->purpose == PENDING_BACK)
            is_back(p, pd, in);
        else
            is_same(p, pd, in);
    }
}

static void work_on(struct pass *p, struct pending *pd)
{
    struct insight in = { 0 };

    /* what follows sets the time of the next look; where it fails to, nobody must wait for ever */
    pd->due_ms = target_now(p->t).monotonic_ms + RETRY_MAX_MS;
    if (!pass_marker(p, pd, &in))
        return;
    AUTOCLOSE int fd = open_file(p, pd, &in);
    if (fd < 0)
        return;
    if (pd->purpose == PENDING_PROOF)
        prove(p, pd, fd, &in);
    else
        recognise(p, pd, fd, &in);
    if (in.inspection)
        in.inspection->free(in.inspection);
}

void pending_work(struct pass *p)
{
    int64_t now = target_now(p->t).monotonic_ms;
    int left = WORK_MAX;

    list_for_each_safe(node, &p->t->pending) {
        struct pending *pd = list_entry(node, struct pending, link);
        if (pass_is_stopped(p) || left == 0)
            return;
        if (pd->due_ms > now)
            continue;
        left--;
        work_on(p, pd);
    }
}
