/*
 * client.h - talk to sewad from C: runs, checkpoints, evaluators and jobs over its REST interface.
 *
 *     struct sewa_client_options o = { .url = "http://127.0.0.1:8787" };
 *     const char *request = "{\"run\": \"digits\", \"evaluator\": \"digits\"}";
 *     struct sewa_client *c = NULL;
 *     struct sewa_submission s = { 0 };
 *     struct sewa_job job = { 0 };
 *     struct sewa_error err;
 *
 *     int rc = sewa_client_open(&o, &c, &err);
 *     if (rc == 0)
 *         rc = sewa_job_submit(c, request, NULL, &s, &err);
 *     if (rc == 0)
 *         rc = sewa_job_wait(c, s.job.id, -1, &job, &err);
 *     if (rc < 0)
 *         fprintf(stderr, "%s\n", err.text);
 *     else if (job.state == SEWA_JOB_SUCCEEDED)
 *         printf("%s: %s\n", job.verdict, job.verdict_detail);
 *     sewa_job_clear(&job);
 *     sewa_submission_clear(&s);
 *     sewa_client_close(c);
 *
 * What holds for every function:
 *
 * Errors. 0 is success, positive is an answer, negative is a sewa_code, and @err (may be NULL) says
 * it in words. What the service refuses has the code that it gave, with the JSON pointer of the
 * field to blame. Besides those every call can fail with SEWA_E_UNREACHABLE (no connection, or it
 * broke), SEWA_E_TIMEOUT, SEWA_E_PROTOCOL (what answers is no sewad), SEWA_E_CANCELLED (the
 * caller's interrupted() said so), SEWA_E_INVALID (an argument) and SEWA_E_NO_MEMORY.
 *
 * Memory. Structs are the caller's: zero them before the first use, clear them before another.
 * They are filled on success only and hold nothing after a failure. Their strings and arrays live
 * until the _clear() function, which may be called twice, and on a zeroed struct. Members of a list
 * or of a submission belong to it: clear the whole.
 *
 * Values. Times are milliseconds since 1970, 0 when there is none. Sizes are bytes. A number that
 * the service left out is NaN when it is a double. `json` is the text of the answer as it came.
 *
 * Threads. A client is used by one thread at a time; different clients do not know each other. The
 * library prints nothing, installs no signal handler and ends no process. Over https a connection
 * that breaks may raise SIGPIPE: a program that uses https ignores it.
 */
#ifndef SEWA_CLIENT_H
#define SEWA_CLIENT_H

#include "sewa/error.h"
#include "sewa/version.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sewa_client;
struct sewa_document; /* owns what a struct points to; not for callers */

/* ---- the connection ---- */

struct sewa_client_options {
    /** "http://host:8787" or "https://...", with the path prefix of a reverse proxy if there is
     * one. NULL: "http://127.0.0.1:8787". Loopback addresses are never reached through a proxy. */
    const char *url;
    const char *unix_socket; /**< path of the socket to connect to; url only names the host then.
                                NULL: TCP */
    const char *token;       /**< bearer token; NULL: none */
    const char *user_agent;  /**< NULL: "libsewa/VERSION" */
    /** For one answer, in milliseconds; 0: 30,000. What waits for a job has the waiting time on
     * top; a download may take any time, but not be silent for so long. Connecting has 5 seconds of
     * it. */
    int64_t timeout_ms;
    /** Asked once a second at least while a call waits, and at once after a signal: true ends the
     * call with SEWA_E_CANCELLED. NULL: never. */
    bool (*interrupted)(void *arg);
    void *arg;
};

/**
 * Make a client. Nothing is sent yet. The options are copied.
 * @return 0, SEWA_E_INVALID (the text says which option) or SEWA_E_NO_MEMORY.
 */
SEWA_EXPORT int sewa_client_open(const struct sewa_client_options *o, struct sewa_client **ret,
                                 struct sewa_error *err);

/** Close the connection and forget the token. NULL is fine. */
SEWA_EXPORT void sewa_client_close(struct sewa_client *c);

/** Where the client talks to, for messages: "http://127.0.0.1:8787" or "unix:/run/...". */
SEWA_EXPORT const char *sewa_client_address(const struct sewa_client *c);

/* ---- the service ---- */

struct sewa_service {
    const char *json;
    const char *name;    /**< "sewad" */
    const char *version; /**< "0.1.0" */
    const char *api;     /**< "v1" */
    struct sewa_document *document;
};

SEWA_EXPORT int sewa_service_version(struct sewa_client *c, struct sewa_service *ret,
                                     struct sewa_error *err);
SEWA_EXPORT void sewa_service_clear(struct sewa_service *s);

/** 0 when the service is ready, SEWA_E_UNAVAILABLE and the reason when it is not. */
SEWA_EXPORT int sewa_service_ready(struct sewa_client *c, struct sewa_error *err);

/* ---- what several resources have ---- */

struct sewa_label {
    const char *key, *value;
};

/* ---- runs ---- */

struct sewa_run {
    const char *json;
    const char *id;             /**< "run_..." */
    const char *name;           /**< either can be used wherever a run is wanted */
    const char *path, *pattern; /**< what is watched; NULL: the default */
    const char *origin;         /**< "configuration", "root" or "api" */
    bool is_watched;
    int64_t incomplete, complete, changed, gone; /**< checkpoints, by state */
    int64_t last_scan_ms;
    const char *scan_error;   /**< NULL: the last scan was fine */
    const char *steps_advice; /**< what to do because steps have no common order; NULL: they have */
    size_t label_count;
    const struct sewa_label *labels;
    int64_t created_ms, updated_ms;
    struct sewa_document *document;
};

struct sewa_run_list {
    const char *json;
    size_t count;
    struct sewa_run *items;
    const char *next_page_token; /**< NULL: this was the last page */
    struct sewa_document *document;
};

/**
 * One page of the runs, by name.
 * @limit       1 to 500; 0: the service's default of 50
 * @page_token  of the page before; NULL: from the beginning
 */
SEWA_EXPORT int sewa_run_list(struct sewa_client *c, int limit, const char *page_token,
                              struct sewa_run_list *ret, struct sewa_error *err);
SEWA_EXPORT void sewa_run_list_clear(struct sewa_run_list *l);

/** @run  name or id. SEWA_E_NOT_FOUND. */
SEWA_EXPORT int sewa_run_show(struct sewa_client *c, const char *run, struct sewa_run *ret,
                              struct sewa_error *err);

/**
 * Watch a directory as a new run.
 * @json  {"name": ..., "path": ..., "pattern", "state_key", "marker", "settle_seconds", "labels"}
 * @return 0, SEWA_E_INVALID, SEWA_E_FORBIDDEN (not below an allowed root) or SEWA_E_CONFLICT.
 */
SEWA_EXPORT int sewa_run_create(struct sewa_client *c, const char *json, struct sewa_run *ret,
                                struct sewa_error *err);

/** Change labels and what is watched: @json is a merge patch (RFC 7396), {"labels": {"a": null}}.
 */
SEWA_EXPORT int sewa_run_patch(struct sewa_client *c, const char *run, const char *json,
                               struct sewa_run *ret, struct sewa_error *err);

/** Forget a run and its checkpoints; no file is touched. SEWA_E_CONFLICT when the configuration
 * would bring it back. */
SEWA_EXPORT int sewa_run_delete(struct sewa_client *c, const char *run, struct sewa_error *err);
SEWA_EXPORT void sewa_run_clear(struct sewa_run *r);

/* ---- checkpoints ---- */

struct sewa_metric {
    const char *name;
    double value;
};

struct sewa_checkpoint {
    const char *json;
    const char *id;  /**< "ckpt_..." */
    const char *run; /**< name */
    const char *file, *path;
    int64_t step;                     /**< -1: none was found */
    const char *state;                /**< "incomplete", "complete", "changed" or "gone" */
    const char *reason_code, *reason; /**< why it is in that state; NULL: nothing to say */
    const char *format;               /**< NULL: not known yet */
    int64_t size;
    int64_t parameters, tensors; /**< -1: not known yet */
    const char *sha256;          /**< hex; NULL: nobody needed it yet */
    bool is_pinned;
    size_t label_count;
    const struct sewa_label *labels;
    size_t metric_count;
    const struct sewa_metric *metrics;
    int64_t modified_ms, discovered_ms, completed_ms;
    const char *averaging_refused; /**< why no average is made of it; NULL: one can be */
    const char *step_unit;         /**< "step", "epoch" or "number"; NULL: there is no step */
    const char *step_reason;       /**< why there is no step; NULL: there is one */
    struct sewa_document *document;
};

struct sewa_checkpoint_list {
    const char *json;
    size_t count;
    struct sewa_checkpoint *items;
    const char *next_page_token; /**< NULL: this was the last page */
    struct sewa_document *document;
};

/** Which checkpoints, in which order. All zero: all of them, by step. */
struct sewa_checkpoint_filter {
    const char *state;                  /**< NULL: any */
    const int64_t *min_step, *max_step; /**< inclusive; NULL: no limit */
    const char *label;                  /**< "key" or "key=value" */
    const char *order_by; /**< "step", "discovered_at" or "metric.NAME", with " asc" or " desc" */
    int limit;            /**< of one page, 1 to 500; 0: 50 */
    const char *page_token;
};

/** @filter may be NULL. SEWA_E_NOT_FOUND when there is no such run. */
SEWA_EXPORT int sewa_checkpoint_list(struct sewa_client *c, const char *run,
                                     const struct sewa_checkpoint_filter *filter,
                                     struct sewa_checkpoint_list *ret, struct sewa_error *err);
SEWA_EXPORT void sewa_checkpoint_list_clear(struct sewa_checkpoint_list *l);
SEWA_EXPORT int sewa_checkpoint_show(struct sewa_client *c, const char *id,
                                     struct sewa_checkpoint *ret, struct sewa_error *err);

/** Change labels, metrics and "pinned": @json is a merge patch (RFC 7396), {"pinned": true}. */
SEWA_EXPORT int sewa_checkpoint_patch(struct sewa_client *c, const char *id, const char *json,
                                      struct sewa_checkpoint *ret, struct sewa_error *err);
SEWA_EXPORT void sewa_checkpoint_clear(struct sewa_checkpoint *k);

struct sewa_tensor {
    const char *json;
    const char *name;
    const char *dtype; /**< as safetensors calls it: "F32" */
    size_t rank;
    const int64_t *shape;
    int64_t offset, bytes; /**< of the values, in their file */
    const char *file;      /**< of several; NULL: the checkpoint is one file */
    const char *tied_to;   /**< the tensor whose bytes these are; NULL: it has its own */
};

struct sewa_tensor_list {
    const char *json;
    size_t count;
    struct sewa_tensor *items;
    const char *next_page_token; /**< NULL: this was the last page */
    struct sewa_document *document;
};

/**
 * One page of the tensors of a checkpoint, in the order in which they lie in it.
 * @limit       1 to 500; 0: the service's default of 50
 * @page_token  of the page before; NULL: from the beginning
 * @return      0, SEWA_E_NOT_FOUND, or SEWA_E_CONFLICT: the file was not understood.
 */
SEWA_EXPORT int sewa_tensor_list(struct sewa_client *c, const char *checkpoint, int limit,
                                 const char *page_token, struct sewa_tensor_list *ret,
                                 struct sewa_error *err);
SEWA_EXPORT void sewa_tensor_list_clear(struct sewa_tensor_list *l);

/* ---- evaluators ---- */

struct sewa_evaluator {
    const char *json;
    const char *name;
    size_t argument_count; /**< of the command, the program included */
    const char *const *command;
    int64_t timeout_seconds; /**< for one evaluation */
    struct sewa_document *document;
};

struct sewa_evaluator_list {
    const char *json;
    size_t count;
    struct sewa_evaluator *items;
    struct sewa_document *document;
};

/** All of them: they come from the configuration, so there are few. */
SEWA_EXPORT int sewa_evaluator_list(struct sewa_client *c, struct sewa_evaluator_list *ret,
                                    struct sewa_error *err);
SEWA_EXPORT void sewa_evaluator_list_clear(struct sewa_evaluator_list *l);
SEWA_EXPORT int sewa_evaluator_show(struct sewa_client *c, const char *name,
                                    struct sewa_evaluator *ret, struct sewa_error *err);
SEWA_EXPORT void sewa_evaluator_clear(struct sewa_evaluator *e);

/* ---- methods ---- */

/** One member of "params". */
struct sewa_method_param {
    const char *name;
    const char *type; /**< "integer", "number", "string" or "schedule" (a number, or an object) */
    double minimum, maximum; /**< both allowed; NaN: it is no number */
    size_t word_count;       /**< of a string: those allowed; 0: any */
    const char *const *words;
    const char *fallback; /**< what is taken when it is not given; NULL: the description says */
    const char *description;
};

struct sewa_method {
    const char *json;
    const char *name, *description;
    const char *needs;    /**< of the evaluator: "nothing", "losses" or "gradients" */
    bool needs_evaluator; /**< a job must name one */
    bool takes_select;    /**< "select" may be given */
    bool finds_select;    /**< and may be "auto" */
    int64_t select;       /**< when it is not given, or all candidates when there are fewer */
    size_t param_count;
    const struct sewa_method_param *params;
    struct sewa_document *document;
};

struct sewa_method_list {
    const char *json;
    size_t count;
    struct sewa_method *items;
    struct sewa_document *document;
};

/** All of them. */
SEWA_EXPORT int sewa_method_list(struct sewa_client *c, struct sewa_method_list *ret,
                                 struct sewa_error *err);
SEWA_EXPORT void sewa_method_list_clear(struct sewa_method_list *l);

/** SEWA_E_NOT_FOUND: the text says what was meant, perhaps, and what there is. */
SEWA_EXPORT int sewa_method_show(struct sewa_client *c, const char *name, struct sewa_method *ret,
                                 struct sewa_error *err);
SEWA_EXPORT void sewa_method_clear(struct sewa_method *m);

/* ---- jobs ---- */

enum sewa_job_state {
    SEWA_JOB_UNKNOWN, /**< of a newer service; not final */
    SEWA_JOB_QUEUED,
    SEWA_JOB_STARTING,
    SEWA_JOB_RUNNING,
    SEWA_JOB_PUBLISHING,
    SEWA_JOB_CANCELLING,
    SEWA_JOB_SUCCEEDED,
    SEWA_JOB_FAILED,
    SEWA_JOB_CANCELLED,
};

/** Whether a job in this state never changes again. */
SEWA_EXPORT bool sewa_job_state_is_final(enum sewa_job_state s);

struct sewa_progress {
    int64_t iteration, iterations; /**< of the method; 0 of 0 when it has none */
    int64_t evaluations, evaluations_total;
    double eta_seconds;
};

/** A number on both splits of the evaluator: the one that was chosen by, and the one kept back. */
struct sewa_split {
    double selection, report;
};

struct sewa_split_metric {
    const char *name;
    struct sewa_split value;
};

struct sewa_selected {
    const char *checkpoint; /**< id */
    int64_t step;           /**< -1: it has none */
    double weight;          /**< in the average */
    double probability;     /**< that the method learned */
};

struct sewa_baseline {
    const char *method;
    int64_t checkpoints; /**< how many it averages */
    struct sewa_split loss;
    size_t metric_count;
    const struct sewa_split_metric *metrics;
};

struct sewa_cost {
    int64_t evaluations, gradients; /**< gradients are among the evaluations */
    double seconds, evaluator_seconds;
    int64_t bytes_read;
};

struct sewa_artifact {
    const char *name; /**< "model.safetensors" */
    int64_t size;
    const char *sha256; /**< hex */
    const char *media_type;
};

struct sewa_check_split {
    const char *name;
    int64_t examples; /**< 0: no losses of single examples */
};

struct sewa_check_metric {
    const char *name, *direction; /**< "max" or "min" */
};

/** What a job of sewa_evaluator_check() found out. */
struct sewa_check {
    double loss;              /**< of the average of the two newest checkpoints */
    double seconds_first;     /**< the first evaluation, with its gradient */
    double seconds_loss_only; /**< a later one, without */
    bool has_gradient;        /**< the slope was compared with finite differences */
    double analytic, numeric, relative_error;
    double tolerance; /**< the largest relative error that is right */
    bool is_gradient_right;
    size_t split_count;
    const struct sewa_check_split *splits;
    size_t metric_count;
    const struct sewa_check_metric *metrics;
    int64_t parameters, buffers; /**< tensors: differentiated, and all others */
};

struct sewa_job {
    const char *json;
    const char *etag; /**< of this version, for sewa_job_refresh(); NULL in lists */
    const char *id;   /**< "job_..." */
    enum sewa_job_state state;
    const char *state_name;           /**< as the service calls it */
    const char *reason_code, *reason; /**< why it failed or was cancelled; NULL: it was not */
    const char *run, *method;
    const char *evaluator; /**< NULL: none */
    const char *retry_of;  /**< id; NULL: it is not a retry */
    size_t label_count;
    const struct sewa_label *labels;
    struct sewa_progress progress;
    int64_t created_ms, started_ms, finished_ms;

    bool has_result; /**< the following members say something */
    int64_t candidates;
    size_t selected_count;
    const struct sewa_selected *selected;
    struct sewa_split loss; /**< of the average, as it is published */
    size_t metric_count;
    const struct sewa_split_metric *metrics;
    size_t baseline_count;
    const struct sewa_baseline *baselines;
    const char *verdict;        /**< "improved", "no_gain", "worse", "not_evaluated"; NULL: none */
    const char *verdict_detail; /**< a sentence with the numbers */
    size_t note_count;
    const char *const *notes;
    struct sewa_cost cost;
    const struct sewa_check *check; /**< NULL: this is not a job of method check */

    size_t artifact_count;
    const struct sewa_artifact *artifacts;
    struct sewa_document *document;
};

struct sewa_job_list {
    const char *json;
    size_t count;
    struct sewa_job *items;      /**< newest first */
    const char *next_page_token; /**< NULL: this was the last page */
    struct sewa_document *document;
};

struct sewa_job_filter {
    const char *state, *run;
    const char *label;         /**< "key" or "key=value" */
    const char *created_after; /**< RFC 3339 */
    int limit;                 /**< of one page, 1 to 500; 0: 50 */
    const char *page_token;
};

struct sewa_submission {
    const char *json;
    bool submitted;      /**< false: there are fewer new checkpoints than "if_new_checkpoints" */
    bool replayed;       /**< the key was used before: this is the job of that time */
    const char *reason;  /**< why it was not submitted; NULL when it was */
    struct sewa_job job; /**< when it was */
    struct sewa_document *document;
};

struct sewa_candidate {
    const char *checkpoint; /**< id */
    int64_t step;           /**< -1: it has none */
    const char *path;
};

/** What a request comes to. */
struct sewa_plan {
    const char *json;
    const char *run, *method;
    const char *evaluator; /**< NULL: none */
    int64_t select;        /**< how many are to be chosen; 0: the method decides, or takes all */
    size_t candidate_count;
    const struct sewa_candidate *candidates; /**< oldest first */
    int64_t tensors, parameters;             /**< of one checkpoint */
    int64_t bytes_to_read, peak_memory_bytes, output_bytes, free_disk_bytes;
    int64_t evaluations;     /**< an estimate; 0: nothing is evaluated */
    double expected_seconds; /**< as the last job like it took; NaN: there was none */
    bool streams;            /**< candidates are read again in every pass, not kept in memory */
    size_t warning_count;
    const char *const *warnings;
    struct sewa_document *document;
};

/**
 * Submit a job.
 * @json  the request: {"run": "digits", "method": "sewa", "evaluator": "digits", ...}
 * @key   Idempotency-Key, 1 to 255 printable ASCII characters: sent again within 24 hours with the
 *        same request it gives the same job. NULL: none. See sewa_job_key().
 * @return 0 also when the job was not submitted for lack of new checkpoints: see ret->submitted.
 *         SEWA_E_INVALID and the like with a pointer, SEWA_E_NO_CANDIDATES, SEWA_E_MISMATCH,
 *         SEWA_E_IDEMPOTENCY_MISMATCH (the key was used for another request).
 */
SEWA_EXPORT int sewa_job_submit(struct sewa_client *c, const char *json, const char *key,
                                struct sewa_submission *ret, struct sewa_error *err);
SEWA_EXPORT void sewa_submission_clear(struct sewa_submission *s);

/** A key that stays the same for the same request until the run has another newest checkpoint:
 * "auto-" and a digest of both, 64 characters. Asks the service for the checkpoint. The service
 * forgets such a key when the job that came of it has failed, was cancelled or deleted: the same
 * request gives a new job then. */
SEWA_EXPORT int sewa_job_key(struct sewa_client *c, const char *json, char ret[65],
                             struct sewa_error *err);

/** What submitting this request would do. Fails as sewa_job_submit() would. */
SEWA_EXPORT int sewa_job_plan(struct sewa_client *c, const char *json, struct sewa_plan *ret,
                              struct sewa_error *err);
SEWA_EXPORT void sewa_plan_clear(struct sewa_plan *p);

/** A job that tries an evaluator: one evaluation with timings, and its gradient against finite
 * differences. @json names checkpoints: {"run": "digits"} or {"checkpoints": [...]}. */
SEWA_EXPORT int sewa_evaluator_check(struct sewa_client *c, const char *name, const char *json,
                                     const char *key, struct sewa_job *ret, struct sewa_error *err);

/** One page of the jobs, newest first. @filter may be NULL. */
SEWA_EXPORT int sewa_job_list(struct sewa_client *c, const struct sewa_job_filter *filter,
                              struct sewa_job_list *ret, struct sewa_error *err);
SEWA_EXPORT void sewa_job_list_clear(struct sewa_job_list *l);

SEWA_EXPORT int sewa_job_show(struct sewa_client *c, const char *id, struct sewa_job *ret,
                              struct sewa_error *err);
SEWA_EXPORT void sewa_job_clear(struct sewa_job *j);

/**
 * Wait until a job differs from what @job says.
 * A service that is restarted meanwhile is waited for, up to a minute.
 * @job         of sewa_job_show() or an earlier call; replaced when the job has changed
 * @timeout_ms  0 asks once
 * @return      1 when it has changed, 0 when the time is over. SEWA_E_NOT_FOUND: it was deleted.
 */
SEWA_EXPORT int sewa_job_refresh(struct sewa_client *c, struct sewa_job *job, int64_t timeout_ms,
                                 struct sewa_error *err);

/**
 * Wait until a job has succeeded, failed or was cancelled: see ret->state.
 * A service that is restarted meanwhile is waited for, up to a minute.
 * @timeout_ms  0 asks once, -1 waits for ever
 * @return      0, SEWA_E_NOT_FOUND or SEWA_E_TIMEOUT (the job goes on).
 */
SEWA_EXPORT int sewa_job_wait(struct sewa_client *c, const char *id, int64_t timeout_ms,
                              struct sewa_job *ret, struct sewa_error *err);

/** Ask for the end of a job; it comes when its workers have ended. SEWA_E_CONFLICT when it is
 * finished already. */
SEWA_EXPORT int sewa_job_cancel(struct sewa_client *c, const char *id, struct sewa_error *err);

/** Remove a finished job with its artifacts. SEWA_E_CONFLICT when it is not finished. */
SEWA_EXPORT int sewa_job_delete(struct sewa_client *c, const char *id, struct sewa_error *err);

/** Submit the request of a finished job again. @key as for sewa_job_submit(). */
SEWA_EXPORT int sewa_job_retry(struct sewa_client *c, const char *id, const char *key,
                               struct sewa_job *ret, struct sewa_error *err);

/* ---- what a job has learned ---- */

struct sewa_trace_row {
    int64_t iteration;
    double loss, temperature, learning_rate;
    int64_t dropped;        /**< samples that were not finite */
    double entropy, spread; /**< of the probabilities */
    size_t probability_count;
    const double *probabilities; /**< one for each candidate */
};

struct sewa_trace {
    const char *json;
    size_t candidate_count;
    const struct sewa_candidate *candidates; /**< oldest first; paths are NULL */
    size_t count;
    const struct sewa_trace_row *rows;
    struct sewa_document *document;
};

/** @max_points  thins the rows out evenly; the last one is always there. 0: all of them. */
SEWA_EXPORT int sewa_job_trace(struct sewa_client *c, const char *id, int max_points,
                               struct sewa_trace *ret, struct sewa_error *err);
SEWA_EXPORT void sewa_trace_clear(struct sewa_trace *t);

/** What is done with pieces of a log, as they come. Negative (a sewa_code, with @err filled) ends
 * the call and becomes its result. */
struct sewa_sink {
    void *user; /**< the caller's own: this library does not look at it */
    int (*write)(struct sewa_sink *self, const void *data, size_t n, struct sewa_error *err);
};

/** What the evaluator of a job has printed. @follow: go on until the job is finished. */
SEWA_EXPORT int sewa_job_logs(struct sewa_client *c, const char *id, bool follow,
                              struct sewa_sink *sink, struct sewa_error *err);

/* ---- artifacts ---- */

struct sewa_artifact_list {
    const char *json;
    size_t count;
    const struct sewa_artifact *items;
    struct sewa_document *document;
};

/** The files of a succeeded job; others have none. */
SEWA_EXPORT int sewa_artifact_list(struct sewa_client *c, const char *job,
                                   struct sewa_artifact_list *ret, struct sewa_error *err);
SEWA_EXPORT void sewa_artifact_list_clear(struct sewa_artifact_list *l);

struct sewa_download {
    const char *job;      /**< id */
    const char *artifact; /**< name */
    const char *path;     /**< of the file that is to be there in the end */
    /** Instead of a path: gets the bytes as they come, and only the result of the call says whether
     * they were right. */
    struct sewa_sink *sink;
    /** Called now and then; NULL: not wanted. */
    void (*progress)(void *arg, int64_t done, int64_t size);
    void *arg;
};

struct sewa_downloaded {
    int64_t size;
    int64_t resumed_from; /**< bytes that were there from an earlier attempt */
    bool was_there;       /**< the file was there already, with the right digest */
    char sha256[65];      /**< hex, verified */
};

/**
 * Fetch one artifact into a file, or hand its bytes on.
 *
 * The bytes go into a hidden file beside it, named after the digest; when they are complete and
 * their SHA-256 is right, the hidden file is synced and renamed. So the file at @path is either
 * what it was before or the whole artifact. A broken connection is taken up again where it broke,
 * in this call and, because the hidden file stays, in a later one.
 *
 * @return 0, SEWA_E_NOT_FOUND, SEWA_E_CORRUPT (the digest is wrong, both are in the text),
 *         SEWA_E_LOCKED (another process is fetching it to the same place), SEWA_E_IO,
 *         SEWA_E_NO_SPACE; of a sink SEWA_E_CHANGED (it broke, and can only be had again from its
 *         beginning).
 */
SEWA_EXPORT int sewa_artifact_download(struct sewa_client *c, const struct sewa_download *what,
                                       struct sewa_downloaded *ret, struct sewa_error *err);

#ifdef __cplusplus
}
#endif
#endif
