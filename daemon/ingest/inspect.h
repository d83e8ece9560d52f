/*
 * inspect - look into a file on the scan thread: is it whole, and what is in it? Everything that is
 * expensive about a header (parsing, hashing, signing, encoding) happens here and not on the loop.
 *
 * Functions see their arguments only: a thread that hangs on a dead mount is left behind when the
 * service ends and may still be inside one of them. Thread: any.
 */
#ifndef INGEST_INSPECT_H
#define INGEST_INSPECT_H

#include "store/checkpoints.h"
#include "watch/target.h"

/* What was found in a complete file. */
struct finding {
    struct inspection base; /* free() and the header digest */
    char *format;
    struct layout_row layout; /* id 0; tensors owned */
    char *metadata;           /* JSON text of "__metadata__" */
    char *state_key;          /* with which it was read; "" for none */
};

/* For struct scan_options. Static. */
extern const struct target_rules inspect_rules;

static inline struct finding *finding_of(struct inspection *i)
{
    return i ? container_of(i, struct finding, base) : NULL;
}

#endif
