/*
 * config_file - "key = value", one a line.
 */
#include "config_file.h"

#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"

static const char *const keys[CONFIG_KEY_COUNT] = {
    [CONFIG_URL] = "url",
    [CONFIG_SOCKET] = "socket",
    [CONFIG_TOKEN] = "token",
    [CONFIG_TOKEN_FILE] = "token_file",
    [CONFIG_REQUEST_TIMEOUT] = "request_timeout",
    [CONFIG_COLOR] = "color",
};

static const char space[] = " \t\r";

void config_file_clear(struct config_file *c)
{
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (c->values[i])
            explicit_bzero(c->values[i], strlen(c->values[i]));
        free(c->values[i]);
        c->values[i] = NULL;
    }
}

/* Without the space around it; in place. */
static char *trim(char *text)
{
    text += strspn(text, space);
    size_t n = strlen(text);
    while (n > 0 && strchr(space, text[n - 1]))
        n--;
    text[n] = '\0';
    return text;
}

static int key_from_name(const char *name)
{
    for (int i = 0; i < CONFIG_KEY_COUNT; i++)
        if (strcmp(keys[i], name) == 0)
            return i;
    return -1;
}

/* Take the quotes away; -1: the second one is missing. */
static int unquote(char **value)
{
    size_t n = strlen(*value);

    if (**value != '"')
        return 0;
    if (n < 2 || (*value)[n - 1] != '"')
        return -1;
    (*value)[n - 1] = '\0';
    (*value)++;
    return strchr(*value, '"') ? -1 : 0;
}

static int parse_line(char *line, const char *name, int number, struct config_file *ret,
                      struct sewa_error *err)
{
    char *value = strchr(line, '=');

    if (!value)
        return sewa_fail(err, SEWA_E_CONFIG, "%s:%d: '%.60s' is not 'key = value'", name, number,
                         line);
    *value++ = '\0';
    line = trim(line);
    value = trim(value);
    int key = key_from_name(line);
    if (key < 0)
        return sewa_fail(err, SEWA_E_CONFIG,
                         "%s:%d: there is no '%.60s'; there are url, socket, token, token_file, "
                         "request_timeout and color",
                         name, number, line);
    if (ret->values[key])
        return sewa_fail(err, SEWA_E_CONFIG, "%s:%d: '%s' is set twice", name, number, line);
    if (unquote(&value) < 0)
        return sewa_fail(err, SEWA_E_CONFIG, "%s:%d: the quotes of '%s' do not match", name, number,
                         line);
    if (!*value)
        return sewa_fail(err, SEWA_E_CONFIG, "%s:%d: '%s' has no value", name, number, line);
    ret->values[key] = strdup(value);
    return ret->values[key] ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for '%s'", name);
}

int config_file_parse(char *text, const char *name, struct config_file *ret, struct sewa_error *err)
{
    struct config_file c = { 0 };
    int rc = 0;

    for (int number = 1; rc == 0 && text; number++) {
        char *line = trim(strsep(&text, "\n"));
        if (*line && *line != '#')
            rc = parse_line(line, name, number, &c, err);
    }
    if (rc < 0)
        config_file_clear(&c);
    else
        *ret = c;
    return rc;
}
