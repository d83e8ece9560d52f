/*
 * job_table - jobs, one a row.
 */
#include "job_table.h"

#include "format.h"

const struct column job_table_columns[JOB_TABLE_COLUMNS] = {
    { "ID", 0 },
    { "STATE", 0 },
    { "RUN", COLUMN_SHRINK },
    { "METHOD", 0 },
    { "VERDICT", 0 },
    { "REPORT LOSS", COLUMN_RIGHT },
    { "AGE", COLUMN_RIGHT },
};

void job_table_row(struct table *t, const struct sewa_job *job, int64_t now_ms)
{
    char buffer[FORMAT_SIZE];

    table_cell(t, job->id);
    table_cell(t, job->state_name);
    table_tint(t, tint_of(job->state_name));
    table_cell(t, job->run);
    table_cell(t, job->method);
    table_cell(t, job->verdict);
    table_tint(t, tint_of(job->verdict));
    table_cell(t, job->has_result ? format_number(job->loss.report, buffer) : NULL);
    table_cell(t, format_age(job->created_ms, now_ms, buffer));
}
