/*
 * error - how anything in sewad, sewa-worker, libsewa and sewactl says that it failed.
 *
 * A function returns 0 for success, a positive answer, or a negative sewa_code, and fills a
 * struct sewa_error that the caller owns. The struct has a fixed size: reporting a failure never
 * allocates, so it also works when memory is short, and it can be copied between threads.
 * The table of codes is codes.def. Thread: any.
 */
#ifndef SEWA_ERROR_H
#define SEWA_ERROR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SEWA_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#define SEWA_EXPORT              __attribute__((visibility("default")))
#else
#define SEWA_PRINTF(text, first)
#define SEWA_EXPORT
#endif

enum sewa_code {
    SEWA_OK = 0,
#define SEWA_CODE(name, number, http, blame, slug, title) SEWA_E_##name = (number),
#include "codes.def"
#undef SEWA_CODE
};

#define SEWA_ERROR_TEXT_MAX    640
#define SEWA_ERROR_POINTER_MAX 128

/** One failure. Zero-filled means "no failure". */
struct sewa_error {
    int code;                             /**< a sewa_code, 0 when nothing failed */
    int system_errno;                     /**< errno behind it, 0 when there is none */
    char pointer[SEWA_ERROR_POINTER_MAX]; /**< JSON pointer (RFC 6901) to the field to blame, or ""
                                           */
    char text[SEWA_ERROR_TEXT_MAX];       /**< lower case, no full stop, names the subject */
};

/** Whose failure it is when a worker reports it (codes.def). */
enum sewa_blame {
    SEWA_BLAME_WORKER = 1, /**< this worker's or this attempt's: it is tried again */
    SEWA_BLAME_JOB,        /**< what the job was given: nobody would do better */
    SEWA_BLAME_SERVICE,    /**< sewad's, or a request's to it */
};

/** What the table says about a code. All strings are static. */
struct sewa_code_info {
    int code;
    int http_status;
    const char *name;  /**< "NOT_FOUND" */
    const char *slug;  /**< "not_found" */
    const char *title; /**< a sentence for people */
    enum sewa_blame blame;
};

/** Look a code up; an unknown one gives the row of SEWA_E_INTERNAL, never NULL. */
SEWA_EXPORT const struct sewa_code_info *sewa_code_info(int code);

/** Whose failure it is; an unknown code is SEWA_E_INTERNAL's. */
SEWA_EXPORT enum sewa_blame sewa_code_blame(int code);

/** The code with this slug, or 0 when there is none. */
SEWA_EXPORT int sewa_code_from_slug(const char *slug);

/** Row number i of the table, or NULL past its end. */
SEWA_EXPORT const struct sewa_code_info *sewa_code_at(size_t i);

/** Record a failure and return its code. @err may be NULL. */
SEWA_EXPORT int sewa_fail(struct sewa_error *err, int code, const char *format, ...)
    SEWA_PRINTF(3, 4);

/**
 * Record a failure of a system call; ": <strerror(errno)>" is appended to the text.
 * ENOSPC, EDQUOT and EFBIG become SEWA_E_NO_SPACE and ENOMEM SEWA_E_NO_MEMORY, whatever @code is:
 * the caller must react to these two in its own way wherever they come from.
 */
SEWA_EXPORT int sewa_fail_errno(struct sewa_error *err, int code, const char *format, ...)
    SEWA_PRINTF(3, 4);

/** Record a failure that one field of a request is to blame for (@pointer: RFC 6901). */
SEWA_EXPORT int sewa_fail_at(struct sewa_error *err, int code, const char *pointer,
                             const char *format, ...) SEWA_PRINTF(4, 5);

/** Say where: puts "<format>: " before the text that is there. Returns @rc unchanged. */
SEWA_EXPORT int sewa_context(struct sewa_error *err, int rc, const char *format, ...)
    SEWA_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
