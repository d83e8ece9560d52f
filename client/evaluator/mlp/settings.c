/*
 * settings - the words, and the options of the protocol.
 */
#include "settings.h"

const char *const activation_words[] = { "relu", "tanh", "gelu", NULL };
const char *const loss_words[] = { "auto", "cross_entropy", "mse", NULL };
const char *const output_words[] = { "none", "tanh", NULL };

int settings_parse(const json_t *options, struct settings *ret, struct sewa_error *err)
{
    struct settings s = SETTINGS_DEFAULT;
    struct json_reader r;

    json_reader_init(&r, options, "", err);
    s.data = json_need_string(&r, "data");
    s.activation = json_get_word(&r, "activation", activation_words, s.activation);
    s.loss = json_get_word(&r, "loss", loss_words, s.loss);
    s.output_activation = json_get_word(&r, "output_activation", output_words, s.output_activation);
    s.output_scale = json_get_number(&r, "output_scale", -1e30, 1e30, s.output_scale);
    s.batch_size = json_get_int(&r, "batch_size", 1, 1000000000, s.batch_size);
    int rc = json_reader_end(&r);
    if (rc == 0)
        *ret = s;
    return rc;
}
