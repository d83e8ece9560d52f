/*
 * name - what the name of a file says.
 *
 * The rule for steps reads tokens (token.h) and asks a table what their words mean (word.h); it
 * knows no trainer. What it must find for the names that trainers write is a table too:
 * tests/unit/ingest/test_name.c.
 */
#include "ingest/name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/pattern.h"
#include "ingest/word.h"

/* A part of a path; never NUL-terminated. */
struct part {
    const char *text;
    size_t n;
};

/* A part as words and numbers. */
struct reading {
    size_t count;
    struct token tokens[TOKENS_MAX];
    const struct word *words[TOKENS_MAX];
};

enum answer { NONE, FOUND, AMBIGUOUS, TOO_LARGE };

/* What a search has seen so far; two different numbers make it ambiguous. */
struct search {
    enum answer answer;
    const struct word *word; /* which word its number belongs to; NULL for a number on its own */
    enum step_unit unit;
    int64_t step[2];
};

static const struct word no_word = { "", MEANS_NOTHING, 0 };

static void read_part(struct part p, struct reading *r)
{
    r->count = token_split(p.text, p.n, r->tokens);
    for (size_t i = 0; i < r->count; i++)
        r->words[i] = r->tokens[i].kind == TOKEN_WORD ? word_of(&r->tokens[i]) : &no_word;
}

static bool has_unit(const struct word *w)
{
    return w->meaning == MEANS_STEP || w->meaning == MEANS_EPOCH;
}

/* ---- shards ---- */

static size_t digits_at(struct part p, size_t at)
{
    size_t n = 0;

    while (at + n < p.n && p.text[at + n] >= '0' && p.text[at + n] <= '9')
        n++;
    return n;
}

/* Length of "-00001-of-00002" when it begins at this byte and ends the name or meets its extension.
 */
static size_t shard_mark(struct part p, size_t at, int64_t *index, int64_t *count)
{
    if (p.text[at] != '-')
        return 0;
    size_t first = digits_at(p, at + 1);
    size_t of = at + 1 + first;
    if (first == 0 || p.n - of < 4 || memcmp(p.text + of, "-of-", 4) != 0)
        return 0;
    size_t second = digits_at(p, of + 4);
    size_t end = of + 4 + second;
    if (second == 0 || (end < p.n && p.text[end] != '.'))
        return 0;
    if (pattern_number(p.text + at + 1, first, index) < 0 ||
        pattern_number(p.text + of + 4, second, count) < 0 || *count < 1 || *index > *count)
        return 0;
    return end - at;
}

/*
 * "epoch-3-of-10" is how far training has come; shards are counted with zeros before their numbers
 * ("step-00003-of-00010").
 */
static bool is_progress(struct part p, size_t mark)
{
    struct reading r;

    read_part((struct part){ p.text, mark }, &r);
    size_t first = digits_at(p, mark + 1);
    return r.count > 0 && r.count < TOKENS_MAX && has_unit(r.words[r.count - 1]) &&
           p.text[mark + 1] != '0' && p.text[mark + 1 + first + 4] != '0';
}

/* Where the mark of a shard begins; p.n when there is none. */
static size_t shard_find(struct part p, int64_t *index, int64_t *count)
{
    for (size_t i = 0; i < p.n; i++)
        if (shard_mark(p, i, index, count) > 0)
            return is_progress(p, i) ? p.n : i;
    return p.n;
}

bool name_shard(const char *name, int64_t *ret_index, int64_t *ret_count)
{
    struct part p = { name, strlen(name) };
    int64_t index, count;

    if (shard_find(p, &index, &count) == p.n)
        return false;
    *ret_index = index;
    *ret_count = count;
    return true;
}

/* ---- which word a number belongs to ---- */

/* Whether token i stands beside the one before it, with nothing or a separator between. */
static bool is_beside(const struct reading *r, size_t i)
{
    return i > 0 && i < r->count && r->tokens[i].gap != GAP_FAR;
}

static bool is_glued_to_other_word(const struct reading *r, size_t i, size_t word)
{
    size_t behind = i > word ? i : word;

    return behind > 0 && behind < r->count && r->tokens[behind].gap == GAP_NONE &&
           r->tokens[word].kind == TOKEN_WORD &&
           (r->words[word]->meaning == MEANS_NOTHING || r->words[word]->meaning == MEANS_NAMED);
}

/* "8gpu", "12layers": a word that is glued behind its number, which is not glued to another. */
static bool counts_before(const struct reading *r, size_t word)
{
    static const char *const things[] = { "gpu",   "gpus",   "layer",   "layers", "head",
                                          "heads", "tokens", "samples", "batch" };

    if (word == 0 || word >= r->count || r->tokens[word].gap != GAP_NONE ||
        r->tokens[word - 1].kind != TOKEN_NUMBER || r->tokens[word - 1].gap == GAP_NONE)
        return false;
    for (size_t i = 0; i < COUNT_OF(things); i++)
        if (token_is(&r->tokens[word], things[i]))
            return true;
    return false;
}

/* "resnet50", "3best" and "100k" have digits, but no number; "epoch3step100" has two. */
static bool is_number(const struct reading *r, size_t i)
{
    return i < r->count && r->tokens[i].kind == TOKEN_NUMBER &&
           !(i > 0 && is_glued_to_other_word(r, i, i - 1)) &&
           !is_glued_to_other_word(r, i, i + 1) && !counts_before(r, i + 1);
}

/* "1000_steps": a word behind a number, unless it has a number of its own behind it. */
static const struct word *word_behind(const struct reading *r, size_t i)
{
    if (!is_beside(r, i + 1) || !has_unit(r->words[i + 1]) ||
        (is_beside(r, i + 2) && r->tokens[i + 2].kind != TOKEN_WORD))
        return &no_word;
    return r->words[i + 1];
}

/* The word before it, if that says what is counted or measured; else one behind it. */
static const struct word *label_of(const struct reading *r, size_t i)
{
    const struct word *before = is_beside(r, i) && !counts_before(r, i - 1) ? r->words[i - 1]
                                                                            : &no_word;
    const struct word *behind = word_behind(r, i);
    bool is_open = before->meaning == MEANS_NOTHING || before->meaning == MEANS_COUNTER ||
                   before->meaning == MEANS_NAMED;

    return is_open && behind->meaning != MEANS_NOTHING ? behind : before;
}

/* ---- steps ---- */

static void search_add(struct search *s, const struct token *t)
{
    int64_t value;

    if (s->answer == AMBIGUOUS || s->answer == TOO_LARGE)
        return;
    if (pattern_number(t->text, t->n, &value) < 0) {
        s->answer = TOO_LARGE;
    } else if (s->answer == NONE) {
        s->answer = FOUND;
        s->step[0] = value;
    } else if (s->step[0] != value) {
        s->answer = AMBIGUOUS;
        s->step[1] = value;
    }
}

/* A search that ended with another word goes on with this one if it comes first. */
static void search_label(struct search *s, const struct word *w, enum step_unit unit,
                         const struct token *t)
{
    if (s->answer != NONE && s->word->rank < w->rank)
        return;
    if (s->answer == NONE || s->word->rank > w->rank)
        *s = (struct search){ .answer = NONE, .word = w, .unit = unit };
    search_add(s, t);
}

/* How many more numbers follow a number, one beside the other and without words of their own. */
static size_t numbers_behind(const struct reading *r, size_t i)
{
    size_t n = 0;

    while (is_beside(r, i + n + 1) && is_number(r, i + n + 1) &&
           label_of(r, i + n + 1)->meaning == MEANS_NOTHING)
        n++;
    return n;
}

/* An epoch has at least one update: "checkpoint_1200_31" is something else. */
static bool is_epoch_and_update(const struct token *epoch, const struct token *update)
{
    int64_t e, u;

    return pattern_number(epoch->text, epoch->n, &e) < 0 ||
           pattern_number(update->text, update->n, &u) < 0 || e <= u;
}

/*
 * "checkpoint_3_1200" is update 1200 of epoch 3, as fairseq writes it; of other numbers, and of
 * three, nobody knows.
 */
static void search_counter(struct search *s, const struct reading *r, size_t i)
{
    const struct word *w = label_of(r, i);
    size_t more = numbers_behind(r, i);

    if (more == 1 && is_epoch_and_update(&r->tokens[i], &r->tokens[i + 1])) {
        search_label(s, w, UNIT_STEP, &r->tokens[i + 1]);
        return;
    }
    for (size_t k = 0; k <= more; k++)
        search_label(s, w, UNIT_NUMBER, &r->tokens[i + k]);
}

/* Numbers that belong to a word that counts. */
static struct search search_words(struct part p)
{
    struct search s = { .answer = NONE };
    struct reading r;

    read_part(p, &r);
    for (size_t i = 0; i < r.count; i++) {
        if (!is_number(&r, i))
            continue;
        const struct word *w = label_of(&r, i);
        if (has_unit(w))
            search_label(&s, w, w->meaning == MEANS_STEP ? UNIT_STEP : UNIT_EPOCH, &r.tokens[i]);
        else if (w->meaning == MEANS_COUNTER)
            search_counter(&s, &r, i);
    }
    return s;
}

/* The only number that belongs to no word of the table. */
static struct search search_numbers(struct part p)
{
    struct search s = { .answer = NONE, .unit = UNIT_NUMBER };
    struct reading r;
    size_t count = 0;

    read_part(p, &r);
    for (size_t i = 0; i < r.count; i++) {
        enum meaning m = is_number(&r, i) ? label_of(&r, i)->meaning : MEANS_QUANTITY;
        if (m != MEANS_NOTHING && m != MEANS_NAMED)
            continue;
        search_add(&s, &r.tokens[i]);
        if (++count > 1 && s.answer == FOUND) { /* two numbers, of one value by chance */
            s.answer = AMBIGUOUS;
            s.step[1] = s.step[0];
        }
    }
    return s;
}

/* The part before the one that begins at text, or an empty one. */
static struct part part_above(const char *path, const char *text)
{
    struct part p = { path, 0 };

    if (text == path)
        return p;
    const char *end = text - 1;
    for (p.text = end; p.text > path && p.text[-1] != '/'; p.text--)
        ;
    p.n = (size_t)(end - p.text);
    return p;
}

static struct search search_directories(const char *path, const char *base,
                                        struct search (*look)(struct part), bool whole)
{
    struct search s = { .answer = NONE };

    for (struct part p = part_above(path, base); p.n > 0 && s.answer == NONE;
         p = part_above(path, p.text))
        if (!whole || digits_at(p, 0) == p.n)
            s = look(p);
    return s;
}

static struct part file_part(const char *path)
{
    const char *base = path_base(path);
    struct part file = { base, strlen(base) };
    int64_t index, count;

    file.n = shard_find(file, &index, &count);
    return file;
}

static struct search search_path(const char *path)
{
    struct part file = file_part(path);
    struct search s = search_words(file);

    if (s.answer == NONE)
        s = search_directories(path, file.text, search_words, false);
    if (s.answer != NONE)
        return s;
    struct search alone = search_numbers(file);
    if (alone.answer == FOUND)
        return alone;
    s = search_directories(path, file.text, search_numbers, true);
    return s.answer == FOUND ? s : alone;
}

/* The first word of a kind in the name of the file, or NULL. */
static const struct word *find_word(const char *path, enum meaning meaning)
{
    struct reading r;

    read_part(file_part(path), &r);
    for (size_t i = 0; i < r.count; i++)
        if (r.words[i]->meaning == meaning)
            return r.words[i];
    return NULL;
}

static void say_none(const char *path, const struct search *s, char reason[NAME_REASON_SIZE])
{
    int64_t index, count;

    if (s->answer == TOO_LARGE)
        snprintf(reason, NAME_REASON_SIZE, "its number does not fit into 64 bits");
    else if (s->answer == AMBIGUOUS && s->word)
        snprintf(reason, NAME_REASON_SIZE,
                 "%" PRId64 " and %" PRId64 " both stand behind the word %s", s->step[0],
                 s->step[1], s->word->text);
    else if (s->answer == AMBIGUOUS)
        snprintf(reason, NAME_REASON_SIZE,
                 "it has several numbers (%" PRId64 " and %" PRId64
                 ") and no word such as step or epoch beside one of them",
                 s->step[0], s->step[1]);
    else if (name_shard(path_base(path), &index, &count))
        snprintf(reason, NAME_REASON_SIZE,
                 "it is shard %" PRId64 " of %" PRId64 " and has no other number", index, count);
    else
        snprintf(reason, NAME_REASON_SIZE, "it has no number that stands alone or beside a word");
}

static int by_rule(const char *path, struct name_step *ret)
{
    struct search s = search_path(path);
    const struct word *name = find_word(path, MEANS_NAMED);

    ret->is_copy = name && s.answer == FOUND;
    if (ret->is_copy) {
        snprintf(ret->reason, sizeof ret->reason,
                 "it is named '%s': a copy of a checkpoint has no step of its own (%" PRId64 ")",
                 name->text, s.step[0]);
    } else if (s.answer == FOUND) {
        ret->step = s.step[0];
        ret->unit = s.unit;
        return 1;
    } else if (name && s.answer == NONE) {
        snprintf(ret->reason, sizeof ret->reason, "it is named '%s' and has no number", name->text);
    } else {
        say_none(path, &s, ret->reason);
    }
    return 0;
}

/* What the number at {step} counts: the pattern is read as if one stood there. */
static enum step_unit unit_of_pattern(const char *pattern)
{
    const char *mark = strstr(pattern, "{step}");
    char text[PATTERN_BYTES_MAX + 1];
    struct reading r;
    int n = snprintf(text, sizeof text, "%.*s1%s", (int)(mark - pattern), pattern, mark + 6);

    read_part((struct part){ text, (size_t)n }, &r);
    for (size_t i = 0; i < r.count; i++) {
        enum meaning m = label_of(&r, i)->meaning;
        if (r.tokens[i].text == text + (mark - pattern))
            return m == MEANS_STEP ? UNIT_STEP : m == MEANS_EPOCH ? UNIT_EPOCH : UNIT_NUMBER;
    }
    return UNIT_NUMBER;
}

static int by_pattern(const char *pattern, const char *path, struct name_step *ret)
{
    int64_t step[2];

    switch (pattern_match(pattern, path, step)) {
    case PATTERN_STEP:
        ret->step = step[0];
        ret->unit = unit_of_pattern(pattern);
        return 1;
    case PATTERN_AMBIGUOUS:
        snprintf(ret->reason, sizeof ret->reason,
                 "%" PRId64 " and %" PRId64 " both fit {step} of the pattern", step[0], step[1]);
        return 0;
    case PATTERN_TOO_LARGE:
        snprintf(ret->reason, sizeof ret->reason, "the number at {step} does not fit into 64 bits");
        return 0;
    case PATTERN_NO_MATCH: break;
    }
    snprintf(ret->reason, sizeof ret->reason, "it does not match the pattern of the run");
    return 0;
}

int name_step(const char *pattern, const char *path, struct name_step *ret, struct sewa_error *err)
{
    memset(ret, 0, sizeof *ret);
    if (!pattern || pattern[0] == '\0')
        return ret->has_step = by_rule(path, ret);
    int rc = pattern_check(pattern, err);
    if (rc < 0)
        return rc;
    return ret->has_step = by_pattern(pattern, path, ret);
}

/* ---- parts of a checkpoint in several files ---- */

/* The number that belongs to this word: 1 and its value, or 0. */
static bool number_of(const struct reading *r, size_t word, int64_t *ret)
{
    size_t i = word + 1;

    return is_beside(r, i) && r->tokens[i].kind == TOKEN_NUMBER &&
           pattern_number(r->tokens[i].text, r->tokens[i].n, ret) == 0;
}

/* Whether the model itself is split over ranks: "mp_rank_00", "world_size_8_rank_3". */
static bool is_split(const struct reading *r)
{
    static const char *const splits[] = { "mp", "tp", "pp", "zero" };
    int64_t size;

    for (size_t i = 0; i < r->count; i++) {
        if (token_is(&r->tokens[i], "world") && i + 1 < r->count &&
            token_is(&r->tokens[i + 1], "size") && number_of(r, i + 1, &size) && size > 1)
            return true;
        for (size_t s = 0; s < COUNT_OF(splits); s++)
            if (token_is(&r->tokens[i], splits[s]))
                return true;
    }
    return false;
}

/*
 * A model has few parts of these kinds, so "consolidated_1000" is the whole of step 1000; and the
 * rank of LoRA is that of its matrices.
 */
static bool is_no_part(const struct reading *r, size_t word, int64_t number)
{
    const struct token *t = &r->tokens[word];

    if (token_is(t, "rank"))
        return (number == 0 && !is_split(r)) || /* one rank writes for all */
               (is_beside(r, word) &&
                (token_is(&r->tokens[word - 1], "lora") || token_is(&r->tokens[word - 1], "dora")));
    return (token_is(t, "consolidated") || token_is(t, "fsdp")) && number > 99;
}

bool name_part(const char *name, char reason[NAME_REASON_SIZE])
{
    struct part p = { name, strlen(name) };
    struct reading r;
    int64_t index, count;

    if (shard_find(p, &index, &count) != p.n && count > 1) {
        snprintf(reason, NAME_REASON_SIZE, "shard %" PRId64 " of %" PRId64, index, count);
        return true;
    }
    read_part(p, &r);
    for (size_t i = 0; i < r.count; i++) {
        if (r.words[i]->meaning != MEANS_PART || !number_of(&r, i, &index) ||
            is_no_part(&r, i, index))
            continue;
        snprintf(reason, NAME_REASON_SIZE, "%s %" PRId64 " of several", r.words[i]->text, index);
        return true;
    }
    return false;
}

bool name_is_state(const char *name)
{
    struct reading r;

    read_part((struct part){ name, strlen(name) }, &r);
    for (size_t i = 0; i < r.count; i++)
        if (token_is(&r.tokens[i], "model"))
            return false;                                               /* "optimizer_and_model" */
    size_t first = r.count > 1 && token_is(&r.tokens[0], "lr") ? 1 : 0; /* "lr_scheduler" */
    return r.count > 0 && r.words[first]->meaning == MEANS_STATE;
}

int name_run(const char *root, const char *directory, char ret[NAME_RUN_SIZE],
             char reason[NAME_REASON_SIZE])
{
    char name[NAME_RUN_SIZE];
    int n = snprintf(name, sizeof name, "%s.", root);

    for (const char *p = directory; *p && n < (int)sizeof name; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("._-", *p) != NULL;
        n += snprintf(name + n, sizeof name - (size_t)n, plain ? "%c" : "_%02X", (unsigned char)*p);
    }
    if (n >= (int)sizeof name) {
        snprintf(reason, NAME_REASON_SIZE, "the run would have a name of more than %d bytes",
                 NAME_RUN_SIZE - 1);
        return 0;
    }
    memcpy(ret, name, sizeof name);
    return 1;
}
