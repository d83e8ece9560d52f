/*
 * job_view - a job, a plan and a check as people read them. Pure: text out.
 */
#ifndef CLI_JOB_VIEW_H
#define CLI_JOB_VIEW_H

#include "context.h"

/* State, verdict, losses beside the baselines', selected steps, cost, files. */
void job_view(struct text *to, const struct sewa_job *job, size_t width, bool color);

void plan_view(struct text *to, const struct sewa_plan *p);

#endif
