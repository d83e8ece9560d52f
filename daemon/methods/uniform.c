/*
 * uniform - the plain average of all candidates: stochastic weight averaging (Izmailov,
 * Podoprikhin, Garipov, Vetrov, Wilson: "Averaging weights leads to wider optima and better
 * generalization", UAI 2018, arXiv 1803.05407).
 */
#include "methods/class.h"

static int ask(struct method *m, struct sewa_error *err)
{
    (void)err;
    method_choose_range(m, 0, m->k);
    return 0;
}

const struct method_class method_uniform = {
    .info = { "uniform", "the average of all candidates (SWA)", METHOD_NEEDS_NOTHING,
              METHOD_CHOOSES_ALL },
    .size = sizeof(struct method),
    .ask = ask,
};
