/*
 * verdict - did the average help? Compared on the report split, which no method has looked at.
 *
 *     d = (best baseline - ours) / |best baseline|      on the report loss
 *     improved  d > margin;   worse  d < -margin, or ours is not finite;   no_gain  otherwise
 *     margin = max(0.5 %, two standard errors of the paired per-example difference / |best
 * baseline|)
 *
 * Pure. Thread: any.
 */
#ifndef JOBS_VERDICT_H
#define JOBS_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

enum verdict { VERDICT_IMPROVED, VERDICT_NO_GAIN, VERDICT_WORSE, VERDICT_NOT_EVALUATED };

const char *verdict_name(enum verdict v);

struct verdict_loss {
    const char *name; /* of the baseline */
    double loss;      /* on the report split; not finite: never the best one */
    bool has_paired;
    double standard_error; /* of the mean of (its loss - ours) per example */
};

/* Text in ret_detail: one sentence for people. has_report: the evaluator has a report split. */
enum verdict verdict_judge(bool has_report, double ours, const struct verdict_loss *baselines,
                           size_t count, char *ret_detail, size_t detail_size);

#endif
