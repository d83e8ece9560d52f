/*
 * test_layout_prefix - row 4 of what must be right: prefixes of training wrappers are taken off in
 * a loop, for each file by itself, and two names that become one are refused.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "formats/layout.h"

struct row {
    const char *name, *stripped;
};

static const struct row rows[] = {
    { "weight", "weight" },
    { "module.weight", "weight" },
    { "module.module.weight", "weight" },
    { "_orig_mod.weight", "weight" },
    { "_orig_mod.module.weight", "weight" },
    { "module._orig_mod.weight", "weight" },
    { "module._fsdp_wrapped_module._orig_mod.module.weight", "weight" },
    { "_fsdp_wrapped_module.layers.0._fsdp_wrapped_module.weight", "layers.0.weight" },
    { "layers.0._checkpoint_wrapped_module.weight", "layers.0.weight" },
    { "encoder._orig_mod.weight", "encoder.weight" },
    { "encoder.module.weight", "encoder.module.weight" }, /* the model's own */
    { "layers._orig_mod.module.weight", "layers.module.weight" },
    { "module.", "module." }, /* nothing would be left */
    { "module", "module" },
    { "modules.weight", "modules.weight" },
    { "my_orig_mod.weight", "my_orig_mod.weight" },
    { "a._orig_mod.", "a._orig_mod." },
    { "", "" },
};

static struct layout *with_names(const char *const *names, size_t count)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    struct layout *l = NULL;
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct tensor t = {
            .name = names[i], .dtype = DTYPE_U8, .bytes = 1, .offset = 10 + (int64_t)i
        };
        assert_ok(layout_builder_tensor(b, &t, &err), err);
    }
    assert_ok(layout_builder_metadata(b, "format", "pt", &err), err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    l->file_bytes = 77;
    l->header_digest[5] = 9;
    return l;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTOPTR(layout_free) struct layout *l = with_names(&row->name, 1);
    const struct layout *before = l;
    struct sewa_error err = { 0 };

    assert_ok(layout_strip_prefixes(&l, &err), err);
    assert_string_equal(l->tensors[0].name, row->stripped);
    assert_ptr_equal(layout_find(l, row->stripped), &l->tensors[0]);
    if (strcmp(row->name, row->stripped) == 0) {
        assert_ptr_equal(l, before);
        assert_int_equal(l->note_count, 0);
    } else {
        assert_int_equal(l->note_count, 1);
        assert_non_null(strstr(l->notes[0], "taken off 1 of 1 names"));
    }
}

static void test_the_rest_stays(void **state)
{
    (void)state;
    static const char *const names[] = { "plain", "module.b", "module.a" };
    AUTOPTR(layout_free) struct layout *l = with_names(names, COUNT_OF(names));
    struct sewa_error err = { 0 };

    assert_ok(layout_strip_prefixes(&l, &err), err);
    assert_int_equal(l->count, 3);
    assert_int_equal(layout_find(l, "plain")->offset, 10);
    assert_int_equal(layout_find(l, "b")->offset, 11);
    assert_int_equal(layout_find(l, "a")->offset, 12);
    assert_int_equal(l->file_bytes, 77);
    assert_int_equal(l->header_digest[5], 9);
    assert_string_equal(l->metadata[0].value, "pt");
    assert_string_equal(l->format, "test");
    assert_non_null(strstr(l->notes[0], "taken off 2 of 3 names"));
}

static void test_two_names_that_become_one(void **state)
{
    (void)state;
    static const char *const names[] = { "weight", "bias", "module.weight" };
    AUTOPTR(layout_free) struct layout *l = with_names(names, COUNT_OF(names));
    const struct layout *before = l;
    struct sewa_error err = { 0 };

    assert_failed(layout_strip_prefixes(&l, &err), err, SEWA_E_CORRUPT,
                  "are both 'weight' without the prefixes");
    assert_non_null(strstr(err.text, "'module.weight'"));
    assert_ptr_equal(l, before);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 2];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_the_rest_stays);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_two_names_that_become_one);
    return _cmocka_run_group_tests("layout_prefix", tests, n, NULL, NULL);
}
