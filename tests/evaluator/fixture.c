/*
 * fixture - the small model.
 */
#include "fixture.h"

#include <string.h>

static const int64_t shape_w[] = { 3 }, shape_d[] = { 2, 1 }, shape_buffer[] = { 2 };

const struct evaluator_tensor fixture_tensors[FIXTURE_TENSORS] = {
    { "w", DTYPE_F32, 1, shape_w, 0, 0 },
    { "d", DTYPE_F64, 2, shape_d, 64, 64 },
    { "buffer.mean", DTYPE_F32, 1, shape_buffer, 128, 128 },
    { "steps", DTYPE_I64, 0, NULL, 192, 0 },
};

static void keep_output(struct evaluator_listener *listener, const char *bytes, size_t n)
{
    struct fixture *f = container_of(listener, struct fixture, listener);

    f->output_bytes += n;
    if (f->output.len + n < 1 << 20)
        buf_append(&f->output, bytes, n);
}

void fixture_init(struct fixture *f, const char *program, const char *mode)
{
    memset(f, 0, sizeof *f);
    f->listener.output = keep_output;
    f->argv[0] = program;
    f->argv[1] = mode;
    f->options = (struct evaluator_options){ .name = "tested",
                                             .argv = f->argv,
                                             .start_timeout_ms = 60000,
                                             .timeout_ms = 60000,
                                             .threads = 1,
                                             .banks = FIXTURE_BANKS,
                                             .bank_bytes = FIXTURE_BANK_BYTES,
                                             .gradient_bank_bytes = FIXTURE_BANK_BYTES,
                                             .tensors = fixture_tensors,
                                             .tensor_count = FIXTURE_TENSORS,
                                             .listener = &f->listener,
                                             .cancel = &f->cancel };
}

void fixture_clear(struct fixture *f)
{
    buf_clear(&f->output);
}

struct evaluator *fixture_start(struct fixture *f)
{
    struct evaluator *e = NULL;
    struct sewa_error err = { 0 };

    assert_ok(evaluator_start(&f->options, &e, &err), err);
    return e;
}

void fixture_fill(struct evaluator *e, unsigned bank, float w, double d, float buffer)
{
    char *data = evaluator_bank(e, bank);

    for (int i = 0; i < 3; i++)
        ((float *)(void *)data)[i] = w;
    for (int i = 0; i < 2; i++)
        ((double *)(void *)(data + 64))[i] = d;
    for (int i = 0; i < 2; i++)
        ((float *)(void *)(data + 128))[i] = buffer;
}
