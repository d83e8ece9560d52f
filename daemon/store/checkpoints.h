/*
 * checkpoints - rows of the tables layouts and checkpoints. Thread: that of the db.
 *
 * A row stands for one identity of a file (size, mtime, header digest). States:
 *     incomplete  seen, not proven yet; reason_code and reason say what is missing
 *     complete    proven; evidence says by which rule
 *     changed     another identity has taken the file's place
 *     gone        the file is not there any more
 * There is at most one live (incomplete or complete) row per run and file. An incomplete row that
 * has a header digest was complete: its file is read again, with another state_key or in another
 * way.
 */
#ifndef STORE_CHECKPOINTS_H
#define STORE_CHECKPOINTS_H

#include "base/ulid.h"
#include "store/db.h"

enum checkpoint_state {
    CHECKPOINT_INCOMPLETE,
    CHECKPOINT_COMPLETE,
    CHECKPOINT_CHANGED,
    CHECKPOINT_GONE,
    CHECKPOINT_STATE_COUNT
};

const char *checkpoint_state_name(enum checkpoint_state s);
int checkpoint_state_from_name(const char *name); /* -1 when there is no such state */

/* What a step counts: an axis of its own, so that candidates of two units have no order. */
enum step_unit {
    UNIT_STEP,
    UNIT_EPOCH,
    UNIT_NUMBER, /* nothing says more of it */
    STEP_UNIT_COUNT
};

const char *step_unit_name(enum step_unit u); /* "step", "epoch", "number" */

struct checkpoint_row {
    int64_t id;
    char uid[ID_TEXT_SIZE];
    int64_t run_id;
    char *file; /* bytes, relative to the run's directory */
    bool has_step;
    int64_t step;
    enum step_unit step_unit; /* where there is a step */
    char *step_reason;
    enum checkpoint_state state;
    char *reason_code;
    char *reason;
    char *evidence; /* JSON object */
    char *format;
    int64_t size;
    int64_t mtime_ns;
    bool has_header_digest;
    uint8_t header_digest[32];
    int64_t layout_id; /* 0: none */
    char *metadata;    /* JSON object */
    char *state_key; /* with which the layout was read; NULL: there is none, or an older version has
                        read it */
    bool has_sha256;
    uint8_t sha256[32];
    char *labels;  /* JSON object of strings */
    char *metrics; /* JSON object of numbers */
    bool pinned;
    int64_t discovered_ms;
    int64_t completed_ms; /* 0: never */
    int64_t updated_ms;
};

void checkpoint_row_clear(struct checkpoint_row *r);

/* A new row; id and uid are made here. NULL texts become their defaults. */
int checkpoint_insert(struct db *db, struct checkpoint_row *row, struct sewa_error *err);

/*
 * Write what ingest knows about an existing row: step, state, reason, evidence, format, size,
 * mtime, header digest, layout, metadata, state_key, completed_ms, updated_ms. Labels, metrics, pin
 * and sha256 stay.
 */
int checkpoint_update(struct db *db, const struct checkpoint_row *row, struct sewa_error *err);

/* Only the state (changed, gone, or complete again). */
int checkpoint_set_state(struct db *db, int64_t id, enum checkpoint_state s, int64_t now_ms,
                         struct sewa_error *err);

/*
 * The complete rows of a run whose layout was read with another key, or with none that is known
 * (as those of older versions), become incomplete, with events, until their files are read again;
 * they keep their identity (header digest), and with it labels, metrics, pin and sha256. *ret: how
 * many.
 */
int checkpoint_read_again(struct db *db, int64_t run_id, const char *state_key, int64_t now_ms,
                          int64_t *ret, struct sewa_error *err);

int checkpoint_set_labels(struct db *db, int64_t id, const char *labels, int64_t now_ms,
                          struct sewa_error *err);
int checkpoint_set_metrics(struct db *db, int64_t id, const char *metrics, int64_t now_ms,
                           struct sewa_error *err);
int checkpoint_set_pinned(struct db *db, int64_t id, bool pinned, int64_t now_ms,
                          struct sewa_error *err);
/* SEWA_E_CHANGED, and the row stays as it is, when it has another one: that names both. A row that
 * is gone is fine. */
int checkpoint_set_sha256(struct db *db, int64_t id, const uint8_t sha256[32],
                          struct sewa_error *err);

/* 1 found, 0 none. ret is cleared by the caller. */
int checkpoint_find(struct db *db, const char *uid, struct checkpoint_row *ret,
                    struct sewa_error *err);
int checkpoint_by_id(struct db *db, int64_t id, struct checkpoint_row *ret, struct sewa_error *err);
int checkpoint_live(struct db *db, int64_t run_id, const char *file, struct checkpoint_row *ret,
                    struct sewa_error *err);
/* A row that is gone and had exactly the identity of this one (run, file, step and unit, size,
 * mtime, header), and was read with the same state_key where this one has one. */
int checkpoint_former(struct db *db, const struct checkpoint_row *like, struct checkpoint_row *ret,
                      struct sewa_error *err);

typedef int checkpoint_each(const struct checkpoint_row *row, void *arg, struct sewa_error *err);

enum checkpoint_order { CHECKPOINT_BY_STEP, CHECKPOINT_BY_DISCOVERED, CHECKPOINT_BY_METRIC };

struct checkpoint_filter {
    int64_t run_id;
    int state; /* a checkpoint_state, or -1 for all */
    bool has_min_step, has_max_step;
    int64_t min_step, max_step;
    const char *label_key, *label_value; /* NULL: no filter; value NULL: any value */
    enum checkpoint_order order;
    const char *metric; /* for CHECKPOINT_BY_METRIC: rows without it are not listed */
    bool descending;
    /* keyset: rows strictly behind this place */
    bool has_after;
    int64_t after_number; /* step (-1 for none) or discovered_ms */
    double after_value;   /* metric */
    int64_t after_id;
    int64_t limit;
};

/* A page of rows in order. */
int checkpoint_list(struct db *db, const struct checkpoint_filter *f, checkpoint_each *each,
                    void *arg, struct sewa_error *err);

/* The metric of a row that a page was ordered by; NaN when it has none. */
int checkpoint_metric(struct db *db, int64_t id, const char *name, double *ret,
                      struct sewa_error *err);

/*
 * Candidates of a job: complete rows with a step of this unit in [min, max], newest step first, at
 * most limit.
 */
int checkpoint_candidates(struct db *db, int64_t run_id, enum step_unit unit, int64_t min_step,
                          int64_t max_step, int64_t limit, checkpoint_each *each, void *arg,
                          struct sewa_error *err);

/* Names of complete rows that have no step, at most limit. */
int checkpoint_without_step(struct db *db, int64_t run_id, int64_t limit,
                            int (*each)(const char *file, void *arg, struct sewa_error *err),
                            void *arg, struct sewa_error *err);

/* Live rows of a run, for the scan thread to start from. */
int checkpoint_known(struct db *db, int64_t run_id, checkpoint_each *each, void *arg,
                     struct sewa_error *err);

/* How many complete rows have an id above this one (for "if_new_checkpoints"). */
int checkpoint_count_newer(struct db *db, int64_t run_id, int64_t id, int64_t *ret,
                           struct sewa_error *err);

/* Rows of a run. */
struct checkpoint_counts {
    int64_t states[CHECKPOINT_STATE_COUNT];
    int64_t units[STEP_UNIT_COUNT]; /* of complete rows */
    int64_t without_step;           /* of complete rows */
};

int checkpoint_count(struct db *db, int64_t run_id, struct checkpoint_counts *ret,
                     struct sewa_error *err);

/* Incomplete rows of a run with one reason code. */
struct checkpoint_waiting {
    char code[32];    /* "settling": its size and time have not been the same for long enough */
    char reason[256]; /* of the one that was changed last */
    int64_t count;
    int64_t newest_ms; /* when one of them was changed last */
};

int checkpoint_incomplete(struct db *db, int64_t run_id,
                          int (*each)(const struct checkpoint_waiting *w, void *arg,
                                      struct sewa_error *err),
                          void *arg, struct sewa_error *err);

/*
 * How the reason of a row begins whose file is one part of several, by its name: other parts of one
 * checkpoint may have names that do not say it.
 */
#define CHECKPOINT_PART_BEGINNING "by its name this is "

/* How many such rows a run has; ret_file is one of them, or NULL. */
int checkpoint_parts(struct db *db, int64_t run_id, int64_t *ret, char **ret_file,
                     struct sewa_error *err);

/* On how many axes complete rows have steps. */
unsigned checkpoint_axes(const struct checkpoint_counts *c);

/* Rows of all runs per state. */
int checkpoint_count_all(struct db *db, int64_t ret[CHECKPOINT_STATE_COUNT],
                         struct sewa_error *err);

/* ---- tensor tables ---- */

struct layout_row {
    int64_t id;
    uint8_t signature[32];
    void *tensors; /* layout_encode() */
    size_t tensors_bytes;
    int64_t tensor_count;
    int64_t data_bytes;
    int64_t float_elements;
    char carried[160]; /* "tensor 'x' of type F8_E4M3": one that cannot be averaged; "" when there
                          is none */
    char unfit[400];   /* why an average of such checkpoints means nothing, in words; or "" */
};

void layout_row_clear(struct layout_row *r);

/* Insert it, or find the row with the same bytes, which is unfit now as this one is. Fills id. */
int layout_put(struct db *db, struct layout_row *row, struct sewa_error *err);

/* @with_tensors false leaves tensors NULL. 1 found, 0 none. */
int layout_by_id(struct db *db, int64_t id, bool with_tensors, struct layout_row *ret,
                 struct sewa_error *err);

#endif
