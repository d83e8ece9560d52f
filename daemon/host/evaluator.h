/*
 * evaluator - the host's side of the evaluator protocol (proto/evaluator.md): start the user's
 * program, share memory with it, ask it for losses and gradients, and end it.
 *
 * All calls block, in poll() over the socket and the program's output, and give up at their
 * time-out or within about 50 ms of *cancel becoming true. After SEWA_E_EVALUATOR_DIED, _TIMEOUT,
 * _PROTOCOL or SEWA_E_CANCELLED the program and all that descends from it are dead:
 * evaluator_stop() and start another. After SEWA_E_EVALUATOR_ERROR it is alive and may be asked
 * again.
 *
 * Thread: one at a time, and the thread that started an evaluator must outlive it: when that ends,
 * a guard kills the program and its descendants (guard.h), so that a killed worker leaves nothing
 * behind. The process becomes a subreaper and is to have no children of its own.
 */
#ifndef HOST_EVALUATOR_H
#define HOST_EVALUATOR_H

#include "base/cleanup.h"
#include "base/dtype.h"
#include "sewa/error.h"
#include "sewa/protocol.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVALUATOR_RANK_MAX = 16 };

/* One tensor of the model, as it stands in every bank. */
struct evaluator_tensor {
    const char *name;        /* UTF-8, as in the checkpoints */
    enum dtype dtype;        /* F32, F64, or an integer type: what lies in the bank */
    uint8_t rank;            /* at most EVALUATOR_RANK_MAX */
    const int64_t *shape;    /* rank numbers */
    int64_t offset;          /* bytes from the start of a bank, a multiple of the alignment */
    int64_t gradient_offset; /* the same in a gradient bank, F32; unused for integers */
};

/* Where the program's output goes: embed it and use container_of(). */
struct evaluator_listener {
    /* n bytes of stdout, stderr or of a log message, as they come; may end within a line. Called
     * from within the calls below, on their thread; limiting the amount is its owner's business. */
    void (*output)(struct evaluator_listener *listener, const char *bytes, size_t n);
};

/* Everything is borrowed until evaluator_stop(). */
struct evaluator_options {
    const char *name;               /* for messages: "digits" */
    const char *const *argv;        /* NULL-terminated; argv[0] without a slash is found by PATH */
    const char *directory;          /* where it runs; NULL: here */
    const char *const *environment; /* NULL-terminated "NAME=value", or NULL */
    const char *options;            /* a JSON object as text; NULL: {} */
    int64_t start_timeout_ms;       /* until it is ready */
    int64_t timeout_ms;             /* for one evaluation */
    int64_t stop_timeout_ms;        /* from the stop message to the kill; 0: ten seconds */
    int64_t memory_mib;             /* private memory beside the banks (RLIMIT_DATA); 0: no limit */
    unsigned threads;               /* how many it should use */
    unsigned banks;
    int64_t bank_bytes, gradient_bank_bytes; /* multiples of the alignment */
    const struct evaluator_tensor *tensors;
    size_t tensor_count;
    struct evaluator_listener *listener; /* NULL: output is dropped */
    const atomic_bool *cancel;           /* NULL: cannot be cancelled */
};

struct evaluator_split {
    const char *name;
    int64_t examples; /* how many per-example losses it has; 0: none */
};

struct evaluator_metric {
    const char *name;
    bool bigger_is_better;
};

/* What the program said of itself. Belongs to the evaluator and never changes. */
struct evaluator_traits {
    bool gradient;
    bool recalibrates;
    const bool *is_parameter; /* one per tensor: differentiated; all false without gradient */
    size_t split_count;
    const struct evaluator_split *splits; /* "selection" is one of them */
    size_t metric_count;
    const struct evaluator_metric *metrics;
};

struct evaluator_request {
    unsigned bank;
    const char *split; /* one of the traits' */
    bool gradient;     /* only when the traits have it */
    int64_t batch;     /* number of a minibatch; -1: the whole split */
};

struct evaluator_result {
    double loss;           /* may be NaN or infinite: "infinitely bad" */
    const double *metrics; /* one per metric of the traits, NaN when it was not given; until the
                              next request */
    int64_t examples;      /* how many the loss is a mean of; 0: not said */
    double seconds;        /* what the evaluator measured, or else what the host did */
    const float *example_losses; /* `examples` numbers, until the next request; NULL: none */
};

struct evaluator;

/*
 * Start it and wait until it is ready. Fails with
 *   SEWA_E_EVALUATOR_START     cannot be run, ended or gave up before it was ready, said something
 *                              wrong, or took too long: starting it again will not help
 *   SEWA_E_EVALUATOR_MISMATCH  its model and the tensors do not fit together
 *   SEWA_E_CANCELLED, SEWA_E_INVALID (options), SEWA_E_NO_MEMORY, SEWA_E_IO (of this machine)
 * The text ends with the last lines that the program printed.
 */
int evaluator_start(const struct evaluator_options *options, struct evaluator **ret,
                    struct sewa_error *err);

/* Ask it to finish, wait for that (not at all when it is cancelled), kill what descends
 * from it, free all. NULL is fine. */
void evaluator_stop(struct evaluator *e);
AUTOPTR_DEFINE(evaluator_stop, struct evaluator);

const struct evaluator_traits *evaluator_traits(const struct evaluator *e);

/* False once it has to be replaced. Does not look at the program. */
bool evaluator_is_usable(const struct evaluator *e);

/* The host writes weights here before it asks. bank_bytes long, aligned to a page when bank_bytes
 * is a multiple of one. */
void *evaluator_bank(struct evaluator *e, unsigned bank);

/* Gradients, and the values of recalibrated buffers. */
const void *evaluator_gradient(const struct evaluator *e, unsigned bank);

/*
 * The loss of the weights in one bank. SEWA_E_EVALUATOR_ERROR: the program reported an error, its
 * words are the text. SEWA_E_INVALID: the request asks for what the traits do not have.
 */
int evaluator_evaluate(struct evaluator *e, const struct evaluator_request *request,
                       struct evaluator_result *ret, struct sewa_error *err);

/*
 * Recompute data-dependent buffers for the weights in a bank. ret_changed has one bool per tensor;
 * where true, its new values stand as F32 at its gradient_offset in that gradient bank.
 * Fails like evaluator_evaluate(), with SEWA_E_EVALUATOR_MISMATCH for a name that is no float
 * tensor, and with SEWA_E_EVALUATOR_PROTOCOL for one whose values were not written.
 */
int evaluator_recalibrate(struct evaluator *e, unsigned bank, bool *ret_changed,
                          struct sewa_error *err);

#endif
