/*
 * measured - what jobs before this one have taken, as a forecast for the next.
 */
#ifndef JOBS_MEASURED_H
#define JOBS_MEASURED_H

#include "jobs/plan.h"

/*
 * Fill p->recalibrations by what the evaluator said to the newest job that succeeded with it, as if
 * this job averaged several checkpoints; whether it does is judged by needs.h.
 */
int measured_traits(struct db *db, const struct job_request *q, struct job_plan *p,
                    struct sewa_error *err);

/*
 * Fill p->expected_seconds from the newest job like it that succeeded: with an evaluator, seconds
 * for an evaluation or recalibration in the same run with the same evaluator; without, seconds for
 * a byte in any run. Negative when there is none. The numbers of the plan stand already.
 */
int measured_expect(struct db *db, const struct job_request *q, struct job_plan *p,
                    struct sewa_error *err);

#endif
