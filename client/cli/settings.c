/*
 * settings - put together what four places say.
 */
#include "settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../cleanup.h"
#include "../text.h"
#include "config_file.h"

enum { FILE_MAX = 64 * 1024, PLACES = 4 };

/* What one place says; nearest first. */
struct place {
    const char *name; /* for people */
    const char *url, *socket, *token, *token_file, *timeout, *color;
};

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void settings_clear(struct settings *s)
{
    free(s->url);
    free(s->socket);
    free(s->address_from);
    wipe(s->token);
    free(s->warning);
    *s = (struct settings){ 0 };
}

static int no_memory(struct sewa_error *err)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the settings");
}

/* ---- files ---- */

/* 1: read. 0: there is none. The text is heap memory. */
static int read_file(const char *path, char **ret, struct stat *st, struct sewa_error *err)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTOFREE char *text = malloc(FILE_MAX + 1);
    size_t n = 0;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0 || fstat(fd, st) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", path);
    if (!text)
        return no_memory(err);
    for (ssize_t got = 1; got != 0 && n < FILE_MAX;) {
        got = read(fd, text + n, FILE_MAX - n);
        if (got < 0 && errno != EINTR)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot read '%s'", path);
        n += got > 0 ? (size_t)got : 0;
    }
    if (n == FILE_MAX)
        return sewa_fail(err, SEWA_E_CONFIG, "'%s' has more than %d bytes", path, FILE_MAX - 1);
    text[n] = '\0';
    if (strlen(text) != n)
        return sewa_fail(err, SEWA_E_CONFIG, "'%s' contains a NUL byte", path);
    *ret = TAKE(text);
    return 1;
}

/* A secret that others may read is one no more; saying so helps more than refusing to work. */
static int warn_if_public(struct settings *s, const char *path, const struct stat *st,
                          struct sewa_error *err)
{
    struct text t = { 0 };

    if (!(st->st_mode & 077) || !S_ISREG(st->st_mode))
        return 0;
    sewa_text_printf(&t, "the token in '%s' can be read by others: chmod 600 it", path);
    free(s->warning);
    s->warning = sewa_text_take(&t);
    return s->warning ? 0 : no_memory(err);
}

static int load_config(struct settings *s, const char *path, struct config_file *ret,
                       struct sewa_error *err)
{
    char *text = NULL;
    struct stat st;
    int rc = read_file(path, &text, &st, err);

    if (rc > 0)
        rc = config_file_parse(text, path, ret, err);
    wipe(text);
    if (rc == 0 && ret->values[CONFIG_TOKEN])
        rc = warn_if_public(s, path, &st, err);
    return rc < 0 ? rc : 0;
}

static char *user_file(void)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    struct text t = { 0 };

    if (base && *base == '/')
        sewa_text_printf(&t, "%s/sewa/config", base);
    else if (home && *home)
        sewa_text_printf(&t, "%s/.config/sewa/config", home);
    return sewa_text_take(&t);
}

/* ---- choosing ---- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static struct place of_file(const char *path, const struct config_file *c)
{
    return (struct place){ path,
                           c->values[CONFIG_URL],
                           c->values[CONFIG_SOCKET],
                           c->values[CONFIG_TOKEN],
                           c->values[CONFIG_TOKEN_FILE],
                           c->values[CONFIG_REQUEST_TIMEOUT],
                           c->values[CONFIG_COLOR] };
}

static int choose_address(struct settings *s, const struct place *places, struct sewa_error *err)
{
    for (int i = 0; i < PLACES; i++) {
        const char *url = places[i].url, *socket = places[i].socket;
        if (url && strncmp(url, "unix:", 5) == 0) {
            socket = socket ? socket : url + 5;
            url = NULL;
        }
        if (!url && !socket)
            continue;
        s->url = url ? strdup(url) : NULL;
        s->socket = socket ? strdup(socket) : NULL;
        s->address_from = strdup(places[i].name);
        return !s->address_from || (url && !s->url) || (socket && !s->socket) ? no_memory(err) : 0;
    }
    return 0;
}

/* The first line of the file. */
static int read_token(struct settings *s, const char *path, struct sewa_error *err)
{
    struct stat st;
    int rc = read_file(path, &s->token, &st, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_IO, "the token file '%s' does not exist", path);
    if (rc < 0)
        return rc;
    s->token[strcspn(s->token, "\r\n")] = '\0';
    if (!*s->token)
        return sewa_fail(err, SEWA_E_CONFIG, "the first line of the token file '%s' is empty",
                         path);
    return warn_if_public(s, path, &st, err);
}

static int choose_token(struct settings *s, const struct place *places, struct sewa_error *err)
{
    for (int i = 0; i < PLACES; i++) {
        if (places[i].token) {
            s->token = strdup(places[i].token);
            return s->token ? 0 : no_memory(err);
        }
        if (places[i].token_file)
            return read_token(s, places[i].token_file, err);
    }
    return 0;
}

static int choose_timeout(struct settings *s, const struct place *places, struct sewa_error *err)
{
    int64_t seconds;

    for (int i = 0; i < PLACES; i++) {
        if (!places[i].timeout)
            continue;
        if (parse_number(places[i].timeout, 1, 86400, &seconds) < 0)
            return sewa_fail(err, SEWA_E_CONFIG,
                             "request_timeout is '%.40s', wanted is a number of seconds from 1 to "
                             "86400",
                             places[i].timeout);
        s->timeout_ms = seconds * 1000;
        return 0;
    }
    return 0;
}

static int choose_color(struct settings *s, const struct place *places, struct sewa_error *err)
{
    s->color = true;
    for (int i = 0; i < PLACES; i++) {
        if (!places[i].color)
            continue;
        s->color = strcmp(places[i].color, "yes") == 0;
        if (!s->color && strcmp(places[i].color, "no") != 0)
            return sewa_fail(err, SEWA_E_CONFIG, "color is '%.40s', wanted is yes or no",
                             places[i].color);
        return 0;
    }
    return 0;
}

static void cleanup_file(struct config_file *c)
{
    config_file_clear(c);
}

int settings_load(const struct arguments *a, const char *system_file, struct settings *ret,
                  struct sewa_error *err)
{
    AUTO(settings_clear) struct settings s = { 0 };
    AUTO(cleanup_file) struct config_file user = { 0 }, machine = { 0 };
    AUTOFREE char *path = user_file();

    if (!path)
        return no_memory(err);
    int rc = *path ? load_config(&s, path, &user, err) : 0;
    if (rc == 0)
        rc = load_config(&s, system_file, &machine, err);
    const struct place places[PLACES] = {
        { .name = arguments_has(a, "url") ? "--url" : "--socket",
          .url = arguments_text(a, "url"),
          .socket = arguments_text(a, "socket"),
          .token_file = arguments_text(a, "token-file"),
          .timeout = arguments_text(a, "request-timeout"),
          .color = arguments_has(a, "no-color") ? "no" : NULL },
        { .name = "SEWA_URL",
          .url = environment("SEWA_URL"),
          .token = environment("SEWA_TOKEN"),
          .token_file = environment("SEWA_TOKEN_FILE"),
          .color = environment("NO_COLOR") ? "no" : NULL },
        of_file(path, &user),
        of_file(system_file, &machine),
    };
    if (rc == 0)
        rc = choose_address(&s, places, err);
    if (rc == 0)
        rc = choose_token(&s, places, err);
    if (rc == 0)
        rc = choose_timeout(&s, places, err);
    if (rc == 0)
        rc = choose_color(&s, places, err);
    if (rc < 0)
        return rc;
    *ret = s;
    s = (struct settings){ 0 };
    return 0;
}
