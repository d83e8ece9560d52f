/*
 * job_call - the calls that are answered with a job.
 */
#ifndef CLIENT_JOB_CALL_H
#define CLIENT_JOB_CALL_H

#include "ask.h"

/* 1: *ret is the job. 0: it has not changed (304), when call->if_none_match was set. */
int sewa_job_call(struct sewa_client *c, struct call *call, const struct text *path,
                  struct sewa_job *ret, struct sewa_error *err);

#endif
