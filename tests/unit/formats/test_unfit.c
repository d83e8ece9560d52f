/*
 * test_unfit - what no average is made of, by the names that the field's libraries give; and names
 * that look a little like them.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "formats/unfit.h"

/* Tensors as "name:TYPE name:TYPE". */
static const struct row {
    const char *name, *tensors, *word; /* NULL: it can be averaged */
} rows[] = {
    { "a plain model", "emb.weight:F32 lin.weight:BF16 lin.bias:F32", NULL },
    { "no tensors", "", NULL },
    { "PEFT", "base_model.model.q_proj.lora_A.weight:F32 base_model.model.q_proj.lora_B.weight:F32",
      "'base_model.model.q_proj.lora_A.weight' is a factor of an adapter" },
    { "PEFT, with the adapter's name", "q.lora_B.default.weight:F32", "an adapter" },
    { "PEFT, of another kind", "base_model.model.q_proj.some_new_kind.weight:F32", "an adapter" },
    { "PEFT's IA3", "base_model.model.q_proj.ia3_l:F32", NULL },
    { "a model of that name", "base_model.q_proj.weight:F32", NULL },
    { "DoRA", "q.lora_magnitude_vector:F32", "an adapter" },
    { "torchtune, beside the model", "q.weight:BF16 q.lora_a.weight:BF16", "'q.lora_a.weight'" },
    { "kohya", "lora_unet_mid_block.alpha:F16", "an adapter" },
    { "kohya's parts", "x.lora_down.weight:F16", "an adapter" },
    { "diffusers", "attn1.to_q_lora.up.weight:F32", "an adapter" },
    { "LoHa", "lycoris_x.hada_w1_a:F32", "an adapter" },
    { "LoKr", "lycoris_x.lokr_w1:F32", "an adapter" },
    { "OFT", "x.oft_r.weight:F32", "an adapter" },
    { "BOFT", "x.boft_R:F32", "an adapter" },
    { "VeRA", "x.vera_lambda_b:F32", "an adapter" },
    { "a name of one part", "lora:F32", "an adapter" },
    { "a name with parts that are empty", "a..b_:F32 .:F32 _:F32", NULL },
    { "what is done instead is said", "q.lora_A:F32",
      "the mean of products is not the product of means: merge each adapter" },
    { "flora and fauna", "flora.weight:F32 exploration.w:F32 loralai:F32", NULL },
    { "FP8 with its scale", "q.weight:F8_E4M3 q.weight_scale_inv:F32",
      "'q.weight_scale_inv' says that the weights are quantised (with a scale beside it)" },
    { "what is done instead is said, too", "q.weight:F8_E4M3 q.weight_scale:F32",
      "average the checkpoints that they were made from" },
    { "FP8 as it is", "q.weight:F8_E4M3", NULL },
    { "a scale of a model's own", "q.weight:F32 q.weight_scale:F32 q.scales:F32", NULL },
    { "a scale without weights", "weight_scale:F32", NULL },
    { "a scale of other weights", "p.weight:F8_E4M3 q.weight_scale:F32", NULL },
    { "GPTQ", "q.qweight:I32 q.qzeros:I32 q.scales:F16 q.g_idx:I32", "(GPTQ or AWQ)" },
    { "a name like GPTQ's with floats", "q.qweight:F32", NULL },
    { "bitsandbytes, four bits",
      "q.weight:U8 q.weight.absmax:U8 q.weight.quant_state.bitsandbytes__nf4:U8",
      "(bitsandbytes)" },
    { "bitsandbytes, the state alone", "q.weight.quant_state.bitsandbytes__fp4:U8",
      "(bitsandbytes)" },
    { "bitsandbytes, eight bits", "q.weight:I8 q.SCB:F32", "(bitsandbytes)" },
    { "MLX", "q.weight:U32 q.scales:F16 q.biases:F16", "'q.scales'" },
    { "compressed-tensors", "q.weight_packed:I32 q.weight_scale:BF16", "'q.weight_scale'" },
    { "HQQ", "q.W_q:U8 q.scales:F16", "'q.scales'" },
    { "MXFP4", "mlp.down_proj_blocks:U8 mlp.down_proj_scales:U8", "(in blocks with scales)" },
    { "blocks of a model's own", "down_blocks:F32 down_scales:F32 up_blocks:U8", NULL },
};

static struct layout *make(const char *text)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new("test");
    AUTOFREE char *copy = strdup(text);
    struct sewa_error err = { 0 };
    struct layout *l = NULL;
    char *rest = copy, *word;
    int64_t offset = 0;

    while ((word = strsep(&rest, " ")) != NULL && *word) {
        char *type = strrchr(word, ':');
        *type++ = '\0';
        static const int64_t shape[] = { 8 };
        struct tensor t = { .name = word, .rank = 1, .shape = shape, .offset = offset };
        t.dtype = (enum dtype)dtype_from_name(type, strlen(type));
        t.bytes = dtype_bytes(t.dtype, 8);
        offset += t.bytes;
        assert_ok(layout_builder_tensor(b, &t, &err), err);
    }
    assert_ok(layout_builder_finish(b, &l, &err), err);
    return l;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTOPTR(layout_free) struct layout *l = make(row->tensors);
    char text[UNFIT_SIZE] = "";

    assert_int_equal(layout_is_unfit(l, text), row->word != NULL);
    if (row->word && !strstr(text, row->word))
        fail_msg("'%s' is not in '%s'", row->word, text);
}

/* The sentence fits, whatever the name. */
static void test_a_long_name(void **state)
{
    (void)state;
    char name[LAYOUT_NAME_MAX + 8], text[UNFIT_SIZE];

    memset(name, 'a', LAYOUT_NAME_MAX - 8);
    strcpy(name + LAYOUT_NAME_MAX - 8, ".lora_A:F32");
    name[LAYOUT_NAME_MAX - 9] = 'b';
    AUTOPTR(layout_free) struct layout *l = make(name);
    assert_true(layout_is_unfit(l, text));
    assert_non_null(strstr(text, "average the models"));
    memset(name, 'a', LAYOUT_NAME_MAX);
    memcpy(name + LAYOUT_NAME_MAX - 7, ".scales", 7); /* what would be beside it is longer */
    strcpy(name + LAYOUT_NAME_MAX, ":F32");
    AUTOPTR(layout_free) struct layout *other = make(name);
    assert_false(layout_is_unfit(other, text));
}

static void test_steered(void **state)
{
    (void)state;
    static const char *const steered[] = { "model.layers.3.mlp.gate.e_score_correction_bias",
                                           "router.expert_bias",
                                           "expert_bias",
                                           "moe.tokens_per_expert",
                                           "codebook.cluster_size",
                                           "codebook.embed_avg" };
    static const char *const others[] = { "mlp.bias", "expert_bias.weight", "experts.bias",
                                          "",         "my_expert_bias",     "expert_biases" };

    for (size_t i = 0; i < COUNT_OF(steered); i++)
        assert_true(tensor_is_steered(steered[i]));
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_false(tensor_is_steered(others[i]));
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 2];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_a_long_name);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_steered);
    return _cmocka_run_group_tests("unfit", tests, n, NULL, NULL);
}
