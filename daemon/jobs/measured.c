/*
 * measured - a forecast from the newest job like the next one.
 */
#include "jobs/measured.h"

#include "store/jobs.h"

int measured_expect(struct db *db, const struct job_request *q, struct job_plan *p,
                    struct sewa_error *err)
{
    double each;
    int rc = job_seconds_each(db, q->evaluator ? p->run_id : 0, q->evaluator, &each, err);

    if (rc < 0)
        return rc;
    p->expected_seconds =
        rc == 0 ? -1 : each * (double)(q->evaluator ? p->evaluations : p->bytes_to_read);
    return 0;
}
