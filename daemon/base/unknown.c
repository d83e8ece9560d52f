/*
 * unknown - what there is, in words.
 */
#include "base/unknown.h"

#include <string.h>

enum { LIST_BYTES_MAX = 320 };

void unknown_begin(struct unknown *u, const char *word)
{
    memset(u, 0, sizeof *u);
    nearest_begin(&u->nearest, word, strlen(word));
}

void unknown_known(struct unknown *u, const char *name)
{
    nearest_consider(&u->nearest, name);
    if (u->list.len + strlen(name) > LIST_BYTES_MAX) {
        u->left_out++;
        return;
    }
    buf_printf(&u->list, "%s%s", u->count ? ", " : "", name);
    u->count++;
}

const char *unknown_words(struct unknown *u)
{
    const char *near = u->nearest.name;

    buf_reset(&u->words);
    if (u->count == 0)
        return "; there are none";
    if (near)
        buf_printf(&u->words, "; is it '%s'? There %s", near, u->count > 1 ? "are " : "is only ");
    else
        buf_printf(&u->words, "; there %s", u->count > 1 ? "are " : "is only ");
    buf_text(&u->words, buf_cstr(&u->list));
    if (u->left_out > 0)
        buf_printf(&u->words, " and %zu more", u->left_out);
    return buf_failed(&u->words) || buf_failed(&u->list) ? "" : buf_cstr(&u->words);
}

void unknown_clear(struct unknown *u)
{
    buf_clear(&u->list);
    buf_clear(&u->words);
}
