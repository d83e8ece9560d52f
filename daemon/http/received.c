/*
 * received - ask the kernel. In a file of its own because <linux/tcp.h>, which has this field, and
 * <netinet/tcp.h>, which libuv needs, exclude each other.
 */
#include "http/received.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

int64_t received_bytes(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 ||
        n < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return -1;
    return (int64_t)info.tcpi_bytes_received;
}
