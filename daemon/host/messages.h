/*
 * messages - what the host says, as JSON, and which kind of message came back. Pure: no socket, no
 * process, no clock. What comes back is checked in ready.c and answer.c.
 */
#ifndef HOST_MESSAGES_H
#define HOST_MESSAGES_H

#include "base/json.h"
#include "host/evaluator.h"

enum message_type {
    MESSAGE_READY,
    MESSAGE_RESULT,
    MESSAGE_RECALIBRATED,
    MESSAGE_LOG,
    MESSAGE_ERROR,
    MESSAGE_UNKNOWN
};

enum message_type message_type(const json_t *message);

/* Its "type" for a text, cut short and printable: "" when it has none. */
const char *message_type_text(const json_t *message, char ret[64]);

/* Whether "id" is this number. */
bool message_has_id(const json_t *message, int64_t id);
bool message_is_without_id(const json_t *message);

/* Foreign text as it may stand inside a message of ours: one line of clean UTF-8, cut to size - 1
 * bytes. Returns ret. */
const char *text_clean(const char *text, char *ret, size_t size);

/* What the host says; NULL when out of memory. The table of tensors is text. */
char *message_table(const struct evaluator_tensor *tensors, size_t count);
/* options is stolen */
json_t *message_init(const struct evaluator_options *o, size_t table_bytes, json_t *options);
json_t *message_examples(int64_t bytes);
json_t *message_evaluate(int64_t id, const struct evaluator_request *request);
json_t *message_recalibrate(int64_t id, unsigned bank);
json_t *message_stop(void);

#endif
