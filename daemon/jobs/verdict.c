/*
 * verdict - compare with the best baseline and say so in one sentence.
 */
#include "jobs/verdict.h"

#include <math.h>
#include <stdio.h>

static const double margin_least = 0.005;

static const char *const names[] = {
    [VERDICT_IMPROVED] = "improved",
    [VERDICT_NO_GAIN] = "no_gain",
    [VERDICT_WORSE] = "worse",
    [VERDICT_NOT_EVALUATED] = "not_evaluated",
};

const char *verdict_name(enum verdict v)
{
    return names[v];
}

static const struct verdict_loss *best_of(const struct verdict_loss *baselines, size_t count)
{
    const struct verdict_loss *best = NULL;

    for (size_t i = 0; i < count; i++)
        if (isfinite(baselines[i].loss) && (!best || baselines[i].loss < best->loss))
            best = &baselines[i];
    return best;
}

static enum verdict against(double ours, const struct verdict_loss *best, char *detail, size_t size)
{
    /* a loss of exactly zero has no relative scale: compare absolutely then */
    double scale = best->loss != 0 ? fabs(best->loss) : 1;
    double d = (best->loss - ours) / scale;
    double margin = margin_least;

    if (best->has_paired && 2 * best->standard_error / scale > margin)
        margin = 2 * best->standard_error / scale;
    snprintf(detail, size, "report loss %.4g, best baseline %s %.4g (%+.1f %%, margin %.1f %%)",
             ours, best->name, best->loss, -100 * d + 0.0, 100 * margin); /* no "-0.0 %" */
    return d > margin ? VERDICT_IMPROVED : d < -margin ? VERDICT_WORSE : VERDICT_NO_GAIN;
}

enum verdict verdict_judge(bool has_report, double ours, const struct verdict_loss *baselines,
                           size_t count, char *detail, size_t size)
{
    const struct verdict_loss *best = best_of(baselines, count);

    if (!has_report) {
        snprintf(detail, size,
                 "the evaluator has no report split: the selection numbers are those that the "
                 "checkpoints were chosen on");
        return VERDICT_NOT_EVALUATED;
    }
    if (!isfinite(ours)) {
        snprintf(detail, size, "the report loss of the average is not finite");
        return VERDICT_WORSE;
    }
    if (!best) {
        snprintf(detail, size, "report loss %.4g, %s", ours,
                 count ? "no baseline has a finite one" : "there is no baseline to compare with");
        return count ? VERDICT_IMPROVED : VERDICT_NOT_EVALUATED;
    }
    return against(ours, best, detail, size);
}
