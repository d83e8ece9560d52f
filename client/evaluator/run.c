/*
 * run - the life of an evaluator: init, ready, requests until the host says stop or is gone.
 */
#include "sewa/evaluator.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "model.h"
#include "say.h"
#include "wire.h"

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- requests ---- */

static int64_t integer_of(const json_t *message, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(message, key);

    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

static bool has_split(const struct run *r, const char *name)
{
    for (size_t i = 0; i < r->traits.split_count; i++)
        if (strcmp(r->traits.splits[i].name, name) == 0)
            return true;
    return false;
}

static int compute(struct run *r, const struct sewa_evaluator_request *request,
                   struct sewa_evaluator_answer *ret, struct sewa_error *err)
{
    *ret = (struct sewa_evaluator_answer){ .loss = NAN, .example_losses = r->examples };
    int rc = r->ops->loss(r->ops, request, ret, err);
    if (rc < 0)
        return rc;
    int64_t room = (int64_t)(r->examples_bytes / sizeof(float));
    if (ret->example_losses && (ret->examples < 1 || ret->examples > room))
        return sewa_fail(err, SEWA_E_INTERNAL,
                         "losses of %" PRId64 " examples, there is room for %" PRId64,
                         ret->examples, room);
    for (size_t i = 0; i < r->traits.metric_count; i++)
        r->metrics[i] = NAN;
    if (!r->ops->metrics || r->traits.metric_count == 0)
        return 0;
    struct sewa_evaluator_request plain = *request;
    plain.gradient = false;
    return r->ops->metrics(r->ops, &plain, r->metrics, err);
}

/* A request that fails is answered by an error; only a broken socket or protocol ends the program.
 */
static int evaluate(struct run *r, const json_t *m, int64_t id, struct sewa_error *err)
{
    const char *split = json_string_value(json_object_get(m, "split"));
    struct sewa_evaluator_request request = { .model = &r->model.shown,
                                              .split = split ? split : "",
                                              .gradient =
                                                  json_is_true(json_object_get(m, "gradient")),
                                              .batch = integer_of(m, "batch", -1) };
    struct sewa_evaluator_answer answer;
    struct sewa_error why = { 0 };
    double started = now_s();
    int rc;

    if (!has_split(r, request.split))
        rc = sewa_fail(&why, SEWA_E_INVALID, "no split '%.100s'", request.split);
    else if (request.gradient && !r->traits.gradient)
        rc = sewa_fail(&why, SEWA_E_INVALID, "there is no gradient");
    else
        rc = sewa_model_show(&r->model, integer_of(m, "bank", -1), request.gradient,
                             r->traits.is_parameter, &why);
    if (rc == 0)
        rc = compute(r, &request, &answer, &why);
    return rc < 0 ? sewa_say_error(r, id, &why, err)
                  : sewa_say_result(r, id, &answer, now_s() - started, err);
}

static int recalibrate(struct run *r, const json_t *m, int64_t id, struct sewa_error *err)
{
    struct sewa_evaluator_request request = { .model = &r->model.shown, .split = "", .batch = -1 };
    struct sewa_error why = { 0 };
    int rc;

    memset(r->changed, 0, r->model.shown.count * sizeof *r->changed);
    if (!r->ops->recalibrate)
        rc = sewa_fail(&why, SEWA_E_INVALID, "there is nothing to recalibrate");
    else
        rc = sewa_model_show(&r->model, integer_of(m, "bank", -1), true, NULL, &why);
    if (rc == 0)
        rc = r->ops->recalibrate(r->ops, &request, r->changed, &why);
    if (rc < 0)
        return sewa_say_error(r, id, &why, err);
    return sewa_say_recalibrated(r, id, err);
}

static int take_examples(struct run *r, const json_t *m, struct sewa_error *err)
{
    int64_t bytes = integer_of(m, "bytes", 0);
    int fd = sewa_wire_take_fd(&r->wire);

    if (fd < 0 || bytes < (int64_t)sizeof(float) || r->examples) {
        if (fd >= 0)
            close(fd);
        return sewa_fail(err, SEWA_E_PROTOCOL, "the block for losses of examples is not usable");
    }
    void *data = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot map %" PRId64 " bytes", bytes);
    r->examples = data;
    r->examples_bytes = (size_t)bytes;
    return 0;
}

/* 1 to go on, 0 after a stop. */
static int serve_one(struct run *r, const json_t *m, struct sewa_error *err)
{
    const char *type = json_string_value(json_object_get(m, "type"));
    int64_t id = integer_of(m, "id", -1);
    int rc;

    if (!type)
        type = "";
    if (strcmp(type, "stop") == 0)
        return 0;
    if (strcmp(type, "examples") == 0)
        rc = take_examples(r, m, err);
    else if (strcmp(type, "evaluate") == 0 && id >= 0)
        rc = evaluate(r, m, id, err);
    else if (strcmp(type, "recalibrate") == 0 && id >= 0)
        rc = recalibrate(r, m, id, err);
    else
        rc = sewa_fail(err, SEWA_E_PROTOCOL, "the host sent a message of type '%.40s'%s", type,
                       id < 0 ? " without an id" : "");
    return rc < 0 ? rc : 1;
}

/* ---- the beginning ---- */

static int open_model(struct run *r, const json_t *init, struct sewa_error *err)
{
    int fds[3];

    for (int i = 0; i < 3; i++)
        fds[i] = sewa_wire_take_fd(&r->wire);
    struct model_blocks blocks = { .weights = fds[0],
                                   .gradient = fds[1],
                                   .table = fds[2],
                                   .banks = integer_of(init, "banks", 0),
                                   .bank_bytes = integer_of(init, "bank_bytes", -1),
                                   .gradient_bank_bytes =
                                       integer_of(init, "gradient_bank_bytes", -1),
                                   .table_bytes = integer_of(init, "table_bytes", -1) };
    int rc = sewa_model_open(&r->model, &blocks, err);
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    int64_t threads = integer_of(init, "threads", 1);
    r->model.shown.threads = threads < 1 ? 1 : threads > 4096 ? 4096 : (unsigned)threads;
    return rc;
}

/* Heap; NULL when out of memory. Measured first: see sewa_wire_send(). */
static char *options_text(const json_t *options)
{
    size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(17);
    size_t n = json_is_object(options) ? json_dumpb(options, NULL, 0, flags) : 0;
    char *text = calloc(1, n + 3);

    if (text && n > 0)
        json_dumpb(options, text, n, flags);
    else if (text)
        memcpy(text, "{}", 2);
    return text;
}

static int set_up(struct run *r, const json_t *init, struct sewa_error *err)
{
    const json_t *options = json_object_get(init, "options");
    int64_t protocol = integer_of(init, "protocol", -1);

    if (protocol != EVALUATOR_PROTOCOL)
        return sewa_fail(err, SEWA_E_PROTOCOL,
                         "the host speaks protocol %" PRId64 " and this program speaks %d",
                         protocol, EVALUATOR_PROTOCOL);
    int rc = open_model(r, init, err);
    if (rc < 0)
        return rc;
    char *text = options_text(options);
    if (!text)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the options");
    rc = r->ops->setup(r->ops, &r->model.shown, text, &r->traits, err);
    free(text);
    if (rc < 0)
        return rc;
    size_t metrics = r->traits.metric_count, tensors = r->model.shown.count;
    r->metrics = calloc(metrics ? metrics : 1, sizeof *r->metrics);
    r->changed = calloc(tensors ? tensors : 1, sizeof *r->changed);
    return r->metrics && r->changed ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory");
}

/* Everything up to "ready"; a failure is told to the host as well. */
static int begin(struct run *r, struct sewa_error *err)
{
    json_t *init = NULL;
    int rc = sewa_wire_receive(&r->wire, &init, err);

    if (rc <= 0)
        return rc < 0 ? rc : sewa_fail(err, SEWA_E_UNREACHABLE, "the host has gone");
    const char *type = json_string_value(json_object_get(init, "type"));
    if (!type || strcmp(type, "init") != 0)
        rc = sewa_fail(err, SEWA_E_PROTOCOL, "the host began with a message of type '%.40s'",
                       type ? type : "");
    else
        rc = set_up(r, init, err);
    json_decref(init);
    if (rc == 0)
        return sewa_say_ready(r, err);
    sewa_say_error(r, -1, err, NULL);
    return rc;
}

/* 1 to go on, 0 after a stop. */
static int serve_next(struct run *r, struct sewa_error *err)
{
    json_t *m = NULL;
    int rc = sewa_wire_receive(&r->wire, &m, err);

    if (rc == 0)
        return sewa_fail(err, SEWA_E_UNREACHABLE, "the host has gone");
    if (rc > 0)
        rc = serve_one(r, m, err);
    json_decref(m);
    if (rc < 0)
        sewa_say_error(r, -1, err, NULL);
    return rc;
}

static int serve(struct run *r, struct sewa_error *err)
{
    int rc = begin(r, err);

    if (rc < 0)
        return rc;
    do
        rc = serve_next(r, err);
    while (rc > 0);
    return rc;
}

static void close_all(struct run *r)
{
    if (r->ops->teardown)
        r->ops->teardown(r->ops);
    if (r->examples)
        munmap(r->examples, r->examples_bytes);
    free(r->metrics);
    free(r->changed);
    sewa_model_close(&r->model);
    sewa_wire_close(&r->wire);
}

/* The descriptor that the host left, or -1. Programs that this one starts do not get it. */
static int host_descriptor(void)
{
    const char *text = getenv("SEWA_EVALUATOR_FD");
    char *end = NULL;

    errno = 0;
    long fd = text ? strtol(text, &end, 10) : -1;
    if (!text || end == text || *end || errno || fd < 0 || fd > 1024)
        return -1;
    return fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : (int)fd;
}

static int usage(FILE *to, const char *name, int status)
{
    fprintf(to,
            "usage: %s [--help | --version]\n"
            "An evaluator for sewad: name it as `command` of an evaluator in sewad.conf. It is\n"
            "started by sewa-worker, which leaves a socket in SEWA_EVALUATOR_FD.\n",
            name);
    return status;
}

int sewa_evaluator_run(struct sewa_evaluator_ops *ops, int argc, char *const *argv)
{
    const char *name = argc > 0 ? argv[0] : "evaluator";
    struct sewa_error err = { 0 };

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, name, 0);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("evaluator protocol %d\n", EVALUATOR_PROTOCOL) < 0;
    int fd = argc > 1 ? -1 : host_descriptor();
    if (fd < 0)
        return usage(stderr, name, 2);
    struct run r = { .ops = ops };
    int rc = sewa_wire_open(&r.wire, fd, &err);
    if (rc == 0)
        rc = serve(&r, &err);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", name, err.text);
    close_all(&r);
    return rc < 0 ? 1 : 0;
}
