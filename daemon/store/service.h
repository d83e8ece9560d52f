/*
 * service - events and answers to requests with an Idempotency-Key. Thread: that of the db.
 */
#ifndef STORE_SERVICE_H
#define STORE_SERVICE_H

#include "store/db.h"

/* Append one event; data is JSON or NULL. Written in the transaction of what it tells about. */
int event_put(struct db *db, int64_t at_ms, const char *kind, const char *subject, const char *data,
              struct sewa_error *err);

/* Keep the newest @keep events. */
int event_prune(struct db *db, int64_t keep, struct sewa_error *err);

struct idempotency_row {
    uint8_t request[32]; /* SHA-256 of the body that was answered */
    int status;
    char *location;
    char *body;
};

void idempotency_row_clear(struct idempotency_row *r);

/* 1 found, 0 none. Scope is the method and the path. */
int idempotency_get(struct db *db, const char *scope, const char *key, struct idempotency_row *ret,
                    struct sewa_error *err);
/* In place of what was there. */
int idempotency_put(struct db *db, const char *scope, const char *key,
                    const struct idempotency_row *row, int64_t now_ms, struct sewa_error *err);
int idempotency_prune(struct db *db, int64_t before_ms, struct sewa_error *err);

#endif
