/*
 * api_body - the inside of struct api and what handlers share: writes with an Idempotency-Key,
 * views of rows as JSON, lists.
 */
#ifndef HTTP_API_BODY_H
#define HTTP_API_BODY_H

#include "http/api.h"
#include "http/page.h"

enum { JOB_CACHE_SIZE = 256 };

/* A rendered job: asked for again and again by clients that wait. */
struct cached_job {
    char uid[ID_TEXT_SIZE];
    struct MHD_Response *response;
};

struct api {
    struct api_options o;
    bool draining;
    unsigned looks; /* at directories of new runs, under way */
    struct jobs_watcher watcher;
    struct cached_job cache[JOB_CACHE_SIZE];
    struct list waiters;   /* requests that wait for a job to change */
    struct list followers; /* logs that are followed */
    uv_timer_t tick;
};

/* ---- write.c: a change of the index, answered after its commit ---- */

struct api_write {
    struct store_op op;
    struct api *api;
    struct request *rq;          /* NULL when the server has closed meanwhile */
    char *key;                   /* Idempotency-Key or NULL */
    char *scope;                 /* method and path */
    char *if_match;              /* of a PATCH or DELETE, or NULL */
    uint8_t digest[32];          /* of the query and the body */
    uint8_t digest_of_bytes[32]; /* as it was kept once: of the body as it came */
    int64_t now_ms;

    /*
     * On the store thread, inside the transaction: make the change and fill status, body (heap text
     * or NULL) and location. Sees only this struct and what arg points to.
     */
    int (*apply)(struct api_write *w, struct db *db, struct sewa_error *err);
    /* On the loop, after a successful commit and before the answer; not for a replayed one. May be
     * NULL. */
    void (*committed)(struct api_write *w);
    void (*release)(void *arg); /* frees arg */
    void *arg;

    unsigned status;
    char *body;
    char *location;
    bool replayed;
};

/*
 * Make a write for this request. Answers it and returns NULL when that fails or when the answer to
 * its Idempotency-Key is known already; arg is released then. An arg that is NULL is one there was
 * no memory for, and is answered as that.
 */
struct api_write *api_write_new(struct api *a, struct request *rq, void *arg,
                                void (*release)(void *arg));
void api_write_submit(struct api_write *w);

/* It was answered otherwise. */
void api_write_drop(struct api_write *w);

/* Answer with this failure instead of submitting. */
void api_write_refuse(struct api_write *w, const struct sewa_error *err);

/* In apply(): what is there is what the client wants to change (If-Match); etag is NULL where there
 * is none. SEWA_E_PRECONDITION. */
int api_write_match(const struct api_write *w, const char *etag, struct sewa_error *err);

/* In apply(): the body from a JSON value that is stolen. */
int api_write_body(struct api_write *w, unsigned status, json_t *value, struct sewa_error *err);

/* ---- api_read.c: a read that may take long ---- */

struct api_read {
    struct work base;
    struct request *rq; /* NULL when the server has closed meanwhile */
    char *path;         /* of the database */
    /* On the loop, first: what the request asks for. */
    int (*begin)(struct api *a, struct request *rq, struct api_read *r, struct sewa_error *err);
    /* On the pool; sees only this struct and the database. */
    int (*read)(struct api_read *r, struct db *db, struct sewa_error *err);
    void (*answer)(struct api_read *r);  /* on the loop, after a read that did not fail */
    void (*release)(struct api_read *r); /* also of what begin left half done */
};

/* Begin, hold the request and read; the functions are set. Owns r from here on. */
void api_read_submit(struct api *a, struct request *rq, struct api_read *r);

/* ---- views.c: rows as the API shows them; NULL when out of memory ---- */

json_t *view_time(int64_t ms); /* RFC 3339, or null for 0 */
json_t *view_path(const char *bytes);
json_t *view_parsed(const char *json_text);                /* stored JSON as a value */
json_t *view_reason(const char *code, const char *detail); /* object, or null for an empty code */
json_t *view_checkpoint(const struct checkpoint_row *c, const struct run_row *run,
                        const struct layout_row *layout);
json_t *view_run(const struct run_row *run, const struct checkpoint_counts *counts);
/* artifacts: array or NULL for none */
json_t *view_job(const struct job_row *job, json_t *artifacts, int64_t now_ms);
json_t *view_artifacts(struct db *db, const struct job_row *job, struct sewa_error *err);

/* ---- lists ---- */

struct list_reply {
    struct request *rq;
    json_t *items;
    int64_t limit;
    bool more; /* one row too many was there: it is not in items */
    struct page_key last;
    json_t *extra; /* an object whose members stand beside the items, or NULL; owned */
};

/* Read "limit" and "page_token", and make room for items. */
int list_begin(struct list_reply *l, struct request *rq, const char *order,
               struct page_key *ret_after, bool *ret_has_after, struct sewa_error *err);

/* For each row: true when it is the one too many. */
bool list_is_full(struct list_reply *l);

/* Answer, and let go of the items. */
void list_finish(struct list_reply *l);

/* "key" or "key=value" of a label filter; heap memory in ret_key, value points into it. */
int query_label(const struct request *rq, char **ret_key, const char **ret_value,
                struct sewa_error *err);

/* The run or job that the first parameter of the path names; SEWA_E_NOT_FOUND. */
int find_run(struct api *a, const struct request *rq, struct run_row *ret, struct sewa_error *err);
int find_job(struct api *a, const struct request *rq, struct job_row *ret, struct sewa_error *err);

/* Refuse the name of an evaluator with this code: what was meant, perhaps, and what there is. */
int evaluator_unknown(struct api *a, const char *name, int code, const char *pointer,
                      struct sewa_error *err);

/* Merge the members of patch (RFC 7396) into text; heap text. */
int merge_members(const char *text, const json_t *patch, char **ret, struct sewa_error *err);

/* ---- handlers ---- */

void api_healthz(struct api *a, struct request *rq);
void api_readyz(struct api *a, struct request *rq);
void api_version(struct api *a, struct request *rq);
void api_metrics(struct api *a, struct request *rq);
void api_openapi(struct api *a, struct request *rq);
void api_runs_list(struct api *a, struct request *rq);
void api_runs_create(struct api *a, struct request *rq);
void api_runs_show(struct api *a, struct request *rq);
void api_runs_patch(struct api *a, struct request *rq);
void api_runs_delete(struct api *a, struct request *rq);
void api_checkpoints_list(struct api *a, struct request *rq);
void api_checkpoints_show(struct api *a, struct request *rq);
void api_checkpoints_tensors(struct api *a, struct request *rq);
void api_checkpoints_patch(struct api *a, struct request *rq);
void api_evaluators_list(struct api *a, struct request *rq);
void api_evaluators_show(struct api *a, struct request *rq);
void api_evaluators_check(struct api *a, struct request *rq);
void api_methods_list(struct api *a, struct request *rq);
void api_methods_show(struct api *a, struct request *rq);
void api_jobs_list(struct api *a, struct request *rq);
void api_jobs_create(struct api *a, struct request *rq);
void api_jobs_show(struct api *a, struct request *rq);
void api_jobs_cancel(struct api *a, struct request *rq);
void api_jobs_retry(struct api *a, struct request *rq);
void api_jobs_delete(struct api *a, struct request *rq);
void api_jobs_trace(struct api *a, struct request *rq);
void api_jobs_logs(struct api *a, struct request *rq);
void api_jobs_artifacts(struct api *a, struct request *rq);
void api_jobs_artifact(struct api *a, struct request *rq);
void api_worker_hello(struct api *a, struct request *rq);
void api_worker_lease(struct api *a, struct request *rq);
void api_worker_heartbeat(struct api *a, struct request *rq);
void api_worker_result(struct api *a, struct request *rq);
void api_worker_log(struct api *a, struct request *rq);

/* ---- submission.c: a new job ---- */

/*
 * Begin with its Idempotency-Key (a request that was answered is answered again although its plan
 * may not be possible any more), fill in the request, and submit: it is planned off the loop,
 * inserted, queued, and answered with its body.
 */
struct submission {
    struct api_write *write; /* owns the submission */
    struct job_request *request;
    char retry_of[ID_TEXT_SIZE];
    bool dry_run; /* answer with the plan, and insert nothing */

    struct api_read planning;
    struct plan_limits limits;
    json_t *evaluator; /* as it is configured now, or NULL */
    char *artifact_directory;
    struct job_plan *plan;
    struct jobs *reserved; /* where it has a place, or NULL */
    bool is_submitted;
    unsigned status;
    struct job_row row;
};

/* NULL: the request was answered. What fails before it is submitted: api_write_refuse(s->write). */
struct submission *submission_begin(struct api *a, struct request *rq, unsigned status);
void submission_submit(struct submission *s);

/* Waiting for a job (api_wait.c): the clock and changes. */
void waiters_changed(struct api *a, const char *uid);
void waiters_tick(struct api *a, int64_t now_ms);
void followers_tick(struct api *a);
enum { JOB_ETAG_SIZE = 32 };
void job_etag(const struct job_row *row, char ret[JOB_ETAG_SIZE]);
void job_cache_drop(struct api *a, const char *uid);

#endif
