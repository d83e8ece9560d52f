/*
 * last - the newest candidate alone: what one gets without averaging, and the first baseline.
 */
#include "methods/class.h"

static int ask(struct method *m, struct sewa_error *err)
{
    (void)err;
    method_choose_range(m, m->k - 1, 1);
    return 0;
}

const struct method_class method_last = {
    .info = { "last", "the newest checkpoint", METHOD_NEEDS_NOTHING, METHOD_CHOOSES_ONE },
    .size = sizeof(struct method),
    .ask = ask,
};
