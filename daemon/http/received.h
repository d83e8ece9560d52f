/*
 * received - how much has come through a connection.
 */
#ifndef HTTP_RECEIVED_H
#define HTTP_RECEIVED_H

#include <stdint.h>

/* All bytes that ever came through a TCP connection, read or not; -1 where the kernel does not say.
 * Thread: any. */
int64_t received_bytes(int fd);

#endif
