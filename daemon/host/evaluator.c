/*
 * evaluator - ask an evaluator, and end it. How it is started stands in start.c.
 */
#include "host/evaluator.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "host/answer.h"
#include "host/messages.h"
#include "host/session.h"

enum { STOP_TIMEOUT_MS = 10000 };

bool evaluator_is_usable(const struct evaluator *e)
{
    return e->process.pid != 0;
}

const struct evaluator_traits *evaluator_traits(const struct evaluator *e)
{
    return &e->ready.traits;
}

void *evaluator_bank(struct evaluator *e, unsigned bank)
{
    return (char *)e->weights.data + (size_t)bank * (size_t)e->options.bank_bytes;
}

const void *evaluator_gradient(const struct evaluator *e, unsigned bank)
{
    return (const char *)e->gradient.data + (size_t)bank * (size_t)e->options.gradient_bank_bytes;
}

/* SEWA_E_EVALUATOR_ERROR leaves it usable; everything else is the end. */
static int take_answer(struct evaluator *e, const json_t *message, enum message_type wanted,
                       int64_t id, struct sewa_error *err)
{
    enum message_type type = message_type(message);
    char text[ANSWER_ERROR_SIZE], word[64];
    const char *traceback;

    if (type == wanted && message_has_id(message, id))
        return 0;
    if (type != MESSAGE_ERROR || !(message_has_id(message, id) || message_is_without_id(message)))
        return sewa_fail(err, SEWA_E_EVALUATOR_PROTOCOL,
                         "sent a message of type '%s' that is no answer to request %" PRId64,
                         message_type_text(message, word), id);
    error_text(message, text, &traceback);
    session_show_error(e, text, traceback);
    if (message_is_without_id(message))
        return sewa_fail(err, SEWA_E_EVALUATOR_DIED, "gave up: %s", text);
    return sewa_fail(err, SEWA_E_EVALUATOR_ERROR, "evaluator '%s': %s", e->options.name, text);
}

/* One question and its answer. A failure has been dealt with when this returns. */
static int ask(struct evaluator *e, json_t *question, enum message_type wanted, json_t **ret,
               struct sewa_error *err)
{
    AUTOJSON json_t *message = NULL;
    char when[64];

    snprintf(when, sizeof when, "during request %" PRId64, e->last_id);
    int rc = channel_queue(&e->channel, question, NULL, 0, err);
    if (rc == 0)
        rc = session_await(e, e->options.timeout_ms, when, &message, err);
    if (rc == 0)
        rc = take_answer(e, message, wanted, e->last_id, err);
    if (rc == 0)
        *ret = TAKE(message);
    return rc < 0 && rc != SEWA_E_EVALUATOR_ERROR ? session_lose(e, rc, err) : rc;
}

static int check_usable(const struct evaluator *e, unsigned bank, struct sewa_error *err)
{
    if (!evaluator_is_usable(e))
        return sewa_fail(err, SEWA_E_EVALUATOR_DIED, "evaluator '%s' has ended before",
                         e->options.name);
    if (bank >= e->options.banks)
        return sewa_fail(err, SEWA_E_INVALID, "bank %u of %u", bank, e->options.banks);
    return 0;
}

static int check_request(const struct evaluator *e, const struct evaluator_request *request,
                         struct sewa_error *err)
{
    const struct evaluator_traits *t = &e->ready.traits;
    int rc = check_usable(e, request->bank, err);

    if (rc < 0)
        return rc;
    if (request->gradient && !t->gradient)
        return sewa_fail(err, SEWA_E_INVALID, "evaluator '%s' has no gradient", e->options.name);
    for (size_t i = 0; i < t->split_count; i++)
        if (strcmp(t->splits[i].name, request->split) == 0)
            return 0;
    return sewa_fail(err, SEWA_E_INVALID, "evaluator '%s' has no split '%s'", e->options.name,
                     request->split);
}

int evaluator_evaluate(struct evaluator *e, const struct evaluator_request *request,
                       struct evaluator_result *ret, struct sewa_error *err)
{
    AUTOJSON json_t *answer = NULL;
    double started = clock_monotonic_s();
    struct evaluator_result result;
    bool has_losses;

    int rc = check_request(e, request, err);
    if (rc < 0)
        return rc;
    e->last_id++;
    rc = ask(e, message_evaluate(e->last_id, request), MESSAGE_RESULT, &answer, err);
    if (rc < 0)
        return rc;
    rc = result_parse(answer, &e->ready, &result, e->metrics, &has_losses, err);
    if (rc < 0)
        return session_lose(e, rc, err);
    if (isnan(result.seconds))
        result.seconds = clock_monotonic_s() - started;
    if (has_losses)
        result.example_losses = e->examples.data;
    *ret = result;
    return 0;
}

/* ---- recalibration ---- */

/* A NaN that no arithmetic gives, where new values belong: what still stands there afterwards was
 * not written. */
static const uint32_t unwritten = 0x7fd1c3a5;

/* The first and the last value of a tensor; the memory of those between is not touched for this. */
static uint32_t *edge_of(const struct evaluator *e, unsigned bank, size_t i, bool last)
{
    const struct evaluator_tensor *t = &e->options.tensors[i];
    char *start = (char *)e->gradient.data + (size_t)bank * (size_t)e->options.gradient_bank_bytes +
                  t->gradient_offset;
    int64_t elements = 1;

    if (dtype_kind(t->dtype) != DTYPE_FLOAT)
        return NULL;
    for (uint8_t d = 0; d < t->rank; d++)
        elements *= t->shape[d];
    return elements > 0 ? (uint32_t *)start + (last ? elements - 1 : 0) : NULL;
}

static void forget_values(struct evaluator *e, unsigned bank)
{
    for (size_t i = 0; i < 2 * e->options.tensor_count; i++) {
        uint32_t *edge = edge_of(e, bank, i / 2, i % 2);
        if (edge)
            *edge = unwritten;
    }
}

static int check_values(const struct evaluator *e, unsigned bank, const bool *changed,
                        struct sewa_error *err)
{
    char shown[128];

    for (size_t i = 0; i < 2 * e->options.tensor_count; i++) {
        const uint32_t *edge = changed[i / 2] ? edge_of(e, bank, i / 2, i % 2) : NULL;
        if (edge && *edge == unwritten)
            return sewa_fail(err, SEWA_E_EVALUATOR_PROTOCOL,
                             "says that it has recalibrated '%s' and wrote no values for it",
                             text_clean(e->options.tensors[i / 2].name, shown, sizeof shown));
    }
    return 0;
}

int evaluator_recalibrate(struct evaluator *e, unsigned bank, bool *ret_changed,
                          struct sewa_error *err)
{
    AUTOJSON json_t *answer = NULL;

    int rc = check_usable(e, bank, err);
    if (rc < 0)
        return rc;
    if (!e->ready.traits.recalibrates)
        return sewa_fail(err, SEWA_E_INVALID, "evaluator '%s' cannot recalibrate", e->options.name);
    forget_values(e, bank);
    e->last_id++;
    rc = ask(e, message_recalibrate(e->last_id, bank), MESSAGE_RECALIBRATED, &answer, err);
    if (rc < 0)
        return rc;
    rc = recalibrated_parse(answer, e->options.tensors, e->options.tensor_count, ret_changed, err);
    if (rc == 0)
        rc = check_values(e, bank, ret_changed, err);
    return rc < 0 ? session_lose(e, rc, err) : 0;
}

static void finish(struct evaluator *e)
{
    int64_t timeout_ms = e->options.stop_timeout_ms ? e->options.stop_timeout_ms : STOP_TIMEOUT_MS;
    int64_t deadline = clock_monotonic_ms() + timeout_ms;

    if (channel_queue(&e->channel, message_stop(), NULL, 0, NULL) < 0)
        return;
    while (!process_has_ended(&e->process) && !session_is_cancelled(e)) {
        json_t *ignored = NULL;
        int rc = session_next(e, &ignored, NULL);
        json_decref(ignored);
        if (rc < 0 || clock_monotonic_ms() >= deadline)
            break;
        if (rc == SESSION_NOTHING && session_turn(e, SESSION_TICK_MS, NULL) < 0)
            break;
    }
}

void evaluator_stop(struct evaluator *e)
{
    if (!e)
        return;
    if (evaluator_is_usable(e) && e->ready.message)
        finish(e);
    process_kill(&e->process);
    output_drain(&e->output);
    output_close(&e->output);
    channel_close(&e->channel);
    block_close(&e->weights);
    block_close(&e->gradient);
    block_close(&e->table);
    block_close(&e->examples);
    ready_clear(&e->ready);
    free(e->metrics);
    free(e);
}
