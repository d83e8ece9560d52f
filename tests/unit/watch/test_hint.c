/*
 * test_hint - what inotify tells, and what happens when it tells nothing.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/path.h"
#include "support/alloc.h"
#include "watch/hint.h"

#include "files.h"

enum { DEADLINE_MS = 60000, NAMES = 100 };

struct bench {
    struct hint_listener listener;
    uv_loop_t loop;
    uv_timer_t tick;
    struct hint *hint;
    char *directory;
    struct {
        uint64_t id;
        char name[64]; /* "*" for any */
    } log[NAMES];
    size_t count;
    unsigned complaints;
    struct sewa_error complaint;
    bool is_closed;
};

static void on_changed(struct hint_listener *l, uint64_t id, const char *name)
{
    struct bench *b = container_of(l, struct bench, listener);

    assert_true(b->count < NAMES);
    b->log[b->count].id = id;
    snprintf(b->log[b->count++].name, sizeof b->log[0].name, "%s", name ? name : "*");
}

static void on_unavailable(struct hint_listener *l, const struct sewa_error *why)
{
    struct bench *b = container_of(l, struct bench, listener);

    b->complaints++;
    b->complaint = *why;
}

static void on_closed(struct hint_listener *l)
{
    container_of(l, struct bench, listener)->is_closed = true;
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct sewa_error err = { 0 };

    assert_non_null(b);
    b->directory = scratch_new();
    b->listener = (struct hint_listener){ on_changed, on_unavailable, on_closed };
    assert_int_equal(uv_loop_init(&b->loop), 0);
    uv_timer_init(&b->loop, &b->tick);
    uv_timer_start(&b->tick, on_tick, 10, 10);
    assert_ok(hint_open(&b->loop, &b->listener, 20, &b->hint, &err), err);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    hint_close(b->hint);
    uv_close((uv_handle_t *)&b->tick, NULL);
    while (uv_run(&b->loop, UV_RUN_DEFAULT))
        ;
    assert_true(b->is_closed);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    scratch_free(b->directory);
    free(b);
    return 0;
}

static size_t told(const struct bench *b, uint64_t id, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < b->count; i++)
        n += b->log[i].id == id && strcmp(b->log[i].name, name) == 0;
    return n;
}

static void wait_at(struct bench *b, uint64_t id, const char *name, int line)
{
    int64_t end = clock_monotonic_ms() + DEADLINE_MS;

    while (told(b, id, name) == 0 && clock_monotonic_ms() < end)
        uv_run(&b->loop, UV_RUN_ONCE);
    if (told(b, id, name) == 0) {
        print_error("line %d: waited in vain for '%s'\n", line, name);
        fail();
    }
}
#define wait_for(b, id, name) wait_at(b, id, name, __LINE__)

static void test_changes(void **state)
{
    struct bench *b = *state;
    struct sewa_error err = { 0 };

    assert_int_equal(hint_watch(b->hint, 7, b->directory, &err), 1);
    write_whole(b->directory, "a", 100, 'a');
    wait_for(b, 7, "a");
    assert_int_equal(b->count, 1); /* created, written, closed: collected into one */
    b->count = 0;
    move(b->directory, "a", "b");
    wait_for(b, 7, "a");
    wait_for(b, 7, "b");
    b->count = 0;
    remove_file(b->directory, "b");
    make_directory(b->directory, "d\xff");
    wait_for(b, 7, "b");
    wait_for(b, 7, "d\xff");
}

static void test_many_names_are_any(void **state)
{
    struct bench *b = *state;
    struct sewa_error err = { 0 };
    char name[16];

    assert_int_equal(hint_watch(b->hint, 7, b->directory, &err), 1);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "%d", i);
        write_whole(b->directory, name, 32, 'a');
    }
    wait_for(b, 7, "*");
    assert_int_equal(b->count, 1);
}

static void test_two_runs_in_one_directory(void **state)
{
    struct bench *b = *state;
    struct sewa_error err = { 0 };

    assert_int_equal(hint_watch(b->hint, 1, b->directory, &err), 1);
    assert_int_equal(hint_watch(b->hint, 2, b->directory, &err), 1);
    write_whole(b->directory, "a", 32, 'a');
    wait_for(b, 1, "a");
    wait_for(b, 2, "a");
    hint_forget(b->hint, 1);
    hint_forget(b->hint, 99);
    b->count = 0;
    write_whole(b->directory, "b", 32, 'a');
    wait_for(b, 2, "b");
    assert_int_equal(told(b, 1, "b"), 0);
}

/* The watch ends with its directory; whoever finds the new one begins again. */
static void test_a_directory_that_is_made_anew(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *run = path_join(b->directory, "run");
    struct sewa_error err = { 0 };

    make_directory(b->directory, "run");
    assert_int_equal(hint_watch(b->hint, 1, run, &err), 1);
    remove_file(b->directory, "run");
    make_directory(b->directory, "run");
    assert_int_equal(hint_watch(b->hint, 1, run, &err), 1);
    b->count = 0;
    write_whole(run, "a", 32, 'a');
    wait_for(b, 1, "a");
}

static void test_a_missing_directory_is_no_complaint(void **state)
{
    struct bench *b = *state;
    AUTOFREE char *missing = path_join(b->directory, "missing");
    struct sewa_error err = { 0 };

    assert_int_equal(hint_watch(b->hint, 1, missing, &err), 0);
    assert_int_equal(b->complaints, 0);
}

/* Without inotify there is one complaint, and that is all. */
static void test_no_inotify(void **state)
{
    struct bench *b = *state;
    struct sewa_error err = { 0 };
    struct rlimit before, none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    AUTOCLOSE int next = dup(0); /* the number that inotify would get */
    none = before;
    none.rlim_cur = (rlim_t)next;
    close(take_fd(&next));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int first = hint_watch(b->hint, 1, b->directory, &err);
    int second = hint_watch(b->hint, 2, b->directory, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(first, 0);
    assert_int_equal(second, 0);
    assert_int_equal(b->complaints, 1);
    assert_failed(b->complaint.code, b->complaint, SEWA_E_UNAVAILABLE, "no hints for");
    assert_int_equal(hint_watch(b->hint, 1, b->directory, &err), 1); /* it may work later */
    write_whole(b->directory, "a", 32, 'a');
    wait_for(b, 1, "a");
}

static void test_memory_may_be_short(void **state)
{
    struct bench *b = *state;
    struct sewa_error err = { 0 };
    struct hint *none = NULL;

    assert_int_equal(hint_watch(b->hint, 1, b->directory, &err), 1);
    alloc_fail_at(0);
    assert_int_equal(hint_watch(b->hint, 1, b->directory, &err), SEWA_E_NO_MEMORY);
    assert_true(alloc_fired());
    alloc_fail_at(0);
    assert_int_equal(hint_open(&b->loop, &b->listener, 0, &none, &err), SEWA_E_NO_MEMORY);
    assert_true(alloc_fired());
    write_whole(b->directory, "a", 32, 'a'); /* the watch that was there still is */
    wait_for(b, 1, "a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_changes),
        TEST(test_many_names_are_any),
        TEST(test_two_runs_in_one_directory),
        TEST(test_a_directory_that_is_made_anew),
        TEST(test_a_missing_directory_is_no_complaint),
        TEST(test_no_inotify),
        TEST(test_memory_may_be_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
