/*
 * start - bring an evaluator to the point where it can be asked.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "host/answer.h"
#include "host/messages.h"
#include "host/session.h"

static int check_sizes(const struct evaluator_options *o, struct sewa_error *err)
{
    int64_t all;

    if (o->banks < 1 || o->bank_bytes < 0 || o->gradient_bank_bytes < 0 ||
        o->bank_bytes % EVALUATOR_ALIGNMENT || o->gradient_bank_bytes % EVALUATOR_ALIGNMENT ||
        __builtin_mul_overflow(o->bank_bytes, (int64_t)o->banks, &all) ||
        __builtin_mul_overflow(o->gradient_bank_bytes, (int64_t)o->banks, &all))
        return sewa_fail(err, SEWA_E_INVALID,
                         "evaluator '%s': %u banks of %" PRId64 " and %" PRId64
                         " bytes cannot be shared",
                         o->name, o->banks, o->bank_bytes, o->gradient_bank_bytes);
    if (!o->argv || !o->argv[0] || o->start_timeout_ms <= 0 || o->timeout_ms <= 0)
        return sewa_fail(err, SEWA_E_INVALID, "evaluator '%s' has no command or no time", o->name);
    return 0;
}

static int parse_options(const struct evaluator_options *o, json_t **ret, struct sewa_error *err)
{
    const char *text = o->options ? o->options : "{}";
    struct sewa_error why = { 0 };

    *ret = json_parse(text, strlen(text), &why);
    if (!*ret && why.code == SEWA_E_NO_MEMORY)
        return sewa_fail(err, why.code, "%s", why.text);
    if (!json_is_object(*ret))
        return sewa_fail(err, SEWA_E_INVALID, "options of evaluator '%s': %s", o->name,
                         *ret ? "not a JSON object" : why.text);
    return 0;
}

static int make_blocks(struct evaluator *e, struct sewa_error *err)
{
    const struct evaluator_options *o = &e->options;
    AUTOFREE char *table = message_table(o->tensors, o->tensor_count);

    if (!table)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a table of %zu tensors",
                         o->tensor_count);
    int rc = block_open(&e->weights, "sewa-weights", (size_t)o->bank_bytes * o->banks,
                        BLOCK_HOST_WRITES, NULL, err);
    if (rc == 0)
        rc = block_open(&e->gradient, "sewa-gradient", (size_t)o->gradient_bank_bytes * o->banks,
                        BLOCK_SHARED, NULL, err);
    if (rc == 0)
        rc = block_open(&e->table, "sewa-table", strlen(table), BLOCK_NEVER_CHANGES, table, err);
    return rc;
}

/* RLIMIT_DATA counts private writable memory, the evaluator's view of the weights included, which
 * is our doing and not its own. */
static int64_t data_limit(const struct evaluator_options *o)
{
    int64_t weights = o->bank_bytes * (int64_t)o->banks;

    return o->memory_mib > 0 ? o->memory_mib * 1024 * 1024 + weights : 0;
}

static int start_process(struct evaluator *e, struct sewa_error *err)
{
    int sockets[2], pipe_fds[2];

    if (failpoint_errno("host_socket") ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot make a socket pair");
    channel_init(&e->channel, sockets[0]);
    AUTOCLOSE int theirs = sockets[1];
    if (failpoint_errno("host_pipe") || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot make a pipe");
    output_init(&e->output, pipe_fds[0], e->options.listener);
    AUTOCLOSE int written = pipe_fds[1];
    /* only our end: O_NONBLOCK on theirs would break programs that print much */
    if (fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot prepare a pipe");
    struct process_plan plan = { .argv = e->options.argv,
                                 .directory = e->options.directory,
                                 .environment = e->options.environment,
                                 .data_bytes = data_limit(&e->options),
                                 .socket = theirs,
                                 .output = written };
    return process_start(&plan, &e->process, err);
}

/* While it starts, everything that is the program's own doing has one code: do not try again. */
static int as_start_failure(int rc)
{
    return rc == SEWA_E_EVALUATOR_DIED || rc == SEWA_E_EVALUATOR_TIMEOUT ||
                   rc == SEWA_E_EVALUATOR_PROTOCOL
               ? SEWA_E_EVALUATOR_START
               : rc;
}

static int take_ready(struct evaluator *e, json_t *message, struct sewa_error *err)
{
    char text[ANSWER_ERROR_SIZE], type[64];
    const char *traceback;

    switch (message_type(message)) {
    case MESSAGE_READY:
        return ready_parse(message, e->options.tensors, e->options.tensor_count, &e->ready, err);
    case MESSAGE_ERROR:
        error_text(message, text, &traceback);
        if (*traceback)
            session_show_error(e, text, traceback);
        return sewa_fail(
            err, error_is_mismatch(message) ? SEWA_E_EVALUATOR_MISMATCH : SEWA_E_EVALUATOR_START,
            "gave up before it was ready: %s", text);
    default:
        return sewa_fail(err, SEWA_E_EVALUATOR_START,
                         "sent a message of type '%s' before it was ready",
                         message_type_text(message, type));
    }
}

/* Also room for the metrics of a result: from here on nothing but the answers can fail. */
static int offer_examples(struct evaluator *e, struct sewa_error *err)
{
    size_t metrics = e->ready.traits.metric_count;
    int64_t bytes = e->ready.examples_max * (int64_t)sizeof(float);

    e->metrics = calloc(metrics ? metrics : 1, sizeof *e->metrics);
    if (!e->metrics)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for %zu metrics", metrics);
    if (bytes == 0)
        return 0;
    int rc = block_open(&e->examples, "sewa-examples", (size_t)bytes, BLOCK_SHARED, NULL, err);
    if (rc < 0)
        return rc;
    return channel_queue(&e->channel, message_examples(bytes), &e->examples.fd, 1, err);
}

static int shake_hands(struct evaluator *e, json_t *options, struct sewa_error *err)
{
    int fds[] = { e->weights.fd, e->gradient.fd, e->table.fd };
    AUTOJSON json_t *message = NULL;

    int rc = channel_queue(&e->channel, message_init(&e->options, e->table.bytes, options), fds,
                           COUNT_OF(fds), err);
    if (rc < 0)
        return rc == SEWA_E_TOO_LARGE
                   ? sewa_fail(err, SEWA_E_INVALID, "its options make %s", err ? err->text : "")
                   : rc;
    rc = session_await(e, e->options.start_timeout_ms, "before it was ready", &message, err);
    if (rc == 0)
        rc = take_ready(e, message, err);
    return rc < 0 ? rc : offer_examples(e, err);
}

static int open_all(struct evaluator *e, struct sewa_error *err)
{
    AUTOJSON json_t *options = NULL;

    int rc = check_sizes(&e->options, err);
    if (rc == 0)
        rc = parse_options(&e->options, &options, err);
    if (rc == 0)
        rc = make_blocks(e, err);
    if (rc < 0)
        return rc;
    rc = start_process(e, err);
    if (rc < 0)
        return sewa_context(err, rc, "evaluator '%s'", e->options.name);
    rc = shake_hands(e, TAKE(options), err);
    block_close(&e->table); /* the evaluator has it */
    return rc < 0 ? session_lose(e, as_start_failure(rc), err) : 0;
}

int evaluator_start(const struct evaluator_options *options, struct evaluator **ret,
                    struct sewa_error *err)
{
    struct evaluator *e = calloc(1, sizeof *e);

    if (!e)
        return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory to start evaluator '%s'", options->name);
    e->options = *options;
    e->weights = e->gradient = e->table = e->examples = (struct block)BLOCK_NONE;
    channel_init(&e->channel, -1);
    output_init(&e->output, -1, options->listener);
    int rc = open_all(e, err);
    if (rc < 0)
        evaluator_stop(e);
    else
        *ret = e;
    return rc;
}
