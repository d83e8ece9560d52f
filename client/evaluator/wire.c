/*
 * wire - lines over a blocking socket.
 */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int sewa_wire_open(struct wire *w, int fd, struct sewa_error *err)
{
    *w = (struct wire){ .fd = fd,
                        .data = malloc(EVALUATOR_LINE_MAX),
                        .out = malloc(EVALUATOR_LINE_MAX) };
    return w->data && w->out ? 0 : sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for messages");
}

void sewa_wire_close(struct wire *w)
{
    for (size_t i = 0; i < w->fd_count; i++)
        close(w->fds[i]);
    if (w->fd >= 0)
        close(w->fd);
    free(w->data);
    free(w->out);
    *w = (struct wire){ .fd = -1 };
}

/* Descriptors beyond WIRE_FDS_MAX are dropped by the kernel (MSG_CTRUNC): no message has more. */
static void keep_fds(struct wire *w, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (w->fd_count < WIRE_FDS_MAX)
                w->fds[w->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

static ssize_t receive_some(struct wire *w)
{
    union {
        char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec data = { w->data + w->length, EVALUATOR_LINE_MAX - w->length };
    struct msghdr m = { .msg_iov = &data,
                        .msg_iovlen = 1,
                        .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes };
    ssize_t n;

    do
        n = recvmsg(w->fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        keep_fds(w, &m);
    return n;
}

static int take_line(struct wire *w, size_t n, json_t **ret, struct sewa_error *err)
{
    json_error_t why;
    json_t *message = json_loadb(w->data, n, JSON_REJECT_DUPLICATES, &why);

    w->length -= n + 1;
    memmove(w->data, w->data + n + 1, w->length);
    if (json_is_object(message)) {
        *ret = message;
        return 1;
    }
    json_decref(message);
    return sewa_fail(err, SEWA_E_PROTOCOL, "the host sent no JSON object: %s",
                     message ? "another value" : why.text);
}

int sewa_wire_receive(struct wire *w, json_t **ret, struct sewa_error *err)
{
    for (size_t seen = 0;;) {
        const char *end = memchr(w->data + seen, '\n', w->length - seen);
        if (end)
            return take_line(w, (size_t)(end - w->data), ret, err);
        seen = w->length;
        if (w->length == EVALUATOR_LINE_MAX)
            return sewa_fail(err, SEWA_E_PROTOCOL, "the host sent a line of more than %d bytes",
                             EVALUATOR_LINE_MAX);
        ssize_t n = receive_some(w);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return 0;
        if (n < 0)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot receive from the host");
        w->length += (size_t)n;
    }
}

int sewa_wire_take_fd(struct wire *w)
{
    if (w->fd_count == 0)
        return -1;
    int fd = w->fds[0];
    w->fd_count--;
    memmove(w->fds, w->fds + 1, w->fd_count * sizeof w->fds[0]);
    return fd;
}

static int send_all(struct wire *w, const char *text, size_t n, struct sewa_error *err)
{
    while (n > 0) {
        ssize_t sent = send(w->fd, text, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return sewa_fail_errno(err, SEWA_E_UNREACHABLE, "cannot send to the host");
        text += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* json_dumpb() into memory that is there: json_dumps() leaves keys out when memory is short. */
int sewa_wire_send(struct wire *w, json_t *message, struct sewa_error *err)
{
    size_t n = message ? json_dumpb(message, w->out, EVALUATOR_LINE_MAX,
                                    JSON_COMPACT | JSON_REAL_PRECISION(17))
                       : 0;

    json_decref(message);
    if (n == 0)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a message");
    if (n >= EVALUATOR_LINE_MAX)
        return sewa_fail(err, SEWA_E_TOO_LARGE, "a message of %zu bytes, at most %d are allowed",
                         n + 1, EVALUATOR_LINE_MAX);
    w->out[n] = '\n';
    return send_all(w, w->out, n + 1, err);
}
