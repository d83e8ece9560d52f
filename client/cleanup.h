/*
 * cleanup - the scope releases what it holds (GNU attribute cleanup), for libsewa and sewactl.
 *
 *     AUTOFREE char *text = NULL;                  free() at the end of the scope
 *     AUTOCLOSE int fd = open(...);                close() when fd >= 0
 *     AUTO(sewa_text_clear) struct text t = { 0 }; sewa_text_clear(&t)
 *     return TAKE(text);                           ownership leaves the scope
 */
#ifndef CLIENT_CLEANUP_H
#define CLIENT_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(fn)  __attribute__((cleanup(fn)))
#define AUTOFREE  __attribute__((cleanup(cleanup_free)))
#define AUTOCLOSE __attribute__((cleanup(cleanup_close)))

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

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))

#endif
