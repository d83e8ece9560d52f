/*
 * fuzz_evaluator - bytes that an evaluator might send: lines become messages, messages are taken or
 * refused with a text that can stand in JSON, and nothing is taken that was not promised.
 */
#include "fuzz.h"

#include <string.h>

#include "base/path.h"
#include "host/answer.h"
#include "host/channel.h"
#include "host/messages.h"

static const int64_t shape[] = { 2 };
static const struct evaluator_tensor tensors[] = {
    { "w", DTYPE_F32, 1, shape, 0, 0 },
    { "b", DTYPE_F64, 1, shape, 64, 64 },
    { "steps", DTYPE_I64, 0, NULL, 128, 0 },
};

static void check(int rc, const struct sewa_error *err)
{
    MUST(rc == err->code && (rc == 0) == (err->text[0] == '\0'));
    MUST(utf8_is_valid(err->text, strlen(err->text)));
}

static void check_traits(const struct ready *r)
{
    const struct evaluator_traits *t = &r->traits;
    bool has_selection = false, any = false;

    for (size_t i = 0; i < t->split_count; i++) {
        has_selection |= strcmp(t->splits[i].name, "selection") == 0;
        MUST(t->splits[i].examples >= 0 && t->splits[i].examples <= r->examples_max);
    }
    for (size_t i = 0; i < t->metric_count; i++)
        MUST(t->metrics[i].name[0]);
    for (size_t i = 0; i < COUNT_OF(tensors); i++)
        any |= t->is_parameter[i];
    MUST(has_selection && any == t->gradient && !t->is_parameter[2]);
}

static void take_ready(json_t *message)
{
    AUTO(ready_clear) struct ready r = { 0 };
    struct sewa_error err = { 0 };
    int rc = ready_parse(message, tensors, COUNT_OF(tensors), &r, &err);

    check(rc, &err);
    if (rc == 0)
        check_traits(&r);
}

static void take_result(json_t *message)
{
    static struct evaluator_metric metrics[] = { { "accuracy", true } };
    static const struct ready ready = { .traits = { .metric_count = 1, .metrics = metrics },
                                        .examples_max = 100 };
    struct evaluator_result r;
    double values[1];
    bool has_losses;
    struct sewa_error err = { 0 };
    int rc = result_parse(message, &ready, &r, values, &has_losses, &err);

    check(rc, &err);
    if (rc == 0)
        MUST(r.examples >= 0 && (!has_losses || (r.examples > 0 && r.examples <= 100)));
}

static void take_recalibrated(json_t *message)
{
    bool changed[COUNT_OF(tensors)];
    struct sewa_error err = { 0 };
    int rc = recalibrated_parse(message, tensors, COUNT_OF(tensors), changed, &err);

    check(rc, &err);
    MUST(rc < 0 || !changed[2]);
}

static void take_error(json_t *message)
{
    char text[ANSWER_ERROR_SIZE], type[64];
    const char *traceback;

    error_text(message, text, &traceback);
    message_type_text(message, type);
    MUST(text[0] && utf8_is_valid(text, strlen(text)) && utf8_is_valid(type, strlen(type)));
    MUST(!strpbrk(text, "\n\r\t\x1b") && !strpbrk(type, "\n\r\t\x1b"));
}

/* Each message is read as every kind: what its type says only chooses among readers. */
static void take(json_t *message)
{
    take_ready(message);
    take_result(message);
    take_recalibrated(message);
    take_error(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(channel_close) struct channel c;

    channel_init(&c, -1);
    buf_append(&c.in, data, size);
    for (;;) {
        AUTOJSON json_t *message = NULL;
        struct sewa_error err = { 0 };
        int rc = channel_next(&c, &message, &err);
        if (rc < 0) {
            check(rc, &err);
            MUST(rc == SEWA_E_EVALUATOR_PROTOCOL && !message);
            return 0;
        }
        MUST((rc > 0) == json_is_object(message));
        if (rc == 0)
            return 0;
        take(message);
    }
}
