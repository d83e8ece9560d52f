/*
 * report - what watching tells the room above.
 */
#include "watch/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

void report_clear(struct report *r)
{
    free(r->name);
    free(r->text);
    free(r->path);
    if (r->inspection)
        r->inspection->free(r->inspection);
    memset(r, 0, sizeof *r);
}

const char *report_kind_name(enum report_kind kind)
{
    static const char *const names[] = {
        [REPORT_FOUND] = "found",
        [REPORT_PROVEN] = "proven",
        [REPORT_NOT_PROVEN] = "not proven",
        [REPORT_CHANGED] = "changed",
        [REPORT_GONE] = "gone",
        [REPORT_BACK] = "back",
        [REPORT_BESIDE] = "beside",
        [REPORT_DIRECTORY] = "directory",
        [REPORT_DIRECTORY_GONE] = "directory gone",
        [REPORT_TARGET_OK] = "target ok",
        [REPORT_TARGET_ERROR] = "target error",
        [REPORT_SCAN_DONE] = "scan done",
    };

    return kind < COUNT_OF(names) ? names[kind] : "unknown";
}

void proof_text(const struct proof *p, struct buf *ret)
{
    static const char *const rules[] = {
        [PROOF_SETTLED] = "settled", [PROOF_MARKER] = "marker", [PROOF_LAST] = "last_file"
    };
    char first[CLOCK_TEXT_SIZE], second[CLOCK_TEXT_SIZE];

    buf_printf(ret, "{\"rule\":\"%s\",\"first_look\":\"%s\",\"second_look\":\"%s\"", rules[p->rule],
               clock_format(p->first_look_ms, first), clock_format(p->second_look_ms, second));
    if (p->rule == PROOF_SETTLED)
        buf_printf(ret, ",\"settle_seconds\":%g", (double)p->settle_ms / 1000);
    if (p->rule == PROOF_LAST) /* a name of our own table: nothing in it to escape */
        buf_printf(ret, ",\"file\":\"%s\"", p->last_file);
    buf_char(ret, '}');
}
