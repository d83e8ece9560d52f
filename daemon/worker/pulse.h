/*
 * pulse - a thread that says "I am alive" while the main thread computes, sends what the evaluator
 * prints, and learns when the worker is to stop.
 */
#ifndef WORKER_PULSE_H
#define WORKER_PULSE_H

#include "base/cleanup.h"
#include "sewa/error.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct pulse;

/* *stop becomes true when sewad says so. Strings are copied. */
int pulse_start(const char *socket, const char *token, int64_t interval_ms, atomic_bool *stop,
                struct pulse **ret, struct sewa_error *err);

/* Send what is left of the output and end. NULL is fine. */
void pulse_stop(struct pulse *p);
AUTOPTR_DEFINE(pulse_stop, struct pulse);

/* Output of the evaluator, as it comes. Never blocks: what is too much is dropped, and said.
 * Thread: any. */
void pulse_output(struct pulse *p, const char *bytes, size_t n);

/* Wait until what was printed so far has been sent, for some seconds at most: who hears of a result
 * finds what was printed before it. */
void pulse_flush(struct pulse *p);

#endif
