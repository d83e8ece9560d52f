/*
 * footprint - sums of what the other files of this room allocate.
 */
#include "engine/footprint.h"

#include "engine/materialize.h"
#include "engine/model.h"
#include "engine/pages.h"
#include "engine/stream.h"

enum {
    STAGGER = 4096 + 2 * MODEL_ALIGNMENT, /* what model_stagger() adds, at most */
    TENSOR_TABLE = 256,                   /* a name of usual length, a shape, offsets */
    PLACEMENT = 20,                       /* of a tensor, where files list them differently */
    CANDIDATE_TABLE = 4096,
};

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t multiply(int64_t a, int64_t b)
{
    int64_t product;

    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static int64_t tables(const struct footprint *f)
{
    int64_t each = add(TENSOR_TABLE, multiply(PLACEMENT, f->candidates));

    return add(multiply(f->tensors, each), multiply(f->candidates, CANDIDATE_TABLE));
}

/* What resident_open() holds against its budget. */
static int64_t rows(const struct footprint *f)
{
    int64_t padding = add(multiply(f->tensors, MODEL_ALIGNMENT), STAGGER);

    return pages_bytes(multiply(f->candidates, add(f->data_bytes, padding)));
}

int64_t footprint_resident(const struct footprint *f)
{
    return add(rows(f), tables(f));
}

bool footprint_fits_resident(const struct footprint *f, int64_t budget_bytes)
{
    return budget_bytes == 0 || rows(f) <= budget_bytes;
}

size_t footprint_piece_bytes(int64_t candidates)
{
    size_t each = STREAM_SCRATCH / (size_t)(candidates > 0 ? candidates : 1);

    return each > DOTS_CHUNK ? each : DOTS_CHUNK;
}

int64_t footprint_stream(const struct footprint *f)
{
    int64_t widest = DOTS_CHUNK * (int64_t)sizeof(double);
    int64_t piece = (int64_t)footprint_piece_bytes(f->candidates);
    int64_t row = (piece > widest ? piece : widest) + STAGGER;
    int64_t bits = multiply(f->candidates, f->data_bytes / (8 * (int64_t)DOTS_CHUNK) + f->tensors);

    int64_t views = add(f->view_bytes, multiply(f->candidates, multiply(f->tensors, 64)));
    int64_t scratch = multiply(f->threads, multiply(f->candidates, row));
    scratch = pages_bytes(add(scratch, f->view_bytes > 0 ? views : 0));
    return add(add(scratch, bits), tables(f));
}

int64_t footprint_materialize(void)
{
    return MATERIALIZE_BYTES;
}
