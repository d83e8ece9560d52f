/*
 * submit - submit a job, plan one, and the key that makes both repeatable.
 */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "cleanup.h"
#include "digest.h"
#include "job_read.h"
#include "sewa/protocol.h"

/* ---- submit ---- */

static int check_key(const char *key, struct sewa_error *err)
{
    size_t n = key ? strlen(key) : 1;

    if (n < 1 || n > 255)
        return sewa_fail(err, SEWA_E_INVALID,
                         "the idempotency key has %zu characters, allowed is 1 to 255", n);
    for (size_t i = 0; key && i < n; i++)
        if (key[i] < 0x20 || key[i] >= 0x7f)
            return sewa_fail(err, SEWA_E_INVALID,
                             "character %zu of the idempotency key is no printable ASCII", i + 1);
    return 0;
}

static int read_submission(struct sewa_document *d, struct sewa_submission *s,
                           struct sewa_error *err)
{
    const json_t *submitted = json_object_get(d->root, "submitted");

    s->json = d->text;
    s->submitted = !submitted || json_is_true(submitted);
    if (s->submitted)
        return sewa_job_read(d, d->root, d->text, &s->job, err);
    return sewa_need_text(d->root, "reason", &s->reason, err);
}

int sewa_job_submit(struct sewa_client *c, const char *json, const char *key,
                    struct sewa_submission *ret, struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_call_clear) struct call call = { .method = "POST", .json = json, .key = key };
    AUTO(sewa_text_clear) struct text path = { 0 };
    struct sewa_submission s = { 0 };

    *ret = s;
    sewa_path(&path, "jobs", NULL, NULL);
    int rc = check_key(key, err);
    if (rc == 0)
        rc = sewa_ask(c, &call, &path, &d, err);
    if (rc == 0)
        rc = read_submission(d, &s, err);
    if (rc < 0)
        return rc;
    s.replayed = call.replayed;
    s.document = TAKE(d);
    *ret = s;
    return 0;
}

void sewa_submission_clear(struct sewa_submission *s)
{
    sewa_job_clear(&s->job); /* sewa_job_refresh() has made it a job of its own */
    sewa_document_free(s->document);
    *s = (struct sewa_submission){ 0 };
}

/* ---- plan ---- */

static int read_candidates(struct sewa_document *d, const json_t *array, struct sewa_plan *p,
                           struct sewa_error *err)
{
    size_t n = json_array_size(array);
    struct sewa_candidate *list = sewa_document_alloc(d, n, sizeof *list);

    if (!list)
        return sewa_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(array, i);
        list[i] = (struct sewa_candidate){ sewa_get_text(o, "checkpoint"),
                                           sewa_get_integer(o, "step", -1),
                                           sewa_get_text(o, "path") };
    }
    p->candidates = list;
    p->candidate_count = n;
    return 0;
}

static int read_plan(struct sewa_document *d, struct sewa_plan *ret, struct sewa_error *err)
{
    const json_t *o = json_object_get(d->root, "plan");
    const json_t *request = json_object_get(d->root, "request");
    struct sewa_plan p = {
        .json = d->text,
        .evaluator = sewa_get_text(request, "evaluator"),
        .select = sewa_get_integer(o, "select", 0),
        .tensors = sewa_get_integer(o, "tensors", 0),
        .parameters = sewa_get_integer(o, "parameters", 0),
        .bytes_to_read = sewa_get_integer(o, "bytes_to_read", 0),
        .peak_memory_bytes = sewa_get_integer(o, "peak_memory_bytes", 0),
        .output_bytes = sewa_get_integer(o, "output_bytes", 0),
        .free_disk_bytes = sewa_get_integer(o, "free_disk_bytes", 0),
        .evaluations = sewa_get_integer(o, "evaluations", 0),
        .expected_seconds = sewa_get_number(o, "expected_seconds"),
        .streams = sewa_get_bool(o, "streams"),
    };
    int rc = sewa_need_text(o, "run", &p.run, err);

    if (rc == 0)
        rc = sewa_need_text(request, "method", &p.method, err);
    if (rc == 0)
        rc = read_candidates(d, json_object_get(o, "checkpoints"), &p, err);
    if (rc == 0)
        rc = sewa_get_texts(d, o, "warnings", &p.warnings, &p.warning_count, err);
    if (rc == 0)
        *ret = p;
    return rc;
}

int sewa_job_plan(struct sewa_client *c, const char *json, struct sewa_plan *ret,
                  struct sewa_error *err)
{
    AUTO(sewa_document_cleanup) struct sewa_document *d = NULL;
    AUTO(sewa_call_clear) struct call call = { .method = "POST", .json = json };
    AUTO(sewa_text_clear) struct text path = { 0 };

    *ret = (struct sewa_plan){ 0 };
    sewa_path(&path, "jobs", NULL, NULL);
    sewa_text_query(&path, "dry_run", "true");
    int rc = sewa_ask(c, &call, &path, &d, err);
    if (rc == 0)
        rc = read_plan(d, ret, err);
    if (rc == 0)
        ret->document = TAKE(d);
    return rc;
}

void sewa_plan_clear(struct sewa_plan *p)
{
    sewa_document_free(p->document);
    *p = (struct sewa_plan){ 0 };
}

/* ---- key ---- */

static void cleanup_json(json_t **o)
{
    json_decref(*o);
}

static int dump_into(const char *bytes, size_t n, void *text)
{
    sewa_text_append(text, bytes, n);
    return 0;
}

/* The newest in the order in which they were noticed: a run that was set back writes lower steps
 * again. */
static int newest_checkpoint(struct sewa_client *c, const char *run, struct text *ret,
                             struct sewa_error *err)
{
    const struct sewa_checkpoint_filter newest = { .state = "complete",
                                                   .order_by = "discovered_at desc",
                                                   .limit = 1 };
    struct sewa_checkpoint_list list = { 0 };
    int rc = sewa_checkpoint_list(c, run, &newest, &list, err);

    if (rc == 0 && list.count > 0)
        sewa_text_put(ret, list.items[0].id);
    sewa_checkpoint_list_clear(&list);
    return rc;
}

int sewa_job_key(struct sewa_client *c, const char *json, char ret[65], struct sewa_error *err)
{
    AUTO(cleanup_json) json_t *o = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    AUTO(sewa_text_clear) struct text text = { 0 };
    const char *run = sewa_get_text(o, "run");

    if (!json_is_object(o))
        return sewa_fail(err, SEWA_E_INVALID, "the request is no JSON object");
    /* the order of its members and its white space do not matter */
    json_dump_callback(o, dump_into, &text, JSON_SORT_KEYS | JSON_COMPACT);
    sewa_text_put(&text, "\n");
    int rc = run ? newest_checkpoint(c, run, &text, err) : 0;
    if (rc < 0)
        return rc;
    if (text.failed)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a key");
    char digest[65];
    rc = sewa_sha256_hex(sewa_text_get(&text), text.length, digest, err);
    if (rc == 0) /* as much of the digest as fits: more than enough to be unique */
        snprintf(ret, 65, "%s%.*s", IDEMPOTENCY_AUTO, 64 - (int)strlen(IDEMPOTENCY_AUTO), digest);
    return rc;
}
