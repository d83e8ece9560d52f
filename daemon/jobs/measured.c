/*
 * measured - a forecast from the newest job like the next one.
 */
#include "jobs/measured.h"

#include "store/jobs.h"

int measured_traits(struct db *db, const struct job_request *q, struct job_plan *p,
                    struct sewa_error *err)
{
    bool recalibrates = false;
    int rc = q->evaluator ? job_recalibrates(db, q->evaluator, &recalibrates, err) : 1;

    if (rc < 0)
        return rc;
    p->recalibrations = rc == 0 ? -1 : recalibrates ? JOB_RECALIBRATIONS_MAX : 0;
    return 0;
}

int measured_expect(struct db *db, const struct job_request *q, struct job_plan *p,
                    struct sewa_error *err)
{
    int64_t passes = p->evaluations + (p->recalibrations > 0 ? p->recalibrations : 0);
    double each;
    int rc = job_seconds_each(db, q->evaluator ? p->run_id : 0, q->evaluator, &each, err);

    if (rc < 0)
        return rc;
    p->expected_seconds = rc == 0 ? -1 : each * (double)(q->evaluator ? passes : p->bytes_to_read);
    return 0;
}
