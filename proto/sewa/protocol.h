/*
 * protocol - numbers that both sides of a socket must agree on. See proto/worker.md,
 * proto/evaluator.md.
 */
#ifndef SEWA_PROTOCOL_H
#define SEWA_PROTOCOL_H

#define WORKER_PROTOCOL 1 /* raised when an old worker would misunderstand a new sewad */

#define WORKER_API_PREFIX "/api/v1/worker"

/* An Idempotency-Key that begins like this names a wish: it is forgotten when the job that came of
 * it has failed, was cancelled or deleted. */
#define IDEMPOTENCY_AUTO "auto-"

/* What a worker writes into the folder of a task: one file, or numbered shards and their index. */
#define WORKER_ARTIFACT "model.safetensors"
#define WORKER_SHARD    "model-%05zu-of-%05zu.safetensors"
#define WORKER_INDEX    "model.safetensors.index.json"

#define EVALUATOR_PROTOCOL  1 /* raised when an old side would misunderstand a new one */
#define EVALUATOR_LINE_MAX  (1024 * 1024) /* bytes of one message, its line end included */
#define EVALUATOR_ALIGNMENT 64            /* of tensors in a bank */

#endif
