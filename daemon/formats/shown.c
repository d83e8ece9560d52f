/*
 * shown - names and shapes for messages.
 */
#include "formats/shown.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { HEAD = 20, TAIL = SHOWN_NAME_SIZE - 1 - HEAD - 3 };

static bool is_inside_sequence(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* C0, DEL and C1 (U+0080 to U+009F): a terminal might act on them. */
static void hide_control_characters(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
}

const char *shown_name(const char *name, char text[SHOWN_NAME_SIZE])
{
    size_t n = strlen(name);

    if (n < SHOWN_NAME_SIZE) {
        memcpy(text, name, n + 1);
    } else {
        size_t head = HEAD, tail = n - TAIL; /* cut between characters only */
        while (head > 0 && is_inside_sequence(name[head]))
            head--;
        while (tail < n && is_inside_sequence(name[tail]))
            tail++;
        snprintf(text, SHOWN_NAME_SIZE, "%.*s...%s", (int)head, name, name + tail);
    }
    hide_control_characters(text);
    return text;
}

const char *shown_shape(const int64_t *shape, unsigned rank, char text[SHOWN_SHAPE_SIZE])
{
    enum { LONGEST = 21 + 7 }; /* ", 9223372036854775807" and ", ...]" with its NUL */
    size_t n = 0;

    text[n++] = '[';
    for (unsigned i = 0; i < rank; i++) {
        if (SHOWN_SHAPE_SIZE - n < LONGEST) {
            n += (size_t)snprintf(text + n, SHOWN_SHAPE_SIZE - n, ", ...");
            break;
        }
        n +=
            (size_t)snprintf(text + n, SHOWN_SHAPE_SIZE - n, "%s%" PRId64, i ? ", " : "", shape[i]);
    }
    text[n++] = ']';
    text[n] = '\0';
    return text;
}
