/*
 * test_scan - the threads that watch: real files, real writers, mounts that hang.
 *
 * The clock is the real one. Nothing here asserts that something happens within a time: a test
 * waits for what must come and fails when a minute has passed.
 */
#include "support/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/path.h"
#include "support/alloc.h"
#include "watch/hint.h"
#include "watch/scan.h"

#include "files.h"

enum { DEADLINE_MS = 60000, SETTLE_MS = 30, HOUR_MS = 3600 * 1000 };

struct bench {
    struct scan_listener listener;
    struct hint_listener hint_listener;
    uv_loop_t loop;
    uv_timer_t tick; /* so that waiting ends */
    struct scan *scan;
    struct hint *hint;
    char *directory;
    struct report *log;
    size_t count, room;
    void (*look)(struct bench *b, const struct report *r);
    bool is_stopped, is_hint_closed;
    unsigned abandoned;
};

static void on_reports(struct scan_listener *l, struct report *reports, size_t count)
{
    struct bench *b = container_of(l, struct bench, listener);

    for (size_t i = 0; i < count; i++) {
        if (b->count == b->room) {
            b->room = b->room ? b->room * 2 : 1024;
            b->log = realloc(b->log, b->room * sizeof *b->log);
            assert_non_null(b->log);
        }
        if (b->look)
            b->look(b, &reports[i]);
        b->log[b->count++] = reports[i];
        memset(&reports[i], 0, sizeof reports[i]); /* taken over */
    }
}

static void on_stopped(struct scan_listener *l, unsigned abandoned)
{
    struct bench *b = container_of(l, struct bench, listener);

    b->is_stopped = true;
    b->abandoned = abandoned;
}

static void on_changed(struct hint_listener *l, uint64_t id, const char *name)
{
    struct bench *b = container_of(l, struct bench, hint_listener);

    assert_int_equal(scan_hint(b->scan, id, name, NULL), 0);
}

static void on_unavailable(struct hint_listener *l, const struct sewa_error *why)
{
    (void)l;
    print_error("no hints: %s\n", why->text);
}

static void on_hint_closed(struct hint_listener *l)
{
    container_of(l, struct bench, hint_listener)->is_hint_closed = true;
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

static struct target_rules rules = { .inspect = inspect_whole,
                                     .retry_first_ms = 50,
                                     .retry_max_ms = 200 };

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->directory = scratch_new();
    b->listener.reports = on_reports;
    b->listener.stopped = on_stopped;
    b->hint_listener = (struct hint_listener){ .changed = on_changed,
                                               .unavailable = on_unavailable,
                                               .closed = on_hint_closed };
    assert_int_equal(uv_loop_init(&b->loop), 0);
    uv_timer_init(&b->loop, &b->tick);
    uv_timer_start(&b->tick, on_tick, 20, 20);
    *state = b;
    return 0;
}

static void turn(struct bench *b)
{
    uv_run(&b->loop, UV_RUN_ONCE);
}

static void stop(struct bench *b)
{
    int64_t end = clock_monotonic_ms() + DEADLINE_MS;

    if (b->hint)
        hint_close(b->hint);
    while (b->hint && !b->is_hint_closed && clock_monotonic_ms() < end)
        turn(b);
    b->hint = NULL;
    if (b->scan)
        scan_stop(b->scan);
    while (b->scan && !b->is_stopped && clock_monotonic_ms() < end)
        turn(b);
    assert_true(!b->scan || b->is_stopped);
    b->scan = NULL;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    stop(b);
    uv_close((uv_handle_t *)&b->tick, NULL);
    while (uv_run(&b->loop, UV_RUN_DEFAULT))
        ;
    assert_int_equal(uv_loop_close(&b->loop), 0); /* no handle is left open */
    for (size_t i = 0; i < b->count; i++)
        report_clear(&b->log[i]);
    free(b->log);
    scratch_free(b->directory);
    free(b);
    rules.inspect = inspect_whole;
    return 0;
}

static void start_with(struct bench *b, struct scan_options options)
{
    struct sewa_error err = { 0 };

    options.loop = &b->loop;
    options.rules = &rules;
    options.listener = &b->listener;
    assert_ok(scan_start(&options, &b->scan, &err), err);
}

static void start(struct bench *b, int64_t interval_ms)
{
    start_with(b, (struct scan_options){ .interval_ms = interval_ms });
}

static void add(struct bench *b, uint64_t id, const char *path, const char *marker)
{
    struct sewa_error err = { 0 };
    struct target_spec spec = { .id = id, .path = path, .marker = marker, .settle_ms = SETTLE_MS };

    assert_ok(scan_add(b->scan, &spec, NULL, 0, &err), err);
}

static size_t told(const struct bench *b, uint64_t id, enum report_kind kind, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < b->count; i++)
        n += b->log[i].target == id && b->log[i].kind == kind &&
             (!name || (b->log[i].name && strcmp(b->log[i].name, name) == 0));
    return n;
}

/* Wait until it has been told n times. */
static void wait_at(struct bench *b, uint64_t id, enum report_kind kind, const char *name, size_t n,
                    int line)
{
    int64_t end = clock_monotonic_ms() + DEADLINE_MS;

    while (told(b, id, kind, name) < n && clock_monotonic_ms() < end)
        turn(b);
    if (told(b, id, kind, name) < n) {
        print_error("line %d: waited in vain for %zu times '%s' of '%s'\n", line, n,
                    report_kind_name(kind), name ? name : "");
        fail();
    }
}
#define wait_for(b, id, kind, name, n) wait_at(b, id, REPORT_##kind, name, n, __LINE__)

static char *make_run(struct bench *b, const char *name)
{
    make_directory(b->directory, name);
    return path_join(b->directory, name);
}

/* ---- life ---- */

static void test_from_found_to_gone(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a", 100, 'a');
    start(b, 20);
    add(b, 1, b->directory, NULL);
    wait_for(b, 1, TARGET_OK, NULL, 1);
    wait_for(b, 1, FOUND, "a", 1);
    wait_for(b, 1, PROVEN, "a", 1);
    write_whole(b->directory, "a", 200, 'b');
    wait_for(b, 1, CHANGED, "a", 1);
    wait_for(b, 1, PROVEN, "a", 2);
    remove_file(b->directory, "a");
    wait_for(b, 1, GONE, "a", 1);
    stop(b);
    assert_int_equal(b->abandoned, 0);
    assert_int_equal(told(b, 1, REPORT_FOUND, NULL), 1);
    assert_int_equal(told(b, 1, REPORT_NOT_PROVEN, NULL), 0);
}

static void test_stopping_at_once(void **state)
{
    struct bench *b = *state;

    start(b, 20);
    stop(b);
    assert_int_equal(b->abandoned, 0);
    b->is_stopped = false;
    start(b, 20);
    add(b, 1, b->directory, NULL);
    stop(b);
    assert_int_equal(b->abandoned, 0);
}

static void test_commands(void **state)
{
    struct bench *b = *state;

    start(b, HOUR_MS);
    add(b, 1, b->directory, NULL);
    wait_for(b, 1, SCAN_DONE, NULL, 1);
    write_whole(b->directory, "a", 100, 'a');
    assert_int_equal(scan_now(b->scan, 99, NULL), 0); /* nobody */
    assert_int_equal(scan_now(b->scan, 1, NULL), 0);
    wait_for(b, 1, PROVEN, "a", 1);
    write_whole(b->directory, "b", 100, 'b');
    assert_int_equal(scan_hint(b->scan, 1, "b", NULL), 0);
    wait_for(b, 1, PROVEN, "b", 1);
    write_whole(b->directory, "c", 100, 'c');
    assert_int_equal(scan_hint(b->scan, 1, NULL, NULL), 0);
    wait_for(b, 1, PROVEN, "c", 1);
    write_whole(b->directory, "d", 100, 'd');
    scan_set_interval(b->scan, 10);
    wait_for(b, 1, PROVEN, "d", 1);
    /* the id is free as soon as it is removed, and what it knew is forgotten */
    assert_int_equal(scan_remove(b->scan, 1, NULL), 0);
    add(b, 1, b->directory, NULL);
    wait_for(b, 1, PROVEN, "d", 2);
    assert_int_equal(scan_remove(b->scan, 1, NULL), 0);
    assert_int_equal(scan_remove(b->scan, 1, NULL), 0);
}

/* The last directory takes its thread along, and the next one gets a new one. */
static void test_threads_come_and_go(void **state)
{
    struct bench *b = *state;

    start(b, HOUR_MS);
    for (uint64_t id = 1; id <= 20; id++) {
        add(b, id, b->directory, NULL);
        wait_for(b, id, SCAN_DONE, NULL, 1);
        assert_int_equal(scan_remove(b->scan, id, NULL), 0);
        turn(b);
    }
}

static void test_several_directories(void **state)
{
    struct bench *b = *state;

    start(b, 20);
    for (uint64_t id = 1; id <= 50; id++) {
        char name[32];
        snprintf(name, sizeof name, "run-%d", (int)id);
        AUTOFREE char *path = make_run(b, name);
        write_whole(path, "a", 100, 'a');
        add(b, id, path, NULL);
    }
    for (uint64_t id = 1; id <= 50; id++)
        wait_for(b, id, PROVEN, "a", 1);
}

/* One that cannot be read does not stop the others, and is told of once. */
static void test_a_bad_directory(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *good = make_run(b, "good");
    AUTOFREE char *bad = path_join(b->directory, "bad");

    write_whole(good, "a", 100, 'a');
    scratch_write(b->directory, "bad", "", 0); /* a file in its place */
    start(b, 20);
    add(b, 1, bad, NULL);
    add(b, 2, good, NULL);
    wait_for(b, 1, TARGET_ERROR, NULL, 1);
    wait_for(b, 2, PROVEN, "a", 1);
    wait_for(b, 1, SCAN_DONE, NULL, 3);
    assert_int_equal(told(b, 1, REPORT_TARGET_ERROR, NULL), 1);
    remove_file(b->directory, "bad");
    make_directory(b->directory, "bad");
    wait_for(b, 1, TARGET_OK, NULL, 1);
}

static void start_on_many(struct bench *b, int count)
{
    char name[32];

    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "step-%05d.pt", i);
        write_whole(b->directory, name, 32, 'a');
    }
    start(b, HOUR_MS);
    add(b, 1, b->directory, NULL);
}

/* The thread waits when the loop does not keep up, and goes on when it does. */
static void test_the_loop_is_slow(void **state)
{
    struct bench *b = *state;

    start_on_many(b, 5000);
    usleep(200 * 1000); /* the loop does something else */
    turn(b);
    assert_true(b->count <= 600); /* no more than these were on their way */
    wait_for(b, 1, PROVEN, NULL, 5000);
    assert_int_equal(told(b, 1, REPORT_FOUND, NULL), 5000);
}

static void test_holding(void **state)
{
    struct bench *b = *state;

    start_on_many(b, 5000);
    wait_for(b, 1, FOUND, NULL, 100);
    scan_hold(b->scan, true);
    for (int i = 0; i < 20; i++)
        turn(b); /* what was on its way */
    size_t before = b->count;
    for (int i = 0; i < 20; i++)
        turn(b);
    assert_int_equal(b->count, before);
    assert_true(before < 5000);
    scan_hold(b->scan, false);
    wait_for(b, 1, PROVEN, NULL, 5000);
}

static void test_stopping_while_the_thread_waits_for_the_loop(void **state)
{
    struct bench *b = *state;

    start_on_many(b, 3000);
    usleep(200 * 1000);
    scan_hold(b->scan, true);
    stop(b);
    assert_int_equal(b->abandoned, 0);
}

/* ---- mounts ---- */

static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t seen_thread[10]; /* by the first letter of a name: a, b, ... */
static sem_t hang;
static _Atomic int hanging;

static int inspect_and_note(const struct target_spec *spec, const char *name, int fd,
                            const struct look *look, struct inspection **ret,
                            struct sewa_error *err)
{
    pthread_mutex_lock(&seen_lock);
    seen_thread[name[0] - 'a'] = pthread_self();
    pthread_mutex_unlock(&seen_lock);
    if (strcmp(name, "hangs") == 0) {
        atomic_fetch_add(&hanging, 1);
        while (sem_wait(&hang) < 0)
            ;
    }
    return inspect_whole(spec, name, fd, look, ret, err);
}

static bool same_thread(char a, char b)
{
    pthread_mutex_lock(&seen_lock);
    bool same = pthread_equal(seen_thread[a - 'a'], seen_thread[b - 'a']);
    pthread_mutex_unlock(&seen_lock);
    return same;
}

static void write_mountinfo(struct bench *b, const char *const *points, size_t count)
{
    AUTO(buf_clear) struct buf text = { 0 };

    buf_text(&text, "1 0 8:1 / / rw - ext4 /dev/a rw\n");
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "2 1 8:1 / %s/%s rw - nfs x rw\n", b->directory, points[i]);
    scratch_write(b->directory, "mountinfo.new", text.data, text.len);
    move(b->directory, "mountinfo.new", "mountinfo");
}

static void start_with_mounts(struct bench *b, const char *const *points, size_t count)
{
    AUTOFREE char *mountinfo = path_join(b->directory, "mountinfo");

    write_mountinfo(b, points, count);
    rules.inspect = inspect_and_note;
    start_with(b, (struct scan_options){
                      .interval_ms = 20, .grace_ms = 100, .mounts_ms = 1, .mountinfo = mountinfo });
}

static void test_a_thread_for_each_mount(void **state)
{
    static const char *const points[] = { "m1", "m2" };
    struct bench *b = *state;
    AUTOFREE char *m1 = make_run(b, "m1");
    AUTOFREE char *m2 = make_run(b, "m2");
    AUTOFREE char *deeper = make_run(b, "m1/deeper");

    write_whole(m1, "a", 100, 'a');
    write_whole(m2, "b", 100, 'b');
    write_whole(deeper, "c", 100, 'c');
    start_with_mounts(b, points, 2);
    add(b, 1, m1, NULL);
    add(b, 2, m2, NULL);
    add(b, 3, deeper, NULL);
    wait_for(b, 1, PROVEN, "a", 1);
    wait_for(b, 2, PROVEN, "b", 1);
    wait_for(b, 3, PROVEN, "c", 1);
    assert_false(same_thread('a', 'b'));
    assert_true(same_thread('a', 'c'));
}

static void test_directories_follow_their_mount(void **state)
{
    static const char *const points[] = { "m1", "m2" };
    struct bench *b = *state;
    AUTOFREE char *m1 = make_run(b, "m1");
    AUTOFREE char *m2 = make_run(b, "m2");
    size_t n = 0;

    write_whole(m1, "a", 100, 'a');
    write_whole(m2, "b", 100, 'b');
    start_with_mounts(b, points, 0);
    add(b, 1, m1, NULL);
    add(b, 2, m2, NULL);
    wait_for(b, 1, PROVEN, "a", 1);
    wait_for(b, 2, PROVEN, "b", 1);
    assert_true(same_thread('a', 'b'));
    write_mountinfo(b, points, 2);
    /* each move may come a little later than the file: rewrite until the threads differ */
    for (int64_t end = clock_monotonic_ms() + DEADLINE_MS;
         same_thread('a', 'b') && clock_monotonic_ms() < end;) {
        n++;
        write_whole(m1, "a", 100 + n, 'a');
        write_whole(m2, "b", 100 + n, 'b');
        wait_for(b, 1, PROVEN, "a", 1 + n);
        wait_for(b, 2, PROVEN, "b", 1 + n);
        assert_int_equal(scan_now(b->scan, 1, NULL), 0); /* commands and moves meet */
        assert_int_equal(scan_hint(b->scan, 2, "b", NULL), 0);
    }
    assert_false(same_thread('a', 'b'));
    assert_int_equal(told(b, 1, REPORT_FOUND, "a"), 1); /* what was known moved along */
}

static void test_without_a_list_of_mounts(void **state)
{
    struct bench *b = *state;

    write_whole(b->directory, "a", 100, 'a');
    start_with(b, (struct scan_options){ .interval_ms = 20, .mountinfo = "/nonexistent" });
    add(b, 1, b->directory, NULL);
    wait_for(b, 1, PROVEN, "a", 1);
}

/* The memory of what hangs stays; this keeps it in sight of the leak checker. */
static struct scan *volatile left_behind;

/* A mount that hangs hangs alone, and the service ends without it. */
static void test_a_mount_that_hangs(void **state)
{
    static const char *const points[] = { "m1", "m2" };
    struct bench *b = *state;
    AUTOFREE char *m1 = make_run(b, "m1");
    AUTOFREE char *m2 = make_run(b, "m2");

    assert_int_equal(sem_init(&hang, 0, 0), 0);
    atomic_store(&hanging, 0);
    write_whole(m1, "hangs", 100, 'a');
    write_whole(m2, "b", 100, 'b');
    start_with_mounts(b, points, 2);
    add(b, 1, m1, NULL);
    add(b, 2, m2, NULL);
    wait_for(b, 2, PROVEN, "b", 1);
    for (int64_t end = clock_monotonic_ms() + DEADLINE_MS;
         atomic_load(&hanging) == 0 && clock_monotonic_ms() < end;)
        turn(b);
    assert_int_equal(atomic_load(&hanging), 1);
    write_whole(m2, "b", 200, 'b');
    wait_for(b, 2, PROVEN, "b", 2);
    assert_int_equal(scan_now(b->scan, 1, NULL), 0); /* queues up */
    assert_int_equal(scan_remove(b->scan, 1, NULL), 0);
    left_behind = b->scan;
    stop(b);
    assert_int_equal(b->abandoned, 1);
    assert_int_equal(sem_post(&hang), 0); /* it comes back: nobody is there, and nothing breaks */
    usleep(100 * 1000);
}

/* ---- racing writers ---- */

enum { RACES = 40, SIZES_MAX = 200000 };

/* Which sizes have been written to their end, whatever the name: every version has its own. */
static atomic_bool is_written[SIZES_MAX];

static void check_written(struct bench *b, const struct report *r)
{
    (void)b;
    if (r->kind == REPORT_PROVEN && !atomic_load(&is_written[r->look.size])) {
        print_error("'%s' with %lld bytes was admitted and is not complete\n", r->name,
                    (long long)r->look.size);
        fail();
    }
}

struct writer {
    const char *directory;
    void (*write)(const struct writer *w, int i, const char *name, size_t n);
    size_t first; /* of its sizes */
    unsigned seed;
    bool has_failed;
};

static int nap(struct writer *w)
{
    return usleep((unsigned)(rand_r(&w->seed) % 4000));
}

/* In pieces, with pauses, into this descriptor from this offset. */
static int write_slowly(struct writer *w, int fd, size_t n)
{
    static char data[SIZES_MAX];
    char header[33];

    snprintf(header, sizeof header, "%08zu%024d", n, 0);
    if (pwrite_full(fd, header, 32, 0) < 0)
        return -1;
    for (size_t at = 32; at < n;) {
        size_t piece = n - at < 40000 ? n - at : 40000;
        nap(w);
        if (pwrite_full(fd, data, piece, (int64_t)at) < 0)
            return -1;
        at += piece;
    }
    return 0;
}

static int open_for(const struct writer *w, const char *name, int flags)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", w->directory, name);
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
}

static void slow(const struct writer *w, int i, const char *name, size_t n)
{
    struct writer mine = *w;
    AUTOCLOSE int fd = open_for(w, name, O_EXCL);

    mine.seed += (unsigned)i;
    atomic_store(&is_written[n], fd >= 0 && write_slowly(&mine, fd, n) == 0);
}

static void truncate_and_rewrite(const struct writer *w, int i, const char *name, size_t n)
{
    struct writer mine = *w;
    AUTOCLOSE int fd = open_for(w, name, O_TRUNC);

    mine.seed += (unsigned)i;
    atomic_store(&is_written[n], fd >= 0 && write_slowly(&mine, fd, n) == 0);
}

static void rename_into_place(const struct writer *w, int i, const char *name, size_t n)
{
    struct writer mine = *w;
    char temporary[64], from[4096], to[4096];

    mine.seed += (unsigned)i;
    snprintf(temporary, sizeof temporary, "%s.tmp", name);
    AUTOCLOSE int fd = open_for(w, temporary, O_EXCL);
    bool whole = fd >= 0 && write_slowly(&mine, fd, n) == 0;
    atomic_store(&is_written[n], whole);
    snprintf(from, sizeof from, "%s/%s", w->directory, temporary);
    snprintf(to, sizeof to, "%s/%s", w->directory, name);
    if (rename(from, to) < 0)
        atomic_store(&is_written[n], false);
}

static void delete_and_recreate(const struct writer *w, int i, const char *name, size_t n)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", w->directory, name);
    if (unlink(path) < 0 && i >= 4)
        return;
    slow(w, i, name, n);
}

static void preallocate_fill_and_mark(const struct writer *w, int i, const char *name, size_t n)
{
    struct writer mine = *w;
    char marker[64];
    AUTOCLOSE int fd = open_for(w, name, O_EXCL);

    mine.seed += (unsigned)i;
    if (fd < 0 || ftruncate(fd, (off_t)n) < 0 || write_slowly(&mine, fd, n) < 0)
        return;
    atomic_store(&is_written[n], true);
    snprintf(marker, sizeof marker, "%s.done", name);
    int done = open_for(w, marker, O_EXCL);
    if (done >= 0)
        close(done);
}

static void *write_all(void *arg)
{
    struct writer *w = arg;

    for (int i = 0; i < RACES; i++) {
        char name[32];
        bool reuses = w->write == truncate_and_rewrite || w->write == delete_and_recreate;
        snprintf(name, sizeof name, "step-%d", reuses ? i % 4 : i);
        w->write(w, i, name, w->first + (size_t)i);
        w->has_failed = w->has_failed || !atomic_load(&is_written[w->first + (size_t)i]);
        nap(w);
    }
    return NULL;
}

/* The last versions of all files must come to be proven, and nothing that is not complete ever. */
static void race(struct bench *b, void (*write)(const struct writer *, int, const char *, size_t),
                 const char *marker, int names)
{
    struct writer w = { .directory = b->directory, .write = write, .first = 100000, .seed = 1 };
    pthread_t thread;

    for (size_t i = 0; i < SIZES_MAX; i++)
        atomic_store(&is_written[i], false);
    b->look = check_written;
    start(b, 5);
    add(b, 1, b->directory, marker);
    assert_int_equal(pthread_create(&thread, NULL, write_all, &w), 0);
    for (int i = 0; i < names; i++) {
        int64_t end = clock_monotonic_ms() + DEADLINE_MS;
        size_t last = w.first + (size_t)(RACES - names + i);
        char name[32];
        bool done = false;
        snprintf(name, sizeof name, "step-%d", names < RACES ? (int)((last - w.first) % 4) : i);
        while (!done && clock_monotonic_ms() < end) {
            turn(b);
            for (size_t k = 0; k < b->count; k++)
                done = done ||
                       (b->log[k].kind == REPORT_PROVEN && strcmp(b->log[k].name, name) == 0 &&
                        b->log[k].look.size == (int64_t)last);
        }
        assert_true(done);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(w.has_failed);
}

static void test_slow_writers(void **state)
{
    race(*state, slow, NULL, RACES);
}

static void test_truncating_writers(void **state)
{
    race(*state, truncate_and_rewrite, NULL, 4);
}

static void test_renaming_writers(void **state)
{
    race(*state, rename_into_place, NULL, RACES);
}

static void test_recreating_writers(void **state)
{
    race(*state, delete_and_recreate, NULL, 4);
}

static void test_preallocating_writers_with_a_marker(void **state)
{
    race(*state, preallocate_fill_and_mark, "{name}.done", RACES);
}

/* ---- hints ---- */

static void test_hints_are_faster_than_scans(void **state)
{
    struct bench *b = *state;
    struct sewa_error err = { 0 };

    start(b, HOUR_MS);
    assert_ok(hint_open(&b->loop, &b->hint_listener, 10, &b->hint, &err), err);
    add(b, 1, b->directory, NULL);
    wait_for(b, 1, SCAN_DONE, NULL, 1);
    assert_int_equal(hint_watch(b->hint, 1, b->directory, &err), 1);
    write_part(b->directory, "a", 100, 50);
    wait_for(b, 1, FOUND, "a", 1);
    write_whole(b->directory, "a", 100, 'p');
    wait_for(b, 1, PROVEN, "a", 1);
    move(b->directory, "a", "b");
    wait_for(b, 1, PROVEN, "b", 1);
    make_directory(b->directory, "d");
    wait_for(b, 1, DIRECTORY, "d", 1);
}

/* ---- memory ---- */

static void test_memory_may_be_short(void **state)
{
    struct bench *b = *state;
    struct target_spec spec = { .id = 1, .path = b->directory, .settle_ms = SETTLE_MS };
    const struct target_known known[] = { { "a", 100, 1, NULL, true } };

    start(b, HOUR_MS);
    for (int64_t n = 0;; n++) {
        struct sewa_error err = { 0 };
        alloc_fail_at(n);
        int rc = scan_add(b->scan, &spec, known, 1, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 3);
            break;
        }
        assert_int_equal(rc, SEWA_E_NO_MEMORY);
        assert_int_equal(err.code, SEWA_E_NO_MEMORY);
    }
    alloc_fail_at(0);
    assert_int_equal(scan_now(b->scan, 1, NULL), SEWA_E_NO_MEMORY);
    assert_true(alloc_fired());
    wait_for(b, 1, SCAN_DONE, NULL, 1);
    for (int64_t n = 0; n < 2; n++) {
        struct scan *s = NULL;
        struct scan_options options = { .loop = &b->loop, .rules = &rules };
        alloc_fail_at(0);
        assert_int_equal(scan_start(&options, &s, NULL), SEWA_E_NO_MEMORY);
        assert_true(alloc_fired());
        assert_null(s);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_from_found_to_gone),
        TEST(test_stopping_at_once),
        TEST(test_commands),
        TEST(test_threads_come_and_go),
        TEST(test_several_directories),
        TEST(test_a_bad_directory),
        TEST(test_the_loop_is_slow),
        TEST(test_holding),
        TEST(test_stopping_while_the_thread_waits_for_the_loop),
        TEST(test_a_thread_for_each_mount),
        TEST(test_directories_follow_their_mount),
        TEST(test_without_a_list_of_mounts),
        TEST(test_a_mount_that_hangs),
        TEST(test_slow_writers),
        TEST(test_truncating_writers),
        TEST(test_renaming_writers),
        TEST(test_recreating_writers),
        TEST(test_preallocating_writers_with_a_marker),
        TEST(test_hints_are_faster_than_scans),
        TEST(test_memory_may_be_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
