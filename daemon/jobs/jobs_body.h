/*
 * jobs_body - the inside of the jobs room, for the files that are one: jobs.c (opening, queue,
 * clock), life.c (states), workers.c (processes), setback.c (their failures), calls.c (what workers
 * ask), write.c (rows), publish.c and clean.c (files), joblog.c (output).
 */
#ifndef JOBS_JOBS_BODY_H
#define JOBS_JOBS_BODY_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/loop.h"
#include "jobs/jobs.h"
#include "jobs/patience.h"
#include "jobs/runner.h"
#include "jobs/slots.h"
#include "jobs/state.h"
#include "jobs/tasks.h"

enum {
    JOBS_HEARTBEAT_S = 5,
    JOBS_LEASE_MS = 30000,      /* without a heartbeat a lease ends after this */
    JOBS_HELLO_MS = 60000,      /* a worker that was started has said hello by then */
    JOBS_LEASE_WAIT_MS = 20000, /* how long a worker's question for work is held */
    JOBS_KILL_MS = 10000,       /* from SIGTERM to SIGKILL */
    JOBS_LAST_WORDS_MS = 5000,  /* how long an end waits for what is printed at the end */
    JOBS_KILLS = 6,             /* times JOBS_KILL_MS, until a process that does not end is left */
    JOBS_TRIES_MAX = 3,         /* workers that failed in a row, with no other one left */
    JOBS_REST_MS = 500,         /* a slot rests after a failure, longer after the next one */
    JOBS_WORK_MS = 600000,      /* a worker that gets on with nothing for so long hangs */
    JOBS_GRACE_MS = 60000,      /* beyond the evaluator's own deadlines, which the worker keeps */
    JOBS_TICK_MS = 1000,
    JOBS_UNFINISHED_MAX = 2000, /* each is kept in memory with its plan */
    JOBS_LOG_MAX = 64 << 20,    /* bytes of one job's log */
    JOBS_PREPARE_TASK = -1,     /* number of the task that every worker begins with */
};

struct job;

struct worker {
    struct list link; /* of its job */
    struct list all;  /* of the room */
    struct job *job;
    char uid[ID_TEXT_SIZE];
    uint8_t token_hash[32];
    struct launched *process; /* NULL once it has ended */
    int slot;
    bool said_hello;
    bool preparing, prepared;
    bool proved;   /* it has prepared or brought a result: it can work */
    bool stopping; /* SIGTERM was sent */
    int64_t kill_at_ms;
    int64_t seen_ms;            /* monotonic: the last time it said anything */
    struct stride stride;       /* what its heartbeats say of its work */
    struct jobs_call *waiting;  /* asks for work and there is none yet */
    struct job_write *granting; /* its lease is being written; holds the call that gets the task */
};

struct job_log {
    struct buf pending;
    struct buf writing;
    int64_t written;
    int64_t dropped; /* bytes that came faster than the disk took them; to be said */
    bool counted;    /* written is known */
    bool busy;
    bool full;
    bool removed; /* the job was deleted: nothing is written any more */
};

struct job {
    struct list link;
    struct jobs *jobs;
    int64_t id;
    char uid[ID_TEXT_SIZE];
    enum job_state state;
    int64_t started_ms; /* shown; how long it takes is counted by another clock: */
    double spent_s;     /* monotonic: until then it stands in the runner's sum */
    struct job_request *request;
    struct job_plan *plan;
    struct runner *runner; /* NULL while queued */
    struct tasks tasks;
    struct list workers;
    struct slot_record *slots; /* what it knows of each slot */
    int setbacks;              /* failures of workers in a row, with no other one left */
    unsigned pending;          /* writes and other work under way that point here */
    int64_t average_attempt;   /* whose folder holds the average */
    int64_t attempts;          /* the highest of any task: so many folders there may be */
    bool outlived;             /* its end was told while a worker still lived */
    bool publishing;           /* files are being put in place */
    bool succeeding;           /* the last write of a job that went well is under way */
    bool finished;             /* in its last state; freed when nothing points here any more */
    bool unsaved;              /* the last state could not be written and is tried again */
    int64_t tell_by_ms;        /* the end is decided, and written when the log is complete; then at
                                  the latest. 0: not */
    struct job_write *success; /* that end, when it is a good one */
    char reason_code[40];
    char reason[SEWA_ERROR_TEXT_MAX];
    struct job_log log;
};

/* The times above, which a test may shorten (base/failpoint.h). */
struct jobs_times {
    int64_t heartbeat_s;
    int64_t lease_ms, lease_wait_ms;
    int64_t hello_ms;
    int64_t kill_ms;
    int64_t rest_ms;
    int64_t work_ms;
};

struct jobs {
    struct jobs_options o;
    struct jobs_times times;
    char *log_directory;
    char *artifact_directory;
    struct list jobs; /* in order of submission */
    struct list workers;
    struct list watchers;
    uv_timer_t tick;
    int64_t ticked_ms; /* when it came the last time */
    bool *slot_taken;
    int slot_count;
    struct slot_record starting; /* of processes as such: there are no descriptors, say */
    unsigned pending;
    int reserved; /* jobs that are on their way */
    int unfinished_max;
    int failing; /* rows that could not be taken up and are being failed */
    bool missed; /* there are such rows that were not: the clock tries again */
    bool draining;
    bool closed;
    bool tick_closed;
};

/* ---- life.c ---- */

/* Assert the table, set the state, write the row. */
void job_move(struct job *job, enum job_state to);

/* End it: workers are stopped, temporary files removed, the row is written. */
void job_fail(struct job *job, const struct sewa_error *err);

/* Queued -> starting: the runner is made (or loaded again). */
void job_begin(struct job *job);

/* Add the time since the last call to what the job has cost. */
void job_spend(struct job *job);

/* A batch is open or the runner has finished: hand out tasks, or publish. */
void job_go_on(struct job *job);

/* All results of a batch are there. */
void job_advance(struct job *job);

/* The files are in place, or a check has its report: the last write, and what follows it. */
void job_succeed(struct job *job);
void job_succeeded(struct job *job, const char *result);

/* Free it when it is finished and nothing points to it any more. */
void job_release(struct job *job);

void job_free(struct job *job);

/* Write the state that a job has ended in. */
void job_write_last(struct job *job);

/* Write the end that is decided, if the log is complete or has had its time. */
void job_tell_end(struct job *job, int64_t now_ms);

struct job *jobs_find(struct jobs *j, const char *uid);

/* Give free slots to jobs that want workers. */
void jobs_schedule(struct jobs *j);

/* ---- jobs.c ---- */

/* Something under way points to the room, and to a job unless that is NULL. */
void jobs_hold(struct jobs *j, struct job *job);

/* It has ended: a job that is finished and a room that is closed go with the last of them. */
void jobs_let_go(struct jobs *j, struct job *job);

/* ---- workers.c ---- */

/* A slot that is free; 0 or what happened, and the slot is free again. */
int worker_start(struct job *job, int slot, struct sewa_error *err);
void worker_stop(struct worker *w, bool now);

/* Adopt the process of a stored row; SEWA_E_GONE when it has ended. */
int worker_adopt(struct job *job, const struct worker_row *row, struct sewa_error *err);

/* Its tasks go to others; the struct stays until the process has ended. */
void worker_give_up_tasks(struct worker *w, const struct sewa_error *why);

/* Once a second. gap_ms: nothing ran for so long, and nobody is to blame for that time. */
void workers_tick(struct jobs *j, int64_t now_ms, int64_t gap_ms);
void worker_free(struct worker *w);

/* ---- setback.c ---- */

/* It failed, and not because of its job: it is stopped, and the job goes on with others or ends. */
void worker_failed(struct worker *w, const struct sewa_error *why);
void worker_not_started(struct job *job, int slot, const struct sewa_error *why);

/* It has prepared: it can work. It has brought a result: its slot is all right, too. */
void worker_proved(struct worker *w);
void worker_succeeded(struct worker *w);

/* The last one in its slot has failed, and somebody else is there for what has failed before. */
bool worker_is_doubtful(const struct worker *w);

/* ---- calls.c ---- */

/* Try to give a waiting worker something to do; all of a job's. */
void worker_feed(struct worker *w);
void feed_workers(struct job *job);

/* The call that waits for a lease to be written gets it no more. NULL when there is none. */
struct jobs_call *worker_forget_grant(struct worker *w);
void call_reply_error(struct jobs_call *c, int code, const char *text);

/* ---- write.c ---- */

/*
 * One transaction about one job: any of the parts below, applied in this order. Heap members are
 * freed with it. done() comes on the loop after the commit.
 */
struct job_write {
    struct store_op op;
    struct job *job; /* NULL for a write that outlives its job */
    struct jobs *jobs;
    int64_t job_id;
    char uid[ID_TEXT_SIZE];
    int64_t now_ms;

    char *runner; /* with progress */
    struct job_progress progress;
    int64_t leases_below; /* 0: none are deleted */
    bool has_trace;
    struct trace_row trace;
    float *probabilities;
    bool has_lease;
    struct lease_row lease;
    bool has_worker;
    struct worker_row worker;
    char worker_gone[ID_TEXT_SIZE];
    char *result;
    struct artifact_row *artifacts;
    size_t artifact_count;
    int64_t *digest_ids; /* rows of checkpoints whose sha256 is known now */
    uint8_t (*digests)[32];
    size_t digest_count;
    bool has_state;
    bool is_success;   /* the job's last one: it counts when it is written */
    bool is_overruled; /* out: the row says cancelling, and its state was left alone */
    enum job_state state;
    char reason_code[40];
    char reason[SEWA_ERROR_TEXT_MAX];
    int64_t started_ms, finished_ms;

    void (*done)(struct job_write *w); /* may be NULL; the write is freed afterwards */
    void *arg;
};

/* NULL when out of memory: the job has been failed in memory then. */
struct job_write *write_new(struct job *job);
void write_state(struct job_write *w, struct job *job);
int write_runner(struct job_write *w, struct job *job);
void write_submit(struct job_write *w);
void write_drop(struct job_write *w); /* instead of submitting it */

/* ---- publish.c ---- */

/* Put manifest and average in place (pool thread), then job_succeed(). */
void publish_start(struct job *job);

/* ---- clean.c ---- */

/* Where attempt n of the average is written (heap). */
char *clean_staging(const char *directory, const char *uid, int64_t attempt);

/* Remove the folders of this many attempts of a job, and its published one when @all, on the pool.
 */
void clean_job(struct jobs *j, const char *uid, int64_t attempts, bool all);

/* At start: remove folders of jobs that are not there or did not succeed, and logs of jobs that are
 * not there. Blocks. */
int clean_sweep(struct jobs *j, struct sewa_error *err);

/* ---- joblog.c ---- */

void joblog_append(struct job *job, const void *data, size_t n);

/* Of a job that was deleted; @job is NULL when nothing of it goes on. */
void joblog_remove(struct jobs *j, struct job *job, const char *uid);
bool joblog_is_stored(const struct job *job); /* all that was appended is in the file */
void joblog_clear(struct job *job);

#endif
