/*
 * alloc - make the n-th allocation fail, and count the bytes that are held.
 *
 * Every test program is linked with --wrap, so calls of malloc, calloc, realloc and free from our
 * own objects come through here; those inside libc and other shared libraries do not (so a strdup
 * that we free lowers the count: compare what is held before and after only where there is none).
 *
 *     for (int64_t n = 0;; n++) {
 *         alloc_fail_at(n);
 *         int rc = thing_under_test(&err);
 *         if (!alloc_fired())
 *             break;                          everything has failed once
 *         assert_int_equal(rc, SEWA_E_NO_MEMORY);
 *     }
 *
 * Failing is armed for the calling thread only. Counting covers all threads.
 */
#ifndef TESTS_ALLOC_H
#define TESTS_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* Let allocation number n (0 is the next one) of this thread fail, once. */
void alloc_fail_at(int64_t n);

/* Whether it has failed since; disarms. */
bool alloc_fired(void);

/* Bytes held now by blocks that came through here, as the allocator counts them. */
int64_t alloc_held(void);

/* The highest alloc_held() since the last alloc_peak_reset(). */
int64_t alloc_peak(void);
void alloc_peak_reset(void);

#endif
