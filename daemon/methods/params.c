/*
 * params - one row, one member.
 */
#include "methods/params.h"

#include <string.h>

int64_t param_int(struct json_reader *r, const struct method_param *p)
{
    return json_get_int(r, p->name, (int64_t)p->least, (int64_t)p->most, (int64_t)p->fallback);
}

double param_number(struct json_reader *r, const struct method_param *p)
{
    return json_get_number(r, p->name, p->least, p->most, p->fallback);
}

int param_word(struct json_reader *r, const struct method_param *p)
{
    int fallback = -1;

    for (int i = 0; p->word && p->words[i]; i++)
        if (strcmp(p->words[i], p->word) == 0)
            fallback = i;
    return json_get_word(r, p->name, p->words, fallback);
}

const char *param_text(struct json_reader *r, const struct method_param *p)
{
    return json_get_string(r, p->name, p->word);
}
