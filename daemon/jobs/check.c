/*
 * check - points and report of an evaluator's check.
 */
#include "jobs/check.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

static const double step = 1.0 / 64;
static const double tolerance =
    0.05; /* float32 losses and a curved line: a wrong gradient is far off */

size_t check_points(size_t k, double *alphas)
{
    static const double offsets[CHECK_EVALUATIONS] = { 0, step, -step };

    if (k == 1) {
        alphas[0] = 1;
        return 1;
    }
    memset(alphas, 0, CHECK_EVALUATIONS * k * sizeof *alphas);
    for (size_t i = 0; i < CHECK_EVALUATIONS; i++) {
        alphas[i * k + k - 2] = 0.5 - offsets[i];
        alphas[i * k + k - 1] = 0.5 + offsets[i];
    }
    return CHECK_EVALUATIONS;
}

static json_t *gradient_report(size_t k, const struct check_answers *a)
{
    double analytic = a->c[k - 1] - a->c[k - 2];
    double numeric = (a->loss[1] - a->loss[2]) / (2 * step);
    /* where the line is flat, both slopes are noise: judge them by the loss itself */
    double size = fmax(fmax(fabs(analytic), fabs(numeric)), 1e-3 * fabs(a->loss[0]));
    double error = size > 0 ? fabs(analytic - numeric) / size : 0;

    return json_pack("{s:o, s:o, s:o, s:f, s:b}", "analytic", json_number_or_null(analytic),
                     "numeric", json_number_or_null(numeric), "relative_error",
                     json_number_or_null(error), "tolerance", tolerance, "ok",
                     isfinite(error) && error <= tolerance);
}

json_t *check_report(size_t k, const struct check_answers *a)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "loss", json_number_or_null(a->loss[0]));
    rc |= json_put(o, "seconds_first", json_number_or_null(a->seconds[0]));
    if (k > 1)
        rc |= json_put(o, "seconds_loss_only", json_number_or_null(a->seconds[2]));
    rc |= json_put(o, "gradient_check", k > 1 && a->c ? gradient_report(k, a) : json_null());
    return rc < 0 ? NULL : TAKE(o);
}
