/*
 * test_name - the step of a file from its name, as trainers write names; parts; and the names of
 * runs below a root.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/pattern.h"
#include "ingest/name.h"

/* pattern, path, and the step with its unit; or a word of the reason why there is none */
struct row {
    const char *pattern, *path;
    int64_t step;
    int unit;
    const char *word;
};

#define STEP(name, n)                  \
    {                                  \
        NULL, name, n, UNIT_STEP, NULL \
    }
#define EPOCH(name, n)                  \
    {                                   \
        NULL, name, n, UNIT_EPOCH, NULL \
    }
#define NUMBER(name, n)                  \
    {                                    \
        NULL, name, n, UNIT_NUMBER, NULL \
    }
#define NOTHING(name, why)      \
    {                           \
        NULL, name, -1, -1, why \
    }
#define COPY(name)                                   \
    {                                                \
        NULL, name, -1, -2, "a copy of a checkpoint" \
    }

static const struct row rows[] = {
    /* the examples that define the rule */
    NUMBER("ckpt_1000_fp16", 1000),
    STEP("epoch=3-step=1000-v1", 1000),
    STEP("epoch=3-step=1000-v1.ckpt", 1000),
    NOTHING("resnet50", "no number"),
    NOTHING("resnet50.safetensors", "no number"),
    NOTHING("model-00001-of-00002.safetensors", "shard 1 of 2"),
    STEP("step_100.pt", 100),
    STEP("step_1000.pt", 1000),
    STEP("step-10000.safetensors", 10000),
    STEP("step-9900.safetensors", 9900),
    /* digits of a metric, a fraction or a setting are no step */
    EPOCH("checkpoint_epoch1523_loss0.0113.ckpt", 1523),
    EPOCH("model_epoch5_acc0.9312.pt", 5),
    EPOCH("model_epoch6_acc0.94.pt", 6),
    EPOCH("epoch=3-val_loss=0.31.ckpt", 3),
    EPOCH("sample-mnist-epoch=02-val_loss=0.32.ckpt", 2),
    EPOCH("lstm-epoch=97-train_loss=0.6907.ckpt", 97),
    STEP("epoch=01-step=800-val_loss=0.36.ckpt", 800),
    STEP("exp_lr0.001_bs32_step_100.pt", 100),
    STEP("seed_42_step_100.pt", 100),
    STEP("model_lr1e-05_step_200.pt", 200),
    STEP("lr_3e-4-step-7.pt", 7),
    NUMBER("model_lr1e-4_700.pt", 700),
    NOTHING("model_1e-05.pt", "no number"),
    NOTHING("model_1e5.pt", "no number"),
    NOTHING("acc_95.pt", "no number"),
    NOTHING("val_loss=0.25.pt", "no number"),
    NOTHING("loss-.113.ckpt", "no number"),
    NOTHING("seed_42.pt", "no number"),
    NOTHING("model_fold_3.pt", "no number"),
    NOTHING("net_v2.pt", "no number"),
    NOTHING("fold=2-val_f1=0.91.ckpt", "no number"),
    EPOCH("ep=4-acc=87.ckpt", 4),
    EPOCH("top1_76.3_epoch_90.pth", 90),
    EPOCH("val_acc_95_epoch_12.pth", 12),
    NUMBER("model_1000_acc_95.pt", 1000),
    NUMBER("sd-1.5_2000.pt", 2000),
    NOTHING("sd-1.5.safetensors", "no number"),
    NOTHING("model_0,25.pt", "no number"),
    NOTHING("CHGNet-MPtrj-2023.12.1-2.7M-PES.pt", "no number"),
    NOTHING("M3GNet-MP-2021.2.8-DIRECT-PES.pt", "no number"),
    NOTHING("vgg_0.1.pth", "no number"),
    STEP("iter_500_psnr_31.pth", 500),
    NUMBER("unet_dim_64_res_256_1000.pt", 1000),
    STEP("ep0_bs16_it300.pt", 300),
    STEP("megatron_gpt--val_loss=2.1000-step=1000-consumed_samples=8000.0.ckpt", 1000),
    NOTHING("EA_NGEN_100_MU_100_model.pt", "several numbers (100 and 100)"),
    NOTHING("EA_NGEN_100_MU_100_ELITISM_0_HIDDEN_SIZE_16_model.pt", "several numbers"),
    EPOCH("batch_size_64_epoch_3.pt", 3),
    NOTHING("batch_32.pt", "no number"),
    EPOCH("model.epoch.7.loss.12.pt", 7),
    /* nor are those of a hash or a date */
    NOTHING("resnet50-0676ba61.pth", "no number"),
    NOTHING("model-3f2a91bc.pt", "no number"),
    STEP("3f2a91bc-step-7.pt", 7),
    NUMBER("3f2a91bc_700.pt", 700),
    NOTHING("550e8400-e29b-41d4-a716-446655440000.pt", "no number"),
    STEP("550e8400-e29b-41d4-a716-446655440000_step_3.pt", 3),
    NUMBER("step-3f2a91bc_7.pt", 7),
    STEP("ba1000.pt", 1000),
    STEP("ba10000.pt", 10000),
    STEP("3ba5.pt", 5),
    NOTHING("ba1000c3d.pt", "no number"),
    NOTHING("2024-05-01.pt", "no number"),
    NUMBER("2024-05-01_700.pt", 700),
    NOTHING("model_2024-05-01_12-30-00.pt", "no number"),
    NOTHING("20240501_123000.pt", "no number"),
    NOTHING("checkpoint_20240501_120000.pt", "no number"),
    NOTHING("checkpoint-2024-05-01.pt", "no number"),
    NOTHING("CKPT+2024-05-06+12-30-00+00", "no number"),
    NOTHING("run-2024-05-01T12:30:00.pt", "no number"),
    STEP("2024-05-01_step_100.pt", 100),
    NUMBER("20240501.pt", 20240501),
    NOTHING("2024-13-01.pt", "several numbers"),
    NOTHING("19991301_250000.pt", "several numbers"),
    /* as the trainers write them: Hugging Face, accelerate, DeepSpeed, Megatron, torchtitan */
    NUMBER("checkpoint-500", 500),
    NUMBER("checkpoint_0", 0),
    STEP("global_step500", 500),
    STEP("global_step_1234.pt", 1234),
    STEP("iter_0000100", 100),
    STEP("step-1000", 1000),
    STEP("step1000", 1000),
    STEP("step1000-unsharded", 1000),
    STEP("step1000-tokens4B", 1000),
    STEP("iter_0000500.pth", 500),
    /* Lightning, fairseq, composer, litgpt, NeMo, mmengine, detectron2, torchvision, timm */
    STEP("epoch=0-step=400.ckpt", 400),
    STEP("epoch=2-step=1200-v1.ckpt", 1200),
    EPOCH("epoch=0-val_loss=0.41.ckpt", 0),
    STEP("checkpoint_3_1200.pt", 1200),
    STEP("checkpoint_1_1000.pt", 1000),
    NUMBER("checkpoint3.pt", 3),
    STEP("checkpoint_2_3000_seed_1.pt", 3000),
    STEP("ep0-ba1000-rank0.pt", 1000),
    STEP("step-00001000", 1000),
    STEP("step=500", 500),
    EPOCH("epoch_10.pth", 10),
    STEP("iter_20000.pth", 20000),
    NUMBER("model_0004999.pth", 4999),
    NUMBER("model_0.pth", 0),
    NUMBER("checkpoint-19.pth", 19),
    NUMBER("checkpoint-10.pth.tar", 10),
    NUMBER("checkpoint0500.pth", 500),
    /* ultralytics, open_clip, ESPnet, icefall, torchtune, kohya, mlx, LeRobot, nanochat, VITS, RL
     */
    EPOCH("epoch10.pt", 10),
    EPOCH("epoch_1.pt", 1),
    EPOCH("1epoch.pth", 1),
    EPOCH("12epoch.pth", 12),
    EPOCH("epoch-3.pt", 3),
    NUMBER("checkpoint-4000.pt", 4000),
    EPOCH("epoch_0", 0),
    STEP("step_100", 100),
    NUMBER("lora-000010.safetensors", 10),
    STEP("lora-step00000500.safetensors", 500),
    NUMBER("0000100_adapters.safetensors", 100),
    NUMBER("005000", 5000),
    NUMBER("model_001000.pt", 1000),
    NUMBER("G_1000.pth", 1000),
    NUMBER("actor_1000.pth", 1000),
    STEP("rl_model_1000_steps.pt", 1000),
    STEP("2000steps", 2000),
    STEP("model_2000steps.pt", 2000),
    STEP("model_iter3000.pt", 3000),
    STEP("model_step1000.pt", 1000),
    STEP("1000_iter.pt", 1000),
    STEP("ppo_100000_timesteps.pt", 100000),
    STEP("timestep_10.pt", 10),
    NUMBER("chkpnt30000.pth", 30000),
    NUMBER("network-snapshot-000200.pt", 200),
    STEP("model_step_100_rank_0.pt", 100),
    EPOCH("epoch_000.ckpt", 0),
    NUMBER("model-100.nemo", 100),
    NUMBER("episode_200_reward_12.pt", 200),
    /* copies have a name */
    NOTHING("last.ckpt", "it is named"),
    NOTHING("best.pt", "it is named"),
    NOTHING("checkpoint_best.pt", "it is named"),
    NOTHING("model_final.pth", "it is named"),
    NOTHING("epoch_latest.pt", "it is named"),
    NOTHING("valid.acc.ave_3best.pth", "it is named"),
    NOTHING("adapters.safetensors", "no number"),
    NOTHING("last-v1.ckpt", "it is named"),
    NOTHING("best_model-v16.ckpt", "it is named"),
    NOTHING("checkpoint.best_loss_3.2140.pt", "it is named"),
    NOTHING("best-valid-loss.pt", "it is named"),
    COPY("best_coco_bbox_mAP_epoch_11.pth"),
    COPY("step=1000-EMA.ckpt"),
    COPY("ema_0.9999_100000.pt"),
    COPY("megatron_gpt--val_loss=2.2-step=2000-consumed_samples=16000.0-last.ckpt"),
    COPY("best_step_100.pt"),
    COPY("epoch-30-avg-9.pt"),
    COPY("final_1000.pt"),
    COPY("swa_10.pt"),
    COPY("modelBest_7.pth"),
    COPY("model_1000_ema.safetensors"),
    NUMBER("blast_1000.pt", 1000),
    NUMBER("lastlayer_1000.pt", 1000),
    /* every word, with every separator and none */
    STEP("step100", 100),
    STEP("step=100", 100),
    STEP("step.100.pt", 100),
    STEP("step--100.pt", 100),
    STEP("step_=100.pt", 100),
    STEP("step 100.pt", 100),
    STEP("step:100", 100),
    NUMBER("step+_100.pt", 100),
    STEP("iter100", 100),
    STEP("iteration-7", 7),
    STEP("itr_50.pt", 50),
    STEP("it-5.pt", 5),
    STEP("update_12.pt", 12),
    STEP("updates=12.pt", 12),
    NUMBER("ckpt-7.index", 7),
    NUMBER("model.ckpt-1000.data", 1000),
    STEP("STEP-12.pt", 12),
    NUMBER("Checkpoint12.pt", 12),
    EPOCH("ModelEpoch10.pt", 10),
    EPOCH("netEp4.pt", 4),
    EPOCH("10_epochs.pt", 10),
    /* the order of the words */
    STEP("iter-5-step-10.pt", 10),
    STEP("checkpoint-3-iter-9.pt", 9),
    NUMBER("ckpt-1-checkpoint-2.pt", 2),
    STEP("ckpt-of-step-8.pt", 8),
    STEP("timestep_10_epoch_2.pt", 10),
    STEP("epoch_2_it_10.pt", 10),
    STEP("epoch3step100.pt", 100),
    EPOCH("checkpoint_10_epochs.pt", 10),
    STEP("step_1000_epoch_3.pt", 1000),
    EPOCH("3_epoch_7.pt", 7),
    STEP("checkpoint_1000_steps", 1000),
    /* a word is a whole word, a number a whole number */
    NOTHING("substep10.pt", "no number"),
    NOTHING("step1000k.pt", "no number"),
    NOTHING("ckpt_100k.pt", "no number"),
    NOTHING("step1e5.pt", "no number"),
    NOTHING("step.pt", "no number"),
    STEP("steps_1000.pt", 1000),
    STEP("1000_steps.pt", 1000),
    NOTHING("checkpoint24node.pth", "no number"),
    NOTHING("lesson1_trained_agent.pt", "no number"),
    NOTHING("si16.model", "no number"),
    NOTHING("gpt2.pt", "no number"),
    EPOCH("resnet50epoch10.pt", 10),
    NUMBER("vit-b16-1000.pt", 1000),
    NUMBER("resnet50_90.pth", 90),
    NUMBER("llama-7b-500.pt", 500),
    NOTHING("step+100+5.pt", "several numbers (100 and 5)"),
    /* an epoch and its update, or two numbers of which nobody knows */
    STEP("checkpoint_5_5.pt", 5),
    NOTHING("checkpoint_1200_31.pt", "1200 and 31 both stand behind the word checkpoint"),
    NUMBER("ckpt_100_8gpu.pt", 100),
    NUMBER("ckpt_8gpu_100.pt", 100),
    NUMBER("12layers_8heads-100.pt", 100),
    STEP("8gpus_step_100.pt", 100),
    NOTHING("bert_12layers.pt", "no number"),
    NOTHING("layers_12.pt", "no number"),
    /* two numbers behind one word */
    NOTHING("step-100-to-step-200.pt", "100 and 200 both stand behind the word step"),
    STEP("step-100-step-100.pt", 100),
    STEP("step-100-step-0100.pt", 100),
    NOTHING("checkpoint_1_2_3.pt", "1 and 2 both stand behind the word checkpoint"),
    NOTHING("epoch_1_epoch_2.pt", "1 and 2 both stand behind the word epoch"),
    STEP("step_100_of_500.pt", 100),
    /* the only number that stands alone */
    NUMBER("1000.pt", 1000),
    NUMBER("model_1000.safetensors", 1000),
    NUMBER("model 1000.safetensors", 1000),
    NUMBER("model(1000).safetensors", 1000),
    NUMBER("model_1.pt", 1),
    NOTHING("model_1_2.pt", "several numbers (1 and 2)"),
    NOTHING("", "no number"),
    /* unicode, and names that are not UTF-8 */
    NUMBER("schritt-\xc3\xa4-100.pt", 100),
    NUMBER("fu\xc3\x9fstep1_2.pt", 2),
    NOTHING("step1000\xff.pt", "no number"),
    NOTHING("\xe6\xad\xa5\xe9\xaa\xa4"
            "100.pt",
            "no number"),
    NUMBER("\xff\xfe_100.pt", 100),
    STEP("\xff\xfe-step-100.pt", 100),
    /* leading zeros and the ends of int64 */
    STEP("step-000.pt", 0),
    STEP("step-0000000000000000000000000000000000000009.pt", 9),
    STEP("step-9223372036854775807.pt", INT64_MAX),
    NOTHING("step-9223372036854775808.pt", "does not fit"),
    NOTHING("99999999999999999999.pt", "does not fit"),
    NOTHING("step-1-step-99999999999999999999.pt", "does not fit"),
    /* how far training has come, and parts of a checkpoint */
    EPOCH("epoch-1-of-10.safetensors", 1),
    EPOCH("epoch-10-of-10.safetensors", 10),
    STEP("step-1000-of-5000", 1000),
    NOTHING("step-00001-of-00002.safetensors", "shard 1 of 2"),
    STEP("lora_rank16_step_100.safetensors", 100),
    /* parts, and directories above */
    STEP("step-1000-00001-of-00002.safetensors", 1000),
    NUMBER("1000-00001-of-00002.safetensors", 1000),
    NOTHING("consolidated.00.pth", "no number"),
    NOTHING("mp_rank_00_model_states.pt", "no number"),
    NOTHING("pytorch_model_fsdp_0", "no number"),
    NOTHING("model_world_size_8_rank_3.pt", "no number"),
    NUMBER("checkpoint1-shard0.pt", 1),
    NUMBER("checkpoint-1000/model-00001-of-00002.safetensors", 1000),
    NUMBER("checkpoint-1000/model.safetensors", 1000),
    NUMBER("checkpoint-1000/model_2.safetensors", 1000),
    STEP("checkpoint-1000/step-5.safetensors", 5),
    NUMBER("step-1/checkpoint-2/model.pt", 2),
    NUMBER("1000/model.pt", 1000),
    NOTHING("v1000/model.pt", "no number"),
    NUMBER("2000/weights_7.pt", 7),
    NUMBER("2000/weights_7_8.pt", 2000),
    NUMBER("3/x/model.pt", 3),
    /* with a pattern: whatever the name says otherwise */
    { "", "step-7.pt", 7, UNIT_STEP, NULL },
    { "step-{step}.safetensors", "step-1000.safetensors", 1000, UNIT_STEP, NULL },
    { "step-{step}.safetensors", "step-1000.pt", -1, -1, "does not match" },
    { "best-epoch-{step}.pt", "best-epoch-3.pt", 3, UNIT_EPOCH, NULL },
    { "{step}epoch*", "5epoch_x", 5, UNIT_EPOCH, NULL },
    { "ckpt_{step}k.pt", "ckpt_100k.pt", 100, UNIT_NUMBER, NULL },
    { "resnet{step}", "resnet50", 50, UNIT_NUMBER, NULL },
    { "*-v{step}.ckpt", "epoch=3-step=1000-v1.ckpt", 1, UNIT_NUMBER, NULL },
    { "*{step}*", "ckpt_1000_fp16", -1, -1, "1000 and 16 both fit" },
    { "*_{step}_*", "ckpt_1000_fp16", 1000, UNIT_NUMBER, NULL },
    { "step_{step}", "step_1000", 1000, UNIT_STEP, NULL },
    { "checkpoint-{step}/*.safetensors", "checkpoint-5/model.safetensors", 5, UNIT_NUMBER, NULL },
    { "{step}", "9223372036854775807", INT64_MAX, UNIT_NUMBER, NULL },
    { "{step}", "9223372036854775808", -1, -1, "does not fit" },
};

static void test_step(void **state)
{
    const struct row *row = *state;
    struct name_step says;
    struct sewa_error err = { 0 };
    int rc = name_step(row->pattern, row->path, &says, &err);

    if (rc == 0 && row->word && !strstr(says.reason, row->word))
        fail_msg("'%s' does not stand in: %s", row->word, says.reason);
    if (rc == 0 && !row->word)
        fail_msg("no step: %s", says.reason);
    assert_int_equal(rc, row->word == NULL);
    assert_int_equal(says.has_step, row->word == NULL);
    assert_int_equal(says.step, row->word ? 0 : row->step);
    assert_int_equal(says.is_copy, row->unit == -2);
    assert_true(utf8_is_valid(says.reason, strlen(says.reason)));
    if (!row->word)
        assert_int_equal(says.unit, row->unit);
}

static void test_bad_patterns_are_refused(void **state)
{
    (void)state;
    struct name_step says;
    struct sewa_error err = { 0 };

    assert_failed(name_step("step-*", "step-1", &says, &err), err, SEWA_E_INVALID, "no {step}");
    assert_failed(name_step("{step}{step}", "1", &says, &err), err, SEWA_E_INVALID,
                  "more than once");
}

static void test_long_names(void **state)
{
    (void)state;
    char name[4096];
    struct name_step says;
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < sizeof name - 1; i++)
        name[i] = i % 2 ? '1' : 'a'; /* more tokens than any name of a file has */
    name[sizeof name - 1] = '\0';
    assert_int_equal(name_step(NULL, name, &says, &err), 0);
    for (size_t i = 0; i < sizeof name - 1; i++)
        name[i] = i % 2 ? '1' : '-';
    assert_int_equal(name_step(NULL, name, &says, &err), 0);
    assert_non_null(strstr(says.reason, "several numbers"));
}

static void test_parts(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "model-00001-of-00002.safetensors",
        "consolidated.00.pth",
        "consolidated.01.pth",
        "mp_rank_00_model_states.pt",
        "zero_pp_rank_0_mp_rank_00_optim_states.pt",
        "pytorch_model_fsdp_0",
        "model_world_size_8_rank_3.pt",
        "model_world_size_2_rank_0.pt",
        "checkpoint1-shard0.pt",
        "checkpoint_500_rank1.pt",
        "model_tp_rank_0.pt",
        "model_part_2.pt",
        "step-00001-of-00002.pt",
        "consolidated.99.pth",
        "lora_step_5_rank2.pt",
    };
    static const char *const wholes[] = {
        "model-00001-of-00001.safetensors",
        "consolidated.safetensors",
        "pytorch_model_fsdp.bin",
        "ep0-ba1000-rank0.pt",
        "checkpoint_500_rank0.pt",
        "model_world_size_1_rank_0.pt",
        "step-1.pt",
        "frank_2.pt",
        "",
        "rank.pt",
        "epoch-1-of-10.pt",
        "step-1000-of-5000.pt",
        "consolidated_1000.pth",
        "model_fsdp_1000.pt",
        "lora_rank16_step_100.pt",
    };
    char reason[NAME_REASON_SIZE];

    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (!name_part(parts[i], reason))
            fail_msg("'%s' is no part", parts[i]);
    for (size_t i = 0; i < COUNT_OF(wholes); i++)
        if (name_part(wholes[i], reason))
            fail_msg("'%s' is %s", wholes[i], reason);
    assert_true(name_part("model_world_size_8_rank_3.pt", reason));
    assert_string_equal(reason, "rank 3 of several");
}

static void test_states(void **state)
{
    (void)state;
    static const char *const states[] = {
        "optimizer.pt", "optim_001000_rank0.pt", "optimizer_step_3.pt", "Optimizer-3.safetensors",
        "scheduler.pt", "scheduler_epoch_1.pt",  "lr_scheduler_100.pt", "rng_state_0.pth",
        "scaler.pt",    "dataloader_state.pt",
    };
    static const char *const models[] = {
        "model_optim_rng.pt",
        "model_and_optim",
        "model.pt",
        "policy.pth",
        "",
        "optimizer_and_model.pt",
        "cosine_scheduler_epoch_1.safetensors",
        "sgd_optimizer_step_1.safetensors",
        "Acrobot-v1-policy.optimizer.pth",
        "optimal_step_1.pt",
        "lr_0.1_scheduler_step_1.pt",
        "lr",
    };

    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (!name_is_state(states[i]))
            fail_msg("'%s' is no state", states[i]);
    for (size_t i = 0; i < COUNT_OF(models); i++)
        if (name_is_state(models[i]))
            fail_msg("'%s' is a state", models[i]);
}

static void test_shards(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t index, count; /* 0 for no shard */
    } shards[] = {
        { "model-00001-of-00002.safetensors", 1, 2 },
        { "model-00002-of-00002", 2, 2 },
        { "pytorch_model-00000-of-00001.bin", 0, 1 },
        { "model-1-of-12.safetensors", 1, 12 },
        { "model-00003-of-00002.safetensors", 0, 0 },
        { "model-00000-of-00000.safetensors", 0, 0 },
        { "model-of-5.pt", 0, 0 },
        { "model-1-of-.pt", 0, 0 },
        { "model-1-of-2x.pt", 0, 0 },
        { "model_1_of_2.pt", 0, 0 },
        { "-1-of", 0, 0 },
        { "step-1000-of-5000.pt", 0, 0 },
        { "epoch-00001-of-00010.pt", 1, 10 },
        { "-99999999999999999999-of-3", 0, 0 },
    };

    for (size_t i = 0; i < COUNT_OF(shards); i++) {
        int64_t index = 0, count = 0;
        assert_int_equal(name_shard(shards[i].name, &index, &count), shards[i].count != 0);
        assert_int_equal(index, shards[i].index);
        assert_int_equal(count, shards[i].count);
    }
}

static void test_run_names(void **state)
{
    (void)state;
    static const struct {
        const char *root, *directory, *name; /* NULL: too long */
    } runs[] = {
        { "lab", "cifar", "lab.cifar" },
        { "lab", "A.b_c-9", "lab.A.b_c-9" },
        { "lab", "exp 1", "lab.exp_201" },
        { "lab", "\xc3\xa4", "lab._C3_A4" },
        { "lab", "50%", "lab.50_25" },
        { "lab", "\xff", "lab._FF" },
        { "l", "1234567890123456789012345678901234567890123456789012345678901",
          "l.1234567890123456789012345678901234567890123456789012345678901" },
        { "l", "12345678901234567890123456789012345678901234567890123456789012", NULL },
        { "l", "123456789012345678901234567890123456789012345678901234567890 ", NULL },
    };

    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        char name[NAME_RUN_SIZE] = "", reason[NAME_REASON_SIZE] = "";
        int rc = name_run(runs[i].root, runs[i].directory, name, reason);
        assert_int_equal(rc, runs[i].name != NULL);
        if (rc) {
            assert_string_equal(name, runs[i].name);
            assert_true(path_is_run_name(name));
        } else {
            assert_non_null(strstr(reason, "63 bytes"));
        }
    }
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_bad_patterns_are_refused),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_run_names),
    };
    struct CMUnitTest tests[COUNT_OF(rows) + COUNT_OF(others)];
    char names[COUNT_OF(rows)][128];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++) {
        snprintf(names[n], sizeof names[n], "%zu: %s", n, rows[n].path);
        tests[n] = (struct CMUnitTest){ .name = names[n],
                                        .test_func = test_step,
                                        .initial_state = (void *)(uintptr_t)&rows[n] };
    }
    memcpy(&tests[n], others, sizeof others);
    return _cmocka_run_group_tests("name", tests, COUNT_OF(tests), NULL, NULL);
}
