/*
 * runs - rows of the table runs. Thread: that of the db.
 */
#ifndef STORE_RUNS_H
#define STORE_RUNS_H

#include "base/ulid.h"
#include "store/db.h"

enum run_origin { RUN_FROM_CONFIGURATION, RUN_FROM_ROOT, RUN_FROM_API };

struct run_row {
    int64_t id;
    char uid[ID_TEXT_SIZE];
    char *name;
    enum run_origin origin;
    bool watched;
    char *path; /* bytes of the file system, absolute */
    char *pattern;
    char *state_key;
    char *marker;
    int64_t settle_ms;
    char *labels; /* canonical JSON object */
    int64_t created_ms;
    int64_t updated_ms;
    int64_t read_again; /* out of run_put(): checkpoints that were read with another state_key */
};

void run_row_clear(struct run_row *r);
int run_row_copy(const struct run_row *from, struct run_row *ret, struct sewa_error *err);

const char *run_origin_name(enum run_origin o); /* "configuration", "root", "api" */

/*
 * Insert (id and uid are made here) or, when a run of that name is there, take over path, pattern,
 * state_key, marker, settle_ms, origin and watched. Fills id, uid, created_ms of the given row.
 * Checkpoints that were read with another state_key become incomplete in the same transaction, so
 * that no job is planned on them (checkpoints.h: checkpoint_read_again). SEWA_E_CONFLICT when
 * @fail_if_there and the name is taken.
 */
int run_put(struct db *db, struct run_row *row, bool fail_if_there, struct sewa_error *err);

/* Found by name or by uid: 1, 0 when there is none. ret is cleared by the caller. */
int run_find(struct db *db, const char *name_or_uid, struct run_row *ret, struct sewa_error *err);
int run_by_id(struct db *db, int64_t id, struct run_row *ret, struct sewa_error *err);

/* Call each() for every run in order of names, starting behind @after (NULL: from the first), at
 * most limit. */
int run_list(struct db *db, const char *after, int64_t limit,
             int (*each)(const struct run_row *row, void *arg, struct sewa_error *err), void *arg,
             struct sewa_error *err);

int run_set_labels(struct db *db, int64_t id, const char *labels, int64_t now_ms,
                   struct sewa_error *err);

/* No longer in the configuration: not watched, index kept. */
int run_set_watched(struct db *db, int64_t id, bool watched, int64_t now_ms,
                    struct sewa_error *err);

/* With its checkpoints; SEWA_E_CONFLICT while a job that is not finished uses it. */
int run_delete(struct db *db, int64_t id, struct sewa_error *err);

#endif
