/*
 * output - the reading end of the pipe that is an evaluator's stdout and stderr.
 */
#include "host/output.h"

#include <string.h>
#include <unistd.h>

#include "base/path.h"

enum { READ_BYTES = 64 * 1024, DRAIN_BYTES = 1024 * 1024, WORDS_LINES = 3, WORDS_BYTES = 256 };

void output_init(struct output *o, int fd, struct evaluator_listener *listener)
{
    o->fd = fd;
    o->listener = listener;
    o->tail_length = 0;
}

void output_close(struct output *o)
{
    if (o->fd >= 0)
        close(o->fd);
    o->fd = -1;
}

static void remember(struct output *o, const char *bytes, size_t n)
{
    if (n >= sizeof o->tail) {
        memcpy(o->tail, bytes + n - sizeof o->tail, sizeof o->tail);
        o->tail_length = sizeof o->tail;
        return;
    }
    size_t keep = sizeof o->tail - n;
    if (o->tail_length > keep) {
        memmove(o->tail, o->tail + o->tail_length - keep, keep);
        o->tail_length = keep;
    }
    memcpy(o->tail + o->tail_length, bytes, n);
    o->tail_length += n;
}

void output_text(struct output *o, const char *text, size_t n)
{
    remember(o, text, n);
    if (o->listener && n > 0)
        o->listener->output(o->listener, text, n);
}

size_t output_read(struct output *o)
{
    char data[READ_BYTES];

    if (o->fd < 0)
        return 0;
    ssize_t n = read(o->fd, data, sizeof data);
    if (n > 0)
        output_text(o, data, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        output_close(o);
    return n > 0 ? (size_t)n : 0;
}

void output_drain(struct output *o)
{
    for (size_t total = 0, n; total < DRAIN_BYTES && (n = output_read(o)) > 0;)
        total += n;
}

/* Start of the last WORDS_LINES lines, at most `room` bytes before end. */
static size_t words_start(const char *text, size_t end, size_t room)
{
    size_t at = end;
    int lines = 0;

    while (at > 0 && end - at < room) {
        if (text[at - 1] == '\n' && at < end && ++lines == WORDS_LINES)
            break;
        at--;
    }
    return at;
}

/* One character of the source as it may stand in an error's text. Adds to both lengths. */
static void put_clean(const char *text, size_t n, size_t *at, char *to, size_t *to_length)
{
    size_t length = utf8_sequence(text, n);
    unsigned char c = (unsigned char)*text;
    const char *shown = text;
    size_t shown_length = length;

    if (c == '\n') {
        shown = " / ";
        shown_length = 3;
    } else if (length == 0) {
        shown = "?";
        shown_length = 1;
    } else if (c < ' ' || c == 0x7f) {
        shown = " ";
    }
    memcpy(to, shown, shown_length);
    *to_length += shown_length;
    *at += length ? length : 1;
}

const char *output_last_words(const struct output *o, char ret[OUTPUT_WORDS_SIZE])
{
    size_t end = o->tail_length, length = 0;

    while (end > 0 && (unsigned char)o->tail[end - 1] <= ' ')
        end--;
    size_t at = words_start(o->tail, end, WORDS_BYTES);
    while (at < end && length + 8 < OUTPUT_WORDS_SIZE)
        put_clean(o->tail + at, end - at, &at, ret + length, &length);
    ret[length] = '\0';
    return ret;
}
