/*
 * crc32 - the checksum of zip (ISO 3309, the polynomial of Ethernet). Pure. Thread: any.
 */
#ifndef FORMATS_CRC32_H
#define FORMATS_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Go on with n more bytes; 0 to begin with. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t n);

#endif
