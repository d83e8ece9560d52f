/*
 * bare - the HTTP library under the libuv loop and nothing else: what GET /api/v1/jobs/{id} is
 * measured against. Answers every request with the same bytes, which it reads from a file, so that
 * both sides send as much.
 *
 *     bare FILE        prints the port that it listens on, runs until it is killed
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

struct bare {
    struct MHD_Daemon *mhd;
    struct MHD_Response *response;
    uv_poll_t poll;
    uv_timer_t timer;
};

static void pump(struct bare *b);

static void on_timer(uv_timer_t *t)
{
    pump(t->data);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    pump(p->data);
}

static void pump(struct bare *b)
{
    MHD_UNSIGNED_LONG_LONG ms;

    MHD_run(b->mhd);
    if (MHD_get_timeout(b->mhd, &ms) == MHD_YES)
        uv_timer_start(&b->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&b->timer);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *con, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **state)
{
    struct bare *b = cls;
    static int first;

    (void)url;
    (void)method;
    (void)version;
    (void)data;
    (void)n;
    if (!*state) {
        *state = &first;
        return MHD_YES;
    }
    return MHD_queue_response(con, 200, b->response);
}

static char *read_file(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "r");
    char *data = malloc(1 << 20);

    if (!f || !data)
        exit(1);
    *ret_n = fread(data, 1, 1 << 20, f);
    fclose(f);
    return data;
}

static int listen_anywhere(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) < 0)
        exit(1);
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    static struct bare b;
    uv_loop_t *loop = uv_default_loop();
    size_t n;

    if (argc != 2)
        return 2;
    char *body = read_file(argv[1], &n);
    b.response = MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(b.response, "Content-Type", "application/json");
    b.mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
                             &b, MHD_OPTION_LISTEN_SOCKET, listen_anywhere(),
                             MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_END);
    if (!b.mhd)
        return 1;
    uv_timer_init(loop, &b.timer);
    b.timer.data = &b;
    uv_poll_init(loop, &b.poll, MHD_get_daemon_info(b.mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    b.poll.data = &b;
    uv_poll_start(&b.poll, UV_READABLE, on_poll);
    pump(&b);
    return uv_run(loop, UV_RUN_DEFAULT);
}
