/*
 * job_read - a job's JSON as struct sewa_job. Thread: any.
 */
#ifndef CLIENT_JOB_READ_H
#define CLIENT_JOB_READ_H

#include "document.h"

/* @json: the text of this object. Strings and arrays are the document's. */
int sewa_job_read(struct sewa_document *d, const json_t *o, const char *json, struct sewa_job *ret,
                  struct sewa_error *err);

int sewa_artifacts_read(struct sewa_document *d, const json_t *array,
                        const struct sewa_artifact **ret, size_t *ret_count,
                        struct sewa_error *err);

enum sewa_job_state sewa_job_state_from_name(const char *name);

#endif
