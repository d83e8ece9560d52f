/*
 * patience - a number that does not move, and a clock that did not run.
 */
#include "jobs/patience.h"

#include <stdio.h>
#include <string.h>

void stride_heard(struct stride *s, const char *doing, int64_t progress, int64_t now_ms)
{
    if (!doing || progress < 0) {
        memset(s, 0, sizeof *s);
        return;
    }
    if (s->doing[0] && strcmp(s->doing, doing) == 0 && s->progress == progress)
        return;
    snprintf(s->doing, sizeof s->doing, "%s", doing);
    s->progress = progress;
    s->moved_ms = now_ms;
}

/* 0: as long as it likes. A word that is not known is no work of ours to judge. */
static int64_t limit_of(const char *doing, const struct patience_limits *l)
{
    static const char *const work[] = { "read", "mix", "multiply", "publish" };

    for (size_t i = 0; i < sizeof work / sizeof work[0]; i++)
        if (strcmp(doing, work[i]) == 0)
            return l->work_ms;
    if (strcmp(doing, "start") == 0)
        return l->start_ms;
    if (strcmp(doing, "evaluate") == 0 || strcmp(doing, "recalibrate") == 0)
        return l->evaluator_ms;
    return 0;
}

int64_t stride_stands(const struct stride *s, const struct patience_limits *l, int64_t now_ms)
{
    int64_t limit = limit_of(s->doing, l);

    return limit > 0 && now_ms - s->moved_ms > limit ? now_ms - s->moved_ms : 0;
}

int64_t patience_gap(int64_t last_ms, int64_t now_ms, int64_t period_ms)
{
    int64_t late_ms = now_ms - last_ms - period_ms;

    return late_ms > period_ms ? late_ms : 0;
}
