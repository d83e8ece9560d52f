/*
 * needs - what a job will read, hold and write, from the tensors of its candidates alone.
 */
#ifndef JOBS_NEEDS_H
#define JOBS_NEEDS_H

#include "formats/layout.h"
#include "jobs/plan.h"

/* What a worker takes before it holds anything: program, libraries, stacks, headers while they are
 * read (measured: 11 MiB). */
enum { NEEDS_PROCESS_BYTES = 16 << 20 };

/*
 * Fill the numbers of a plan whose candidates and traits (measured.h) stand, and decide whether its
 * workers keep the candidates in memory or stream them. SEWA_E_INVALID when not even a stream and
 * one average fit a worker (both numbers, and what to do), SEWA_E_NO_SPACE when the average does
 * not fit the disk (both numbers), SEWA_E_UNSUPPORTED names a tensor that cannot be averaged.
 */
int plan_measure(struct job_plan *p, const struct job_request *q, const struct plan_limits *limits,
                 const struct layout *layout, struct sewa_error *err);

#endif
