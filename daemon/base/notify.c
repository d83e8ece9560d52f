/*
 * notify - one datagram to $NOTIFY_SOCKET.
 */
#include "base/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"

void notify_service(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    char text[256];
    struct timespec ts;

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof a.sun_path)
        return;
    memcpy(a.sun_path, path, strlen(path));
    if (path[0] == '@')
        a.sun_path[0] = '\0'; /* abstract */
    /* Type=notify-reload wants the time beside RELOADING=1 */
    clock_gettime(CLOCK_MONOTONIC, &ts);
    snprintf(text, sizeof text, "%s\nMONOTONIC_USEC=%lld", state,
             (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
    AUTOCLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
}
