/*
 * pages - memory for bulk data: zero-filled, a mapping of its own, in huge pages where the kernel
 * gives them. To publish an average of 200 MB then takes 90 page faults and not 4,600.
 * Thread: any.
 */
#ifndef ENGINE_PAGES_H
#define ENGINE_PAGES_H

#include <stddef.h>
#include <stdint.h>

enum { PAGES_HUGE = 2 << 20 }; /* bytes; on x86-64, and on aarch64 with pages of 4 KiB */

/* What a mapping of n bytes takes: whole huge pages, unless it is much smaller than one. */
int64_t pages_bytes(int64_t n); /* INT64_MAX when that is too small a number */

/* pages_bytes(n) bytes, n > 0; NULL and errno. Whole huge pages begin at one. */
void *pages_map(int64_t n);
void pages_unmap(void *pages, int64_t n); /* the same n; NULL is fine */

#endif
