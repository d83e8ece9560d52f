/*
 * judge - the evaluator of these tests, in the test's own program: run it with the argument
 * "judge". What it finds is defined here, so that a test can compute it.
 *
 * The loss is sum (w - target)^2 / 2 over the parameters, divided by JUDGE_SCALE. It is NaN where
 * the first parameter is more than JUDGE_NAN_ABOVE. Losses of single examples are the checksum of
 * the recalibrated tensors times the number of the example, from 1. All losses and the gradient
 * are three times that for the split "report". Metrics: the minibatch; the checksum of the
 * recalibrated tensors, of other buffers and of the integers in the bank.
 *
 * Options: "gradient" (false: none), "paired" (false: no losses of single examples).
 */
#ifndef TESTS_UNIT_WORKER_JUDGE_H
#define TESTS_UNIT_WORKER_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JUDGE_EXAMPLES = 5, JUDGE_NAN_ABOVE = 500, JUDGE_SCALE = 64 };

/* The status of the program when it is the evaluator, else -1. */
int judge_main(int argc, char **argv);

double judge_target(int64_t e);

/* The new value of a buffer; the first parameter of the average is in it. */
double judge_fresh(size_t tensor, int64_t e, double first_parameter);

/* A checksum in which places count: add what this gives for each element of each tensor. */
double judge_term(size_t tensor, int64_t e, double value);

#endif
