/*
 * test_parts - the small pure parts: names, markers, mounts, trust, the table of known files,
 * texts.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "support/alloc.h"
#include "watch/candidate.h"
#include "watch/known.h"
#include "watch/mounts.h"
#include "watch/report.h"
#include "watch/trust.h"

static void test_ignored_names(void **state)
{
    (void)state;
    static const char *const ignored[] = { ".x",      ".",     "a.tmp", "a.part", "a.incomplete",
                                           "tmp-a",   "a-tmp", "_a",    "_",      ".tmp",
                                           "a.b.tmp", "-tmp" };
    static const char *const candidates[] = { "a",          "a.pt",  "tmp",      "a.tmpx",
                                              "a.tmp.pt",   "xtmp-", "a.parts",  "a_",
                                              "incomplete", "part",  "a.pt-tmp2" };

    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        assert_true(candidate_is_ignored(ignored[i]));
    for (size_t i = 0; i < COUNT_OF(candidates); i++)
        assert_false(candidate_is_ignored(candidates[i]));
}

static void test_markers(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name, *marker;
    } rows[] = {
        { "{name}.done", "step-1.pt", "step-1.pt.done" },
        { "{stem}.done", "step-1.pt", "step-1.done" },
        { "{stem}.done", "step-1", "step-1.done" },
        { "{stem}.done", "a.tar.gz", "a.tar.done" },
        { "{stem}.done", ".pt", ".pt.done" },
        { "ok-{name}", "a.pt", "ok-a.pt" },
        { "<{stem}>", "a.pt", "<a>" },
        { "{name}.\xff", "\xfe", "\xfe.\xff" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTOFREE char *marker = candidate_marker(rows[i].pattern, rows[i].name);
        assert_string_equal(marker, rows[i].marker);
        assert_true(candidate_is_marker(rows[i].pattern, marker));
    }
    assert_false(candidate_is_marker("{name}.done", "step-1.pt"));
    assert_false(candidate_is_marker("{name}.done", ".done")); /* of a file without a name */
    assert_false(candidate_is_marker("ok-{stem}", "xok-a"));
    assert_false(candidate_is_marker("<{stem}>", "<a"));
}

static void test_mounts(void **state)
{
    (void)state;
    static const char text[] = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                               "30 22 0:5 / /proc rw - proc proc rw\n"
                               "40 22 0:40 / /data rw - nfs4 server:/x rw\n"
                               "nonsense\n"
                               "\n"
                               "41 40 0:41 / /data/with\\040space\\134x rw - ext4 /dev/sdb rw\n"
                               "42 40 0:41 / /data/deep/er rw - ext4 /dev/sdc rw\n"
                               "43 40 0:41 / relative rw - ext4 /dev/sdc rw\n"
                               "44 40 0:41 /";
    static const struct {
        const char *path, *point;
    } rows[] = {
        { "/data", "/data" },      { "/data/x", "/data" },
        { "/database", "/" },      { "/data/with space\\x/y", "/data/with space\\x" },
        { "/data/deep", "/data" }, { "/data/deep/er/x", "/data/deep/er" },
        { "/home", "/" },          { "/", "/" },
    };
    AUTO(mounts_clear) struct mounts m = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(mounts_parse(text, &m, &err), err);
    assert_int_equal(m.count, 5);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(mounts_find(&m, rows[i].path), rows[i].point);
}

static void test_mounts_of_this_machine(void **state)
{
    (void)state;
    AUTO(mounts_clear) struct mounts m = { 0 }, none = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(mounts_read("/proc/self/mountinfo", &m, &err), err);
    assert_string_equal(mounts_find(&m, "/proc/self/status"), "/proc");
    assert_string_equal(mounts_find(&none, "/proc"), "/");
    assert_failed(mounts_read("/nonexistent", &none, &err), err, SEWA_E_NOT_FOUND, "nonexistent");
    for (int64_t n = 0;; n++) {
        AUTO(mounts_clear) struct mounts some = { 0 };
        alloc_fail_at(n);
        int rc = mounts_parse("1 0 8:1 / / rw\n1 0 8:1 / /a rw\n", &some, &err);
        if (!alloc_fired())
            break;
        assert_int_equal(rc, SEWA_E_NO_MEMORY);
        assert_int_equal(some.count, 0);
    }
}

static void test_trust(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct trust_identity before;
        struct trust_listing l;
        bool wanted;
    } rows[] = {
        { "nothing is known", { 1, 1, true }, { { 2, 2, true }, 0, 0, 0 }, true },
        { "the same, all there", { 1, 1, true }, { { 1, 1, true }, 5, 5, 5 }, true },
        { "the same, really emptied", { 1, 1, true }, { { 1, 1, true }, 5, 0, 0 }, true },
        { "unmounted", { 1, 1, true }, { { 2, 7, true }, 5, 0, 0 }, false },
        { "unmounted, others wrote below", { 1, 1, true }, { { 2, 7, true }, 5, 0, 3 }, false },
        { "mounted again, new device", { 1, 1, true }, { { 3, 1, true }, 5, 4, 9 }, true },
        { "made anew, empty", { 1, 1, true }, { { 1, 2, true }, 5, 0, 0 }, false },
        { "made anew, other files", { 1, 1, true }, { { 1, 2, true }, 5, 0, 1 }, true },
        { "after a start, empty", { 0, 0, false }, { { 1, 1, true }, 5, 0, 0 }, false },
        { "after a start, other files", { 0, 0, false }, { { 1, 1, true }, 5, 0, 1 }, true },
        { "after a start, all there", { 0, 0, false }, { { 1, 1, true }, 5, 5, 5 }, true },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (trust_listing(&rows[i].before, &rows[i].l) != rows[i].wanted)
            print_error("%s\n", rows[i].what);
        assert_int_equal(trust_listing(&rows[i].before, &rows[i].l), rows[i].wanted);
    }
}

static void test_known(void **state)
{
    (void)state;
    AUTO(known_clear) struct known k = { 0 };
    char name[32];

    assert_null(known_find(&k, "x"));
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "step-%d", i);
        assert_null(known_find(&k, name));
        struct known_file *f = known_add(&k, name, i % 2 ? KNOWN_WAITING : KNOWN_COMPLETE);
        assert_non_null(f);
        f->look.size = i;
    }
    assert_int_equal(k.count, 1000);
    assert_int_equal(k.files, 1000);
    assert_int_equal(k.waiting, 500);
    struct known_walk w = { 0 };
    int64_t sum = 0, walked = 0;
    for (struct known_file *f; (f = known_next(&k, &w)); walked++) {
        sum += f->look.size;
        if (f->look.size % 3 == 0)
            known_remove(&k, f);
        else if (f->look.size % 3 == 1)
            known_set_state(&k, f, KNOWN_GONE);
        else
            known_set_state(&k, f, KNOWN_WAITING);
    }
    assert_int_equal(walked, 1000);
    assert_int_equal(sum, 999 * 1000 / 2);
    assert_int_equal(k.count, 666);
    assert_int_equal(k.files, 333);
    assert_int_equal(k.waiting, 333);
    assert_null(known_find(&k, "step-3"));
    assert_int_equal(known_find(&k, "step-4")->state, KNOWN_GONE);
}

static void test_known_without_memory(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        AUTO(known_clear) struct known k = { 0 };
        alloc_fail_at(n);
        bool failed = false;
        char name[16];
        for (int i = 0; i < 40; i++) {
            snprintf(name, sizeof name, "%d", i);
            failed = !known_add(&k, name, KNOWN_COMPLETE) || failed;
        }
        bool fired = alloc_fired();
        assert_int_equal(failed, fired);
        assert_int_equal(k.count, fired ? 39 : 40);
        size_t found = 0;
        for (int i = 0; i < 40; i++) {
            snprintf(name, sizeof name, "%d", i);
            found += known_find(&k, name) != NULL;
        }
        assert_int_equal(found, k.count);
        if (!fired)
            break;
    }
}

static void test_proof_text(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = { 0 };
    struct proof p = { PROOF_SETTLED, 951825600500, 951825605500, 5000 };

    proof_text(&p, &b);
    assert_string_equal(buf_cstr(&b),
                        "{\"rule\":\"settled\",\"first_look\":\"2000-02-29T12:00:00.500Z\","
                        "\"second_look\":\"2000-02-29T12:00:05.500Z\",\"settle_seconds\":5}");
    buf_reset(&b);
    p.rule = PROOF_MARKER;
    proof_text(&p, &b);
    assert_null(strstr(buf_cstr(&b), "settle_seconds"));
    assert_non_null(strstr(buf_cstr(&b), "\"rule\":\"marker\""));
    assert_string_equal(report_kind_name(REPORT_NOT_PROVEN), "not proven");
    assert_string_equal(report_kind_name((enum report_kind)99), "unknown");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ignored_names),
        cmocka_unit_test(test_markers),
        cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_mounts_of_this_machine),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_known_without_memory),
        cmocka_unit_test(test_proof_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
