/*
 * record - one thing, a line for each of its properties: "path       /data/ckpt".
 */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include "context.h"

/* NULL and "" become "-". Made visible here. */
void record_text(struct text *to, const char *name, const char *value);
void record_textf(struct text *to, const char *name, const char *format, ...) SEWA_PRINTF(3, 4);
void record_labels(struct text *to, const struct sewa_label *labels, size_t count);

/* Print what was collected; EXIT_OK, or the failure was explained. */
int record_print(struct context *c, const struct text *t);

#endif
