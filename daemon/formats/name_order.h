/*
 * name_order - many names in strcmp order, and whether one is there twice. By sorting, not by
 * hashing: no choice of names, however malicious, makes it slower than O(n log n) comparisons, and
 * names that share a long beginning cost no more than others. Pure but for memory. Thread: any.
 */
#ifndef FORMATS_NAME_ORDER_H
#define FORMATS_NAME_ORDER_H

#include <stddef.h>
#include <stdint.h>

typedef const char *name_at(const void *of, size_t i);

/*
 * Fill ret with the indices 0 .. count - 1 in order of their names. *ret_twice becomes the first
 * place i > 0 where name ret[i] equals name ret[i - 1], or 0 when all differ. 0, or -1 when out of
 * memory.
 */
int name_order(name_at *name, const void *of, size_t count, uint32_t *ret, size_t *ret_twice);

#endif
