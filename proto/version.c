/*
 * version - what the headers of this build said.
 */
#include "sewa/version.h"

const char *sewa_version(void)
{
    return SEWA_VERSION;
}
