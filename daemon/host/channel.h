/*
 * channel - the host's end of the socket: one JSON object a line, in both directions, never
 * blocking. Descriptors ride on the first byte of a line.
 */
#ifndef HOST_CHANNEL_H
#define HOST_CHANNEL_H

#include "base/buf.h"
#include "base/json.h"
#include "sewa/error.h"
#include "sewa/protocol.h"

#include <stdbool.h>
#include <stddef.h>

enum { CHANNEL_FDS_MAX = 3 };

struct channel {
    int fd; /* non-blocking; -1: none */
    struct buf in, out;
    size_t taken;   /* bytes at the start of in that were handed out */
    size_t scanned; /* bytes behind them that hold no end of line */
    int fds[CHANNEL_FDS_MAX];
    size_t fd_count; /* to go with the first byte of out; borrowed until they are gone */
    bool at_end;     /* the other side has closed; in may still hold lines */
};

void channel_init(struct channel *c, int fd);
void channel_close(struct channel *c);

/* Put a message behind what waits to be sent. Descriptors only when nothing waits. The message is
 * stolen; NULL means that there was no memory for it. SEWA_E_TOO_LARGE, SEWA_E_NO_MEMORY. */
int channel_queue(struct channel *c, json_t *message, const int *fds, size_t fd_count,
                  struct sewa_error *err);

static inline bool channel_wants_to_write(const struct channel *c)
{
    return c->out.len > 0;
}

/* Send and receive what goes without waiting. A lost peer is no failure here: at_end tells. */
int channel_write(struct channel *c, struct sewa_error *err);
int channel_read(struct channel *c, struct sewa_error *err);

/*
 * The next message that has arrived: 1 and *ret (the caller's), 0 when none is complete,
 * SEWA_E_EVALUATOR_PROTOCOL when a line is too long or no JSON object.
 */
int channel_next(struct channel *c, json_t **ret, struct sewa_error *err);

#endif
