/*
 * test_trainer_state - row 32 of what must be right: names of optimizers, schedulers, samplers and
 * random generators, and those of models that look a little like them.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "formats/trainer_state.h"

static const struct key_row {
    const char *key;
    bool is_state;
} keys[] = {
    { "optimizer", true },        { "optim", true },
    { "Optimizer", true },        { "optimizers", true },
    { "optimizer_0", true },      { "optimizer1", true },
    { "actor_optimizer", true },  { "optimizer_state_dict", true },
    { "optimiser", true },        { "lr_scheduler", true },
    { "lr_schedulers", true },    { "sched", true },
    { "rng_state", true },        { "cuda_rng_states", true },
    { "random_state", true },     { "sampler", true },
    { "train-dataloader", true }, { "train_loader", true },
    { "model", false },           { "", false },
    { "optimal", false },         { "optimism", false },
    { "optimizerx", false },      { "xoptim", false },
    { "resampler", false },       { "downsampler", false },
    { "energy", false },          { "random_projection", false },
    { "generator", false },       { "generator_state_dict", false }, /* half of a GAN */
    { "schedule", false },
};

static void test_key(void **state)
{
    const struct key_row *row = *state;

    assert_int_equal(trainer_state_is_key(row->key), row->is_state);
}

static const struct name_row {
    const char *name, *state; /* NULL: a model's */
} tensors[] = {
    { "optimizer.state.w.exp_avg", "optimizer" },
    { "optimizer_0.state.w.exp_avg", "optimizer_0" },
    { "optim.w", "optim" },
    { "optimizer", "optimizer" },
    { "app.optim.state.w.step", "app.optim" },
    { "a.b.optimizer.param_groups.0.lr", "a.b.optimizer" },
    { "x.state.optim.state.w", "x.state.optim" },
    { "state.w.exp_avg", "*.exp_avg" },
    { "0.exp_avg_sq", "*.exp_avg_sq" },
    { "w.momentum_buffer", "*.momentum_buffer" },
    { "w.square_avg", "*.square_avg" },
    { "w.acc_delta", "*.acc_delta" },
    { "w.exp_inf", "*.exp_inf" },
    { "w.max_exp_avg_sq", "*.max_exp_avg_sq" },
    { "exp_avg.w", NULL },
    { "rng_state", "rng_state" },
    { "cuda_rng_state.0", "cuda_rng_state" },
    { "lr_scheduler.last_epoch", "lr_scheduler" },
    { "grad_scaler._scale", "grad_scaler" },
    { "dataloader.position", "dataloader" },
    { "sampler_state.seed", "sampler_state" },
    { "emb.weight", NULL },
    { "optimal.weight", NULL },
    { "layers.optimizer.weight", NULL }, /* a part that is called like that, and no state in it */
    { "layers.optim.states.w", NULL },
    { "optional.state.w", NULL },
    { "state.w", NULL },
    { "noise_scheduler.betas", NULL },
    { "scheduler.betas", NULL },
    { "sampler.conv.weight", NULL },
    { "scaler.mean", NULL },
    { "exp_avg", NULL },
    { "w.exp_avgs", NULL },
    { ".w", NULL },
    { "", NULL },
};

static void test_name(void **state)
{
    const struct name_row *row = *state;
    char found[TRAINER_STATE_SIZE] = "untouched";

    assert_int_equal(trainer_state_of(row->name, found), row->state != NULL);
    assert_string_equal(found, row->state ? row->state : "untouched");
}

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
    assert_ok(layout_builder_state_key(b, "m", &err), err);
    assert_ok(layout_builder_left(b, "epoch", &err), err);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    l->file_bytes = 77;
    l->header_digest[5] = 9;
    return l;
}

static void test_it_is_left(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "optimizer.state.a.exp_avg", "b",
                                         "optimizer.state.a.step", "rng_state" };
    AUTOPTR(layout_free) struct layout *l = with_names(names, COUNT_OF(names));
    struct sewa_error err = { 0 };

    assert_ok(trainer_state_leave(&l, &err), err);
    assert_int_equal(l->count, 2);
    assert_int_equal(layout_find(l, "a")->offset, 10);
    assert_int_equal(layout_find(l, "b")->offset, 12);
    assert_int_equal(l->left_count, 3);
    assert_string_equal(l->left[0], "epoch");
    assert_string_equal(l->left[1], "optimizer");
    assert_string_equal(l->left[2], "rng_state");
    assert_non_null(strstr(l->notes[0], "left aside: 3 of 5 tensors"));
    assert_non_null(strstr(l->notes[0], "not the model's: 'optimizer' and others"));
    assert_int_equal(l->file_bytes, 77);
    assert_int_equal(l->header_digest[5], 9);
    assert_string_equal(l->state_key, "m");
    assert_string_equal(l->metadata[0].value, "pt");
}

/* The verdict on a first part is that of the neighbour only where it is the same part. */
static void test_neighbours(void **state)
{
    (void)state;
    static const char *const names[] = { "model.a",  "optim.b", "optimal.c", "optim.d",
                                         "optima.f", "optim.g", "optim_.h" };
    AUTOPTR(layout_free) struct layout *l = with_names(names, COUNT_OF(names));
    struct sewa_error err = { 0 };

    assert_ok(trainer_state_leave(&l, &err), err);
    assert_int_equal(l->count, 3);
    assert_non_null(layout_find(l, "model.a"));
    assert_non_null(layout_find(l, "optimal.c"));
    assert_non_null(layout_find(l, "optima.f"));
    assert_non_null(strstr(l->notes[0], "left aside: 4 of 7 tensors"));
}

static void test_one_is_named(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "optim_head.weight" };
    AUTOPTR(layout_free) struct layout *l = with_names(names, COUNT_OF(names));
    struct sewa_error err = { 0 };

    assert_ok(trainer_state_leave(&l, &err), err);
    assert_string_equal(l->notes[0], "left aside: 1 of 2 tensors, which are a trainer's state and "
                                     "not the model's: 'optim_head'");
}

static void test_nothing_to_leave(void **state)
{
    (void)state;
    static const char *const names[] = { "a", "b" };
    AUTOPTR(layout_free) struct layout *l = with_names(names, COUNT_OF(names));
    const struct layout *before = l;
    struct sewa_error err = { 0 };

    assert_ok(trainer_state_leave(&l, &err), err);
    assert_ptr_equal(l, before);
}

static void test_nothing_else(void **state)
{
    (void)state;
    static const char *const names[] = { "optim.a", "optim.b" };
    AUTOPTR(layout_free) struct layout *l = with_names(names, COUNT_OF(names));
    const struct layout *before = l;
    struct sewa_error err = { 0 };

    assert_failed(trainer_state_leave(&l, &err), err, SEWA_E_UNSUPPORTED,
                  "all 2 tensors are a trainer's state ('optim') and none is a model's");
    assert_ptr_equal(l, before);
}

/* Names have no bound of their own here: what is said of one has. */
static void test_a_long_name(void **state)
{
    (void)state;
    static char name[3 * TRAINER_STATE_SIZE];
    char found[TRAINER_STATE_SIZE];

    memset(name, 'a', sizeof name - 1);
    memcpy(name, "optim_", 6);
    assert_true(trainer_state_of(name, found));
    assert_int_equal(strlen(found), TRAINER_STATE_SIZE - 1);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(keys) + COUNT_OF(tensors) + 6];
    size_t n = 0;

    for (size_t i = 0; i < COUNT_OF(keys); i++)
        tests[n++] = (struct CMUnitTest){ keys[i].key, test_key, NULL, NULL, (void *)&keys[i] };
    for (size_t i = 0; i < COUNT_OF(tensors); i++)
        tests[n++] =
            (struct CMUnitTest){ tensors[i].name, test_name, NULL, NULL, (void *)&tensors[i] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_it_is_left);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_neighbours);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_one_is_named);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_nothing_to_leave);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_nothing_else);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_a_long_name);
    return _cmocka_run_group_tests("trainer_state", tests, n, NULL, NULL);
}
