/*
 * session - waiting for an evaluator, and losing it.
 */
#include "host/session.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "host/messages.h"

enum { CLOSING_TIMEOUT_MS = 1000 };

bool session_is_cancelled(const struct evaluator *e)
{
    return e->options.cancel && atomic_load_explicit(e->options.cancel, memory_order_relaxed);
}

int session_turn(struct evaluator *e, int wait_ms, struct sewa_error *err)
{
    short events = POLLIN | (channel_wants_to_write(&e->channel) ? POLLOUT : 0);
    struct pollfd fds[] = {
        { .fd = e->channel.at_end ? -1 : e->channel.fd, .events = events },
        { .fd = e->output.fd, .events = POLLIN },
    };

    if (poll(fds, COUNT_OF(fds), wait_ms) < 0 && errno != EINTR)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot wait for the evaluator");
    if (fds[1].revents)
        output_read(&e->output);
    int rc = channel_write(&e->channel, err);
    return rc < 0 ? rc : channel_read(&e->channel, err);
}

static void show_log(struct evaluator *e, const json_t *message)
{
    const char *level = json_string_value(json_object_get(message, "level"));
    const char *text = json_string_value(json_object_get(message, "message"));
    AUTO(buf_clear) struct buf line = { 0 };

    buf_printf(&line, "%s: %s\n", level ? level : "info", text ? text : "");
    output_text(&e->output, buf_cstr(&line), line.len);
}

int session_next(struct evaluator *e, json_t **ret, struct sewa_error *err)
{
    AUTOJSON json_t *message = NULL;
    int rc = channel_next(&e->channel, &message, err);

    if (rc <= 0)
        return rc < 0 ? rc : SESSION_NOTHING;
    if (message_type(message) == MESSAGE_LOG) {
        show_log(e, message);
        return SESSION_LOG;
    }
    *ret = TAKE(message);
    return SESSION_MESSAGE;
}

/* A program that has closed its socket is on its way out, as a rule: then how it ended says more.
 */
static int died(struct evaluator *e, const char *when, struct sewa_error *err)
{
    int64_t deadline = clock_monotonic_ms() + CLOSING_TIMEOUT_MS;
    AUTO(buf_clear) struct buf how = { 0 };

    while (!process_has_ended(&e->process) && clock_monotonic_ms() < deadline)
        session_turn(e, 5, NULL);
    if (e->process.ended)
        process_describe(&e->process, &how);
    else
        buf_text(&how, "closed its socket");
    return sewa_fail(err, SEWA_E_EVALUATOR_DIED, "%s %s", buf_cstr(&how), when);
}

int session_await(struct evaluator *e, int64_t timeout_ms, const char *when, json_t **ret,
                  struct sewa_error *err)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;

    for (bool is_over = false;;) {
        int rc = session_next(e, ret, err);
        if (rc < 0 || rc == SESSION_MESSAGE)
            return rc < 0 ? rc : 0;
        if (session_is_cancelled(e))
            return sewa_fail(err, SEWA_E_CANCELLED, "cancelled %s", when);
        int64_t left = deadline - clock_monotonic_ms();
        if (left <= 0)
            return sewa_fail(err, SEWA_E_EVALUATOR_TIMEOUT, "gave no answer within %g s %s",
                             (double)timeout_ms / 1000, when);
        if (rc == SESSION_LOG)
            continue;
        if (is_over) /* and what it had sent before is read */
            return died(e, when, err);
        is_over = e->channel.at_end || process_has_ended(&e->process);
        int64_t wait_ms = left < SESSION_TICK_MS ? left : SESSION_TICK_MS;
        rc = session_turn(e, is_over ? 0 : (int)wait_ms, err);
        if (rc < 0)
            return rc;
    }
}

int session_lose(struct evaluator *e, int rc, struct sewa_error *err)
{
    char words[OUTPUT_WORDS_SIZE];

    process_kill(&e->process);
    output_drain(&e->output);
    output_close(&e->output);
    channel_close(&e->channel);
    if (!err)
        return rc;
    err->code = rc;
    sewa_context(err, rc, "evaluator '%s'", e->options.name);
    if (rc != SEWA_E_CANCELLED && *output_last_words(&e->output, words))
        sewa_fail(err, rc, "%s; its last words: %s", err->text, words);
    return rc;
}

void session_show_error(struct evaluator *e, const char *text, const char *traceback)
{
    AUTO(buf_clear) struct buf shown = { 0 };
    size_t n = strlen(traceback);

    if (n > 0)
        buf_printf(&shown, "%s%s", traceback, traceback[n - 1] == '\n' ? "" : "\n");
    else
        buf_printf(&shown, "%s\n", text);
    output_text(&e->output, buf_cstr(&shown), shown.len);
}
