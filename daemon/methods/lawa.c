/*
 * lawa - the plain average of the newest `select` candidates: latest weight averaging (Kaddour:
 * "Stop wasting my time! Saving days of ImageNet and BERT training with latest weight averaging",
 * arXiv 2209.14981).
 */
#include "methods/class.h"

static int ask(struct method *m, struct sewa_error *err)
{
    (void)err;
    method_choose_range(m, m->k - m->select, m->select);
    return 0;
}

const struct method_class method_lawa = {
    .info = { "lawa", "the average of the newest candidates", METHOD_NEEDS_NOTHING,
              METHOD_CHOOSES_SELECT },
    .size = sizeof(struct method),
    .ask = ask,
};
