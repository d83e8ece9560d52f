/*
 * listing - one scan of a watched directory.
 *
 * Three steps, so that nothing is concluded from half a listing: read all names and look at each
 * (what is as it was costs a hash lookup and one statx, and no allocation); judge whether this is
 * the directory that we know; only then act on what is new, different or missing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/metrics.h"
#include "watch/candidate.h"
#include "watch/members.h"
#include "watch/target_body.h"

enum { FORGET_AFTER_SCANS = 100, SIGHTS_KEPT = 4096 };

/* A name that needs more than being seen. */
struct sight {
    struct known_file *file; /* NULL for a new name */
    char *name;              /* heap for a new name, else that of the entry */
    struct look look;
    bool is_directory;
    bool has_links; /* other names of the same inode exist somewhere */
    bool is_link;   /* and the other one is the checkpoint */
};

/* What the first step has found. */
struct listing {
    struct pass *p;
    size_t sight_count; /* in target's sights */
    size_t present;     /* known files that are there with their size */
    size_t entries;
};

int listing_stat(int fd, const char *name, int flags, struct look *ret, unsigned *ret_mode,
                 unsigned *ret_links)
{
    struct statx st;
    unsigned mask = STATX_TYPE | STATX_NLINK | STATX_MTIME | STATX_INO | STATX_SIZE;

    metric_add(METRIC_FILES_LOOKED_AT, 1);
    if (statx(fd, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, mask, &st) < 0)
        return -1;
    ret->size = (int64_t)st.stx_size;
    ret->mtime_ns = look_time_ns(st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec);
    ret->inode = st.stx_ino;
    ret->is_directory = false; /* what is no file is looked at by members.c */
    *ret_mode = st.stx_mode;
    *ret_links = st.stx_nlink;
    return 0;
}

static bool is_ignored(const struct target *t, const char *name)
{
    return candidate_is_ignored(name) ||
           (t->spec.marker && candidate_is_marker(t->spec.marker, name));
}

static bool is_wanted(const struct target *t, const char *name)
{
    return t->spec.kind == TARGET_RUN && (!t->rules->wants || t->rules->wants(&t->spec, name));
}

static bool is_wanted_directory(const struct target *t, const char *name)
{
    return t->spec.kind == TARGET_RUN && t->rules->wants_directory &&
           t->rules->wants_directory(&t->spec, name);
}

/* ---- step one: see ---- */

static int add_sight(struct listing *l, const struct sight *s, const char *name)
{
    struct target *t = l->p->t;

    if (l->sight_count == t->sight_room) {
        size_t room = t->sight_room ? t->sight_room * 2 : 64;
        struct sight *more = realloc(t->sights, room * sizeof *more);
        if (!more)
            return -1;
        t->sights = more;
        t->sight_room = room;
    }
    struct sight *slot = &t->sights[l->sight_count];
    *slot = *s;
    slot->name = s->file ? s->file->name : strdup(name);
    if (!slot->name)
        return -1;
    l->sight_count++;
    return 0;
}

static int see_directory(struct listing *l, const char *name)
{
    struct target *t = l->p->t;
    struct known_file *f = known_find(&t->known, name);
    struct sight s = { .file = f, .is_directory = true };

    l->p->counts.directories++;
    if (f && f->state == KNOWN_DIRECTORY) {
        f->seen = t->scan_number;
        f->missing = 0;
        return 0;
    }
    return add_sight(l, &s, name);
}

static int see_file(struct listing *l, const char *name, const struct look *look, unsigned links)
{
    struct target *t = l->p->t;
    struct known_file *f = known_find(&t->known, name);

    l->p->counts.files++;
    if (f && (f->state == KNOWN_COMPLETE || f->state == KNOWN_WAITING))
        l->present += f->look.size == look->size;
    if (f && f->state == KNOWN_COMPLETE && !f->pending && links <= 1 &&
        look_is_same(&f->look, look) &&
        (f->look.inode == look->inode || (f->look.inode == 0 && !look->is_directory))) {
        f->look.inode = look->inode;
        f->seen = t->scan_number;
        f->missing = 0;
        return 0;
    }
    struct sight s = { .file = f, .look = *look, .has_links = links > 1 };
    return add_sight(l, &s, name);
}

/* One bad entry never stops the others: it counts as seen and its failure is reported. */
static void see_failure(struct listing *l, const char *name, const struct sewa_error *err)
{
    struct known_file *f = known_find(&l->p->t->known, name);

    pass_failed(l->p, err);
    if (f)
        f->seen = l->p->t->scan_number;
}

/* A directory that may be one checkpoint; without a member it is a directory like others. */
static int see_checkpoint_directory(struct listing *l, const char *name)
{
    const struct target *t = l->p->t;
    struct sewa_error err = { 0 };
    struct look look;
    int rc = members_look_at(t->rules, &t->spec, l->p->fd, name, &look, &err);

    if (rc > 0)
        return see_file(l, name, &look, 1);
    if (rc == 0)
        return see_directory(l, name);
    see_failure(l, name, &err);
    return 0;
}

/* A name with the type that readdir() gave (DT_UNKNOWN on some file systems). 0 or -1 (no memory).
 */
static int see(struct listing *l, const char *name, unsigned char type)
{
    struct target *t = l->p->t;
    struct look look;
    unsigned mode = 0, links = 0;

    if (is_ignored(t, name) || (type != DT_REG && type != DT_DIR && type != DT_UNKNOWN) ||
        (type == DT_REG && !is_wanted(t, name))) {
        l->p->counts.ignored++;
        return 0;
    }
    if (type == DT_UNKNOWN || type == DT_REG) {
        struct sewa_error err = { 0 };
        if (listing_stat(l->p->fd, name, 0, &look, &mode, &links) < 0) {
            if (errno == ENOENT)
                return 0;
            sewa_fail_errno(&err, SEWA_E_IO, "cannot look at '%s'", name);
            see_failure(l, name, &err);
            return 0;
        }
    }
    if (type == DT_DIR || S_ISDIR(mode))
        return is_wanted_directory(t, name) ? see_checkpoint_directory(l, name)
                                            : see_directory(l, name);
    if (S_ISREG(mode) && is_wanted(t, name))
        return see_file(l, name, &look, links);
    l->p->counts.ignored++;
    return 0;
}

static void closedir_auto(DIR **d)
{
    if (*d)
        closedir(*d);
}

static int list(struct listing *l, struct sewa_error *err)
{
    struct pass *p = l->p;
    AUTOCLOSE int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
    AUTO(closedir_auto) DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot list '%s'", p->t->spec.path);
    fd = -1; /* d's now */
    while (!pass_is_stopped(p)) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e && errno == 0)
            return 0;
        if (!e)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot list '%s'", p->t->spec.path);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        l->entries++;
        if (see(l, e->d_name, e->d_type) < 0)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to list '%s'", p->t->spec.path);
    }
    return sewa_fail(err, SEWA_E_CANCELLED, "the scan of '%s' was stopped", p->t->spec.path);
}

/* ---- step two: judge ---- */

static int judge(const struct listing *l, const struct trust_identity *now, struct sewa_error *err)
{
    const struct target *t = l->p->t;
    struct trust_listing listing = {
        .now = *now, .known = t->known.files, .present = l->present, .entries = l->entries
    };

    if (trust_listing(&t->identity, &listing))
        return 0;
    return sewa_fail(err, SEWA_E_UNAVAILABLE,
                     "'%s' has %zu entries and none of the %zu files that are known: is its file "
                     "system mounted?",
                     t->spec.path, l->entries, t->known.files);
}

/* Who of several names is the checkpoint: what is complete and unchanged, what is known, a name. */
static int rank(const struct sight *s)
{
    if (!s->file || s->file->state == KNOWN_GONE)
        return 2;
    return s->file->state == KNOWN_COMPLETE && look_is_same(&s->file->look, &s->look) ? 0 : 1;
}

static int by_inode(const void *a, const void *b)
{
    const struct sight *x = a, *y = b;

    if (x->has_links != y->has_links)
        return x->has_links ? -1 : 1;
    if (x->has_links && x->look.inode != y->look.inode)
        return x->look.inode < y->look.inode ? -1 : 1;
    if (x->has_links && rank(x) != rank(y))
        return rank(x) - rank(y);
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sight *)a)->name, ((const struct sight *)b)->name);
}

/*
 * Further hard links to a file are not a second checkpoint. Two names that were both complete
 * before they were linked stay what they are.
 */
static void find_links(struct listing *l)
{
    struct sight *s = l->p->t->sights;

    if (l->sight_count < 2)
        return;
    qsort(s, l->sight_count, sizeof *s, by_inode);
    for (size_t i = 1; i < l->sight_count && s[i].has_links; i++)
        if (s[i].look.inode == s[i - 1].look.inode && rank(&s[i]) > 0) {
            s[i].is_link = true;
            l->p->counts.files--;
            l->p->counts.ignored++;
        }
    qsort(s, l->sight_count, sizeof *s, by_name);
}

/* ---- step three: act ---- */

static void act_on_sight(struct pass *p, struct sight *s)
{
    if (s->is_link)
        return;
    if (s->file && s->is_directory == (s->file->state == KNOWN_DIRECTORY)) {
        s->file->seen = p->t->scan_number;
        s->file->missing = 0;
    }
    if (s->is_directory)
        observe_directory(p, s->file, s->name);
    else
        observe_file(p, s->file, s->name, &s->look);
}

/* Entries that are missing, to be told in the order of their names. */
struct missing {
    struct known_file **files;
    size_t count, room;
};

static void missing_clear(struct missing *m)
{
    free(m->files);
}

static bool missing_add(struct missing *m, struct known_file *f)
{
    if (m->count == m->room) {
        size_t room = m->room ? m->room * 2 : 64;
        struct known_file **files = realloc(m->files, room * sizeof(struct known_file *));
        if (!files)
            return false;
        m->files = files;
        m->room = room;
    }
    m->files[m->count++] = f;
    return true;
}

static int by_file_name(const void *a, const void *b)
{
    return strcmp((*(struct known_file *const *)a)->name, (*(struct known_file *const *)b)->name);
}

/*
 * A hash table has no order, but the rows of an index lie as their files came: where very many are
 * missing, those that are told one after the other should lie side by side on the disk.
 */
static void act_on_missing(struct pass *p)
{
    struct target *t = p->t;
    struct known_walk w = { 0 };
    AUTO(missing_clear) struct missing m = { 0 };

    for (struct known_file *f; (f = known_next(&t->known, &w));) {
        if (f->seen == t->scan_number)
            continue;
        f->missing += f->missing < UINT8_MAX;
        if (f->state == KNOWN_GONE) {
            pending_end(f);
            if (f->missing > FORGET_AFTER_SCANS)
                known_remove(&t->known, f);
        } else if (f->missing >= 2 && !missing_add(&m, f)) {
            observe_missing(p, f);
        }
    }
    if (m.count > 1)
        qsort(m.files, m.count, sizeof(struct known_file *), by_file_name);
    for (size_t i = 0; i < m.count; i++)
        observe_missing(p, m.files[i]);
}

/* The room stays for the next scan, unless this one had uncommonly much to see. */
static void forget_sights(struct listing *l)
{
    struct target *t = l->p->t;

    for (size_t i = 0; i < l->sight_count; i++)
        if (!t->sights[i].file)
            free(t->sights[i].name);
    if (t->sight_room > SIGHTS_KEPT) {
        free(t->sights);
        t->sights = NULL;
        t->sight_room = 0;
    }
    l->sight_count = 0;
}

int listing_scan(struct pass *p, const struct trust_identity *now, struct sewa_error *err)
{
    AUTO(forget_sights) struct listing l = { .p = p };

    p->t->scan_number++;
    int rc = list(&l, err);
    if (rc == 0)
        rc = judge(&l, now, err);
    if (rc == 0 && pass_tell_ok(p, now) < 0)
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to watch '%s'", p->t->spec.path);
    if (rc < 0)
        return rc;
    find_links(&l);
    for (size_t i = 0; i < l.sight_count; i++)
        act_on_sight(p, &p->t->sights[i]);
    act_on_missing(p);
    return 0;
}

void listing_look(struct pass *p, const char *name)
{
    struct target *t = p->t;
    struct look look;
    unsigned mode = 0, links = 0;

    if (t->spec.marker && candidate_is_marker(t->spec.marker, name)) {
        pending_ask_all(t);
        return;
    }
    if (candidate_is_ignored(name) || listing_stat(p->fd, name, 0, &look, &mode, &links) < 0)
        return; /* what has vanished is the business of scans: two of them must agree */
    struct known_file *f = known_find(&t->known, name);
    if (S_ISDIR(mode) && is_wanted_directory(t, name))
        t->is_hinted = true; /* its members are looked at by a scan */
    else if (S_ISDIR(mode))
        observe_directory(p, f, name);
    else if (S_ISREG(mode) && is_wanted(t, name) && links > 1)
        t->is_hinted = true; /* whether it is a further link can be told from all names only */
    else if (S_ISREG(mode) && is_wanted(t, name))
        observe_file(p, f, name, &look);
}
