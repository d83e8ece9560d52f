/*
 * check - the points that `POST /evaluators/{name}/check` evaluates, and what they say.
 *
 * With two candidates the average in their middle is evaluated with its gradient, and twice
 * without, a step h to either side on the line between them: the slope of the loss must be <g, w_b
 * - w_a>, which is c_b - c_a. With one candidate there is only its loss. Pure. Thread: any.
 */
#ifndef JOBS_CHECK_H
#define JOBS_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { CHECK_EVALUATIONS = 3 };

/* Number of points for k candidates (1 or 2 are used, the newest); fills alphas[i * k + j]. */
size_t check_points(size_t k, double *alphas);

struct check_answers {
    double loss[CHECK_EVALUATIONS];
    double seconds[CHECK_EVALUATIONS];
    const double *c; /* of the first point, or NULL */
};

/* The members "losses", "seconds", "gradient_check" of the result; NULL when out of memory. */
json_t *check_report(size_t k, const struct check_answers *a);

#endif
