/*
 * failpoint - parse SEWA_FAILPOINT once, count passages, act.
 */
#include "base/failpoint.h"

#ifdef SEWA_FAILPOINTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { POINTS_MAX = 16 };

struct point {
    char name[48];
    char action[160];
    char path[160]; /* "" or: only while this file is there */
    long at;
    long seen;
    bool always; /* from then on */
};

static struct point points[POINTS_MAX];
static int point_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void parse_one(char *text)
{
    char *equals = strchr(text, '=');

    if (!equals || point_count == POINTS_MAX)
        abort(); /* a test that asks for nonsense must not pass */
    *equals = '\0';
    struct point *p = &points[point_count++];
    char *path = strchr(equals + 1, '?');
    if (path) {
        *path++ = '\0';
        snprintf(p->path, sizeof p->path, "%s", path);
    }
    char *at = strchr(equals + 1, '@');
    char *end = NULL;
    p->at = at ? strtol(at + 1, &end, 10) : 1;
    p->always = end && *end == '+';
    if (at)
        *at = '\0';
    strncpy(p->name, text, sizeof p->name - 1);
    if (strlen(equals + 1) >= sizeof p->action)
        abort();
    strncpy(p->action, equals + 1, sizeof p->action - 1);
}

static bool is_due(struct point *p)
{
    if (p->path[0] && access(p->path, F_OK) != 0)
        return false;
    p->seen++;
    return p->seen == p->at || (p->always && p->seen > p->at);
}

static void parse(const char *text)
{
    AUTOFREE char *copy = text ? strdup(text) : NULL;
    char *save = NULL;

    for (char *one = copy ? strtok_r(copy, ",", &save) : NULL; one;
         one = strtok_r(NULL, ",", &save))
        parse_one(one);
}

static void parse_environment(void)
{
    parse(getenv("SEWA_FAILPOINT"));
}

void failpoint_set(const char *text)
{
    pthread_once(&once, parse_environment);
    pthread_mutex_lock(&lock);
    memset(points, 0, sizeof points);
    point_count = 0;
    parse(text);
    pthread_mutex_unlock(&lock);
}

static int errno_by_name(const char *name)
{
    static const struct {
        const char *name;
        int value;
    } table[] = {
        { "ENOSPC", ENOSPC }, { "EIO", EIO },       { "ENOMEM", ENOMEM },
        { "EMFILE", EMFILE }, { "EAGAIN", EAGAIN }, { "EINVAL", EINVAL },
    };

    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].value;
    abort();
}

static bool act(const char *action)
{
    if (strcmp(action, "kill") == 0) {
        kill(getpid(), SIGKILL);
        pause();
    } else if (strncmp(action, "sleep:", 6) == 0) {
        usleep((useconds_t)strtol(action + 6, NULL, 10) * 1000);
    } else if (strncmp(action, "errno:", 6) == 0) {
        errno = errno_by_name(action + 6);
        return true;
    } else {
        abort();
    }
    return false;
}

/* What is to happen at this passage, or NULL. */
static const char *action_of(const char *name)
{
    const char *action = NULL;

    pthread_once(&once, parse_environment);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < point_count; i++)
        if (strcmp(points[i].name, name) == 0 && is_due(&points[i]))
            action = points[i].action;
    pthread_mutex_unlock(&lock);
    return action;
}

bool failpoint_errno(const char *name)
{
    const char *action = action_of(name);

    return action && act(action);
}

static int64_t number_in(const char *path, int64_t usual)
{
    FILE *f = fopen(path, "re");
    long long value;

    if (!f)
        return usual;
    if (fscanf(f, "%lld", &value) != 1)
        value = usual; /* it is being written */
    fclose(f);
    return value;
}

int64_t failpoint_value(const char *name, int64_t usual)
{
    const char *action = action_of(name);

    if (!action)
        return usual;
    if (strncmp(action, "value:", 6) == 0)
        return strtoll(action + 6, NULL, 10);
    if (strncmp(action, "file:", 5) == 0)
        return number_in(action + 5, usual);
    abort();
}

#else
typedef int failpoint_is_compiled_out; /* ISO C wants a declaration in every file */
#endif
