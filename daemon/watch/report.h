/*
 * report - what watching tells the room above, as plain data on its way from a scan thread to the
 * loop. Thread: one owner at a time.
 */
#ifndef WATCH_REPORT_H
#define WATCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "watch/settle.h"

enum report_kind {
    /* about a file; name and look are set */
    REPORT_FOUND,      /* it is new and not proven; code and text say what it waits for */
    REPORT_PROVEN,     /* it is complete: proof says why, inspection what is in it */
    REPORT_NOT_PROVEN, /* it is not complete: code and text; it is looked at again */
    REPORT_CHANGED,    /* it was complete and is another one now: not proven, as if it were new */
    REPORT_GONE,       /* it was missing in two scans of a directory that could be read */
    REPORT_BACK,       /* it was gone and is there again, the same as before: complete */
    REPORT_BESIDE,     /* a directory whose weights are the same; what lies beside them is not */
    /* about a directory in the watched one; name is set */
    REPORT_DIRECTORY,
    REPORT_DIRECTORY_GONE,
    /* about the watched directory itself */
    REPORT_TARGET_OK,    /* it can be read, for the first time, again, or as another directory */
    REPORT_TARGET_ERROR, /* it cannot: code and text; nothing in it changes its state meanwhile */
    REPORT_SCAN_DONE,    /* counts; code and text of the first failure inside, if there was one */
};

/* What a look into a file has found; embedded in a struct of the room that looks. */
struct inspection {
    void (*free)(struct inspection *);
    bool has_digest;
    uint8_t header_digest[32];
    char last_file[64]; /* the file that its writer writes last, which is there; "" for none */
};

enum proof_rule {
    PROOF_SETTLED, /* two looks at least settle_ms apart saw the same, and the structure is whole */
    PROOF_MARKER,  /* its marker is there, and the structure is whole */
    PROOF_LAST,    /* the file that such a directory gets last is there, and all parts are whole */
};

struct proof {
    enum proof_rule rule;
    int64_t first_look_ms; /* UTC */
    int64_t second_look_ms;
    int64_t settle_ms;
    char last_file[64]; /* PROOF_LAST: its name */
};

struct scan_counts {
    size_t files; /* candidates that were seen */
    size_t directories;
    size_t ignored; /* names that cannot be candidates, symbolic links, further hard links */
    size_t waiting; /* candidates that are not proven */
    size_t errors;
    double seconds;
};

struct report {
    enum report_kind kind;
    int code; /* a sewa_code, 0 for none */
    uint64_t target;
    char *name; /* in the watched directory; bytes */
    char *text; /* UTF-8, lower case, no full stop */
    struct look look;
    struct proof proof;            /* PROVEN */
    struct inspection *inspection; /* PROVEN; whoever keeps it sets this to NULL; may be NULL */
    struct scan_counts counts;     /* SCAN_DONE */
    char *path;                    /* TARGET_OK: without symbolic links */
    bool is_network;               /* TARGET_OK: other hosts can write to its file system */
};

/* Free what it holds. */
void report_clear(struct report *r);

const char *report_kind_name(enum report_kind kind);

/*
 * The proof as a JSON object: {"rule": "settled", "first_look": "2026-01-31T12:00:00.000Z",
 * "second_look": "...", "settle_seconds": 5}; rules are settled, marker and last_file, which adds
 * "file".
 */
void proof_text(const struct proof *p, struct buf *ret);

#endif
