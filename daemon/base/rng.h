/*
 * rng - counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). A number is a pure function of key and counter, so it
 * depends neither on the order of drawing nor on threads, workers or restarts. Thread: any.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t ret[4]);

/*
 * A float64 strictly between 0 and 1: (the 53 high bits of z + 0.5) * 2^-53, where z is the first
 * output word as the high and the second as the low half; key = (low, high half of seed), counter =
 * (a, b, c, stream).
 */
double rng_uniform(uint64_t seed, uint32_t a, uint32_t b, uint32_t c, uint32_t stream);

#endif
