/*
 * fuzz_zip - the input is an archive. What is accepted lies inside the file, in order, without
 * overlap, and is found by its name.
 */
#include "fuzz.h"

#include <string.h>

#include "formats/zip.h"

static void check(const struct zip *z, int64_t bytes)
{
    int64_t end = 0;

    for (size_t i = 0; i < z->count; i++) {
        const struct zip_member *m = &z->members[i];
        MUST(m->header >= end && m->offset >= m->header + 30 && m->bytes >= 0);
        MUST(m->bytes <= bytes - m->offset);
        end = m->offset + m->bytes;
        MUST(m->name[0] && strlen(m->name) <= ZIP_NAME_MAX && zip_find(z, m->name) == m);
        MUST(m->method != 0 || m->plain == m->bytes);
    }
    for (size_t i = 1; i < z->count; i++)
        MUST(strcmp(z->members[z->by_name[i - 1]].name, z->members[z->by_name[i]].name) < 0);
    MUST(!zip_find(z, "/no such/member"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct window_source source = { .name = "f", .fd = -1, .bytes = data, .n = size };
    AUTOPTR(zip_free) struct zip *z = NULL;
    struct sewa_error err = { 0 };
    int rc = zip_read(&source, 0, (int64_t)size, &z, &err);

    MUST((rc == 0) == (z != NULL) && rc == err.code);
    if (rc == 0)
        check(z, (int64_t)size);
    else
        MUST((rc == SEWA_E_CORRUPT || rc == SEWA_E_INCOMPLETE || rc == SEWA_E_UNSUPPORTED) &&
             err.text[0]);
    return 0;
}
