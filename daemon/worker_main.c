/*
 * sewa-worker - one worker of one job.
 *
 * Started by sewad (or by a batch system on its behalf). Where sewad listens and the token that
 * says which job this is come by the environment, never by the command line, which everybody can
 * read.
 */
#include <curl/curl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sewa/version.h"
#include "worker/session.h"

enum { PATIENCE_MS = 10 * 60 * 1000 };

static atomic_bool stop;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&stop, true);
}

static void usage(FILE *f)
{
    fputs("usage: sewa-worker [--version] [--help]\n"
          "\n"
          "One worker of one job; sewad starts it. It reads\n"
          "  SEWA_WORKER_SOCKET  path of sewad's worker socket\n"
          "  SEWA_JOB_TOKEN      says which job it works for\n"
          "  SEWA_KERNELS        reference or avx2 instead of the fastest\n",
          f);
}

static void catch_signals(void)
{
    struct sigaction a = { .sa_handler = on_signal };

    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGINT, &a, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* writing fails with EFBIG instead (ulimit -f, LimitFSIZE) */
}

/*
 * The token leaves the environment, so that no child inherits it; and its bytes are wiped, because
 * /proc/PID/environ shows what the process began with to everything that runs as the same user.
 */
static char *take_environment(const char *name)
{
    char *value = getenv(name);
    char *copy = value && *value ? strdup(value) : NULL;

    if (value)
        explicit_bzero(value, strlen(value));
    unsetenv(name);
    return copy;
}

static int run(const char *socket, const char *token)
{
    struct session_options o = {
        .socket = socket, .token = token, .patience_ms = PATIENCE_MS, .stop = &stop
    };
    struct sewa_error err;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    int rc = session_run(&o, &err);
    if (rc < 0)
        log_error("sewa-worker: %s", err.text);
    curl_global_cleanup();
    return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("sewa-worker " SEWA_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (argc > 1) {
        usage(stderr);
        return 2;
    }
    char *socket = take_environment("SEWA_WORKER_SOCKET");
    char *token = take_environment("SEWA_JOB_TOKEN");
    int rc = 2;
    catch_signals();
    if (!socket || !token)
        usage(stderr);
    else
        rc = run(socket, token);
    free(socket);
    free(token);
    return rc;
}
