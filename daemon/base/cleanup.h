/*
 * cleanup - the scope releases what it holds (GNU attribute cleanup).
 *
 *     AUTOFREE char *text = NULL;            free() at the end of the scope
 *     AUTOCLOSE int fd = open(...);          close() when fd >= 0
 *     AUTO(buf_clear) struct buf b = { 0 };  buf_clear(&b)
 *     AUTOPTR(layout_free) struct layout *l = NULL;   layout_free(l) when l is not NULL
 *     return TAKE(text);                     ownership leaves the scope
 *
 * AUTO takes a function that wants a pointer to the variable. AUTOPTR takes a function that wants
 * the pointer itself; the header that declares it says AUTOPTR_DEFINE(layout_free, struct layout).
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(fn)    __attribute__((cleanup(fn)))
#define AUTOPTR(fn) __attribute__((cleanup(fn##_auto)))
#define AUTOFREE    __attribute__((cleanup(cleanup_free)))
#define AUTOCLOSE   __attribute__((cleanup(cleanup_close)))

#define AUTOPTR_DEFINE(fn, type)           \
    static inline void fn##_auto(type **p) \
    {                                      \
        if (*p)                            \
            fn(*p);                        \
    }                                      \
    struct cleanup_semicolon

/* Move a pointer out: the variable becomes NULL. */
#define TAKE(p)                     \
    __extension__({                 \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

/* Closing keeps errno: it runs after the failure that is about to be reported. */
static inline void cleanup_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define container_of(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
