/*
 * pages - mmap() does not align to huge pages, so it is asked for one more and the ends go back.
 */
#include "engine/pages.h"

#include <errno.h>
#include <sys/mman.h>

int64_t pages_bytes(int64_t n)
{
    if (n < PAGES_HUGE / 2)
        return n;
    return n > INT64_MAX - PAGES_HUGE ? INT64_MAX : (n + PAGES_HUGE - 1) / PAGES_HUGE * PAGES_HUGE;
}

static char *map(int64_t n)
{
    void *p = mmap(NULL, (size_t)n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void *pages_map(int64_t n)
{
    int64_t bytes = pages_bytes(n);

    if (bytes % PAGES_HUGE != 0)
        return map(bytes);
    char *all = map(bytes + PAGES_HUGE);
    if (!all)
        return NULL;
    size_t before = -(uintptr_t)all % PAGES_HUGE;
    char *pages = all + before;
    if (before > 0)
        munmap(all, before);
    munmap(pages + bytes, PAGES_HUGE - before);
    (void)madvise(pages, (size_t)bytes, MADV_HUGEPAGE); /* a wish */
    return pages;
}

void pages_unmap(void *pages, int64_t n)
{
    if (pages)
        munmap(pages, (size_t)pages_bytes(n));
}
