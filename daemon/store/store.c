/*
 * store - the writer thread: drain the queue, run each op in a savepoint, commit once, report all.
 *
 * Group commit is what makes synchronous=FULL cheap: whatever arrives while one commit waits for
 * the disk shares the next one.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/path.h"
#include "metrics/metrics.h"
#include "store/migrate.h"

enum { GROUP_MAX = 256, DATABASE_MODE = 0640 };

struct store {
    char *path;
    struct db *writer;
    struct db *reader;
    uv_loop_t *loop;
    struct mailbox mailbox;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct store_op *first, **last;
    bool stopping;
    bool started;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

static void deliver(struct post *post)
{
    struct store_op *op = container_of(post, struct store_op, post);

    op->done(op);
}

static struct store_op *take_group(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->stopping)
        pthread_cond_wait(&s->wake, &s->lock);
    struct store_op *group = s->first, **end = &group;
    for (int n = 0; *end && n < GROUP_MAX; n++)
        end = &(*end)->next;
    s->first = *end;
    if (!s->first)
        s->last = &s->first;
    *end = NULL;
    pthread_mutex_unlock(&s->lock);
    return group;
}

static void run_one(struct store *s, struct store_op *op)
{
    op->rc = db_savepoint(s->writer, &op->err);
    if (op->rc < 0)
        return;
    op->rc = op->run(op, s->writer, &op->err);
    if (op->rc >= 0) {
        struct sewa_error err;
        int rc = db_release(s->writer, &err);
        if (rc == 0)
            return;
        op->rc = rc;
        op->err = err;
    }
    db_rollback_savepoint(s->writer);
}

static void fail_group(struct store_op *group, const struct sewa_error *err)
{
    for (struct store_op *op = group; op; op = op->next) {
        if (op->rc < 0)
            continue;
        op->rc = err->code;
        op->err = *err;
    }
}

static void run_group(struct store *s, struct store_op *group)
{
    struct sewa_error err = { 0 };

    for (struct store_op *op = group; op; op = op->next)
        op->rc = 0;
    int rc = db_begin(s->writer, &err);
    for (struct store_op *op = group; rc == 0 && op; op = op->next) {
        run_one(s, op);
        /* a full disk or an I/O error makes SQLite undo everything: nobody's changes are left */
        if (!db_in_transaction(s->writer)) {
            err = op->err;
            rc = op->rc < 0 ? op->rc : SEWA_E_DATABASE;
        }
    }
    failpoint("store_before_commit");
    double since = clock_monotonic_s();
    if (rc == 0)
        rc = db_commit(s->writer, &err);
    if (rc == 0) {
        metric_add(METRIC_STORE_COMMITS, 1);
        metric_observe(METRIC_STORE_COMMIT, clock_monotonic_s() - since);
    }
    failpoint("store_after_commit");
    if (rc < 0) {
        db_rollback(s->writer);
        fail_group(group, &err);
    }
    while (group) {
        struct store_op *next = group->next;
        metric_move(METRIC_STORE_QUEUE, -1);
        group->post.deliver = deliver;
        mailbox_post(&s->mailbox, &group->post);
        group = next;
    }
}

static void *thread_main(void *arg)
{
    struct store *s = arg;

    for (;;) {
        struct store_op *group = take_group(s);
        if (!group)
            return NULL;
        run_group(s, group);
    }
}

static void destroy(struct store *s)
{
    db_close(s->reader);
    db_close(s->writer);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    free(s->path);
    free(s);
}

/* Nothing for others: labels, paths and options of evaluators are nobody else's business. By path,
 * because to close a descriptor of a database that is open would drop SQLite's locks. */
static int take_from_others(const char *path, const char *ending, struct sewa_error *err)
{
    AUTOFREE char *name = NULL;
    struct stat st;

    if (asprintf(&name, "%s%s", path, ending) < 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the store");
    if (stat(name, &st) < 0 || (st.st_mode & 07777 & ~DATABASE_MODE) == 0)
        return 0;
    if (chmod(name, st.st_mode & DATABASE_MODE) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot change the mode of '%s'", name);
    return 0;
}

/* SQLite makes the files beside a database with the mode that the database has. */
static int protect(const char *path, struct sewa_error *err)
{
    static const char *const endings[] = { "", "-wal", "-shm" };
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, DATABASE_MODE);
    int rc = fd < 0 && errno != EEXIST
                 ? sewa_fail_errno(err, SEWA_E_IO, "cannot open database '%s'", path)
                 : 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(endings); i++)
        rc = take_from_others(path, endings[i], err);
    return rc;
}

static int open_databases(struct store *s, struct sewa_error *err)
{
    int rc = protect(s->path, err);

    if (rc == 0)
        rc = db_open(s->path, DB_WRITE, &s->writer, err);
    if (rc == 0)
        rc = migrate(s->writer, s->path, sql_migrations, err);
    if (rc == 0)
        rc = db_open(s->path, DB_READ, &s->reader, err);
    return rc;
}

int store_open(const char *directory, uv_loop_t *loop, struct store **ret, struct sewa_error *err)
{
    struct store *s = calloc(1, sizeof *s);

    if (!s)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the store");
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    s->last = &s->first;
    s->loop = loop;
    s->path = path_join(directory, "sewad.db");
    int rc = s->path ? open_databases(s, err)
                     : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for the store");
    if (rc == 0)
        rc = mailbox_open(&s->mailbox, loop, err);
    if (rc < 0) {
        destroy(s);
        return rc;
    }
    if (pthread_create(&s->thread, NULL, thread_main, s) != 0) {
        rc = sewa_fail(err, SEWA_E_NO_MEMORY, "cannot start the store thread");
        store_close(s, NULL, NULL);
        return rc;
    }
    s->started = true;
    *ret = s;
    return 0;
}

void store_submit(struct store *s, struct store_op *op)
{
    op->store = s;
    op->next = NULL;
    metric_move(METRIC_STORE_QUEUE, 1);
    pthread_mutex_lock(&s->lock);
    *s->last = op;
    s->last = &op->next;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

struct db *store_reader(struct store *s)
{
    return s->reader;
}

const char *store_path(const struct store *s)
{
    return s->path;
}

static void on_mailbox_closed(struct mailbox *m)
{
    struct store *s = container_of(m, struct store, mailbox);
    void (*on_closed)(void *) = s->on_closed;
    void *arg = s->on_closed_arg;

    destroy(s);
    if (on_closed)
        on_closed(arg);
}

void store_close(struct store *s, void (*on_closed)(void *arg), void *arg)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->started)
        pthread_join(s->thread, NULL);
    s->on_closed = on_closed;
    s->on_closed_arg = arg;
    mailbox_close(&s->mailbox, on_mailbox_closed);
}
