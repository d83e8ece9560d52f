/*
 * test_average - the file of an average: every value by definition, recalibrated buffers where they
 * belong, integers by the policy of the job, and nothing left behind by a failure.
 */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/activity.h"
#include "base/digest.h"
#include "base/fdio.h"
#include "base/json.h"
#include "base/path.h"
#include "formats/safetensors.h"
#include "judge.h"
#include "shop.h"

static const double alpha[SHOP_K] = { 0.5, 0.25, 0.25, 0 };

struct published {
    char *directory;
    struct buf bytes;
    struct layout *layout;
    json_t *result;
};

static json_t *task_of(const struct published *p, bool recalibrate, json_t *more)
{
    json_t *task = shop_point(alpha, more);

    json_object_set_new(task, "kind", json_string("average"));
    json_object_set_new(task, "directory", json_string(p->directory));
    json_object_set_new(task, "recalibrate", json_boolean(recalibrate));
    json_object_set_new(task, "max_shard_bytes", json_integer(0));
    return task;
}

static void publish(struct shop *s, struct published *p, bool recalibrate, json_t *more)
{
    AUTOFREE char *path = NULL;
    struct sewa_error err = { 0 };

    *p = (struct published){ .directory = path_join(s->directory, "out") };
    path = path_join(p->directory, "model.safetensors");
    p->result = shop_do(s, task_of(p, recalibrate, more));
    assert_ok(file_read(path, 1 << 24, &p->bytes, &err), err);
    assert_ok(safetensors_parse(p->bytes.data, p->bytes.len, path, (int64_t)p->bytes.len,
                                &p->layout, &err),
              err);
    assert_int_equal(p->layout->count, SHOP_TENSORS);
}

static void published_clear(struct published *p)
{
    json_decref(p->result);
    layout_free(p->layout);
    buf_clear(&p->bytes);
    free(p->directory);
}

static double wanted(const struct shop *s, bool recalibrate, size_t t, int64_t e)
{
    if (dtype_kind(shop_tensors[t].dtype) == DTYPE_INTEGER)
        return shop_integer(s->spec.integers, alpha, t, e);
    if (recalibrate && shop_tensors[t].is_recalibrated)
        return judge_fresh(t, e, shop_average(alpha, 0, 0));
    return shop_average(alpha, t, e);
}

static void check_values(const struct shop *s, const struct published *p, bool recalibrate)
{
    for (size_t i = 0; i < SHOP_TENSORS; i++) {
        const struct tensor *t = layout_find(p->layout, shop_tensors[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, shop_tensors[i].dtype);
        for (int64_t e = 0; e < shop_elements(i); e++) {
            double is = shop_number(t->dtype, p->bytes.data + t->offset, e);
            if (is != wanted(s, recalibrate, i, e))
                fail_msg("element %lld of '%s' is %.17g, not %.17g", (long long)e,
                         shop_tensors[i].name, is, wanted(s, recalibrate, i, e));
        }
    }
}

/* The name, size and digest that sewad is told are those of the file. */
static void check_files(const struct published *p)
{
    const json_t *file = json_array_get(json_object_get(p->result, "files"), 0);
    AUTOPTR(sha256_free) struct sha256 *h = sha256_new();
    char hex[SHA256_HEX_SIZE];
    uint8_t digest[32];

    sha256_update(h, p->bytes.data, p->bytes.len);
    sha256_final(h, digest);
    assert_int_equal(json_array_size(json_object_get(p->result, "files")), 1);
    assert_string_equal(json_string_value(json_object_get(file, "name")), "model.safetensors");
    assert_int_equal(json_integer_value(json_object_get(file, "size")), p->bytes.len);
    assert_string_equal(json_string_value(json_object_get(file, "sha256")),
                        hex_encode(digest, 32, hex));
}

static void test_recalibrated(void **state)
{
    enum integer_policy policy = (enum integer_policy)(uintptr_t)*state;
    struct shop s;
    struct published p;
    AUTOJSON json_t *names = json_pack("[s, s, s]", "bn.0.mean", "bn.1.mean", "bn.1.var");

    shop_open(&s, 2, "{}", policy);
    shop_prepare(&s);
    publish(&s, &p, true, NULL);
    assert_int_equal(activity_current(), ACTIVITY_PUBLISH);
    check_values(&s, &p, true);
    check_files(&p);
    assert_true(json_equal(json_object_get(p.result, "recalibrated_tensors"), names));
    published_clear(&p);
    shop_close(&s);
}

/* Without what was prepared, only the ingredients are opened: the same values. */
static void test_plain(void **state)
{
    bool prepares = (uintptr_t)*state;
    struct shop s;
    struct published p;

    shop_open(&s, 2, "{}", INTEGER_OLDEST);
    if (prepares)
        shop_prepare(&s);
    AUTOFREE char *unused = path_join(s.directory, s.candidates[SHOP_K - 1].file);
    assert_int_equal(unlink(unused), 0); /* has no weight: nobody looks for it any more */
    publish(&s, &p, false,
            json_pack("{s:b, s:{s:s}}", "digests", 1, "metadata", "sewa.method", "x"));
    check_values(&s, &p, false);
    check_files(&p);
    assert_null(json_object_get(p.result, "recalibrated_tensors"));
    assert_string_equal(p.layout->metadata[0].key, "sewa.method");
    const json_t *digests = json_object_get(p.result, "digests");
    assert_int_equal(json_object_size(digests), 3); /* of ingredients alone, under their own ids */
    for (size_t i = 0; i < 3; i++) {
        AUTOFREE char *path = path_join(s.directory, s.candidates[i].file);
        AUTO(buf_clear) struct buf bytes = { 0 };
        struct sewa_error err = { 0 };
        char hex[SHA256_HEX_SIZE];
        uint8_t digest[32];
        AUTOPTR(sha256_free) struct sha256 *h = sha256_new();
        assert_ok(file_read(path, 1 << 24, &bytes, &err), err);
        sha256_update(h, bytes.data, bytes.len);
        sha256_final(h, digest);
        assert_string_equal(json_string_value(json_object_get(digests, s.candidates[i].id)),
                            hex_encode(digest, 32, hex));
    }
    published_clear(&p);
    shop_close(&s);
}

/* An ingredient that is gone, found out while the folder is there: nothing of it is left. */
static void test_failure_leaves_nothing(void **state)
{
    struct shop s;
    struct published p = { 0 };
    struct sewa_error err = { 0 };
    json_t *result = NULL;

    (void)state;
    shop_open(&s, 2, "{}", INTEGER_OLDEST);
    size_t before = scratch_entries(s.directory);
    AUTOFREE char *path = path_join(s.directory, s.candidates[1].file);
    p.directory = path_join(s.directory, "out");
    AUTOJSON json_t *early = task_of(&p, true, NULL);
    assert_failed(workshop_do(s.workshop, early, &result, &err), err, SEWA_E_PROTOCOL,
                  "recalibrate before it prepared");
    assert_int_equal(unlink(path), 0);
    AUTOJSON json_t *late = task_of(&p, false, NULL);
    assert_failed(workshop_do(s.workshop, late, &result, &err), err, SEWA_E_GONE, "step-1");
    assert_int_equal(activity_current(), ACTIVITY_READ);
    activity_begin(ACTIVITY_IDLE);
    AUTOJSON json_t *prepare = json_pack("{s:s}", "kind", "prepare");
    assert_failed(workshop_do(s.workshop, prepare, &result, &err), err, SEWA_E_GONE, "step-1");
    assert_int_equal(activity_current(), ACTIVITY_READ);
    assert_int_equal(scratch_entries(s.directory), before - 1);
    free(p.directory);
    shop_close(&s);
}

#define WITH(test, name_, value)                            \
    {                                                       \
        name_, test, NULL, NULL, (void *)(uintptr_t)(value) \
    }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH(test_recalibrated, "recalibrated, integers of the newest", INTEGER_NEWEST),
        WITH(test_recalibrated, "recalibrated, integers of the oldest", INTEGER_OLDEST),
        WITH(test_recalibrated, "recalibrated, the greatest integers", INTEGER_MAX),
        WITH(test_plain, "prepared", true),
        WITH(test_plain, "ingredients alone", false),
        cmocka_unit_test(test_failure_leaves_nothing),
    };
    int judged = judge_main(argc, argv);

    return judged >= 0 ? judged : cmocka_run_group_tests(tests, NULL, NULL);
}
