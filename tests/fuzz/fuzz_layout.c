/*
 * fuzz_layout - bytes that the index might hold: layout_decode() takes them or refuses them, and
 * what it takes is a layout like any other.
 */
#include "check_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int rc = layout_decode(data, size, &l, &err);

    MUST((rc == 0) == (l != NULL) && rc == err.code);
    if (rc < 0)
        MUST((rc == SEWA_E_CORRUPT || rc == SEWA_E_UNSUPPORTED) && err.text[0]);
    else
        check_layout(l);
    return 0;
}
