/*
 * app - start, reload, drain, stop.
 *
 * Starting goes upwards through the rooms, stopping downwards. The state directory is locked first:
 * a second sewad on it is refused before it has touched anything. A service that is killed instead
 * of stopped loses nothing: every room starts from what is on the disk.
 */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "app_evaluators.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/path.h"
#include "config/config.h"
#include "config/presence.h"
#include "http/api.h"
#include "http/server.h"
#include "ingest/ingest.h"
#include "jobs/jobs.h"
#include "launch/local.h"
#include "metrics/metrics.h"
#include "sewa/version.h"
#include "store/service.h"
#include "store/store.h"

enum {
    DRAIN_MS = 30000,
    DRAIN_TICK_MS = 50,
    LEAVE_MS = 5000,
    PRUNE_MS = 60 * 60 * 1000,
    EVENTS_KEPT = 100000,
    CONNECTIONS_MAX = 2000,
    POOL_THREADS = 8,
};

static const char default_config[] = "/etc/sewad/sewad.conf";

struct app {
    struct app_options o;
    struct config *config;
    struct config
        *first; /* what the rooms were started with and still point into, after a reload */
    char *artifact_directory;
    char *worker_socket;
    char *worker_program;
    json_t *evaluators; /* by name, as workers are told about them */
    const char **allowed_roots;
    const char **devices;
    int lock_fd;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_timer_t drain_timer, prune_timer, leave_timer;
    int64_t drain_until_ms;
    bool draining, stopping, failed;
    struct store *store;
    struct launcher *launcher;
    struct jobs *jobs;
    struct ingest *ingest;
    struct api *api;
    struct server *server;
};

/* ---- configuration ---- */

static int read_config(const struct app_options *o, struct config **ret, struct sewa_error *err)
{
    AUTOPTR(config_free) struct config *c = NULL;
    bool usual = !o->config_path && access(default_config, F_OK) == 0;
    const char *path = usual ? default_config : o->config_path;
    int rc = path ? config_load(path, &c, err) : config_defaults(&c, err);

    if (rc == 0 && o->state_directory)
        rc = config_override(c, "state_directory", o->state_directory, err);
    if (rc == 0 && o->listen)
        rc = config_override(c, "listen", o->listen, err);
    if (rc == 0 && c->authentication != CONFIG_NO_AUTHENTICATION)
        rc = config_mistake(c, "authentication", err,
                            "authentication = \"tokens\" is not available in version %s: use "
                            "\"none\", which answers on loopback only",
                            SEWA_VERSION);
    if (rc == 0 && !config_is_loopback(c))
        rc = config_mistake(c, "listen", err,
                            "listen = \"%s\" is not a loopback address, and without "
                            "authentication only those are allowed",
                            c->listen);
    if (rc < 0)
        return rc;
    *ret = TAKE(c);
    return 0;
}

int app_check(const struct app_options *o, void (*found)(const char *line, void *arg), void *arg,
              struct sewa_error *err)
{
    AUTOPTR(config_free) struct config *c = NULL;
    int rc = read_config(o, &c, err);

    if (rc < 0)
        return rc;
    presence_directories(c, found, arg);
    presence_programs(c, found, arg);
    return 0;
}

static void warn_of_restart(const char *line)
{
    log_warn("config: %s", line);
}

static const char **text_list(const struct config_list *list)
{
    const char **texts = calloc(list->count + 1, sizeof *texts);

    for (size_t i = 0; texts && i < list->count; i++)
        texts[i] = list->items[i];
    return texts;
}

static int derive(struct app *a, struct sewa_error *err)
{
    const struct config *c = a->config;

    log_set_level((enum log_level)c->log_level);
    a->artifact_directory = *c->artifact_directory ? strdup(c->artifact_directory)
                                                   : path_join(c->state_directory, "artifacts");
    a->worker_socket = path_join(c->state_directory, "worker.sock");
    a->evaluators = app_evaluators(c);
    a->allowed_roots = text_list(&c->allowed_roots);
    a->devices = text_list(&c->device_slots);
    if (!a->artifact_directory || !a->worker_socket || !a->evaluators || !a->allowed_roots ||
        !a->devices)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start");
    if (c->slurm.is_given)
        log_warn("config: %s: launcher 'slurm' is not available in version %s, workers are started "
                 "on this machine",
                 c->slurm.origin, SEWA_VERSION);
    return 0;
}

static const json_t *evaluators_of(void *arg)
{
    return ((struct app *)arg)->evaluators;
}

static json_t *evaluator_of(const char *name, void *arg)
{
    return json_incref(json_object_get(((struct app *)arg)->evaluators, name));
}

/* ---- the state directory ---- */

/*
 * Local disk only: SQLite's locks and shared memory do not work across a network. The lock is held
 * until the process ends, however it ends.
 */
static int open_state(struct app *a, struct sewa_error *err)
{
    const char *directory = a->config->state_directory;
    AUTOFREE char *path = path_join(directory, "lock");
    int rc = directory_make(directory, 0750, err);

    if (rc < 0)
        return sewa_context(err, rc, "state_directory (--state-directory names another one)");
    if (is_network_path(directory))
        return config_mistake(
            a->config, "state_directory", err,
            "state_directory '%s' lies on a network file system; it needs a local disk", directory);
    a->lock_fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640) : -1;
    if (a->lock_fd < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot open '%s'", path);
    if (flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return sewa_fail(err, SEWA_E_LOCKED, "another sewad uses the state directory '%s'",
                         directory);
    return 0;
}

static int write_listen_file(struct app *a, struct sewa_error *err)
{
    char text[160];

    snprintf(text, sizeof text, "%s\n", server_address(a->server));
    return file_publish(a->config->state_directory, "listen", 0644, text, strlen(text), err);
}

/* ---- rooms ---- */

static int64_t processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n;
}

static int open_launcher(struct app *a, struct sewa_error *err)
{
    struct local_options o = { .socket = a->worker_socket };
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    self[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    /* beside us in a build tree, elsewhere below the prefix when installed */
    a->worker_program = path_join(self, "sewa-worker");
    if (a->worker_program && access(a->worker_program, X_OK) != 0) {
        free(a->worker_program);
        a->worker_program = path_join(self, WORKER_DIRECTORY "/sewa-worker");
    }
    if (!a->worker_program)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start");
    if (access(a->worker_program, X_OK) != 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot find the worker program '%s'",
                               a->worker_program);
    o.program = a->worker_program;
    return local_new(&o, &a->loop, &a->launcher, err);
}

static int open_jobs(struct app *a, struct sewa_error *err)
{
    const struct config *c = a->config;
    int64_t slots = c->device_slots.count ? (int64_t)c->device_slots.count : c->local_workers;
    int64_t threads = c->worker_threads ? c->worker_threads : processors() / slots;
    int64_t memory = c->worker_memory_mib ? c->worker_memory_mib << 20
                                          : (int64_t)uv_get_total_memory() / 4 * 3 / slots;
    struct jobs_options o = { .store = a->store,
                              .launcher = a->launcher,
                              .loop = &a->loop,
                              .state_directory = c->state_directory,
                              .artifact_directory = a->artifact_directory,
                              .devices = a->devices,
                              .local_workers = (int)c->local_workers,
                              .worker_threads = threads < 1 ? 1 : (unsigned)threads,
                              .worker_memory_bytes = memory,
                              .evaluator = evaluator_of,
                              .arg = a };
    return jobs_open(&o, &a->jobs, err);
}

static int configure_ingest(struct app *a, struct sewa_error *err)
{
    const struct config *c = a->config;
    size_t n = c->run_count + c->root_count;
    AUTOFREE struct ingest_source *sources = calloc(n ? n : 1, sizeof *sources);

    if (!sources)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu runs", n);
    for (size_t i = 0; i < n; i++) {
        bool is_root = i >= c->run_count;
        const struct config_source *s = is_root ? &c->roots[i - c->run_count] : &c->runs[i];
        sources[i] = (struct ingest_source){ .name = s->name,
                                             .path = s->path,
                                             .pattern = s->pattern,
                                             .state_key = s->state_key,
                                             .marker = s->marker,
                                             .settle_ms = s->settle_seconds * 1000,
                                             .is_root = is_root };
    }
    return ingest_configure(a->ingest, sources, n, a->allowed_roots, err);
}

static int open_ingest(struct app *a, struct sewa_error *err)
{
    struct ingest_options o = { .store = a->store,
                                .loop = &a->loop,
                                .scan_interval_ms = a->config->scan_interval_seconds * 1000,
                                .artifact_directory = a->artifact_directory };
    int rc = ingest_open(&o, &a->ingest, err);

    return rc < 0 ? rc : configure_ingest(a, err);
}

/*
 * The usual place below /run is made by systemd. Who starts sewad by hand does without: a socket
 * that nobody has asked for is nothing to warn of.
 */
static const char *admin_socket_of(const struct config *c)
{
    const char *usual = config_default("admin_socket");
    const char *slash = strrchr(c->admin_socket, '/');

    if (!slash || strcmp(c->admin_socket, usual) != 0)
        return c->admin_socket;
    AUTOFREE char *directory = strndup(c->admin_socket, (size_t)(slash - c->admin_socket));
    if (!directory || access(directory, W_OK | X_OK) == 0)
        return c->admin_socket;
    log_info("config: no socket for administration: '%s' is not there or not ours", directory);
    return "";
}

static int open_http(struct app *a, struct sewa_error *err)
{
    struct api_options api = { .store = a->store,
                               .jobs = a->jobs,
                               .ingest = a->ingest,
                               .loop = &a->loop,
                               .allowed_roots = a->allowed_roots,
                               .settle_ms = a->config->settle_seconds * 1000,
                               .evaluators = evaluators_of,
                               .arg = a };
    int rc = api_open(&api, &a->api, err);

    if (rc < 0)
        return rc;
    struct server_options server = { .listen = a->config->listen,
                                     .loopback_only = true,
                                     .worker_socket = a->worker_socket,
                                     .admin_socket = admin_socket_of(a->config),
                                     .routes = routes,
                                     .route_count = route_count,
                                     .api = a->api,
                                     .connection_max = CONNECTIONS_MAX };
    rc = server_start(&server, &a->loop, &a->server, err);
    return rc < 0 ? rc : write_listen_file(a, err);
}

/* ---- stopping ---- */

static void close_handle(uv_handle_t *h)
{
    if (uv_is_active(h) || h->type != UV_UNKNOWN_HANDLE)
        uv_close(h, NULL);
}

static void close_timers(struct app *a)
{
    for (size_t i = 0; i < COUNT_OF(a->signals); i++)
        close_handle((uv_handle_t *)&a->signals[i]);
    close_handle((uv_handle_t *)&a->drain_timer);
    close_handle((uv_handle_t *)&a->prune_timer);
}

static void on_leave(uv_timer_t *timer)
{
    const struct app *a = container_of(timer, struct app, leave_timer);

    log_warn("sewad: stopped; what a file system does not answer is left behind");
    _exit(a->failed ? EXIT_FAILURE : EXIT_SUCCESS);
}

/*
 * All is written, and only the pool may still be at work. A file system that does not answer holds
 * its thread for ever, and the library's end waits for that thread: so there is none.
 */
static void on_store_closed(void *arg)
{
    struct app *a = arg;

    uv_timer_start(&a->leave_timer, on_leave, (uint64_t)failpoint_value("app_leave_ms", LEAVE_MS),
                   0);
}

/* Everything above the store has ended: write what is queued, and the loop runs out of handles. */
static void close_lowest(struct app *a)
{
    if (a->store)
        store_close(a->store, on_store_closed, a);
    a->store = NULL;
    close_timers(a);
}

static void on_ingest_closed(void *arg)
{
    struct app *a = arg;

    a->ingest = NULL;
    if (a->server)
        server_stop(a->server, NULL, NULL);
    if (a->api)
        api_close(a->api);
    if (a->jobs)
        jobs_close(a->jobs);
    a->server = NULL;
    a->api = NULL;
    a->jobs = NULL;
    close_lowest(a);
}

static void stop(struct app *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    notify_service("STOPPING=1");
    if (a->ingest)
        ingest_close(a->ingest, on_ingest_closed, a);
    else
        on_ingest_closed(a);
}

static void on_drain_tick(uv_timer_t *t)
{
    struct app *a = container_of(t, struct app, drain_timer);
    bool idle = jobs_is_drained(a->jobs) && server_is_idle(a->server);

    if (!idle && clock_monotonic_ms() < a->drain_until_ms)
        return;
    if (!idle)
        log_warn("sewad: an evaluation did not end within %d s, it is repeated at the next start",
                 DRAIN_MS / 1000);
    stop(a);
}

static void drain(struct app *a)
{
    if (a->draining) {
        log_warn("sewad: asked twice to stop, stopping now");
        stop(a);
        return;
    }
    log_info("sewad: stopping: no new requests, evaluations under way are finished");
    a->draining = true;
    a->drain_until_ms = clock_monotonic_ms() + DRAIN_MS;
    jobs_drain(a->jobs);
    server_drain(a->server);
    api_drain(a->api);
    uv_timer_start(&a->drain_timer, on_drain_tick, DRAIN_TICK_MS, DRAIN_TICK_MS);
}

/* ---- reload ---- */

/* What has changed and cannot be taken over is said; every room then gets the rest. */
static int take_over(struct app *a, struct config *fresh, struct sewa_error *err)
{
    AUTOPTR(config_free) struct config *c = fresh;
    json_t *evaluators = app_evaluators(c);
    const char **roots = text_list(&c->allowed_roots);

    if (!evaluators || !roots) {
        json_decref(evaluators);
        free(roots);
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the configuration");
    }
    json_decref(a->evaluators);
    a->evaluators = evaluators;
    struct config *old = a->config;
    if (!a->first)
        a->first = TAKE(old);
    a->config = TAKE(c);
    config_needs_restart(a->first, a->config, warn_of_restart);
    api_configure(a->api, roots, a->config->settle_seconds * 1000);
    ingest_set_interval(a->ingest, a->config->scan_interval_seconds * 1000);
    free(a->allowed_roots);
    a->allowed_roots = roots;
    log_set_level((enum log_level)a->config->log_level);
    if (configure_ingest(a, err) < 0)
        log_error("sewad: %s", err->text);
    config_free(old); /* now that nobody points into it */
    return 0;
}

static void reload(struct app *a)
{
    struct config *fresh = NULL;
    struct sewa_error err;

    notify_service("RELOADING=1");
    int rc = read_config(&a->o, &fresh, &err);
    if (rc == 0)
        rc = take_over(a, fresh, &err);
    if (rc < 0)
        log_error("sewad: the configuration was not read again: %s; the old one stays", err.text);
    else
        log_info("sewad: read the configuration again: %zu runs, %zu roots, %zu evaluators",
                 a->config->run_count, a->config->root_count, a->config->evaluator_count);
    notify_service("READY=1");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct app *a = handle->data;

    if (number == SIGHUP)
        reload(a);
    else
        drain(a);
}

/* ---- housekeeping ---- */

static int prune_run(struct store_op *op, struct db *db, struct sewa_error *err)
{
    (void)op;
    int rc = idempotency_prune(db, clock_now_ms() - 24 * 60 * 60 * 1000LL, err);

    return rc < 0 ? rc : event_prune(db, EVENTS_KEPT, err);
}

static void prune_done(struct store_op *op)
{
    if (op->rc < 0)
        log_warn("store: old answers and events were not removed: %s", op->err.text);
    free(op);
}

static void on_prune(uv_timer_t *t)
{
    struct app *a = container_of(t, struct app, prune_timer);
    struct store_op *op = calloc(1, sizeof *op);

    if (!op || !a->store)
        return;
    op->run = prune_run;
    op->done = prune_done;
    store_submit(a->store, op);
}

/* ---- start ---- */

static void open_handles(struct app *a)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uv_signal_init(&a->loop, &a->signals[i]);
        a->signals[i].data = a;
        uv_signal_start(&a->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&a->loop, &a->drain_timer);
    uv_timer_init(&a->loop, &a->prune_timer);
    uv_timer_init(&a->loop, &a->leave_timer);
    uv_unref((uv_handle_t *)&a->leave_timer);
    uv_timer_start(&a->prune_timer, on_prune, 1000, PRUNE_MS);
}

/* Jobs are recovered before the socket opens: a worker that lives on must find its job there. */
static int start(struct app *a, struct sewa_error *err)
{
    int rc = open_state(a, err);

    if (rc == 0)
        rc = store_open(a->config->state_directory, &a->loop, &a->store, err);
    if (rc == 0)
        rc = open_launcher(a, err);
    if (rc == 0)
        rc = open_jobs(a, err);
    if (rc == 0)
        rc = open_ingest(a, err);
    if (rc == 0)
        rc = jobs_recover(a->jobs, err);
    if (rc == 0)
        rc = open_http(a, err);
    return rc;
}

static void raise_limits(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    char threads[8];
    snprintf(threads, sizeof threads, "%d", POOL_THREADS);
    setenv("UV_THREADPOOL_SIZE", threads, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* writing fails with EFBIG instead (ulimit -f, LimitFSIZE) */
}

static void release(struct app *a)
{
    local_free(a->launcher);
    if (a->lock_fd >= 0)
        close(a->lock_fd);
    json_decref(a->evaluators);
    free(a->artifact_directory);
    free(a->worker_socket);
    free(a->worker_program);
    free(a->allowed_roots);
    free(a->devices);
    config_free(a->first);
    config_free(a->config);
}

int app_run(const struct app_options *o, struct sewa_error *err)
{
    struct app a = { .o = *o, .lock_fd = -1 };
    int rc = read_config(o, &a.config, err);

    if (rc < 0)
        return rc;
    raise_limits();
    metrics_start(SEWA_VERSION, clock_now_ms());
    uv_loop_init(&a.loop);
    open_handles(&a);
    rc = derive(&a, err);
    if (rc == 0)
        rc = start(&a, err);
    if (rc == 0) {
        log_info("sewad %s: listens on http://%s, state in '%s'", SEWA_VERSION,
                 server_address(a.server), a.config->state_directory);
        notify_service("READY=1");
    } else {
        a.failed = true;
        stop(&a);
    }
    uv_run(&a.loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&a.leave_timer, NULL);
    uv_run(&a.loop, UV_RUN_DEFAULT);
    if (rc == 0)
        log_info("sewad: stopped");
    uv_loop_close(&a.loop);
    release(&a);
    return rc;
}
