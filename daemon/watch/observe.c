/*
 * observe - what a look means for a name: new, as it was, another file, back, or missing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "watch/target_body.h"

/* Nothing is known of it: it waits from now on. f is its entry when it has been gone. */
static void found(struct pass *p, struct known_file *f, const char *name, const struct look *look)
{
    bool settles = !p->t->spec.marker;
    struct report r = { .kind = REPORT_FOUND,
                        .code = settles ? SEWA_E_SETTLING : SEWA_E_INCOMPLETE,
                        .look = *look };
    struct pending *fresh = pending_new(p);
    char why[PENDING_REASON_SIZE];
    bool is_new = !f;

    if (!fresh)
        return;
    if (is_new)
        f = known_add(&p->t->known, name, KNOWN_WAITING);
    pending_reason(p->t, name, why);
    if (!f)
        pass_no_memory(p);
    if (!f || pass_tell(p, &r, name, "%s", why) < 0) {
        free(fresh);
        if (f && is_new)
            known_remove(&p->t->known, f);
        return;
    }
    f->seen = p->t->scan_number;
    f->missing = 0;
    f->look = *look;
    f->has_digest = false;
    known_set_state(&p->t->known, f, KNOWN_WAITING);
    pending_begin(p, f, fresh, PENDING_PROOF, look);
}

void observe_change(struct pass *p, struct known_file *f, const struct look *look, const char *what)
{
    struct report r = { .kind = REPORT_CHANGED, .code = SEWA_E_CHANGED, .look = *look };

    if (f->state == KNOWN_GONE) { /* nobody thinks of it as complete any more */
        found(p, f, f->name, look);
        return;
    }
    struct pending *fresh = pending_new(p);
    if (!fresh)
        return;
    if (pass_tell(p, &r, f->name, "%s", what) < 0) {
        free(fresh);
        return;
    }
    f->look = *look;
    f->has_digest = false;
    known_set_state(&p->t->known, f, KNOWN_WAITING);
    pending_begin(p, f, fresh, PENDING_PROOF, look);
}

static void changed(struct pass *p, struct known_file *f, const struct look *look)
{
    char what[128];

    if (f->look.size != look->size)
        snprintf(what, sizeof what, "it had %" PRId64 " bytes and has %" PRId64 " now",
                 f->look.size, look->size);
    else
        snprintf(what, sizeof what, "it has been written again");
    observe_change(p, f, look, what);
}

/* Another inode number may be a new file or a remount: its header tells. Few in each scan, for
 * there are file systems that make new numbers up all the time. */
static void verify(struct pass *p, struct known_file *f, const struct look *look)
{
    if (f->look.inode == 0 && !look->is_directory) {
        f->look.inode = look->inode;
        return;
    }
    if (f->pending || f->look.inode == look->inode || p->inode_looks == 0)
        return;
    struct pending *fresh = pending_new(p);
    if (!fresh)
        return;
    p->inode_looks--;
    pending_begin(p, f, fresh, PENDING_VERIFY, look);
}

/*
 * Something in the directory is new or another one. Whether it is part of the checkpoint is known
 * only to who reads it: trainers write files beside the weights when these have long been complete.
 */
static void verify_directory(struct pass *p, struct known_file *f, const struct look *look)
{
    struct pending *fresh = f->pending ? NULL : pending_new(p);

    if (fresh)
        pending_begin(p, f, fresh, PENDING_VERIFY, look);
}

static void back(struct pass *p, struct known_file *f, const struct look *look)
{
    struct pending *fresh = f->pending ? NULL : pending_new(p);

    if (fresh)
        pending_begin(p, f, fresh, PENDING_BACK, look);
}

void observe_file(struct pass *p, struct known_file *f, const char *name, const struct look *look)
{
    if (!f) {
        found(p, NULL, name, look);
        return;
    }
    switch ((enum known_state)f->state) {
    case KNOWN_WAITING: pending_saw(p, f, look); break;
    case KNOWN_COMPLETE:
        if (look_is_same(&f->look, look))
            verify(p, f, look);
        else if (look->is_directory && f->has_digest)
            verify_directory(p, f, look);
        else
            changed(p, f, look);
        break;
    case KNOWN_GONE:
        if (look_is_same(&f->look, look))
            back(p, f, look);
        else
            found(p, f, name, look);
        break;
    case KNOWN_DIRECTORY:
        if (look->is_directory) /* it had no members before */
            found(p, f, name, look);
        break; /* a file now; first the directory must be gone */
    }
}

void observe_directory(struct pass *p, struct known_file *f, const char *name)
{
    struct report r = { .kind = REPORT_DIRECTORY };
    bool is_new = !f;

    if (f && f->state != KNOWN_GONE) /* known, or a file that was there must be gone first */
        return;
    if (is_new)
        f = known_add(&p->t->known, name, KNOWN_DIRECTORY);
    if (!f) {
        pass_no_memory(p);
        return;
    }
    if (pass_tell(p, &r, name, NULL) == 0) {
        pending_end(f);
        known_set_state(&p->t->known, f, KNOWN_DIRECTORY);
        f->seen = p->t->scan_number;
        f->missing = 0;
    } else if (is_new) {
        known_remove(&p->t->known, f);
    }
}

void observe_missing(struct pass *p, struct known_file *f)
{
    bool is_directory = f->state == KNOWN_DIRECTORY;
    struct report r = { .kind = is_directory ? REPORT_DIRECTORY_GONE : REPORT_GONE,
                        .look = f->look };

    if (pass_tell(p, &r, f->name, NULL) < 0)
        return; /* missing stays: the next scan tells */
    pending_end(f);
    if (f->state == KNOWN_COMPLETE)
        known_set_state(&p->t->known, f, KNOWN_GONE);
    else
        known_remove(&p->t->known, f);
}
