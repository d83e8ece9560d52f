/*
 * environment - what an evaluator inherits. The worker's secrets and its service manager's
 * descriptors are not its business; what it needs, the configuration gives.
 */
#include "host/process.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Ours (the token of the job among them), anybody's token, and what systemd says to the worker. */
static bool is_private(const char *variable)
{
    static const char *const prefixes[] = { "SEWA_",          "LISTEN_",
                                            "WATCHDOG_",      "NOTIFY_SOCKET=",
                                            "MAINPID=",       "CREDENTIALS_DIRECTORY=",
                                            "INVOCATION_ID=", "JOURNAL_STREAM=" };
    size_t name = strcspn(variable, "=");

    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        if (has_prefix(variable, prefixes[i]))
            return true;
    for (const char *at = variable; at + 5 <= variable + name; at++)
        if (memcmp(at, "TOKEN", 5) == 0 && (at[5] == '=' || at[5] == '_'))
            return true; /* but not TOKENIZERS_PARALLELISM */
    return false;
}

static bool is_same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");

    return strncmp(a, b, n) == 0 && b[n] == '=';
}

static bool is_configured(const char *variable, const char *const *configured)
{
    for (; configured && *configured; configured++)
        if (is_same_name(variable, *configured))
            return true;
    return false;
}

static size_t count_of(const char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    return n;
}

void environment_free(char **environment)
{
    for (char **e = environment; e && *e; e++)
        free(*e);
    free(environment);
}

/* The configuration may set SEWA_ variables of its own, but not the one of the protocol. */
char **environment_make(const char *const *inherited, const char *const *configured)
{
    static const char descriptor[] = "SEWA_EVALUATOR_FD=3";
    char **ret = calloc(count_of(inherited) + count_of(configured) + 2, sizeof *ret);
    size_t n = 0;

    if (!ret)
        return NULL;
    for (const char *const *e = inherited; e && *e; e++)
        if (!is_private(*e) && !is_configured(*e, configured) && !(ret[n++] = strdup(*e)))
            goto out;
    for (const char *const *e = configured; e && *e; e++)
        if (!is_same_name(descriptor, *e) && !(ret[n++] = strdup(*e)))
            goto out;
    if ((ret[n] = strdup(descriptor)) != NULL)
        return ret;
out:
    environment_free(ret);
    return NULL;
}
