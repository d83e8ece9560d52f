/*
 * plan_json - a plan as it is stored with its job, and as a dry run shows it.
 * Paths may be any bytes; they are stored in the reversible form of path_to_text().
 */
#include "jobs/plan.h"

#include <math.h>
#include <string.h>

#include "base/digest.h"
#include "base/path.h"

static json_t *path_json(const char *path)
{
    AUTOFREE char *text = path_to_text(path);

    return text ? json_string(text) : NULL;
}

static json_t *hex_json(const uint8_t digest[32])
{
    char hex[SHA256_HEX_SIZE];

    return json_string(hex_encode(digest, 32, hex));
}

static json_t *candidate_json(const struct job_candidate *c)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "checkpoint", json_string(c->uid));
    rc |= json_put(o, "row", json_integer(c->id));
    rc |= json_put(o, "run", json_string(c->run));
    rc |= json_put(o, "step", c->has_step ? json_integer(c->step) : json_null());
    rc |= json_put(o, "root", path_json(c->root));
    rc |= json_put(o, "file", path_json(c->file));
    rc |= json_put(o, "state_key", json_string(c->state_key));
    rc |= json_put(o, "size", json_integer(c->size));
    rc |= json_put(o, "mtime_ns", json_integer(c->mtime_ns));
    rc |= json_put(o, "header_digest", hex_json(c->header_digest));
    rc |= json_put(o, "sha256", c->has_sha256 ? hex_json(c->sha256) : json_null());
    return rc < 0 ? NULL : TAKE(o);
}

json_t *job_plan_candidates(const struct job_plan *p)
{
    AUTOJSON json_t *a = json_array();

    for (size_t i = 0; a && i < p->k; i++)
        if (json_array_append_new(a, candidate_json(&p->candidates[i])) < 0)
            return NULL;
    return TAKE(a);
}

json_t *job_plan_state(const struct job_plan *p)
{
    return p->state ? json_deep_copy(p->state) : json_null();
}

static int put_numbers(json_t *o, const struct job_plan *p)
{
    int rc = 0;

    rc |= json_put(o, "tensors", json_integer(p->tensor_count));
    rc |= json_put(o, "bytes_of_one", json_integer(p->data_bytes));
    rc |= json_put(o, "parameters", json_integer(p->float_elements));
    rc |= json_put(o, "bytes_to_read", json_integer(p->bytes_to_read));
    rc |= json_put(o, "peak_memory_bytes", json_integer(p->peak_memory_bytes));
    rc |= json_put(o, "streams", json_boolean(p->streams));
    rc |= json_put(o, "averages_at_a_time", json_integer(p->banks));
    rc |= json_put(o, "output_bytes", json_integer(p->output_bytes));
    rc |= json_put(o, "free_disk_bytes", json_integer(p->free_disk_bytes));
    rc |= json_put(o, "evaluations", json_integer(p->evaluations));
    rc |= json_put(o, "recalibrations",
                   p->recalibrations < 0 ? json_null() : json_integer(p->recalibrations));
    rc |= json_put(o, "expected_seconds",
                   p->expected_seconds < 0 ? json_null() : json_real(p->expected_seconds));
    rc |= json_put(o, "state", job_plan_state(p));
    rc |= json_put(o, "special_tensors", json_deep_copy(p->tensors));
    rc |= json_put(o, "warnings", json_deep_copy(p->warnings));
    return rc;
}

json_t *job_plan_json(const struct job_plan *p)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "run_id", json_integer(p->run_id));
    rc |= json_put(o, "run", json_string(p->run_name));
    rc |= json_put(o, "select", json_integer((json_int_t)p->select));
    rc |= json_put(o, "candidates", job_plan_candidates(p));
    rc |= json_put(o, "evaluator", p->evaluator ? json_incref(p->evaluator) : json_null());
    if (rc == 0)
        rc = put_numbers(o, p);
    return rc < 0 ? NULL : TAKE(o);
}

json_t *job_plan_show(const struct job_plan *p)
{
    AUTOJSON json_t *o = json_object();
    AUTOJSON json_t *list = json_array();
    int rc = o && list ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < p->k; i++) {
        const struct job_candidate *c = &p->candidates[i];
        AUTOFREE char *path = path_join(c->root, c->file);
        rc =
            json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "checkpoint", c->uid, "step",
                                                  c->has_step ? json_integer(c->step) : json_null(),
                                                  "path", path ? path_json(path) : NULL));
    }
    rc |= json_put(o, "run", json_string(p->run_name));
    rc |= json_put(o, "candidates", json_integer((json_int_t)p->k));
    rc |= json_put(o, "select", p->select ? json_integer((json_int_t)p->select) : json_null());
    rc |= json_put(o, "checkpoints", TAKE(list));
    if (rc == 0)
        rc = put_numbers(o, p);
    return rc < 0 ? NULL : TAKE(o);
}

static void parse_digest(struct json_reader *r, const char *name, uint8_t ret[32])
{
    const char *hex = json_need_string(r, name);

    if (r->rc == 0 && hex_decode(hex, ret, 32) < 0)
        json_reader_fail(r, SEWA_E_CORRUPT, name, "'%s' is no digest", name);
}

static char *parse_path(struct json_reader *r, const char *name)
{
    char *path = path_from_text(json_need_string(r, name));

    if (!path)
        json_reader_fail(r, SEWA_E_CORRUPT, name, "'%s' is no path", name);
    return path;
}

static int parse_candidate(const json_t *o, struct job_candidate *c, struct sewa_error *err)
{
    struct json_reader r;

    json_reader_init(&r, o, "/candidates", err);
    const char *uid = json_need_string(&r, "checkpoint");
    const char *run = json_need_string(&r, "run");
    strncpy(c->uid, uid, sizeof c->uid - 1);
    c->id = json_need_int(&r, "row", 0, INT64_MAX);
    c->run = strdup(run);
    c->has_step = json_has(&r, "step");
    c->step = json_get_int(&r, "step", 0, INT64_MAX, 0);
    c->root = parse_path(&r, "root");
    c->file = parse_path(&r, "file");
    c->state_key = strdup(json_need_string(&r, "state_key"));
    c->size = json_need_int(&r, "size", 0, INT64_MAX);
    c->mtime_ns = json_need_int(&r, "mtime_ns", INT64_MIN, INT64_MAX);
    parse_digest(&r, "header_digest", c->header_digest);
    c->has_sha256 = json_has(&r, "sha256");
    if (c->has_sha256)
        parse_digest(&r, "sha256", c->sha256);
    if (!c->run || !c->state_key)
        json_reader_fail(&r, SEWA_E_NO_MEMORY, "run", "no memory for a plan");
    return json_reader_end(&r);
}

static void parse_numbers(struct json_reader *r, struct job_plan *p)
{
    p->tensor_count = json_need_int(r, "tensors", 0, INT64_MAX);
    p->data_bytes = json_need_int(r, "bytes_of_one", 0, INT64_MAX);
    p->float_elements = json_need_int(r, "parameters", 0, INT64_MAX);
    p->bytes_to_read = json_need_int(r, "bytes_to_read", 0, INT64_MAX);
    p->peak_memory_bytes = json_need_int(r, "peak_memory_bytes", 0, INT64_MAX);
    p->streams = json_get_bool(r, "streams", false);
    p->banks = (unsigned)json_need_int(r, "averages_at_a_time", 0, UINT16_MAX);
    p->output_bytes = json_need_int(r, "output_bytes", 0, INT64_MAX);
    p->free_disk_bytes = json_need_int(r, "free_disk_bytes", 0, INT64_MAX);
    p->evaluations = json_need_int(r, "evaluations", 0, INT64_MAX);
    p->recalibrations = json_get_int(r, "recalibrations", 0, JOB_RECALIBRATIONS_MAX, -1);
    p->expected_seconds = json_get_number(r, "expected_seconds", 0, INFINITY, -1);
    const json_t *state = json_get_object(r, "state"); /* null where none was told apart */
    if (state && !(p->state = json_deep_copy(state)))
        json_reader_fail(r, SEWA_E_NO_MEMORY, "state", "no memory for a plan");
    p->tensors = json_deep_copy(json_get_object(r, "special_tensors"));
    p->warnings = json_deep_copy(json_get_array(r, "warnings"));
}

int job_plan_parse(const json_t *stored, struct job_plan **ret, struct sewa_error *err)
{
    AUTOPTR(job_plan_free) struct job_plan *p = calloc(1, sizeof *p);
    struct json_reader r;

    if (!p)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a plan");
    json_reader_init(&r, stored, "", err);
    p->run_id = json_need_int(&r, "run_id", 0, INT64_MAX);
    const char *run = json_need_string(&r, "run");
    p->run_name = strdup(run);
    p->select = (size_t)json_need_int(&r, "select", 0, JOB_CANDIDATES_MAX);
    const json_t *list = json_get_array(&r, "candidates");
    const json_t *evaluator = json_get_object(&r, "evaluator");
    p->evaluator = evaluator ? json_deep_copy(evaluator) : NULL;
    parse_numbers(&r, p);
    p->candidates = calloc(json_array_size(list) + 1, sizeof *p->candidates);
    for (size_t i = 0; r.rc == 0 && p->candidates && i < json_array_size(list); i++) {
        r.rc = parse_candidate(json_array_get(list, i), &p->candidates[p->k++], err);
        if (p->candidates[i].id > p->newest_id)
            p->newest_id = p->candidates[i].id;
    }
    int rc = json_reader_end(&r);
    if (rc == 0 && (!p->candidates || !p->run_name || !p->warnings || !p->tensors ||
                    (evaluator && !p->evaluator)))
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a plan");
    if (rc < 0)
        return sewa_context(err, rc, "the stored plan of a job");
    *ret = TAKE(p);
    return 0;
}
