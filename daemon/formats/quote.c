/*
 * quote - plain runs are copied, what JSON forbids in a string is escaped.
 */
#include "formats/quote.h"

void quote(struct buf *b, const char *text)
{
    buf_char(b, '"');
    while (*text) {
        size_t plain = 0;
        while ((unsigned char)text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        buf_append(b, text, plain);
        text += plain;
        if (*text == '"' || *text == '\\')
            buf_printf(b, "\\%c", *text++);
        else if (*text)
            buf_printf(b, "\\u%04x", (unsigned)*text++);
    }
    buf_char(b, '"');
}
