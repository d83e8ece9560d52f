/*
 * inspect - the rules that ingest adds to watching: which names, and what is a whole checkpoint.
 */
#include "ingest/inspect.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/path.h"
#include "base/pattern.h"
#include "formats/checkpoint.h"
#include "formats/unfit.h"
#include "ingest/name.h"

enum { METADATA_MAX = 64 * 1024 };

/* Our own averages carry these names: one that somebody has copied here is no training checkpoint.
 */
static const char own_mark[] = "sewa.method";

/* What trainers write beside the weights, in the same formats. A pattern may still ask for it. */
static bool is_beside_weights(const char *name)
{
    static const char *const beginnings[] = { "random_states", "training_args", "recipe_state" };

    for (size_t i = 0; i < COUNT_OF(beginnings); i++)
        if (strncasecmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return name_is_state(name);
}

static bool wants(const struct target_spec *spec, const char *name)
{
    int64_t step[2];

    if (spec->pattern && *spec->pattern)
        return pattern_match(spec->pattern, name, step) != PATTERN_NO_MATCH;
    return checkpoint_format_for(name) != NULL && !is_beside_weights(name);
}

/* A pattern that names the very part, "part2_epoch_{step}", can mean no other and no mixture. */
static bool asks_for_part(const struct target_spec *spec, const char *which)
{
    char asked[NAME_REASON_SIZE];

    return spec->pattern && *spec->pattern && name_part(spec->pattern, asked) &&
           strcmp(asked, which) == 0;
}

/*
 * Directories whose names say a step, if there is no pattern: logs and plots are beside them.
 * Copies are listed too, without a step, so that nobody wonders where they are.
 */
static bool wants_directory(const struct target_spec *spec, const char *name)
{
    char reason[NAME_REASON_SIZE];
    struct name_step says;
    struct sewa_error err;

    if (name_step(spec->pattern, name, &says, &err) < 0 ||
        (name_part(name, reason) && !asks_for_part(spec, reason)))
        return false;
    return says.has_step || says.is_copy;
}

static bool has_ending(const char *name, const char *ending)
{
    size_t n = strlen(name), length = strlen(ending);

    return n >= length && strcmp(name + n - length, ending) == 0;
}

/* What says that a checkpoint is complete or another one; the rest may come and go. */
static bool is_member(const struct target_spec *spec, const char *name)
{
    static const char *const endings[] = { ".safetensors", ".index.json", ".distcp", ".bin",
                                           ".pt",          ".pth",        ".ckpt" };

    (void)spec;
    if (strcmp(name, ".metadata") == 0 || strcmp(name, "trainer_state.json") == 0)
        return true;
    if (name[0] == '.' || is_beside_weights(name))
        return false;
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        if (has_ending(name, endings[i]))
            return true;
    return false;
}

static void finding_free(struct inspection *base)
{
    struct finding *f = finding_of(base);

    layout_row_clear(&f->layout);
    free(f->metadata);
    free(f->state_key);
    free(f->format);
    free(f);
}

static int no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to look into a file");
}

/* A header may hold megabytes of text; the index keeps what people look at. */
static char *metadata_text(const struct layout *l)
{
    AUTOJSON json_t *o = json_object();
    size_t bytes = 0;

    for (size_t i = 0; o && i < l->metadata_count; i++) {
        bytes += strlen(l->metadata[i].key) + strlen(l->metadata[i].value);
        if (bytes > METADATA_MAX)
            break;
        if (json_put(o, l->metadata[i].key, json_string(l->metadata[i].value)) < 0)
            return NULL;
    }
    return o ? json_canonical(o) : NULL;
}

static void note_carried(const struct layout *l, struct layout_row *row)
{
    for (size_t i = 0; i < l->count; i++)
        if (dtype_kind(l->tensors[i].dtype) == DTYPE_CARRIED) {
            snprintf(row->carried, sizeof row->carried, "tensor '%.100s' of type %s",
                     l->tensors[i].name, dtype_name(l->tensors[i].dtype));
            return;
        }
}

static void note_unfit(const struct layout *l, struct layout_row *row)
{
    char text[UNFIT_SIZE];

    if (layout_is_unfit(l, text))
        snprintf(row->unfit, sizeof row->unfit, "%s", text);
}

static int fill(struct finding *f, const struct target_spec *spec, const struct layout *l,
                struct sewa_error *err)
{
    AUTO(buf_clear) struct buf table = { 0 };
    int rc = layout_encode(l, &table, err);

    if (rc == 0)
        rc = layout_signature(l, f->layout.signature, err);
    if (rc < 0)
        return rc;
    f->format = strdup(l->format);
    f->base.has_digest = true;
    memcpy(f->base.header_digest, l->header_digest, 32);
    snprintf(f->base.last_file, sizeof f->base.last_file, "%s", l->last_file ? l->last_file : "");
    f->layout.tensor_count = (int64_t)l->count;
    f->layout.data_bytes = layout_data_bytes(l);
    f->layout.float_elements = layout_float_elements(l);
    note_carried(l, &f->layout);
    note_unfit(l, &f->layout);
    f->layout.tensors_bytes = table.len;
    f->layout.tensors = buf_take(&table);
    f->metadata = metadata_text(l);
    f->state_key = strdup(spec->state_key ? spec->state_key : "");
    return f->layout.tensors && f->metadata && f->state_key && f->format ? 0 : no_memory(err);
}

static int refuse_own_output(const struct layout *l, struct sewa_error *err)
{
    for (size_t i = 0; i < l->metadata_count; i++)
        if (strcmp(l->metadata[i].key, own_mark) == 0)
            return sewa_fail(err, SEWA_E_UNSUPPORTED,
                             "this is an average that sewad has made, not a training checkpoint");
    return 0;
}

static int refuse_part(const struct target_spec *spec, const char *name, struct sewa_error *err)
{
    char which[NAME_REASON_SIZE];

    if (!name_part(name, which) || asks_for_part(spec, which))
        return 0;
    return sewa_fail(err, SEWA_E_UNSUPPORTED,
                     CHECKPOINT_PART_BEGINNING
                     "%s: a checkpoint of several files is a directory of its own, and the "
                     "run watches the directory above it; a pattern that names the part takes it",
                     which);
}

static int inspect(const struct target_spec *spec, const char *name, int fd,
                   const struct look *look, struct inspection **ret, struct sewa_error *err)
{
    AUTOFREE char *shown = path_to_text(name);
    AUTOPTR(layout_free) struct layout *l = NULL;

    struct checkpoint_options o = { .state_key = spec->state_key };
    if (!shown)
        return no_memory(err);
    int rc = refuse_part(spec, name, err);
    if (rc == 0)
        rc = look->is_directory ? checkpoint_read_directory(fd, shown, &o, &l, err)
                                : checkpoint_read_file(fd, shown, look->size, &o, &l, err);
    if (rc == 0)
        rc = refuse_own_output(l, err);
    if (rc < 0)
        return rc;
    struct finding *f = calloc(1, sizeof *f);
    if (!f)
        return no_memory(err);
    f->base.free = finding_free;
    rc = fill(f, spec, l, err);
    if (rc < 0) {
        finding_free(&f->base);
        return rc;
    }
    *ret = &f->base;
    return 0;
}

const struct target_rules inspect_rules = {
    .wants = wants, .wants_directory = wants_directory, .is_member = is_member, .inspect = inspect
};
