/*
 * trainer_state - by words of names: nothing else in a file says what a tensor was for.
 */
#include "formats/trainer_state.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "formats/layout_body.h"
#include "formats/shown.h"

enum { WORDS_MAX = 16 };

/* The words of a part of a name: "actor_optim_0" has three. */
struct words {
    struct {
        const char *text;
        size_t n;
    } word[WORDS_MAX];
    size_t count;
};

static void split(const char *part, size_t n, struct words *ret)
{
    ret->count = 0;
    for (size_t i = 0; i < n && ret->count < WORDS_MAX;) {
        size_t length = 0;
        while (i + length < n && part[i + length] != '_' && part[i + length] != '-')
            length++;
        if (length > 0) {
            ret->word[ret->count].text = part + i;
            ret->word[ret->count++].n = length;
        }
        i += length + 1;
    }
}

/* One of several, "optimizers", is meant too, and with a number: "optimizer0". */
static bool is_word(const char *text, size_t n, const char *word)
{
    size_t length = strlen(word);

    if (n < length || strncasecmp(text, word, length) != 0)
        return false;
    if (length < n && (text[length] == 's' || text[length] == 'S'))
        length++;
    while (length < n && text[length] >= '0' && text[length] <= '9')
        length++;
    return length == n;
}

static bool has_word(const struct words *w, const char *word)
{
    for (size_t i = 0; i < w->count; i++)
        if (is_word(w->word[i].text, w->word[i].n, word))
            return true;
    return false;
}

static bool is_optimizer(const struct words *w)
{
    return has_word(w, "optimizer") || has_word(w, "optim") || has_word(w, "optimiser");
}

bool trainer_state_is_key(const char *key)
{
    static const char *const words[] = { "scheduler", "sched",  "rng",
                                         "sampler",   "loader", "dataloader" };
    struct words w;

    split(key, strlen(key), &w);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (has_word(&w, words[i]))
            return true;
    return is_optimizer(&w) || (has_word(&w, "random") && has_word(&w, "state"));
}

/* The first part of a tensor's name: what no model has as a part of its own. */
static bool is_state_part(const char *part, size_t n)
{
    static const char *const pairs[][2] = {
        { "lr", "scheduler" },  { "lr", "sched" },         { "random", "state" },
        { "sampler", "state" }, { "dataloader", "state" }, { "grad", "scaler" },
        { "amp", "scaler" },    { "loss", "scaler" },
    };
    struct words w;

    split(part, n, &w);
    if (is_optimizer(&w) || has_word(&w, "rng") || (w.count == 1 && has_word(&w, "dataloader")))
        return true;
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        if (has_word(&w, pairs[i][0]) && has_word(&w, pairs[i][1]))
            return true;
    return false;
}

/* "optim.state.": what such a dictionary of PyTorch's looks like, at any depth. */
static bool is_optimizer_before(const char *name, const char *dot)
{
    const char *part = dot;
    struct words w;

    while (part > name && part[-1] != '.')
        part--;
    split(part, (size_t)(dot - part), &w);
    return is_optimizer(&w);
}

/* What optimizers call the moments that they keep of a parameter. */
static bool is_moment(const char *part)
{
    static const char *const moments[] = { "exp_avg",  "exp_avg_sq", "max_exp_avg_sq",
                                           "exp_inf",  "square_avg", "momentum_buffer",
                                           "acc_delta" };

    for (size_t i = 0; i < COUNT_OF(moments) && strchr("emsa", *part); i++)
        if (strcmp(part, moments[i]) == 0)
            return true;
    return false;
}

/* The first part of the name before: neighbours share it, and a table may have a million names. */
struct first_part {
    const char *text; /* NULL: none yet */
    size_t n;
    bool is_state;
};

/*
 * How much of the name says which state it is of. 0: no part of it does; then *ret_moment is the
 * end that says it, with its dot, or NULL. A table may have a million names, nearly all without
 * any.
 */
static size_t state_length(const char *name, struct first_part *f, const char **ret_moment)
{
    const char *dot = strchrnul(name, '.'), *last = NULL;
    size_t n = (size_t)(dot - name);

    *ret_moment = NULL;
    if (!f->text || n != f->n || memcmp(name, f->text, n) != 0)
        *f = (struct first_part){ name, n, is_state_part(name, n) };
    if (f->is_state)
        return n;
    for (; *dot; dot = strchrnul(dot + 1, '.')) {
        if ((strncmp(dot, ".state.", 7) == 0 || strncmp(dot, ".param_groups.", 14) == 0) &&
            is_optimizer_before(name, dot))
            return (size_t)(dot - name);
        last = dot;
    }
    if (last && is_moment(last + 1))
        *ret_moment = last;
    return 0;
}

bool trainer_state_of(const char *name, char ret[TRAINER_STATE_SIZE])
{
    struct first_part f = { .text = NULL };
    const char *moment;
    size_t n = state_length(name, &f, &moment);

    if (n == 0 && !moment)
        return false;
    if (moment)
        snprintf(ret, TRAINER_STATE_SIZE, "*%s", moment);
    else
        snprintf(ret, TRAINER_STATE_SIZE, "%.*s", (int)n, name);
    return true;
}

static size_t count_state(const struct layout *l)
{
    struct first_part f = { .text = NULL };
    const char *moment;
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++)
        count += state_length(l->tensors[i].name, &f, &moment) > 0 || moment;
    return count;
}

/* Named, because a part of a model may have such a name, too. */
static int note_left(struct layout_builder *b, const struct layout *l, size_t count,
                     struct sewa_error *err)
{
    const struct layout *rest = &b->body->layout;
    size_t added = rest->left_count - l->left_count;
    char shown[SHOWN_NAME_SIZE] = "";

    if (added > 0)
        shown_name(rest->left[l->left_count], shown);
    return layout_builder_note(b, err,
                               "left aside: %zu of %zu tensors, which are a trainer's state and "
                               "not the model's%s%s%s%s",
                               count, l->count, added ? ": '" : "", shown, added ? "'" : "",
                               added > 1 ? " and others" : "");
}

/* The same layout without them. */
static int rebuild(const struct layout *l, size_t count, struct layout **ret,
                   struct sewa_error *err)
{
    AUTOPTR(layout_builder_free) struct layout_builder *b = layout_builder_new(l->format);
    int rc = b ? layout_builder_copy_rest(b, l, err) : layout_no_memory(err, l);
    char state[TRAINER_STATE_SIZE];

    for (size_t i = 0; i < l->count && rc == 0; i++)
        rc = trainer_state_of(l->tensors[i].name, state)
                 ? layout_builder_left(b, state, err)
                 : layout_builder_tensor(b, &l->tensors[i], err);
    if (rc == 0)
        rc = note_left(b, l, count, err);
    return rc < 0 ? rc : layout_builder_finish(b, ret, err);
}

int trainer_state_leave(struct layout **l, struct sewa_error *err)
{
    size_t count = count_state(*l);
    struct layout *rest = NULL;

    if (count == 0)
        return 0;
    if (count == (*l)->count) {
        char state[TRAINER_STATE_SIZE], shown[SHOWN_NAME_SIZE];
        trainer_state_of((*l)->tensors[0].name, state);
        return sewa_fail(err, SEWA_E_UNSUPPORTED,
                         "all %zu tensors are a trainer's state ('%s') and none is a model's",
                         count, shown_name(state, shown));
    }
    int rc = rebuild(*l, count, &rest, err);
    if (rc < 0)
        return rc;
    layout_free(*l);
    *l = rest;
    return 0;
}
