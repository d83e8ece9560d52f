/*
 * api_methods - which methods there are, and what each takes: the table of the room methods, as it
 * stands.
 */
#include "http/api_body.h"
#include "methods/method.h"

static const char *const needs[] = { [METHOD_NEEDS_NOTHING] = "nothing",
                                     [METHOD_NEEDS_LOSSES] = "losses",
                                     [METHOD_NEEDS_GRADIENTS] = "gradients" };

static const char *const types[] = { [METHOD_PARAM_INTEGER] = "integer",
                                     [METHOD_PARAM_NUMBER] = "number",
                                     [METHOD_PARAM_WORD] = "string",
                                     [METHOD_PARAM_TEXT] = "string",
                                     [METHOD_PARAM_SCHEDULE] = "schedule" };

static json_t *number_of(const struct method_param *p, double value)
{
    return p->kind == METHOD_PARAM_INTEGER ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *words_of(const struct method_param *p)
{
    AUTOJSON json_t *words = json_array();

    for (int i = 0; words && p->words[i]; i++)
        if (json_array_append_new(words, json_string(p->words[i])) < 0)
            return NULL;
    return TAKE(words);
}

static int put_range(json_t *o, const struct method_param *p)
{
    int rc = 0;

    switch (p->kind) {
    case METHOD_PARAM_WORD: rc |= json_put(o, "enum", words_of(p)); /* fall through */
    case METHOD_PARAM_TEXT:
        return rc | json_put(o, "default", p->word ? json_string(p->word) : json_null());
    case METHOD_PARAM_INTEGER:
    case METHOD_PARAM_NUMBER:
    case METHOD_PARAM_SCHEDULE: break;
    }
    rc |= json_put(o, "minimum", number_of(p, p->least));
    rc |= json_put(o, "maximum", number_of(p, p->most));
    return rc | json_put(o, "default", number_of(p, p->fallback));
}

static json_t *show_param(const struct method_param *p)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "name", json_string(p->name));
    rc |= json_put(o, "type", json_string(types[p->kind]));
    rc |= put_range(o, p);
    rc |= json_put(o, "description", json_string(p->summary));
    return rc < 0 ? NULL : TAKE(o);
}

static json_t *show_params(const struct method_info *info)
{
    AUTOJSON json_t *params = json_array();

    for (size_t i = 0; params && i < info->param_count; i++)
        if (json_array_append_new(params, show_param(&info->params[i])) < 0)
            return NULL;
    return TAKE(params);
}

/* What "select" may be; null: it is not taken. */
static json_t *show_select(const struct method_info *info)
{
    if (info->choice < METHOD_CHOOSES_SELECT)
        return json_null();
    return json_pack("{s:i, s:i, s:b}", "minimum", 1, "default", METHOD_SELECT_DEFAULT, "auto",
                     info->choice == METHOD_CHOOSES_AUTO);
}

static json_t *show(const struct method_info *info)
{
    AUTOJSON json_t *o = json_object();
    int rc = o ? 0 : -1;

    rc |= json_put(o, "name", json_string(info->name));
    rc |= json_put(o, "description", json_string(info->summary));
    rc |= json_put(o, "needs", json_string(needs[info->needs]));
    rc |= json_put(o, "evaluator", json_boolean(info->needs != METHOD_NEEDS_NOTHING));
    rc |= json_put(o, "select", show_select(info));
    rc |= json_put(o, "params", show_params(info));
    return rc < 0 ? NULL : TAKE(o);
}

void api_methods_list(struct api *a, struct request *rq)
{
    AUTOJSON json_t *items = json_array();

    (void)a;
    for (size_t i = 0; method_at(i); i++)
        if (!items || json_array_append_new(items, show(method_at(i))) < 0) {
            reply_fail(rq, SEWA_E_NO_MEMORY, "no memory for a list");
            return;
        }
    reply_json(rq, 200, json_pack("{s:O, s:n}", "items", items, "next_page_token"));
}

void api_methods_show(struct api *a, struct request *rq)
{
    const struct method_info *info = method_find(rq->parameters[0]);
    struct sewa_error err;

    (void)a;
    if (info) {
        reply_json(rq, 200, show(info));
    } else {
        method_unknown(rq->parameters[0], SEWA_E_NOT_FOUND, "", &err);
        reply_error(rq, &err);
    }
}
