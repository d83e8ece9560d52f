/*
 * short_io - reads and writes that do less than they were asked, as network file systems have them,
 * and are interrupted now and then. For programs that link with the library test_short_io.
 */
#ifndef TESTS_SHORT_IO_H
#define TESTS_SHORT_IO_H

#include <stddef.h>

/* From now on a call does 1 to `most` bytes, and every third fails with EINTR. 0: as it is. Calls
 * of our own objects alone; any number of threads. Returns how many calls there were before. */
size_t short_io(size_t most);

#endif
