/*
 * command_checkpoint - sewactl checkpoint ...
 */
#include <inttypes.h>
#include <string.h>

#include "../cleanup.h"
#include "commands.h"
#include "format.h"
#include "list_view.h"
#include "record.h"

/* ---- list ---- */

struct checkpoints {
    struct list_view view;
    struct sewa_checkpoint_list page;
    struct sewa_checkpoint_filter filter;
    int64_t min_step, max_step;
};

static struct checkpoints *checkpoints_of(const struct list_view *v)
{
    return container_of(v, struct checkpoints, view);
}

static int fetch(struct list_view *v, struct context *c, int limit, const char *page_token,
                 struct sewa_error *err)
{
    struct checkpoints *k = checkpoints_of(v);

    k->filter.limit = limit;
    k->filter.page_token = page_token;
    int rc = sewa_checkpoint_list(c->client, c->arguments->operands[0], &k->filter, &k->page, err);
    v->json = k->page.json;
    v->count = k->page.count;
    v->next_page_token = k->page.next_page_token;
    return rc;
}

static void clear(struct list_view *v)
{
    sewa_checkpoint_list_clear(&checkpoints_of(v)->page);
}

static const char *item_json(const struct list_view *v, size_t i)
{
    return checkpoints_of(v)->page.items[i].json;
}

static const char *item_name(const struct list_view *v, size_t i)
{
    return checkpoints_of(v)->page.items[i].id;
}

static void row(const struct list_view *v, size_t i, struct table *t)
{
    const struct sewa_checkpoint *k = &checkpoints_of(v)->page.items[i];
    char buffer[FORMAT_SIZE];

    table_cell(t, format_count(k->step, buffer));
    table_cell(t, k->state);
    table_tint(t, tint_of(k->state));
    table_cell(t, format_bytes(k->size, buffer));
    table_cell(t, format_age(k->modified_ms, wall_clock_ms(), buffer));
    table_cell(t, k->id);
    table_cell(t, k->file);
    table_cell(t, k->reason ? k->reason : k->step_reason);
}

static void read_filter(const struct arguments *a, struct checkpoints *k)
{
    k->filter.state = arguments_text(a, "state");
    k->filter.label = arguments_text(a, "label");
    k->filter.order_by = arguments_text(a, "order-by");
    k->min_step = arguments_number(a, "min-step", 0);
    k->max_step = arguments_number(a, "max-step", 0);
    k->filter.min_step = arguments_has(a, "min-step") ? &k->min_step : NULL;
    k->filter.max_step = arguments_has(a, "max-step") ? &k->max_step : NULL;
}

int command_checkpoint_list(struct context *c, const struct arguments *a)
{
    static const struct column columns[] = {
        { "STEP", COLUMN_RIGHT }, { "STATE", 0 }, { "SIZE", COLUMN_RIGHT },
        { "AGE", COLUMN_RIGHT },  { "ID", 0 },    { "FILE", COLUMN_SHRINK },
        { "WHY", COLUMN_SHRINK },
    };
    struct checkpoints k = { .view = { .what = "checkpoints like that",
                                       .columns = columns,
                                       .column_count = COUNT_OF(columns),
                                       .fetch = fetch,
                                       .clear = clear,
                                       .item_json = item_json,
                                       .item_name = item_name,
                                       .row = row } };

    read_filter(a, &k);
    return list_show(&k.view, c);
}

/* ---- show ---- */

static void put_metrics(struct text *to, const struct sewa_checkpoint *k)
{
    AUTO(sewa_text_clear) struct text list = { 0 };
    char buffer[FORMAT_SIZE];

    for (size_t i = 0; i < k->metric_count; i++)
        sewa_text_printf(&list, "%s%s=%s", i ? ", " : "", k->metrics[i].name,
                         format_number(k->metrics[i].value, buffer));
    record_text(to, "metrics", sewa_text_get(&list));
}

/* Epochs are told from steps, and why there is none stands where it would. */
static void put_step(struct text *to, const struct sewa_checkpoint *k)
{
    const char *more = k->step_reason;
    char step[FORMAT_SIZE];

    if (!more && k->step_unit && strcmp(k->step_unit, "epoch") == 0)
        more = k->step_unit;
    record_textf(to, "step", "%s%s%s%s", format_count(k->step, step), more ? " (" : "",
                 more ? more : "", more ? ")" : "");
}

static int show(struct context *c, const struct sewa_checkpoint *k)
{
    AUTO(sewa_text_clear) struct text t = { 0 };
    char a[FORMAT_SIZE], b[FORMAT_SIZE];

    record_text(&t, "id", k->id);
    record_text(&t, "run", k->run);
    put_step(&t, k);
    record_textf(&t, "state", "%s%s%s", k->state, k->reason ? ": " : "",
                 k->reason ? k->reason : "");
    record_text(&t, "path", k->path);
    record_text(&t, "format", k->format);
    record_textf(&t, "size", "%s (%" PRId64 " bytes)", format_bytes(k->size, a), k->size);
    record_textf(&t, "parameters", "%s in %s tensors", format_count(k->parameters, a),
                 format_count(k->tensors, b));
    if (k->averaging_refused)
        record_textf(&t, "averaging", "refused: %s", k->averaging_refused);
    record_text(&t, "sha256", k->sha256);
    record_text(&t, "pinned", k->is_pinned ? "yes" : "no");
    record_labels(&t, k->labels, k->label_count);
    put_metrics(&t, k);
    record_text(&t, "modified", format_time(k->modified_ms, a));
    record_text(&t, "discovered", format_time(k->discovered_ms, a));
    record_text(&t, "complete since", format_time(k->completed_ms, a));
    return record_print(c, &t);
}

int command_checkpoint_show(struct context *c, const struct arguments *a)
{
    struct sewa_checkpoint k = { 0 };
    struct sewa_error err;
    int status = EXIT_OK;

    if (sewa_checkpoint_show(c->client, a->operands[0], &k, &err) < 0)
        return explain(c, &err);
    if (c->format == FORMAT_TABLE)
        status = show(c, &k);
    else if (c->format == FORMAT_NAME)
        print_name(c, k.id);
    else
        print_json(c, k.json);
    sewa_checkpoint_clear(&k);
    return status;
}

/* ---- pin ---- */

static int pin_all(struct context *c, const struct arguments *a, const char *json, const char *done)
{
    struct sewa_checkpoint k = { 0 };
    struct sewa_error err;
    int status = EXIT_OK;

    for (size_t i = 0; i < a->operand_count; i++) {
        if (sewa_checkpoint_patch(c->client, a->operands[i], json, &k, &err) == 0)
            say(c, "checkpoint '%s' is %s", a->operands[i], done);
        else
            status = explain(c, &err);
        sewa_checkpoint_clear(&k);
    }
    return status;
}

int command_checkpoint_pin(struct context *c, const struct arguments *a)
{
    return pin_all(c, a, "{\"pinned\":true}", "pinned");
}

int command_checkpoint_unpin(struct context *c, const struct arguments *a)
{
    return pin_all(c, a, "{\"pinned\":false}", "pinned no more");
}
