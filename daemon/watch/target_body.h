/*
 * target_body - the inside of struct target, for the files that make it up: target.c (life, time,
 * opening), listing.c (one scan), observe.c (what a look means for a name), pending.c (what a
 * waiting file needs to be proven).
 */
#ifndef WATCH_TARGET_BODY_H
#define WATCH_TARGET_BODY_H

#include "base/list.h"
#include "watch/known.h"
#include "watch/target.h"
#include "watch/trust.h"

struct target {
    struct target_spec spec; /* its texts are ours */
    const struct target_rules *rules;
    char *resolved; /* path, or beneath, without symbolic links; NULL until it was there */
    struct trust_identity identity;
    struct known known;
    struct list pending; /* struct pending */
    uint32_t scan_number;
    bool has_scanned; /* scan_began_ms and scan_ended_ms are set */
    bool is_asked, is_hinted;
    bool is_ok;                           /* the last thing told of the directory was TARGET_OK */
    int failures;                         /* scans in a row that failed as a whole */
    int64_t scan_began_ms, scan_ended_ms; /* monotonic */
    char *told_error;     /* the text of the last TARGET_ERROR, NULL when it is over */
    struct sight *sights; /* kept from scan to scan */
    size_t sight_room;
};

/* One call of target_run() or target_hint() at work. */
struct pass {
    struct target *t;
    struct report_sink *sink;
    int fd; /* the directory */
    struct scan_counts counts;
    struct sewa_error first; /* the first failure on something inside; code 0: none */
    unsigned inode_looks;    /* how many more files may be read for a new inode number alone */
};

/* ---- target.c ---- */

struct moment target_now(const struct target *t);
bool pass_is_stopped(const struct pass *p);

/* The directory, opened anew: 0 and p->fd and its identity, or a failure. */
int pass_open(struct pass *p, struct trust_identity *ret, struct sewa_error *err);

/* Count a failure on something inside and keep the first one. */
void pass_failed(struct pass *p, const struct sewa_error *err);
void pass_no_memory(struct pass *p);

/*
 * Send a report of kind r->kind; name and format (both may be NULL) are made into heap texts. -1
 * when there is no memory: that has been counted, and *r holds what the caller has put into it.
 */
int pass_tell(struct pass *p, struct report *r, const char *name, const char *format, ...)
    SEWA_PRINTF(4, 5);

/* The directory can be read; told when that is news. 0 or -1 (no memory). */
int pass_tell_ok(struct pass *p, const struct trust_identity *now);

/* ---- listing.c ---- */

/* statx() of a name in the directory, or of p->fd's own file when name is "". 0 or -1 with errno.
 */
int listing_stat(int fd, const char *name, int flags, struct look *ret, unsigned *ret_mode,
                 unsigned *ret_links);

/* List the whole directory. A failure means that nothing in it has changed its state. */
int listing_scan(struct pass *p, const struct trust_identity *now, struct sewa_error *err);

/* Look at one name. */
void listing_look(struct pass *p, const char *name);

/* ---- observe.c ---- */

/* A regular file was seen under this name. f is its entry, or NULL when there is none. */
void observe_file(struct pass *p, struct known_file *f, const char *name, const struct look *look);
void observe_directory(struct pass *p, struct known_file *f, const char *name);

/* It was complete, also when it has been gone since, and is not what it was: it waits anew. */
void observe_change(struct pass *p, struct known_file *f, const struct look *look,
                    const char *what);

/* The second scan in a row did not see it. The entry may be freed. */
void observe_missing(struct pass *p, struct known_file *f);

/* ---- pending.c ---- */

enum pending_purpose {
    PENDING_PROOF,  /* it must settle or have its marker, and be whole */
    PENDING_VERIFY, /* complete, but another inode or another file in it: is the header the same? */
    PENDING_BACK,   /* gone, and seen again with its size and time: is the header the same? */
};

struct pending; /* body in pending.c */

/* Room for one that begins later, when nothing can fail any more; NULL is counted. */
struct pending *pending_new(struct pass *p);

/* Let f wait from this look on. What f waited for before is over. The state of f is the caller's.
 */
void pending_begin(struct pass *p, struct known_file *f, struct pending *fresh,
                   enum pending_purpose purpose, const struct look *look);
void pending_end(struct known_file *f);

/* A scan or a hint saw the file, which waits for its proof. */
void pending_saw(struct pass *p, struct known_file *f, const struct look *look);

/* Markers may have appeared: whoever waits for one is due. */
void pending_ask_all(struct target *t);

/* The earliest time at which one is due; INT64_MAX for none. */
int64_t pending_due_ms(const struct target *t);

/* Look at those that are due, at most a bounded number of them. */
void pending_work(struct pass *p);

enum { PENDING_REASON_SIZE = 400 };

/* What a file waits for at first, in words. */
void pending_reason(const struct target *t, const char *name, char text[PENDING_REASON_SIZE]);

#endif
