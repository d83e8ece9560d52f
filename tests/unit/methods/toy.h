/*
 * toy - what the tests of the methods share: quadratic toys, the golden vectors, noise from
 * splitmix64, and a driver that plays the part of the jobs.
 */
#ifndef TESTS_UNIT_METHODS_TOY_H
#define TESTS_UNIT_METHODS_TOY_H

#include "support/support.h"

#include "base/json.h"
#include "methods/method.h"
#include "methods/sewa.h"

enum { TOY_K_MAX = 64, TOY_P_MAX = 16 };

/* loss(w) = 0.5 (w - wstar)^T H (w - wstar) + c0 with w = sum alpha_i W_i */
struct toy {
    size_t k, p;
    double w[TOY_K_MAX][TOY_P_MAX];
    double h[TOY_P_MAX][TOY_P_MAX];
    double wstar[TOY_P_MAX];
    double c0;
    size_t calls;
};

/* Loss of an average; c (k centred products) and gradient (p) may be NULL. */
double toy_loss(struct toy *toy, const double *alpha, double *c, double *gradient);

/* Loss of the plain average of these candidates. */
double toy_set_loss(struct toy *toy, const size_t *members, size_t count);

/* k candidates scattered around a valley, from a seed. */
void toy_random(struct toy *toy, size_t k, size_t p, uint64_t seed);

/* Steps 10, 20, 30 ... of at most TOY_K_MAX candidates. */
extern const int64_t toy_steps[TOY_K_MAX];

/* The golden file; read once, freed by toy_teardown(). golden(..., NULL) walks down the keys. */
const json_t *golden(const char *key, ...) __attribute__((sentinel));
int toy_teardown(void **state); /* of a group */
size_t golden_numbers(const json_t *array, double *x, size_t max);
void toy_golden(struct toy *toy);

/* Number n (from 0) of the splitmix64 sequence of a seed, as a uniform number. */
double splitmix_uniform(uint64_t seed, uint64_t n);

#define assert_close(a, b) toy_assert_close((a), (b), 1e-12, __FILE__, __LINE__)
void toy_assert_close(double a, double b, double tolerance, const char *file, int line);
void toy_assert_numbers(const json_t *wanted, const double *x, size_t n, const char *file,
                        int line);
#define assert_numbers(wanted, x, n) toy_assert_numbers((wanted), (x), (n), __FILE__, __LINE__)

/* Answers one point: fills *answer; c has room for k. */
typedef void toy_oracle(void *arg, const struct method_point *point, struct method_answer *answer,
                        double *c);

/* The oracle of a struct toy. */
void toy_answer(void *arg, const struct method_point *point, struct method_answer *answer,
                double *c);

/* One round: 1 asked and told, 0 finished, or the failure. */
int toy_round(struct method *m, size_t k, toy_oracle *oracle, void *arg, struct sewa_error *err);

/* Rounds until it is finished or fails. */
int toy_drive(struct method *m, size_t k, toy_oracle *oracle, void *arg, struct sewa_error *err);

/* A method with params from text ("" or NULL: none) and an evaluator with gradients; must succeed.
 */
struct method *toy_method(const char *name, size_t k, size_t select, uint64_t seed,
                          const char *params, bool gradient);

#endif
