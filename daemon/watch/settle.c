/*
 * settle - decide when a file has stopped changing.
 */
#include "watch/settle.h"

int64_t look_time_ns(int64_t seconds, uint32_t nanoseconds)
{
    int64_t ns;

    if (__builtin_mul_overflow(seconds, (int64_t)1000000000, &ns) ||
        __builtin_add_overflow(ns, (int64_t)nanoseconds, &ns))
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

enum settle_answer settle_look(struct settle *s, const struct look *look, int64_t before_ms,
                               int64_t after_ms, int64_t settle_ms)
{
    if (!s->has_look || !look_is_same(&s->look, look)) {
        s->look = *look;
        s->first_ms = after_ms;
        s->has_look = true;
        return SETTLE_BEGAN;
    }
    s->look.inode = look->inode;
    return before_ms - s->first_ms >= settle_ms ? SETTLE_DONE : SETTLE_WAITS;
}

int64_t settle_due_ms(const struct settle *s, int64_t settle_ms)
{
    return s->has_look ? s->first_ms + settle_ms : INT64_MIN;
}
