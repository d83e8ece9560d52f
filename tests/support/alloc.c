/*
 * alloc - the allocator with a counter and a fuse. The linker sends our objects here (--wrap).
 */
#include "support/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static _Thread_local int64_t fuse = -1; /* allocations until one fails; -1: none will */
static _Thread_local bool fired;
static atomic_int_fast64_t held, peak;

void alloc_fail_at(int64_t n)
{
    fuse = n;
    fired = false;
}

bool alloc_fired(void)
{
    bool was = fired;

    fuse = -1;
    fired = false;
    return was;
}

int64_t alloc_held(void)
{
    return atomic_load(&held);
}

int64_t alloc_peak(void)
{
    return atomic_load(&peak);
}

void alloc_peak_reset(void)
{
    atomic_store(&peak, atomic_load(&held));
}

static bool is_to_fail(void)
{
    if (fuse < 0)
        return false;
    fired = fuse == 0;
    fuse--;
    return fired;
}

static void count(int64_t change)
{
    int_fast64_t now = atomic_fetch_add(&held, change) + change;
    int_fast64_t top = atomic_load(&peak);

    while (now > top && !atomic_compare_exchange_weak(&peak, &top, now))
        ;
}

static void *counted(void *p)
{
    if (p)
        count((int64_t)malloc_usable_size(p));
    return p;
}

void *__wrap_malloc(size_t n)
{
    return is_to_fail() ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t count_of, size_t n)
{
    return is_to_fail() ? NULL : counted(__real_calloc(count_of, n));
}

void *__wrap_realloc(void *p, size_t n)
{
    int64_t before = p ? (int64_t)malloc_usable_size(p) : 0;

    if (is_to_fail())
        return NULL;
    void *moved = __real_realloc(p, n);
    if (moved)
        count((int64_t)malloc_usable_size(moved) - before);
    return moved;
}

void __wrap_free(void *p)
{
    if (p)
        count(-(int64_t)malloc_usable_size(p));
    __real_free(p);
}
