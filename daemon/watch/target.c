/*
 * target - life of one watched directory, its times, and how it is opened.
 *
 * The directory is never kept open between two passes: an open descriptor would keep its file
 * system from being unmounted.
 */
#include "watch/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/beneath.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/path.h"
#include "metrics/metrics.h"
#include "watch/candidate.h"
#include "watch/target_body.h"

enum {
    FAILURE_DELAY_MS = 1000,
    HINT_SHARE = 10, /* scans that hints ask for get this part of the time */
    INODE_LOOKS_MAX = 64,
};

static struct moment system_clock(void)
{
    return (struct moment){ .monotonic_ms = clock_monotonic_ms(), .utc_ms = clock_now_ms() };
}

struct moment target_now(const struct target *t)
{
    return t->rules->clock ? t->rules->clock() : system_clock();
}

const struct target_spec *target_spec_of(const struct target *t)
{
    return &t->spec;
}

/* ---- life ---- */

static int copy_text(const char **text)
{
    if (!*text || !**text) {
        *text = NULL;
        return 0;
    }
    *text = strdup(*text);
    return *text ? 0 : -1;
}

static void free_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

/* The spec is the caller's until each of its texts has been copied. */
static int copy_spec(struct target *t, const struct target_spec *spec)
{
    const char *path = spec->path, *beneath = spec->beneath, *pattern = spec->pattern,
               *marker = spec->marker, *state_key = spec->state_key;
    int failed = copy_text(&path) | copy_text(&beneath) | copy_text(&pattern) |
                 copy_text(&state_key) | copy_text(&marker);

    t->spec = *spec;
    t->spec.path = path;
    t->spec.beneath = beneath;
    t->spec.pattern = pattern;
    t->spec.state_key = state_key;
    t->spec.marker = marker;
    return failed;
}

static uint64_t short_digest(const uint8_t digest[32])
{
    uint64_t first;

    memcpy(&first, digest, sizeof first);
    return first;
}

static int add_known(struct target *t, const struct target_known *known, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (known_find(&t->known, known[i].name))
            continue;
        struct known_file *f = known_add(&t->known, known[i].name,
                                         known[i].is_complete ? KNOWN_COMPLETE : KNOWN_WAITING);
        if (!f)
            return -1;
        f->look = (struct look){ .size = known[i].size, .mtime_ns = known[i].mtime_ns };
        f->has_digest = known[i].header_digest != NULL;
        f->digest = f->has_digest ? short_digest(known[i].header_digest) : 0;
    }
    return 0;
}

int target_new(const struct target_spec *spec, const struct target_known *known, size_t known_count,
               const struct target_rules *rules, struct target **ret, struct sewa_error *err)
{
    AUTOPTR(target_free) struct target *t = calloc(1, sizeof *t);

    if (t)
        list_init(&t->pending);
    if (!t || copy_spec(t, spec) < 0 || add_known(t, known, known_count) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to watch '%s'", spec->path);
    t->rules = rules;
    *ret = TAKE(t);
    return 0;
}

void target_free(struct target *t)
{
    struct known_walk w = { 0 };

    if (!t)
        return;
    for (struct known_file *f; (f = known_next(&t->known, &w));)
        pending_end(f);
    known_clear(&t->known);
    free_text(t->spec.path);
    free_text(t->spec.beneath);
    free_text(t->spec.pattern);
    free_text(t->spec.state_key);
    free_text(t->spec.marker);
    free(t->resolved);
    free(t->told_error);
    free(t->sights);
    free(t);
}

/* ---- opening ---- */

/* Where an administrator's path leads, asked once: a link that changes later is not followed. */
static int resolve(struct target *t, struct sewa_error *err)
{
    const char *path = t->spec.beneath ? t->spec.beneath : t->spec.path;

    if (t->resolved)
        return 0;
    t->resolved = realpath(path, NULL);
    return t->resolved ? 0 : sewa_fail_errno(err, SEWA_E_IO, "cannot find '%s'", path);
}

static int open_absolute(const char *path)
{
    AUTOCLOSE int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (top < 0 || path[1] == '\0')
        return take_fd(&top);
    return open_beneath(top, path + 1, O_RDONLY | O_DIRECTORY);
}

static int open_target(struct target *t)
{
    AUTOCLOSE int fd = open_absolute(t->resolved);
    size_t n = t->spec.beneath ? strlen(t->spec.beneath) : 0;

    if (fd < 0 || !t->spec.beneath || strcmp(t->spec.path, t->spec.beneath) == 0)
        return take_fd(&fd);
    const char *rest = t->spec.path + n;
    return open_beneath(fd, rest + strspn(rest, "/"), O_RDONLY | O_DIRECTORY);
}

int pass_open(struct pass *p, struct trust_identity *ret, struct sewa_error *err)
{
    struct target *t = p->t;
    struct stat st;

    int rc = resolve(t, err);
    if (rc < 0)
        return rc;
    p->fd = open_target(t);
    if (p->fd < 0 && errno == ELOOP)
        return sewa_fail(err, SEWA_E_IO, "cannot open '%s': a part of it is a symbolic link now",
                         t->spec.path);
    if (p->fd < 0 || fstat(p->fd, &st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot open '%s'", t->spec.path);
    *ret = (struct trust_identity){ .device = st.st_dev, .inode = st.st_ino, .is_set = true };
    return 0;
}

/* ---- what all parts need ---- */

bool pass_is_stopped(const struct pass *p)
{
    return p->sink->stop && atomic_load_explicit(p->sink->stop, memory_order_relaxed);
}

void pass_failed(struct pass *p, const struct sewa_error *err)
{
    if (p->first.code == 0)
        p->first = *err;
    p->counts.errors++;
}

void pass_no_memory(struct pass *p)
{
    struct sewa_error err = { 0 };

    sewa_fail(&err, SEWA_E_NO_MEMORY, "no memory to watch '%s'", p->t->spec.path);
    pass_failed(p, &err);
}

/* Texts end up in JSON; names that they quote may be any bytes. */
static char *format_text(const char *format, va_list ap) SEWA_PRINTF(1, 0);

static char *format_text(const char *format, va_list ap)
{
    char *text;

    if (vasprintf(&text, format, ap) < 0)
        return NULL;
    if (utf8_is_valid(text, strlen(text)))
        return text;
    char *shown = path_to_text(text);
    free(text);
    return shown;
}

int pass_tell(struct pass *p, struct report *r, const char *name, const char *format, ...)
{
    r->target = p->t->spec.id;
    r->name = name ? strdup(name) : NULL;
    if (format) {
        va_list ap;
        va_start(ap, format);
        r->text = format_text(format, ap);
        va_end(ap);
    }
    if ((!name || r->name) && (!format || r->text) && p->sink->put(p->sink, r) == 0)
        return 0;
    free(r->name);
    free(r->text);
    r->name = r->text = NULL;
    pass_no_memory(p);
    return -1;
}

/* ---- time ---- */

static int64_t after_failure_ms(const struct target *t, int64_t interval_ms)
{
    int doublings = t->failures < 20 ? t->failures - 1 : 20;
    int64_t delay = (int64_t)FAILURE_DELAY_MS << doublings;

    return t->scan_ended_ms + (delay < interval_ms ? delay : interval_ms);
}

static int64_t scan_due_ms(const struct target *t, int64_t interval_ms)
{
    if (t->is_asked || !t->has_scanned)
        return INT64_MIN;
    if (t->failures > 0)
        return after_failure_ms(t, interval_ms);
    int64_t due = t->scan_began_ms + interval_ms;
    int64_t took = t->scan_ended_ms - t->scan_began_ms;
    int64_t hinted = t->scan_ended_ms + took * (HINT_SHARE - 1);
    return t->is_hinted && hinted < due ? hinted : due;
}

int64_t target_due_ms(const struct target *t, int64_t interval_ms)
{
    int64_t scan = scan_due_ms(t, interval_ms);
    int64_t work = t->failures > 0 || !t->has_scanned ? INT64_MAX : pending_due_ms(t);

    return scan < work ? scan : work;
}

/* ---- passes ---- */

static void pass_begin(struct pass *p, struct target *t, struct report_sink *sink)
{
    *p = (struct pass){ .t = t, .sink = sink, .fd = -1, .inode_looks = INODE_LOOKS_MAX };
}

static void pass_end(struct pass *p)
{
    if (p->fd >= 0)
        close(p->fd);
    metric_add(METRIC_SCAN_ERRORS, p->counts.errors);
}

/* Told once for each different text. */
static void tell_error(struct pass *p, const struct sewa_error *err)
{
    struct target *t = p->t;
    struct report r = { .kind = REPORT_TARGET_ERROR, .code = err->code };

    if (t->told_error && strcmp(t->told_error, err->text) == 0)
        return;
    char *copy = strdup(err->text);
    if (!copy || pass_tell(p, &r, NULL, "%s", err->text) < 0) {
        free(copy);
        return;
    }
    free(t->told_error);
    t->told_error = copy;
    t->is_ok = false;
}

int pass_tell_ok(struct pass *p, const struct trust_identity *now)
{
    struct target *t = p->t;
    struct report r = { .kind = REPORT_TARGET_OK };
    const char *below = t->spec.beneath ? t->spec.path + strlen(t->spec.beneath) : "";
    char link[64];

    if (t->is_ok && t->identity.device == now->device && t->identity.inode == now->inode)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", p->fd);
    r.is_network = is_network_path(link);
    if (asprintf(&r.path, "%s%s", t->resolved, below) < 0)
        r.path = NULL;
    if (!r.path || pass_tell(p, &r, NULL, NULL) < 0) {
        free(r.path);
        return -1;
    }
    free(t->told_error);
    t->told_error = NULL;
    t->is_ok = true;
    t->identity = *now;
    return 0;
}

static void tell_done(struct pass *p, double seconds)
{
    struct report r = { .kind = REPORT_SCAN_DONE, .code = p->first.code, .counts = p->counts };

    r.counts.seconds = seconds;
    r.counts.waiting = p->t->known.waiting;
    (void)pass_tell(p, &r, NULL, p->first.code ? "%s" : NULL, p->first.text);
}

static void run_scan(struct pass *p)
{
    struct target *t = p->t;
    struct sewa_error err = { 0 };
    struct trust_identity now = { 0 };
    double began_s = clock_monotonic_s();

    t->scan_began_ms = target_now(t).monotonic_ms;
    t->is_asked = t->is_hinted = false;
    int rc = pass_open(p, &now, &err);
    if (rc == 0)
        rc = listing_scan(p, &now, &err);
    t->scan_ended_ms = target_now(t).monotonic_ms;
    t->has_scanned = true;
    t->failures = rc < 0 ? t->failures + 1 : 0;
    if (pass_is_stopped(p))
        return;
    if (rc < 0) {
        pass_failed(p, &err);
        tell_error(p, &err);
    } else {
        metric_add(METRIC_SCANS, 1);
        metric_observe(METRIC_SCAN, clock_monotonic_s() - began_s);
    }
    tell_done(p, clock_monotonic_s() - began_s);
}

/* Looks at single files, in the directory that the last scan has seen. */
static bool open_for_work(struct pass *p)
{
    struct target *t = p->t;
    struct trust_identity now;
    struct sewa_error err = { 0 };

    if (!t->is_ok)
        return false;
    if (pass_open(p, &now, &err) == 0 && now.device == t->identity.device &&
        now.inode == t->identity.inode)
        return true;
    t->is_asked = true;
    return false;
}

void target_run(struct target *t, int64_t interval_ms, struct report_sink *sink)
{
    struct pass p;
    int64_t now = target_now(t).monotonic_ms;

    pass_begin(&p, t, sink);
    if (scan_due_ms(t, interval_ms) <= now)
        run_scan(&p);
    else if (open_for_work(&p))
        pending_work(&p);
    pass_end(&p);
}

void target_ask(struct target *t)
{
    t->is_asked = true;
}

/* Names that no look can make anything of: most writers use one until they are done. */
static bool is_idle_name(const struct target *t, const char *name)
{
    if (name[0] == '\0' || strchr(name, '/'))
        return true;
    return candidate_is_ignored(name) &&
           !(t->spec.marker && candidate_is_marker(t->spec.marker, name));
}

void target_hint(struct target *t, const char *name, struct report_sink *sink)
{
    struct pass p;

    if (!name)
        t->is_hinted = true;
    if (!name || !t->has_scanned || t->failures > 0 || is_idle_name(t, name))
        return;
    pass_begin(&p, t, sink);
    if (open_for_work(&p))
        listing_look(&p, name);
    pass_end(&p);
}
