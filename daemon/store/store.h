/*
 * store - the index: one write connection on a thread of its own, one read connection on the loop.
 *
 * A write is a struct store_op embedded in the caller's own struct. Its run() is called on the
 * store thread inside a transaction that several ops may share (group commit): when run() fails,
 * its own changes are undone and the others go on. done() is called on the loop exactly once, after
 * the commit (or its failure): what it says is durable. run() sees only its own struct and the
 * database. Ops of one thread are run in the order of submission. Nothing here is kept in memory:
 * the rows are the truth.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/loop.h"
#include "store/db.h"

struct store;

struct store_op {
    int (*run)(struct store_op *op, struct db *db, struct sewa_error *err); /* store thread */
    void (*done)(struct store_op *op);                                      /* loop thread */
    int rc; /* valid in done(): what run() returned, or why the commit failed */
    struct sewa_error err;
    struct store_op *next; /* private */
    struct post post;      /* private */
    struct store *store;   /* private */
};

/* Open (and create or migrate) <directory>/sewad.db and start the thread. */
int store_open(const char *directory, uv_loop_t *loop, struct store **ret, struct sewa_error *err);

/* Thread: loop. The struct stays the store's until done(). */
void store_submit(struct store *s, struct store_op *op);

/* The loop's read connection: short, indexed reads only. Thread: loop. */
struct db *store_reader(struct store *s);

/* The path of the database, for threads that open their own connection. */
const char *store_path(const struct store *s);

/* Run what is queued, stop the thread, then on_closed on the loop; the store is freed before it. */
void store_close(struct store *s, void (*on_closed)(void *arg), void *arg);

#endif
