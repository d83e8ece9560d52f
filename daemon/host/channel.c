/*
 * channel - lines over a non-blocking socket.
 */
#include "host/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/activity.h"
#include "base/failpoint.h"

enum { READ_BYTES = 64 * 1024, QUOTE_BYTES = 60 };

void channel_init(struct channel *c, int fd)
{
    *c = (struct channel){ .fd = fd };
}

void channel_close(struct channel *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_clear(&c->in);
    buf_clear(&c->out);
}

int channel_queue(struct channel *c, json_t *message, const int *fds, size_t fd_count,
                  struct sewa_error *err)
{
    AUTOFREE char *text = message ? json_text(message) : NULL;

    json_decref(message);
    if (text && strlen(text) >= EVALUATOR_LINE_MAX)
        return sewa_fail(err, SEWA_E_TOO_LARGE, "a message of %zu bytes, at most %d are allowed",
                         strlen(text) + 1, EVALUATOR_LINE_MAX);
    if (text) {
        buf_text(&c->out, text);
        buf_char(&c->out, '\n');
    }
    if (!text || buf_failed(&c->out))
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a message to the evaluator");
    for (size_t i = 0; i < fd_count; i++)
        c->fds[c->fd_count++] = fds[i];
    return 0;
}

/* MSG_NOSIGNAL: an evaluator that has gone away must not kill the worker with SIGPIPE. */
static ssize_t send_some(struct channel *c)
{
    union {
        char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec data = { c->out.data, c->out.len };
    struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1 };

    if (c->fd_count > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(c->fd_count * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(c->fd_count * sizeof(int));
        memcpy(CMSG_DATA(h), c->fds, c->fd_count * sizeof(int));
    }
    return sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int channel_write(struct channel *c, struct sewa_error *err)
{
    while (c->out.len > 0 && !c->at_end) {
        ssize_t n = failpoint_errno("host_send") ? -1 : send_some(c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            buf_reset(&c->out); /* what it sent before it closed is still to be read */
            break;
        }
        if (n < 0)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot send to the evaluator");
        c->fd_count = 0;
        buf_consume(&c->out, (size_t)n);
    }
    return 0;
}

int channel_read(struct channel *c, struct sewa_error *err)
{
    buf_consume(&c->in, c->taken); /* once for many lines: it moves what is left */
    c->taken = 0;
    while (!c->at_end && c->in.len <= EVALUATOR_LINE_MAX) {
        void *at = buf_reserve(&c->in, READ_BYTES);
        if (!at)
            return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a message of the evaluator");
        ssize_t n = recv(c->fd, at, READ_BYTES, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno != ECONNRESET)
            return sewa_fail_errno(err, SEWA_E_IO, "cannot receive from the evaluator");
        if (n <= 0)
            c->at_end = true;
        else
            buf_advance(&c->in, (size_t)n);
        activity_moved();
    }
    return 0;
}

/* The start of a line for a message: printable ASCII, so that it can stand anywhere. */
static const char *quote(const char *line, size_t n, char ret[QUOTE_BYTES + 1])
{
    size_t i = 0;

    for (; i < n && i < QUOTE_BYTES; i++)
        ret[i] = line[i] >= ' ' && line[i] < 0x7f ? line[i] : '?';
    ret[i] = '\0';
    return ret;
}

static int parse_line(const char *line, size_t n, json_t **ret, struct sewa_error *err)
{
    char start[QUOTE_BYTES + 1];
    struct sewa_error why = { 0 };
    AUTOJSON json_t *message = json_parse(line, n, &why);

    if (!message && why.code == SEWA_E_NO_MEMORY)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "%s", why.text);
    if (!message)
        return sewa_fail(err, SEWA_E_EVALUATOR_PROTOCOL, "sent '%s': %s", quote(line, n, start),
                         why.text);
    if (!json_is_object(message))
        return sewa_fail(err, SEWA_E_EVALUATOR_PROTOCOL, "sent '%s', which is no object",
                         quote(line, n, start));
    *ret = TAKE(message);
    return 1;
}

int channel_next(struct channel *c, json_t **ret, struct sewa_error *err)
{
    const char *line = buf_cstr(&c->in) + c->taken;
    size_t there = c->in.len - c->taken;
    const char *end = memchr(line + c->scanned, '\n', there - c->scanned);
    size_t n = end ? (size_t)(end - line) : there;

    if (n >= EVALUATOR_LINE_MAX)
        return sewa_fail(err, SEWA_E_EVALUATOR_PROTOCOL,
                         "sent a line of more than %d bytes, which is the most allowed",
                         EVALUATOR_LINE_MAX);
    if (!end) {
        c->scanned = there;
        return 0;
    }
    c->taken += n + 1;
    c->scanned = 0;
    return parse_line(line, n, ret, err);
}
