/*
 * sewad - the command line of the service.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "app.h"
#include "base/log.h"
#include "sewa/version.h"

static void usage(FILE *f)
{
    fputs(
        "usage: sewad [OPTION...]\n"
        "\n"
        "Watches training runs, decides which checkpoints to average, and says whether it helped.\n"
        "\n"
        "  --config FILE           configuration (default: /etc/sewad/sewad.conf if it exists)\n"
        "  --check-config          read the configuration, say what is wrong with it and what is\n"
        "                          not there (directories, programs), and exit: 0 if it is fine\n"
        "  --state-directory DIR   where the index, logs and averages are kept\n"
        "  --listen ADDRESS:PORT   where to listen; port 0 chooses one and writes it to DIR/listen\n"
        "  --version               show the version and exit\n"
        "  --help                  show this help and exit\n"
        "\n"
        "SIGTERM finishes what is under way (30 s at most) and exits; jobs go on at the next start.\n"
        "SIGHUP reads the configuration again; the log says which changes need a restart.\n",
        f);
}

enum { OPT_CONFIG = 256, OPT_CHECK, OPT_STATE, OPT_LISTEN, OPT_VERSION, OPT_HELP };

static const struct option options[] = {
    { "config", required_argument, NULL, OPT_CONFIG },
    { "check-config", no_argument, NULL, OPT_CHECK },
    { "state-directory", required_argument, NULL, OPT_STATE },
    { "listen", required_argument, NULL, OPT_LISTEN },
    { "version", no_argument, NULL, OPT_VERSION },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static void on_found(const char *line, void *arg)
{
    bool *any = arg;

    fprintf(stderr, "%s\n", line);
    *any = true;
}

static int check(const struct app_options *o)
{
    struct sewa_error err;
    bool any = false;

    if (app_check(o, on_found, &any, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    if (any) {
        fputs("the file has no mistake, but sewad misses what is named above\n", stderr);
        return 1;
    }
    puts("the configuration is fine");
    return 0;
}

static int run(const struct app_options *o)
{
    struct sewa_error err;

    if (app_run(o, &err) < 0) {
        log_error("sewad: %s", err.text);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct app_options o = { 0 };
    int check_only = 0, c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case OPT_CONFIG: o.config_path = optarg; break;
        case OPT_CHECK: check_only = 1; break;
        case OPT_STATE: o.state_directory = optarg; break;
        case OPT_LISTEN: o.listen = optarg; break;
        case OPT_VERSION: puts("sewad " SEWA_VERSION); return 0;
        case OPT_HELP: usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sewad: unexpected argument '%s'\n", argv[optind]);
        usage(stderr);
        return 2;
    }
    return check_only ? check(&o) : run(&o);
}
