/*
 * unfit - what tensors are for, as far as their names tell.
 */
#include "formats/unfit.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "formats/shown.h"

/* The last part of a name, behind its last dot. */
static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot ? dot + 1 : name;
}

static bool is_one_of(const char *part, size_t n, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == n && strncasecmp(part, *words, n) == 0)
            return true;
    return false;
}

/* ---- adapters ---- */

static const char *const adapter_words[] = { "lora", "dora", "loha", "lokr", "hada",
                                             "oft",  "boft", "vera", NULL };

/*
 * PEFT keeps its adapters below this, whatever kind they are; the vectors of IA3 multiply what they
 * are of, each by itself, and their mean is theirs.
 */
static bool is_of_peft(const char *name)
{
    return strncmp(name, "base_model.model.", 17) == 0 && !strstr(name, ".ia3_");
}

/* A word of the name: "lora_A", "to_q_lora", "hada_w1_a", "lora_magnitude_vector". */
static bool is_of_adapter(const char *name)
{
    if (is_of_peft(name))
        return true;
    for (const char *word = name; *word; word++) {
        size_t n = strcspn(word, "._");
        if (n >= 3 && n <= 4 && is_one_of(word, n, adapter_words))
            return true;
        word += n;
        if (!*word)
            return false;
    }
    return false;
}

/* ---- quantised weights ---- */

/* The tensor that stands beside this one: another last part. */
static const struct tensor *beside(const struct layout *l, const char *name, const char *part)
{
    char other[LAYOUT_NAME_MAX + 1];
    size_t n = (size_t)(last_part(name) - name);

    if (n + strlen(part) > LAYOUT_NAME_MAX)
        return NULL;
    memcpy(other, name, n);
    memcpy(other + n, part, strlen(part) + 1);
    return layout_find(l, other);
}

/* Where elements of a byte or less are, or several packed in one integer. */
static bool is_packed(const struct tensor *t)
{
    return t && (dtype_kind(t->dtype) != DTYPE_FLOAT || dtype_bits(t->dtype) <= 8);
}

/* "gate_up_proj_blocks" and "gate_up_proj_scales" */
static bool is_block_of_scales(const struct layout *l, const struct tensor *t)
{
    static const char blocks[] = "_blocks", scales[] = "_scales";
    char other[LAYOUT_NAME_MAX + 1];
    size_t n = strlen(t->name), length = sizeof blocks - 1;

    if (n < length || strcmp(t->name + n - length, blocks) != 0 || !is_packed(t))
        return false;
    memcpy(other, t->name, n - length);
    memcpy(other + n - length, scales, sizeof scales);
    return layout_find(l, other) != NULL;
}

/* Which tool has made it, or NULL. */
static const char *quantised_by(const struct layout *l, const struct tensor *t)
{
    static const char *const gptq[] = { "qweight", "qzeros", NULL };
    static const char *const bitsandbytes[] = { "absmax",           "quant_map", "nested_absmax",
                                                "nested_quant_map", "SCB",       NULL };
    static const char *const scales[] = { "weight_scale_inv", "weight_scale", "weight_scale_2",
                                          "scale_inv",        "scales",       NULL };
    static const char *const packed[] = { "weight", "weight_packed", "W_q", NULL };
    const char *last = last_part(t->name);
    size_t n = strlen(last);

    if (is_one_of(last, n, gptq) && is_packed(t))
        return "GPTQ or AWQ";
    if (is_one_of(last, n, bitsandbytes) || strncmp(last, "bitsandbytes__", 14) == 0)
        return "bitsandbytes";
    if (is_one_of(last, n, scales))
        for (size_t i = 0; packed[i]; i++)
            if (is_packed(beside(l, t->name, packed[i])))
                return "with a scale beside it";
    return is_block_of_scales(l, t) ? "in blocks with scales" : NULL;
}

/* ---- what is said ---- */

bool layout_is_unfit(const struct layout *l, char ret[UNFIT_SIZE])
{
    char shown[SHOWN_NAME_SIZE];

    for (size_t i = 0; i < l->count; i++) {
        const struct tensor *t = &l->tensors[l->by_name[i]];
        if (is_of_adapter(t->name)) {
            snprintf(ret, UNFIT_SIZE,
                     "tensor '%s' is a factor of an adapter (LoRA or its like), and the mean of "
                     "products is not the product of means: merge each adapter into its model and "
                     "average the models",
                     shown_name(t->name, shown));
            return true;
        }
        const char *by = quantised_by(l, t);
        if (by) {
            snprintf(ret, UNFIT_SIZE,
                     "tensor '%s' says that the weights are quantised (%s), and the mean of codes "
                     "is not the code of a mean: average the checkpoints that they were made from, "
                     "and quantise the average",
                     shown_name(t->name, shown), by);
            return true;
        }
    }
    return false;
}

bool tensor_is_steered(const char *name)
{
    static const char *const endings[] = { "e_score_correction_bias",
                                           "expert_bias",
                                           "correction_bias",
                                           "tokens_per_expert",
                                           "local_tokens_per_expert",
                                           "cluster_size",
                                           "embed_avg",
                                           "ema_w",
                                           NULL };
    const char *last = last_part(name);

    return is_one_of(last, strlen(last), endings);
}
