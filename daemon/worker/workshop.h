/*
 * workshop - what a worker has at hand for its job: candidates in memory, engine, evaluator; and
 * the three kinds of tasks it does with them (proto/worker.md): prepare, evaluate, average.
 *
 * Thread: the main thread of the worker, which must outlive the evaluator.
 */
#ifndef WORKER_WORKSHOP_H
#define WORKER_WORKSHOP_H

#include "base/cleanup.h"
#include "worker/pulse.h"
#include "worker/spec.h"

#include <jansson.h>
#include <stdatomic.h>

struct workshop;

/* Everything is borrowed until workshop_close(). *cancel stops whatever is under way. */
int workshop_open(const struct spec *spec, struct pulse *pulse, const atomic_bool *cancel,
                  struct workshop **ret, struct sewa_error *err);
void workshop_close(struct workshop *w); /* NULL is fine */
AUTOPTR_DEFINE(workshop_close, struct workshop);

/* Whether a prepare task has been done. */
bool workshop_is_prepared(const struct workshop *w);

/*
 * Do a task; *ret is its "result". A failed evaluator is started again by the next task. Errors are
 * those of the candidates, the evaluator and the disk; SEWA_E_PROTOCOL for a task that cannot be
 * understood.
 */
int workshop_do(struct workshop *w, const json_t *task, json_t **ret, struct sewa_error *err);

#endif
