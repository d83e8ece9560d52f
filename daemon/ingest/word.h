/*
 * word - what the words in names of checkpoints mean: the one table that the rule for steps knows.
 * Pure. Thread: any.
 */
#ifndef INGEST_WORD_H
#define INGEST_WORD_H

#include "ingest/token.h"

enum meaning {
    MEANS_NOTHING,  /* a name like any other: "model", "resnet" */
    MEANS_STEP,     /* counts steps of the optimizer */
    MEANS_EPOCH,    /* counts epochs */
    MEANS_COUNTER,  /* counts, and does not say what: "checkpoint" */
    MEANS_QUANTITY, /* its number is a metric, a setting or a version */
    MEANS_PART,     /* its number says which part of a checkpoint in several files this is */
    MEANS_NAMED,    /* the file is a copy that has a name: "best", "last", "ema" */
    MEANS_STATE,    /* what is needed to go on with training, not the model: "optimizer" */
};

struct word {
    const char *text;
    enum meaning meaning;
    int rank; /* of words that count: the number behind the one with the lowest is the step */
};

/* What the word of a token means; never NULL. */
const struct word *word_of(const struct token *t);

#endif
