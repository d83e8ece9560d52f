/*
 * load - read configuration files with libconfuse into struct config.
 *
 * libconfuse calls on_value() for every value and on_section() at the end of every section, in the
 * order in which source.c has seen them, so that the n-th call belongs to the n-th line remembered
 * there. Its callbacks carry no pointer of ours and its lexer is global: so is the load under way.
 */
#include "config/config.h"

#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "base/unknown.h"
#include "config/fields.h"
#include "config/relations.h"
#include "config/source.h"

enum { INCLUDE_DEPTH_MAX = 8, OPTIONS_MAX = 32 };

/* The options outside of sections that have been set, in all files. */
struct seen {
    char name[sizeof((struct source_setting *)0)->name];
    char *origin;
};

struct load {
    struct config *config;
    cfg_t *cfg;
    struct sewa_error *err;
    int rc; /* the first failure inside a callback */
    const struct source *source;
    size_t value_at, section_at;
    struct seen *seen;
    size_t seen_count;
};

/* The files that are open, innermost first. */
struct chain {
    const struct chain *above;
    dev_t device;
    ino_t inode;
    int depth;
};

static struct load *loading;

static int no_memory(struct load *l)
{
    return sewa_fail(l->err, SEWA_E_NO_MEMORY, "no memory for the configuration");
}

static int mistake(struct load *l, const char *path, int line, const char *format, ...)
    SEWA_PRINTF(4, 5);

static int mistake(struct load *l, const char *path, int line, const char *format, ...)
{
    char text[SEWA_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return sewa_fail(l->err, SEWA_E_CONFIG, "%s:%d: %s", path, line, text);
}

static enum scope scope_of(const struct load *l, const cfg_t *cfg)
{
    static const struct {
        const char *name;
        enum scope scope;
    } sections[] = {
        { "run", SCOPE_RUN },
        { "root", SCOPE_ROOT },
        { "evaluator", SCOPE_EVALUATOR },
        { "launcher", SCOPE_SLURM },
    };

    for (size_t i = 0; cfg != l->cfg && i < COUNT_OF(sections); i++)
        if (strcmp(cfg->name, sections[i].name) == 0)
            return sections[i].scope;
    return SCOPE_SERVICE; /* libconfuse calls the top "root" as well */
}

/* What may stand where libconfuse has found an option that it does not know. */
static void name_options(const struct load *l, const cfg_t *cfg, const char *text)
{
    static const char intro[] = "no such option '";
    static const char *const sections[] = { "run", "root", "evaluator", "launcher", "include" };
    enum scope scope = scope_of(l, cfg);
    AUTO(unknown_clear) struct unknown u;
    const char *name = text + strlen(intro);
    AUTOFREE char *word =
        strncmp(text, intro, strlen(intro)) == 0 ? strndup(name, strcspn(name, "'")) : NULL;

    unknown_begin(&u, word ? word : "");
    if (!word)
        return;
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope)
            unknown_known(&u, fields[i].option.name);
    for (size_t i = 0; scope == SCOPE_SERVICE && i < COUNT_OF(sections); i++)
        unknown_known(&u, sections[i]);
    if (l->err)
        snprintf(strchr(l->err->text, '\0'), sizeof l->err->text - strlen(l->err->text), "%s",
                 unknown_words(&u));
}

static void on_error(cfg_t *cfg, const char *format, va_list ap) SEWA_PRINTF(2, 0);

static void on_error(cfg_t *cfg, const char *format, va_list ap)
{
    struct load *l = loading;
    char text[SEWA_ERROR_TEXT_MAX];

    vsnprintf(text, sizeof text, format, ap);
    if (l->rc < 0)
        return;
    l->rc = mistake(l, l->source->path, cfg->line, "%s", text);
    name_options(l, cfg, text);
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct load *l = loading;
    const struct field *f = field_find(scope_of(l, cfg), opt->name);
    struct sewa_error why = { 0 };
    int line = cfg->line;

    if (l->value_at < l->source->value_count)
        line = l->source->values[l->value_at++];
    int rc = config_check(f->kind, f->option.name, value, f->min, f->max, &why);
    if (rc == 0 && f->shape == SHAPE_LIST && (int64_t)opt->nvalues > f->max)
        rc = sewa_fail(&why, SEWA_E_CONFIG, "%s has more than %lld items", opt->name,
                       (long long)f->max);
    if (rc == SEWA_E_CONFIG)
        l->rc = mistake(l, l->source->path, line, "%s", why.text);
    else if (rc < 0)
        l->rc = no_memory(l);
    *(const char **)result = value;
    return rc;
}

/* Take the values of a section, or of the top, over. They have been checked one by one. */
static int take_fields(struct load *l, enum scope scope, cfg_t *cfg, void *object)
{
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].scope != scope)
            continue;
        cfg_opt_t *opt = cfg_getopt(cfg, fields[i].option.name);
        for (unsigned n = 0; n < cfg_opt_size(opt); n++) {
            int rc = field_set(&fields[i], object, cfg_opt_getnstr(opt, n), l->err);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int begin_section(struct load *l, cfg_t *section, int line, char **name, char **origin)
{
    *name = strdup(cfg_title(section));
    if (!*name || asprintf(origin, "%s:%d", l->source->path, line) < 0) {
        *origin = NULL;
        return no_memory(l);
    }
    return 0;
}

static int finish_section(struct load *l, enum scope scope, cfg_t *section, int line, void *object)
{
    int rc = fields_set_defaults(scope, object, l->err);

    if (rc == 0)
        rc = take_fields(l, scope, section, object);
    if (rc < 0)
        return rc;
    const char *missing = fields_missing(scope, object);
    if (missing)
        return mistake(l, l->source->path, line, "%s '%s' has no %s", section->name,
                       cfg_title(section), missing);
    return 0;
}

static int check_title(struct load *l, enum scope scope, cfg_t *section, int line)
{
    static const size_t root_bytes_max = 61; /* "<root>.<directory>" is the name of a run */
    const char *title = cfg_title(section);

    if (scope == SCOPE_SLURM && strcmp(title, "slurm") != 0)
        return mistake(l, l->source->path, line, "launcher '%s' is not known, only 'slurm' is",
                       title);
    if (!path_is_run_name(title))
        return mistake(
            l, l->source->path, line,
            "the title of this %s is '%s': letters, digits, '.', '_' and '-' are allowed, "
            "at most 63, the first one a letter or a digit",
            section->name, title);
    if (scope == SCOPE_ROOT && strlen(title) > root_bytes_max)
        return mistake(l, l->source->path, line, "root '%s' has a name of more than %zu bytes",
                       title, root_bytes_max);
    return 0;
}

static int add_source(struct load *l, enum scope scope, cfg_t *section, int line)
{
    bool is_run = scope == SCOPE_RUN;
    struct config_source **array = is_run ? &l->config->runs : &l->config->roots;
    size_t *count = is_run ? &l->config->run_count : &l->config->root_count;
    struct config_source *more = realloc(*array, (*count + 1) * sizeof *more);

    if (!more)
        return no_memory(l);
    *array = more;
    struct config_source *s = &more[(*count)++];
    memset(s, 0, sizeof *s);
    int rc = begin_section(l, section, line, &s->name, &s->origin);
    return rc < 0 ? rc : finish_section(l, scope, section, line, s);
}

static int add_evaluator(struct load *l, cfg_t *section, int line)
{
    struct config *c = l->config;
    struct config_evaluator *more = realloc(c->evaluators, (c->evaluator_count + 1) * sizeof *more);

    if (!more)
        return no_memory(l);
    c->evaluators = more;
    struct config_evaluator *e = &more[c->evaluator_count++];
    memset(e, 0, sizeof *e);
    int rc = begin_section(l, section, line, &e->name, &e->origin);
    if (rc == 0)
        rc = finish_section(l, SCOPE_EVALUATOR, section, line, e);
    if (rc == 0 && e->command.items[0][0] == '\0')
        rc = mistake(l, l->source->path, line, "evaluator '%s' has an empty command", e->name);
    return rc;
}

static int add_slurm(struct load *l, cfg_t *section, int line)
{
    struct config_slurm *s = &l->config->slurm;

    if (asprintf(&s->origin, "%s:%d", l->source->path, line) < 0) {
        s->origin = NULL;
        return no_memory(l);
    }
    s->is_given = true;
    return take_fields(l, SCOPE_SLURM, section, s);
}

static int on_section(cfg_t *cfg, cfg_opt_t *opt)
{
    struct load *l = loading;
    cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
    enum scope scope = scope_of(l, section);
    int line = cfg->line;

    if (l->section_at < l->source->section_count)
        line = l->source->sections[l->section_at++];
    int rc = check_title(l, scope, section, line);
    if (rc == 0 && (scope == SCOPE_RUN || scope == SCOPE_ROOT))
        rc = add_source(l, scope, section, line);
    else if (rc == 0 && scope == SCOPE_EVALUATOR)
        rc = add_evaluator(l, section, line);
    else if (rc == 0)
        rc = add_slurm(l, section, line);
    l->rc = rc;
    return rc;
}

/* An option set twice in one section of this file, or outside of all in any file. */
static int check_repeated(struct load *l, const struct source *s)
{
    for (size_t i = 0; i < s->setting_count; i++) {
        const struct source_setting *a = &s->settings[i];
        for (size_t j = 0; j < i && a->section >= 0 && !a->append; j++)
            if (s->settings[j].section == a->section && strcmp(s->settings[j].name, a->name) == 0)
                return mistake(l, s->path, a->line, "%s is set twice, before in line %d", a->name,
                               s->settings[j].line);
        if (a->section >= 0)
            continue;
        for (size_t j = 0; j < l->seen_count && !a->append; j++)
            if (strcmp(l->seen[j].name, a->name) == 0)
                return mistake(l, s->path, a->line, "%s is set twice, before in %s", a->name,
                               l->seen[j].origin);
        struct seen *more = realloc(l->seen, (l->seen_count + 1) * sizeof *more);
        if (!more)
            return no_memory(l);
        l->seen = more;
        memcpy(more[l->seen_count].name, a->name, sizeof a->name);
        if (asprintf(&more[l->seen_count].origin, "%s:%d", s->path, a->line) < 0)
            return no_memory(l);
        l->seen_count++;
    }
    return 0;
}

static int parse_source(struct load *l, const struct source *s)
{
    l->source = s;
    l->value_at = l->section_at = 0;
    l->rc = 0;
    int rc = cfg_parse_buf(l->cfg, s->text);
    if (l->rc < 0)
        return l->rc;
    if (rc != CFG_SUCCESS)
        return no_memory(l); /* the one thing that libconfuse fails for without a word */
    return check_repeated(l, s);
}

static int load_file(struct load *l, const char *path, const struct chain *above);

/* The directory of a file with what glob() would take for a wildcard escaped, and the pattern. */
static char *include_pattern(const char *path, const char *pattern)
{
    AUTO(buf_clear) struct buf b = { 0 };
    size_t n = (size_t)(path_base(path) - path);

    for (size_t i = 0; pattern[0] != '/' && i < n; i++) {
        if (strchr("*?[]\\", path[i]))
            buf_char(&b, '\\');
        buf_char(&b, path[i]);
    }
    buf_text(&b, pattern);
    return buf_take(&b);
}

/* A directory that does not exist holds no matches. */
static int on_glob_error(const char *path, int error)
{
    (void)path;
    return error != ENOENT;
}

/* Failures of the included file itself get the place of the include; mistakes in it have their own.
 */
static int include_file(struct load *l, const struct source *s, const struct source_include *i,
                        const char *path, const struct chain *chain)
{
    struct sewa_error *caller = l->err;
    struct sewa_error err = { 0 };

    l->err = &err;
    int rc = load_file(l, path, chain);
    l->err = caller;
    if (rc < 0 && rc != SEWA_E_CONFIG && rc != SEWA_E_NO_MEMORY)
        return mistake(l, s->path, i->line, "%s", err.text);
    return rc < 0 ? sewa_fail(caller, rc, "%s", err.text) : 0;
}

static int include_all(struct load *l, const struct source *s, const struct source_include *i,
                       const struct chain *chain)
{
    AUTOFREE char *pattern = include_pattern(s->path, i->pattern);
    AUTO(globfree) glob_t found = { 0 };

    if (!pattern)
        return no_memory(l);
    if (chain->depth >= INCLUDE_DEPTH_MAX)
        return mistake(l, s->path, i->line, "includes are nested more than %d deep",
                       INCLUDE_DEPTH_MAX);
    int rc = glob(pattern, 0, on_glob_error, &found);
    if (rc == GLOB_NOSPACE)
        return no_memory(l);
    if (rc == GLOB_NOMATCH)
        return strpbrk(i->pattern, "*?[")
                   ? 0
                   : mistake(l, s->path, i->line, "'%s' does not exist", i->pattern);
    if (rc != 0)
        return mistake(l, s->path, i->line, "cannot list '%s': %s", i->pattern, strerror(errno));
    for (size_t n = 0; n < found.gl_pathc && rc == 0; n++)
        rc = include_file(l, s, i, found.gl_pathv[n], chain);
    return rc;
}

static int load_file(struct load *l, const char *path, const struct chain *above)
{
    AUTOPTR(source_free) struct source *s = NULL;
    struct chain here = { .above = above, .depth = above ? above->depth + 1 : 0 };
    struct stat st;

    if (stat(path, &st) == 0) {
        here.device = st.st_dev;
        here.inode = st.st_ino;
    }
    for (const struct chain *c = above; c; c = c->above)
        if (c->device == here.device && c->inode == here.inode)
            return sewa_fail(l->err, SEWA_E_INVALID, "'%s' includes itself", path);
    int rc = source_read(path, &s, l->err);
    if (rc == 0)
        rc = parse_source(l, s);
    for (size_t i = 0; rc == 0 && i < s->include_count; i++)
        rc = include_all(l, s, &s->includes[i], &here);
    return rc;
}

static size_t fill_options(cfg_opt_t *ret, enum scope scope)
{
    size_t n = 0;

    for (size_t i = 0; i < field_count; i++) {
        const char *name = fields[i].option.name;
        cfg_opt_t one = CFG_STR_CB(name, NULL, CFGF_NODEFAULT, on_value);
        cfg_opt_t list = CFG_STR_LIST_CB(name, NULL, CFGF_NODEFAULT, on_value);
        if (fields[i].scope == scope)
            ret[n++] = fields[i].shape == SHAPE_LIST ? list : one;
    }
    assert(n + 5 < OPTIONS_MAX); /* four sections and the end fit behind them */
    cfg_opt_t end = CFG_END();
    ret[n] = end;
    return n;
}

static cfg_t *make_parser(void)
{
    static const char *const names[] = { "run", "root", "evaluator", "launcher" };
    static const enum scope scopes[] = { SCOPE_RUN, SCOPE_ROOT, SCOPE_EVALUATOR, SCOPE_SLURM };
    cfg_opt_t sections[COUNT_OF(names)][OPTIONS_MAX];
    cfg_opt_t top[OPTIONS_MAX];
    size_t n = fill_options(top, SCOPE_SERVICE);

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        cfg_opt_t section =
            CFG_SEC(names[i], sections[i], CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
        fill_options(sections[i], scopes[i]);
        section.validcb = on_section;
        top[n++] = section;
    }
    cfg_opt_t end = CFG_END();
    top[n] = end;
    cfg_t *cfg = cfg_init(top, CFGF_NONE);
    if (cfg)
        cfg_set_error_function(cfg, on_error);
    return cfg;
}

static void inherit(struct config *c)
{
    for (size_t i = 0; i < c->run_count; i++)
        if (c->runs[i].settle_seconds < 0)
            c->runs[i].settle_seconds = c->settle_seconds;
    for (size_t i = 0; i < c->root_count; i++)
        if (c->roots[i].settle_seconds < 0)
            c->roots[i].settle_seconds = c->settle_seconds;
}

static void load_clear(struct load *l)
{
    for (size_t i = 0; i < l->seen_count; i++)
        free(l->seen[i].origin);
    free(l->seen);
    cfg_free(l->cfg);
    loading = NULL;
}

/* The origins that check_repeated() has gathered; of several lines with += the first. */
static int keep_origins(struct load *l)
{
    char **origins = calloc(field_count, sizeof *origins);

    if (!origins)
        return no_memory(l);
    l->config->origins = origins;
    for (size_t i = 0; i < l->seen_count; i++) {
        const struct field *f = field_find(SCOPE_SERVICE, l->seen[i].name);
        if (f && !origins[f - fields])
            origins[f - fields] = TAKE(l->seen[i].origin);
    }
    return 0;
}

int config_load(const char *path, struct config **ret, struct sewa_error *err)
{
    AUTOPTR(config_free) struct config *c = NULL;
    AUTO(load_clear) struct load l = { .err = err };

    int rc = config_defaults(&c, err);
    if (rc < 0)
        return rc;
    l.config = c;
    l.cfg = make_parser();
    if (!l.cfg)
        return no_memory(&l);
    loading = &l;
    rc = load_file(&l, path, NULL);
    if (rc == 0)
        rc = take_fields(&l, SCOPE_SERVICE, l.cfg, c);
    if (rc == 0)
        rc = keep_origins(&l);
    if (rc < 0)
        return rc;
    inherit(c);
    rc = relations_check(c, err);
    if (rc < 0)
        return rc;
    *ret = TAKE(c);
    return 0;
}
