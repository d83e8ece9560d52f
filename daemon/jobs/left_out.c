/*
 * left_out - what of a run is no candidate, in words.
 */
#include "jobs/left_out.h"

#include <inttypes.h>
#include <string.h>

#include "base/path.h"
#include "base/pattern.h"

enum { NAMES_MAX = 64 };

void left_out_axes(const struct checkpoint_counts *c, struct buf *ret)
{
    static const char *const kinds[STEP_UNIT_COUNT] = {
        [UNIT_STEP] = "a step",
        [UNIT_EPOCH] = "an epoch",
        [UNIT_NUMBER] = "a number that nothing says more of",
    };
    unsigned axes = checkpoint_axes(c), said = 0;

    if (axes < 2)
        return;
    buf_printf(ret, "its complete checkpoints have no common order: ");
    for (int u = 0; u < STEP_UNIT_COUNT; u++) {
        if (c->units[u] == 0)
            continue;
        if (said++ > 0)
            buf_printf(ret, "%s", said == axes ? " and " : ", ");
        buf_printf(ret, "%" PRId64 " with %s", c->units[u], kinds[u]);
    }
    buf_printf(ret, "; a pattern for the run, such as 'epoch={step}*', says which are meant");
}

/* ---- without a step ---- */

struct names {
    char *items[NAMES_MAX];
    size_t count;
};

static void names_clear(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i]);
}

static int add_name(const char *file, void *arg, struct sewa_error *err)
{
    struct names *n = arg;

    if (n->count == NAMES_MAX)
        return 0;
    n->items[n->count] = strdup(file);
    if (!n->items[n->count])
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for names of checkpoints");
    n->count++;
    return 0;
}

/* Which of them they are, for people. */
static void say_first(const struct names *n, struct buf *ret)
{
    AUTOFREE char *shown = n->count ? path_to_text(n->items[0]) : NULL;

    if (shown)
        buf_printf(ret, n->count > 1 ? ", '%.120s' among them" : " ('%.120s')", shown);
}

int left_out_note(struct db *db, const struct run_row *run, const struct checkpoint_counts *c,
                  struct buf *ret, struct sewa_error *err)
{
    AUTO(names_clear) struct names names = { 0 };

    if (c->without_step == 0)
        return 0;
    int rc = checkpoint_without_step(db, run->id, NAMES_MAX, add_name, &names, err);
    if (rc < 0)
        return rc;
    buf_printf(ret, "%" PRId64 " complete checkpoint%s of run '%s' ha%s no step and %s left out",
               c->without_step, c->without_step == 1 ? "" : "s", run->name,
               c->without_step == 1 ? "s" : "ve", c->without_step == 1 ? "is" : "are");
    say_first(&names, ret);
    return 0;
}

int left_out_parts(struct db *db, const struct run_row *run, struct buf *ret,
                   struct sewa_error *err)
{
    AUTOFREE char *file = NULL;
    int64_t count = 0;
    int rc = checkpoint_parts(db, run->id, &count, &file, err);

    if (rc < 0 || count == 0)
        return rc;
    AUTOFREE char *shown = path_to_text(file);
    if (!shown)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the name of a part");
    buf_printf(ret,
               count == 1 ? "%" PRId64 " file of run '%s' is part of a checkpoint and is not "
                            "taken: '%.120s'"
                          : "%" PRId64 " files of run '%s' are parts of checkpoints and are not "
                            "taken, such as '%.120s'",
               count, run->name, shown);
    return 0;
}

static int say_without_step(struct db *db, const struct run_row *run,
                            const struct checkpoint_counts *c, struct buf *ret,
                            struct sewa_error *err)
{
    AUTO(names_clear) struct names names = { 0 };
    char pattern[PATTERN_BYTES_MAX + 1];

    if (c->without_step == 0)
        return 0;
    int rc = checkpoint_without_step(db, run->id, NAMES_MAX, add_name, &names, err);
    if (rc < 0)
        return rc;
    buf_printf(ret, "; %" PRId64 " %s complete and ha%s no step", c->without_step,
               c->without_step == 1 ? "is" : "are", c->without_step == 1 ? "s" : "ve");
    say_first(&names, ret);
    AUTOFREE char *shown = pattern_propose((const char *const *)names.items, names.count, pattern)
                               ? path_to_text(pattern)
                               : NULL;
    buf_printf(ret, ": a pattern for the run says where it stands%s%s%s",
               shown ? ", perhaps '" : ", with {step} for it", shown ? shown : "",
               shown ? "'" : "");
    return 0;
}

/* ---- incomplete ---- */

struct waiting {
    const struct run_row *run;
    int64_t now_ms;
    struct checkpoint_waiting settling, other; /* the most frequent of the others */
    int64_t others;
};

/* A file that was complete and is another one waits as a new one does. */
static bool is_settling(const struct waiting *w, const char *code)
{
    return strcmp(code, sewa_code_info(SEWA_E_SETTLING)->slug) == 0 ||
           (!*w->run->marker && strcmp(code, sewa_code_info(SEWA_E_CHANGED)->slug) == 0);
}

static int add_waiting(const struct checkpoint_waiting *one, void *arg, struct sewa_error *err)
{
    struct waiting *w = arg;

    (void)err;
    if (is_settling(w, one->code)) {
        w->settling.count += one->count;
        if (one->newest_ms > w->settling.newest_ms)
            w->settling.newest_ms = one->newest_ms;
        return 0;
    }
    w->others += one->count;
    if (one->count > w->other.count)
        w->other = *one;
    return 0;
}

/* Until the last of them can be settled; what is still written takes longer. */
static int64_t seconds_left(const struct waiting *w)
{
    int64_t left_ms = w->settling.newest_ms + w->run->settle_ms - w->now_ms;

    return left_ms <= 1000 ? 1 : (left_ms + 999) / 1000;
}

/* A directory in which nothing looks like a checkpoint, or not yet: what would look like one. */
static int say_nothing_found(const struct run_row *run, const struct checkpoint_counts *c,
                             struct buf *ret, struct sewa_error *err)
{
    AUTOFREE char *path = NULL, *pattern = NULL;

    if (c->states[CHECKPOINT_COMPLETE] > 0 || c->states[CHECKPOINT_INCOMPLETE] > 0)
        return 0;
    path = path_to_text(run->path);
    pattern = path_to_text(run->pattern ? run->pattern : "");
    if (!path || !pattern)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the path of a run");
    if (*pattern)
        buf_printf(ret, "; nothing has been found in '%.200s' that matches its pattern '%.200s'",
                   path, pattern);
    else
        buf_printf(
            ret,
            "; nothing has been found in '%.200s' that is named as a checkpoint is: files "
            "end in '.safetensors', '.pt', '.pth', '.pth.tar', '.ckpt' or '.bin' and do not "
            "begin with the names of optimizers, schedulers or samplers, directories have a step in their "
            "names; a pattern for the run says other names",
            path);
    return 0;
}

int left_out_reasons(struct db *db, const struct run_row *run, const struct checkpoint_counts *c,
                     int64_t now_ms, struct buf *ret, struct sewa_error *err)
{
    struct waiting w = { .run = run, .now_ms = now_ms };
    int rc = checkpoint_incomplete(db, run->id, add_waiting, &w, err);

    if (rc < 0)
        return rc;
    if (w.settling.count)
        buf_printf(ret, "; %" PRId64 " %s incomplete: still settling, %" PRId64 " s",
                   w.settling.count, w.settling.count == 1 ? "is" : "are", seconds_left(&w));
    if (w.others)
        buf_printf(ret, "; %" PRId64 " %s incomplete: %.200s", w.others,
                   w.others == 1 ? "is" : "are", w.other.reason);
    rc = say_without_step(db, run, c, ret, err);
    return rc < 0 ? rc : say_nothing_found(run, c, ret, err);
}
