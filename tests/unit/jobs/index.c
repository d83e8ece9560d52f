/*
 * index - rows for tests.
 */
#include "index.h"

#include <stdio.h>
#include <string.h>

#include "formats/layout.h"
#include "formats/unfit.h"
#include "store/jobs.h"
#include "store/migrate.h"

void index_open(struct index *ix)
{
    char path[4200];
    struct sewa_error err = { 0 };

    memset(ix, 0, sizeof *ix);
    ix->dir = scratch_new();
    snprintf(path, sizeof path, "%s/sewad.db", ix->dir);
    assert_ok(db_open(path, DB_WRITE, &ix->db, &err), err);
    assert_ok(migrate(ix->db, path, sql_migrations, &err), err);
    ix->limits = (struct plan_limits){ .artifact_directory = ix->dir,
                                       .worker_memory_bytes = 1 << 30,
                                       .worker_threads = 1,
                                       .evaluator = index_evaluator };
}

void index_close(struct index *ix)
{
    db_close(ix->db);
    scratch_free(ix->dir);
}

int64_t index_run(struct db *db, const char *name)
{
    char path[300], *owned = strdup(name);
    struct sewa_error err = { 0 };
    struct run_row row = { .name = owned, .path = path, .origin = RUN_FROM_API, .updated_ms = 1 };

    snprintf(path, sizeof path, "/data/%s", name);
    assert_ok(run_put(db, &row, true, &err), err);
    free(owned);
    return row.id;
}

static void add_tensor(struct layout_builder *b, char *text, int64_t *offset)
{
    struct sewa_error err = { 0 };
    int64_t shape[LAYOUT_RANK_MAX], stride[LAYOUT_RANK_MAX], elements = 1;
    char *name = strsep(&text, ":"), *type = strsep(&text, ":"), *number;
    struct tensor t = { .name = name, .offset = *offset, .shape = shape };

    size_t n = strlen(text);
    if (n > 0 && text[n - 1] == '\'')
        t.stride = stride;
    t.dtype = (enum dtype)dtype_from_name(type, strlen(type));
    while ((number = strsep(&text, "x")) != NULL && *number) {
        stride[t.rank] = elements; /* the first axis runs fastest */
        shape[t.rank] = strtoll(number, NULL, 10);
        elements *= shape[t.rank++];
    }
    t.bytes = dtype_bytes(t.dtype, elements);
    *offset += t.bytes;
    assert_ok(layout_builder_tensor(b, &t, &err), err);
}

static void note_carried(const struct layout *l, struct layout_row *row)
{
    for (size_t i = 0; i < l->count; i++)
        if (dtype_kind(l->tensors[i].dtype) == DTYPE_CARRIED)
            snprintf(row->carried, sizeof row->carried, "tensor '%s' of type %s",
                     l->tensors[i].name, dtype_name(l->tensors[i].dtype));
}

int64_t index_layout(struct db *db, const char *text)
{
    char *copy = strdup(text), *rest = copy, *word;
    struct layout_builder *b = layout_builder_new("safetensors");
    AUTOPTR(layout_free) struct layout *l = NULL;
    AUTO(buf_clear) struct buf bytes = { 0 };
    struct layout_row row = { 0 };
    struct sewa_error err = { 0 };
    int64_t offset = 0;

    while ((word = strsep(&rest, " ")) != NULL)
        if (*word == '!')
            assert_ok(layout_builder_note(b, &err, "%s", word + 1), err);
        else if (*word == '@')
            assert_ok(layout_builder_state_key(b, word + 1, &err), err);
        else if (*word == '-')
            assert_ok(layout_builder_left(b, word + 1, &err), err);
        else
            add_tensor(b, word, &offset);
    assert_ok(layout_builder_finish(b, &l, &err), err);
    layout_builder_free(b);
    free(copy);
    assert_ok(layout_encode(l, &bytes, &err), err);
    assert_ok(layout_signature(l, row.signature, &err), err);
    row.tensors = bytes.data;
    row.tensors_bytes = bytes.len;
    row.tensor_count = (int64_t)l->count;
    row.data_bytes = layout_data_bytes(l);
    row.float_elements = layout_float_elements(l);
    note_carried(l, &row);
    layout_is_unfit(l, row.unfit);
    assert_ok(layout_put(db, &row, &err), err);
    return row.id;
}

int64_t index_checkpoint(struct db *db, int64_t run_id, int64_t layout_id, int64_t step,
                         enum checkpoint_state state, char ret_uid[ID_TEXT_SIZE])
{
    static int number;
    char file[40];
    bool proven = state != CHECKPOINT_INCOMPLETE;
    struct sewa_error err = { 0 };
    struct checkpoint_row row = { .run_id = run_id,
                                  .file = file,
                                  .has_step = step >= 0,
                                  .step = step,
                                  .state = state,
                                  .size = 1000,
                                  .mtime_ns = 77000,
                                  .has_header_digest = proven,
                                  .header_digest = { (uint8_t)step, 2, 3 },
                                  .layout_id = proven ? layout_id : 0,
                                  .discovered_ms = 1,
                                  .completed_ms = 1,
                                  .updated_ms = 1 };

    snprintf(file, sizeof file, "step-%lld-%d.safetensors", (long long)step, number++);
    assert_ok(checkpoint_insert(db, &row, &err), err);
    if (ret_uid)
        memcpy(ret_uid, row.uid, sizeof row.uid);
    return row.id;
}

void index_job(struct db *db, const struct index_job *job)
{
    struct job_row row = { .run_id = job->run_id,
                           .run_name = strdup("digits"),
                           .method = strdup("sewa"),
                           .request = strdup(job->request ? job->request : "{}"),
                           .plan = strdup(job->plan ? job->plan : "{}"),
                           .labels = strdup("{}"),
                           .created_ms = 1 };
    struct job_progress none = { 0 };
    struct sewa_error err = { 0 };

    id_new("job", 1, row.uid);
    assert_ok(job_insert(db, &row, NULL, 0, &err), err);
    if (job->runner)
        assert_ok(job_save_runner(db, row.id, job->runner, &none, &err), err);
    if (job->result)
        assert_ok(job_set_result(db, row.id, job->result, &err), err);
    assert_ok(
        job_set_state(db, row.id, job->state ? job->state : "succeeded", "", NULL, 1, 2, &err),
        err);
    job_row_clear(&row);
}

json_t *index_evaluator(const char *name, void *arg)
{
    (void)arg;
    if (strcmp(name, "digits") != 0)
        return NULL;
    return json_pack("{s:s, s:[s, s], s:i}", "name", "digits", "command", "python3", "digits.py",
                     "timeout_ms", 1000);
}

struct job_request *index_request(const char *body)
{
    struct sewa_error err = { 0 };
    AUTOJSON json_t *o = json_parse(body, strlen(body), &err);
    struct job_request *q = NULL;

    assert_ok(o ? job_request_parse(o, &q, &err) : err.code, err);
    return q;
}
