/*
 * wire - the evaluator's end of the socket: one JSON object a line, blocking, with descriptors on
 * the first byte of a line where the protocol has them.
 */
#ifndef EVALUATOR_WIRE_H
#define EVALUATOR_WIRE_H

#include "sewa/error.h"
#include "sewa/protocol.h"

#include <jansson.h>
#include <stddef.h>

enum { WIRE_FDS_MAX = 4 };

struct wire {
    int fd;
    char *data; /* EVALUATOR_LINE_MAX bytes, length of them received */
    size_t length;
    char *out;             /* EVALUATOR_LINE_MAX bytes */
    int fds[WIRE_FDS_MAX]; /* received and not taken yet */
    size_t fd_count;
};

int sewa_wire_open(struct wire *w, int fd, struct sewa_error *err);
void sewa_wire_close(struct wire *w);

/* The next message (the caller's): 1. 0 when the host has gone. */
int sewa_wire_receive(struct wire *w, json_t **ret, struct sewa_error *err);

/* The next descriptor that came, or -1. The caller's. */
int sewa_wire_take_fd(struct wire *w);

/* The message is stolen; NULL is "no memory". SEWA_E_UNREACHABLE when the host has gone. */
int sewa_wire_send(struct wire *w, json_t *message, struct sewa_error *err);

#endif
