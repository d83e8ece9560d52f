/*
 * commands - the table of all commands, and what runs them. Each returns an exit status.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "context.h"

extern const struct cli sewactl;

int command_run_list(struct context *c, const struct arguments *a);
int command_run_show(struct context *c, const struct arguments *a);
int command_run_create(struct context *c, const struct arguments *a);
int command_run_delete(struct context *c, const struct arguments *a);
int command_checkpoint_list(struct context *c, const struct arguments *a);
int command_checkpoint_show(struct context *c, const struct arguments *a);
int command_checkpoint_tensors(struct context *c, const struct arguments *a);
int command_checkpoint_pin(struct context *c, const struct arguments *a);
int command_checkpoint_unpin(struct context *c, const struct arguments *a);
int command_method_list(struct context *c, const struct arguments *a);
int command_method_show(struct context *c, const struct arguments *a);
int command_evaluator_list(struct context *c, const struct arguments *a);
int command_evaluator_show(struct context *c, const struct arguments *a);
int command_evaluator_check(struct context *c, const struct arguments *a);
int command_job_submit(struct context *c, const struct arguments *a);
int command_job_plan(struct context *c, const struct arguments *a);
int command_job_list(struct context *c, const struct arguments *a);
int command_job_show(struct context *c, const struct arguments *a);
int command_job_wait(struct context *c, const struct arguments *a);
int command_job_watch(struct context *c, const struct arguments *a);
int command_job_logs(struct context *c, const struct arguments *a);
int command_job_cancel(struct context *c, const struct arguments *a);
int command_job_retry(struct context *c, const struct arguments *a);
int command_job_delete(struct context *c, const struct arguments *a);
int command_job_pull(struct context *c, const struct arguments *a);
int command_status(struct context *c, const struct arguments *a);
int command_version(struct context *c, const struct arguments *a);

#endif
