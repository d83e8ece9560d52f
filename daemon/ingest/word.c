/*
 * word - the table of words. A word is in it when some trainer writes it: a new one is a row here
 * and a row in tests/unit/ingest/test_name.c.
 */
#include "ingest/word.h"

#include "base/cleanup.h"

static const struct word words[] = {
    /* steps; "global_step" and "1000_steps" end with the word */
    { "step", MEANS_STEP, 1 },
    { "steps", MEANS_STEP, 1 },
    { "globalstep", MEANS_STEP, 1 },
    { "timestep", MEANS_STEP, 1 },
    { "timesteps", MEANS_STEP, 1 },
    { "iter", MEANS_STEP, 2 },
    { "iters", MEANS_STEP, 2 },
    { "itr", MEANS_STEP, 2 },
    { "it", MEANS_STEP, 2 },
    { "iteration", MEANS_STEP, 2 },
    { "iterations", MEANS_STEP, 2 },
    { "update", MEANS_STEP, 3 },
    { "updates", MEANS_STEP, 3 },
    { "ba", MEANS_STEP, 4 }, /* MosaicML's ep0-ba1000 */
    { "epoch", MEANS_EPOCH, 5 },
    { "epochs", MEANS_EPOCH, 5 },
    { "ep", MEANS_EPOCH, 5 },
    { "checkpoint", MEANS_COUNTER, 6 },
    { "ckpt", MEANS_COUNTER, 7 },
    { "chkpt", MEANS_COUNTER, 7 },
    { "chkpnt", MEANS_COUNTER, 7 },
    /* metrics */
    { "loss", MEANS_QUANTITY, 0 },
    { "acc", MEANS_QUANTITY, 0 },
    { "accuracy", MEANS_QUANTITY, 0 },
    { "val", MEANS_QUANTITY, 0 },
    { "valid", MEANS_QUANTITY, 0 },
    { "metric", MEANS_QUANTITY, 0 },
    { "score", MEANS_QUANTITY, 0 },
    { "reward", MEANS_QUANTITY, 0 },
    { "rew", MEANS_QUANTITY, 0 },
    { "return", MEANS_QUANTITY, 0 },
    { "err", MEANS_QUANTITY, 0 },
    { "error", MEANS_QUANTITY, 0 },
    { "auc", MEANS_QUANTITY, 0 },
    { "auroc", MEANS_QUANTITY, 0 },
    { "iou", MEANS_QUANTITY, 0 },
    { "miou", MEANS_QUANTITY, 0 },
    { "map", MEANS_QUANTITY, 0 },
    { "mae", MEANS_QUANTITY, 0 },
    { "mse", MEANS_QUANTITY, 0 },
    { "rmse", MEANS_QUANTITY, 0 },
    { "dice", MEANS_QUANTITY, 0 },
    { "bleu", MEANS_QUANTITY, 0 },
    { "ppl", MEANS_QUANTITY, 0 },
    { "perplexity", MEANS_QUANTITY, 0 },
    { "wer", MEANS_QUANTITY, 0 },
    { "cer", MEANS_QUANTITY, 0 },
    { "psnr", MEANS_QUANTITY, 0 },
    { "ssim", MEANS_QUANTITY, 0 },
    { "fid", MEANS_QUANTITY, 0 },
    { "top", MEANS_QUANTITY, 0 },
    /* settings, sizes and versions */
    { "lr", MEANS_QUANTITY, 0 },
    { "wd", MEANS_QUANTITY, 0 },
    { "bs", MEANS_QUANTITY, 0 },
    { "bsz", MEANS_QUANTITY, 0 },
    { "batch", MEANS_QUANTITY, 0 },
    { "batchsize", MEANS_QUANTITY, 0 },
    { "size", MEANS_QUANTITY, 0 },
    { "seed", MEANS_QUANTITY, 0 },
    { "fold", MEANS_QUANTITY, 0 },
    { "split", MEANS_QUANTITY, 0 },
    { "trial", MEANS_QUANTITY, 0 },
    { "run", MEANS_QUANTITY, 0 },
    { "exp", MEANS_QUANTITY, 0 },
    { "version", MEANS_QUANTITY, 0 },
    { "ver", MEANS_QUANTITY, 0 },
    { "v", MEANS_QUANTITY, 0 },
    { "dim", MEANS_QUANTITY, 0 },
    { "hidden", MEANS_QUANTITY, 0 },
    { "width", MEANS_QUANTITY, 0 },
    { "depth", MEANS_QUANTITY, 0 },
    { "layer", MEANS_QUANTITY, 0 },
    { "layers", MEANS_QUANTITY, 0 },
    { "head", MEANS_QUANTITY, 0 },
    { "heads", MEANS_QUANTITY, 0 },
    { "patch", MEANS_QUANTITY, 0 },
    { "res", MEANS_QUANTITY, 0 },
    { "gpu", MEANS_QUANTITY, 0 },
    { "gpus", MEANS_QUANTITY, 0 },
    { "gamma", MEANS_QUANTITY, 0 },
    { "alpha", MEANS_QUANTITY, 0 },
    { "beta", MEANS_QUANTITY, 0 },
    { "dropout", MEANS_QUANTITY, 0 },
    { "sample", MEANS_QUANTITY, 0 },
    { "samples", MEANS_QUANTITY, 0 },
    { "tokens", MEANS_QUANTITY, 0 },
    /* parts */
    { "rank", MEANS_PART, 0 },
    { "shard", MEANS_PART, 0 },
    { "part", MEANS_PART, 0 },
    { "partition", MEANS_PART, 0 },
    { "fsdp", MEANS_PART, 0 },
    { "consolidated", MEANS_PART, 0 },
    /* copies */
    { "best", MEANS_NAMED, 0 },
    { "last", MEANS_NAMED, 0 },
    { "latest", MEANS_NAMED, 0 },
    { "final", MEANS_NAMED, 0 },
    { "ema", MEANS_NAMED, 0 },
    { "swa", MEANS_NAMED, 0 },
    { "ave", MEANS_NAMED, 0 },
    { "avg", MEANS_NAMED, 0 },
    { "average", MEANS_NAMED, 0 },
    { "averaged", MEANS_NAMED, 0 },
    /* states */
    { "optim", MEANS_STATE, 0 },
    { "optims", MEANS_STATE, 0 },
    { "optimizer", MEANS_STATE, 0 },
    { "optimizers", MEANS_STATE, 0 },
    { "scheduler", MEANS_STATE, 0 },
    { "sampler", MEANS_STATE, 0 },
    { "dataloader", MEANS_STATE, 0 },
    { "scaler", MEANS_STATE, 0 },
    { "rng", MEANS_STATE, 0 },
};

const struct word *word_of(const struct token *t)
{
    static const struct word nothing = { "", MEANS_NOTHING, 0 };

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (token_is(t, words[i].text))
            return &words[i];
    return &nothing;
}
