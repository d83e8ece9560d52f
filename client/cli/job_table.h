/*
 * job_table - jobs, one a row.
 */
#ifndef CLI_JOB_TABLE_H
#define CLI_JOB_TABLE_H

#include "context.h"

enum { JOB_TABLE_COLUMNS = 7 };
extern const struct column job_table_columns[JOB_TABLE_COLUMNS];

/* @now_ms: since 1970, for the ages. */
void job_table_row(struct table *t, const struct sewa_job *job, int64_t now_ms);

#endif
