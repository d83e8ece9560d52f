/*
 * place - set up, publish, read back.
 */
#include "place.h"

#include <string.h>

#include "base/fdio.h"
#include "base/path.h"
#include "formats/safetensors.h"
#include "support/alloc.h"

int place_setup(void **state, size_t k, uint64_t seed)
{
    struct place *p = calloc(1, sizeof *p);

    assert_non_null(p);
    run_init(&p->run, mixed_model, MIXED_COUNT, k, seed);
    p->engine = engine_with(2, 0);
    p->resident = resident_of(&p->engine, &p->run);
    p->directory = scratch_new();
    *state = p;
    return 0;
}

int place_teardown(void **state)
{
    place_clear(*state);
    free(*state);
    return 0;
}

void place_clear(struct place *p)
{
    scratch_free(p->directory);
    resident_close(p->resident);
    engine_clear(&p->engine);
    run_clear(&p->run);
}

void check_refused(const struct place *p, const struct materialize_options *o, int wanted,
                   const char *word)
{
    struct materialized result = { 0 };
    struct sewa_error err = { 0 };

    assert_failed(materialize(&p->engine, resident_source(p->resident), o, &result, &err), err,
                  wanted, word);
    assert_int_equal(scratch_entries(p->directory), 0);
    assert_null(result.files);
    assert_null(result.ingredients);
}

void check_no_memory(const struct place *p, const struct materialize_options *o, int64_t least)
{
    AUTO(engine_clear) struct engine one = engine_with(1, 0); /* failing is for this thread */
    struct materialized result = { 0 };
    struct sewa_error err = { 0 };

    for (int64_t n = 0;; n++) {
        alloc_fail_at(n);
        int rc = materialize(&one, resident_source(p->resident), o, &result, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > least);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
        assert_int_equal(scratch_entries(p->directory), 0);
        assert_null(result.files);
        assert_null(result.ingredients);
    }
    materialized_clear(&result);
}

void opened_init(struct opened *o, const struct place *p, const char *name)
{
    AUTOFREE char *path = path_join(p->directory, name);
    struct sewa_error err = { 0 };

    memset(o, 0, sizeof *o);
    assert_ok(file_read(path, 1 << 26, &o->bytes, &err), err);
    assert_ok(safetensors_parse(o->bytes.data, o->bytes.len, path, (int64_t)o->bytes.len,
                                &o->layout, &err),
              err);
}

void opened_clear(struct opened *o)
{
    buf_clear(&o->bytes);
    layout_free(o->layout);
}
