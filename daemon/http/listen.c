/*
 * listen - the two sockets of a server: TCP for clients, a unix socket for workers.
 */
#include "http/server_body.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/parse.h"

static int split_address(const char *listen_text, char *host, size_t size, int64_t *ret_port)
{
    const char *colon = strrchr(listen_text, ':');

    if (!colon || parse_i64(colon + 1, 0, 65535, ret_port) < 0)
        return -1;
    size_t n = (size_t)(colon - listen_text);
    if (n >= 2 && listen_text[0] == '[' && listen_text[n - 1] == ']') {
        listen_text++;
        n -= 2;
    }
    if (n == 0 || n >= size)
        return -1;
    memcpy(host, listen_text, n);
    host[n] = '\0';
    return 0;
}

static bool is_loopback(const struct addrinfo *found)
{
    struct sockaddr_storage address = { 0 };
    struct client c;

    memcpy(&address, found->ai_addr, found->ai_addrlen);
    client_of(&address, &c);
    return c.kind == CLIENT_LOOPBACK;
}

static int find_address(const struct server *s, struct addrinfo **ret, struct sewa_error *err)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                              .ai_socktype = SOCK_STREAM };
    char host[64], port[8];
    int64_t number;

    if (split_address(s->o.listen, host, sizeof host, &number) < 0)
        return sewa_fail(err, SEWA_E_CONFIG, "listen = '%s' is not ADDRESS:PORT", s->o.listen);
    snprintf(port, sizeof port, "%d", (int)number);
    if (getaddrinfo(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, port, &hints, ret) != 0)
        return sewa_fail(err, SEWA_E_CONFIG, "listen = '%s': '%s' is not a numeric address",
                         s->o.listen, host);
    if (!s->o.loopback_only || is_loopback(*ret))
        return 0;
    freeaddrinfo(*ret);
    return sewa_fail(err, SEWA_E_CONFIG,
                     "listen = '%s' is not a loopback address, and without authentication only "
                     "those are allowed",
                     s->o.listen);
}

static void remember_address(struct server *s, int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";

    if (getsockname(fd, (struct sockaddr *)&a, &n) == 0)
        getnameinfo((struct sockaddr *)&a, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(s->address, sizeof s->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

int listen_tcp(struct server *s, int *ret_fd, struct sewa_error *err)
{
    struct addrinfo *found;
    int one = 1, rc = find_address(s, &found, err);

    if (rc < 0)
        return rc;
    AUTOCLOSE int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        rc = bind(fd, found->ai_addr, found->ai_addrlen);
    }
    freeaddrinfo(found);
    if (fd < 0 || rc < 0 || listen(fd, 1024) < 0)
        return sewa_fail_errno(err, errno == EADDRINUSE ? SEWA_E_LOCKED : SEWA_E_IO,
                               "cannot listen on '%s'", s->o.listen);
    remember_address(s, fd);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int unix_address(const char *path, struct sockaddr_un *ret, struct sewa_error *err)
{
    size_t n = strlen(path);

    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (n >= sizeof ret->sun_path)
        return sewa_fail(err, SEWA_E_CONFIG,
                         "the socket path '%s' has %zu bytes, at most %zu are possible: choose a "
                         "shorter directory",
                         path, n, sizeof ret->sun_path - 1);
    memcpy(ret->sun_path, path, n + 1);
    return 0;
}

int listen_unix(const char *path, mode_t mode, int *ret_fd, struct sewa_error *err)
{
    struct sockaddr_un a;
    int rc = unix_address(path, &a, err);

    if (rc < 0)
        return rc;
    AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path);
    /* the mode of the file is that of the socket when it is bound, less the umask, which all
     * threads share and which is therefore left alone: never open to others, and then to the group
     */
    if (fd < 0 || fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        chmod(path, mode) < 0 || listen(fd, 128) < 0)
        return sewa_fail_errno(err, SEWA_E_IO, "cannot listen on '%s'", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

int listen_unix_if_free(const char *path, mode_t mode, int *ret_fd, struct sewa_error *err)
{
    struct sockaddr_un a;
    int rc = unix_address(path, &a, err);
    AUTOCLOSE int fd = rc < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (rc < 0)
        return rc;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return sewa_fail(err, SEWA_E_LOCKED, "another process listens on '%s'", path);
    return listen_unix(path, mode, ret_fd, err);
}
