/*
 * average - write the chosen average into a folder that is this attempt's own.
 */
#include "worker/workshop_body.h"

#include <string.h>

#include "base/activity.h"
#include "base/digest.h"
#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/json.h"
#include "base/path.h"
#include "engine/materialize.h"
#include "worker/recalibrate.h"

/* What is averaged: all candidates, or the ingredients alone, opened for this. */
struct ingredients {
    struct source *source;
    struct weights *own; /* when nothing was prepared */
    double *alpha;
    struct candidate *candidates;
    size_t count;
};

static void ingredients_clear(struct ingredients *in)
{
    weights_close(in->own);
    free(in->alpha);
    free(in->candidates);
}

/* Only what has a weight. */
static int read_ingredients(struct workshop *w, struct ingredients *in, struct sewa_error *err)
{
    size_t n = 0;

    in->candidates = calloc(w->spec->k, sizeof *in->candidates);
    if (!in->candidates)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the ingredients");
    for (size_t i = 0; i < w->spec->k; i++)
        if (in->alpha[i] != 0) {
            in->candidates[n] = w->spec->candidates[i];
            in->alpha[n++] = in->alpha[i];
        }
    in->count = n;
    struct weights_options o = { .candidates = in->candidates,
                                 .count = n,
                                 .streams = true, /* read once: nothing is gained by keeping them */
                                 .memory_bytes = w->spec->memory_bytes,
                                 .allow_nonfinite = w->spec->allow_nonfinite,
                                 .cancel = w->cancel };
    int rc = weights_open(&w->engine, &o, &in->own, err);
    if (rc < 0)
        return rc;
    in->source = weights_source(in->own);
    return 0;
}

static int gather(struct workshop *w, const json_t *task, struct ingredients *in,
                  struct sewa_error *err)
{
    in->alpha = calloc(w->spec->k, sizeof *in->alpha);
    if (!in->alpha)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the ingredients");
    int rc = workshop_alpha(w, json_object_get(task, "alpha"), in->alpha, err);
    if (rc < 0)
        return rc;
    if (!w->weights)
        return read_ingredients(w, in, err);
    in->source = weights_source(w->weights);
    return 0;
}

/* Borrowed from the task. */
static struct layout_metadata *read_metadata(const json_t *o, size_t *ret_count)
{
    struct layout_metadata *list = calloc(json_object_size(o) + 1, sizeof *list);
    const char *key;
    json_t *value;

    *ret_count = 0;
    json_object_foreach((json_t *)o, key, value)
    {
        if (list && json_is_string(value))
            list[(*ret_count)++] = (struct layout_metadata){ key, json_string_value(value) };
    }
    return list;
}

/* null: as the newest ingredient. */
static int64_t read_shard_bytes(const json_t *task)
{
    const json_t *bytes = json_object_get(task, "max_shard_bytes");

    return json_is_integer(bytes) ? json_integer_value(bytes) : MATERIALIZE_AS_INPUT;
}

static json_t *digests_json(const struct workshop *w, const struct ingredients *in,
                            const struct materialized *m)
{
    AUTOJSON json_t *o = json_object();
    char hex[SHA256_HEX_SIZE];
    const struct candidate *candidates = in->candidates ? in->candidates : w->spec->candidates;

    for (size_t i = 0; o && i < m->count; i++) {
        const struct ingredient *g = &m->ingredients[i];
        if (g->has_sha256 && json_put(o, candidates[g->candidate].id,
                                      json_string(hex_encode(g->sha256, 32, hex))) < 0)
            return NULL;
    }
    return TAKE(o);
}

/* The buffers that were measured for the verdict, once more: equal weights give equal values. */
static int recalibrate(struct workshop *w, const json_t *task, const double *alpha,
                       struct recalibrated *ret, struct sewa_error *err)
{
    if (!json_is_true(json_object_get(task, "recalibrate")))
        return 0;
    if (!w->weights)
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "the worker was told to recalibrate before it prepared");
    int rc = workshop_need_evaluator(w, err);
    if (rc == 0)
        rc = workshop_mix_published(w, alpha, 0, NULL, err);
    return rc < 0 ? rc : workshop_recalibrate(w, 0, ret, err);
}

/* With the index, where there is one, last. */
static json_t *files_json(const struct materialized *m)
{
    AUTOJSON json_t *list = json_array();
    char hex[SHA256_HEX_SIZE];

    for (size_t i = 0; list && i < m->file_count; i++) {
        const struct materialized_file *f = &m->files[i];
        json_t *one = json_pack("{s:s, s:I, s:s}", "name", f->name, "size", (json_int_t)f->bytes,
                                "sha256", hex_encode(f->sha256, 32, hex));
        if (!one || json_array_append_new(list, one) < 0)
            return NULL;
    }
    return TAKE(list);
}

static int answer(const struct workshop *w, const struct ingredients *in,
                  const struct materialized *m, const struct recalibrated *fresh, json_t **ret,
                  struct sewa_error *err)
{
    *ret = json_pack("{s:o, s:o}", "files", files_json(m), "digests", digests_json(w, in, m));
    if (*ret && fresh->values &&
        json_put(*ret, "recalibrated_tensors", recalibrated_names(w, fresh)) < 0) {
        json_decref(*ret);
        *ret = NULL;
    }
    return *ret ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a result");
}

static int write_average(struct workshop *w, const json_t *task, const char *directory,
                         json_t **ret, struct sewa_error *err)
{
    AUTO(ingredients_clear) struct ingredients in = { 0 };
    AUTO(materialized_clear) struct materialized m = { 0 };
    AUTO(recalibrated_clear) struct recalibrated fresh = { 0 };
    size_t metadata_count;
    AUTOFREE struct layout_metadata *metadata =
        read_metadata(json_object_get(task, "metadata"), &metadata_count);
    int rc = metadata ? gather(w, task, &in, err)
                      : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the metadata");

    if (rc == 0)
        rc = recalibrate(w, task, in.alpha, &fresh, err);
    if (rc < 0)
        return rc;
    struct materialize_options o = {
        .alpha = in.alpha,
        .integers = w->spec->integers,
        .exact = { .output = w->spec->output, .replaced = fresh.values },
        .directory = directory,
        .max_file_bytes = read_shard_bytes(task),
        .metadata = metadata,
        .metadata_count = metadata_count,
        .allow_nonfinite = w->spec->allow_nonfinite,
        .want_digests = json_is_true(json_object_get(task, "digests")),
        .cancel = w->cancel,
    };
    activity_begin(ACTIVITY_PUBLISH);
    rc = materialize(&w->engine, in.source, &o, &m, err);
    if (in.own)
        w->bytes_read += weights_take_bytes_read(in.own);
    return rc < 0 ? rc : answer(w, &in, &m, &fresh, ret, err);
}

int workshop_average(struct workshop *w, const json_t *task, json_t **ret, struct sewa_error *err)
{
    const char *text = json_string_value(json_object_get(task, "directory"));
    AUTOFREE char *directory = text ? path_from_text(text) : NULL;

    if (!directory || !path_is_clean(directory))
        return sewa_fail(err, SEWA_E_PROTOCOL, "the task names no folder to write into");
    activity_begin(ACTIVITY_READ);
    failpoint("worker_average");
    int rc = directory_make(directory, 0750, err);
    if (rc == 0)
        rc = write_average(w, task, directory, ret, err);
    if (rc < 0)
        tree_remove(directory, NULL);
    return rc;
}
