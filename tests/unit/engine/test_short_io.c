/*
 * test_short_io - candidates on a file system whose reads are short: in memory, streamed, and their
 * digests, each as from a disk.
 */
#include "support/short_io.h"
#include "support/support.h"

#include <string.h>

#include "base/activity.h"
#include "engine/resident.h"
#include "engine/stream.h"
#include "run.h"

enum { MOST = 3001 };

static void test_resident(void **state)
{
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);

    short_io(MOST);
    int64_t before = activity_progress();
    struct resident *resident = resident_of(&e, r);
    assert_true(activity_progress() - before > resident_bytes_read(resident) / MOST);
    assert_true((int64_t)short_io(0) > resident_bytes_read(resident) / MOST);
    run_check(r, resident_source(resident));
    resident_close(resident);
}

static void test_stream(void **state)
{
    const struct run *r = *state;
    AUTO(engine_clear) struct engine e = engine_with(2, 0);
    struct stream_options o = { .candidates = r->candidates, .count = r->k };
    struct stream *stream = NULL;
    struct sewa_error err = { 0 };

    short_io(MOST);
    assert_ok(stream_open(&e, &o, &stream, &err), err);
    run_check(r, stream_source(stream));
    assert_true((int64_t)short_io(0) > stream_bytes_read(stream) / MOST);
    stream_close(stream);
}

static void test_digest(void **state)
{
    const struct run *r = *state;
    struct sewa_error err = { 0 };
    uint8_t whole[32], pieces[32];

    assert_ok(candidate_digest(&r->candidates[1], NULL, whole, &err), err);
    short_io(MOST);
    assert_ok(candidate_digest(&r->candidates[1], NULL, pieces, &err), err);
    assert_true((int64_t)short_io(0) > r->candidates[1].bytes / MOST);
    assert_memory_equal(whole, pieces, 32);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resident, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_stream, run_setup, run_teardown),
        cmocka_unit_test_setup_teardown(test_digest, run_setup, run_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
