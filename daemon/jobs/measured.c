/*
 * measured - a forecast from the newest job like the next one.
 */
#include "jobs/measured.h"

#include <string.h>

#include "base/json.h"
#include "store/jobs.h"

enum { LOOKED_AT = 20 }; /* jobs; further ones are too old to say much */

struct looking {
    const struct job_request *q;
    double seconds_each; /* of an evaluation, or of a byte; negative until found */
};

static bool has_evaluator(const json_t *request, const char *name)
{
    const char *theirs = json_string_value(json_object_get(request, "evaluator"));

    return name ? theirs && strcmp(theirs, name) == 0 : !theirs;
}

static int look(const struct job_row *row, void *arg, struct sewa_error *err)
{
    struct looking *l = arg;

    (void)err;
    if (!row->result)
        return 0;
    AUTOJSON json_t *request = json_parse(row->request, strlen(row->request), NULL);
    AUTOJSON json_t *result = json_parse(row->result, strlen(row->result), NULL);
    const json_t *cost = json_object_get(result, "cost");
    double seconds = json_number_value(json_object_get(cost, "seconds"));
    double times =
        json_number_value(json_object_get(cost, l->q->evaluator ? "evaluations" : "bytes_read"));

    if (has_evaluator(request, l->q->evaluator) && seconds > 0 && times > 0)
        l->seconds_each = seconds / times;
    return l->seconds_each >= 0; /* rows hold whole plans, and this may be the loop's thread */
}

int measured_expect(struct db *db, const struct job_request *q, struct job_plan *p,
                    struct sewa_error *err)
{
    struct looking l = { .q = q, .seconds_each = -1 };
    struct job_filter f = { .state = "succeeded",
                            .run_id = q->evaluator ? p->run_id : 0,
                            .limit = LOOKED_AT };
    int rc = job_list(db, &f, look, &l, err);

    if (rc < 0)
        return rc;
    p->expected_seconds = l.seconds_each < 0
                              ? -1
                              : l.seconds_each *
                                    (double)(q->evaluator ? p->evaluations : p->bytes_to_read);
    return 0;
}
