/*
 * sewad - one connection at a time is served by one thread each; HTTP as far as libcurl speaks it.
 */
#include "sewad.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CALLS_MAX = 4096, CONNECTIONS_MAX = 16, REQUEST_MAX = 8 << 20, WAIT_MS = 60000 };

struct call {
    char name[32];
    char *body;
    size_t length;
};

struct sewad {
    char *directory;
    char path[108];
    int fd;
    sewad_handler *handler;
    void *arg;
    pthread_t acceptor;
    pthread_mutex_t lock;
    struct call calls[CALLS_MAX]; /* under lock, as all below */
    size_t count;
    pthread_t threads[CONNECTIONS_MAX];
    int connections[CONNECTIONS_MAX];
    size_t connection_count;
};

struct connection {
    struct sewad *sewad;
    int fd;
};

static size_t number_of(const struct sewad *s, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++)
        n += strcmp(s->calls[i].name, name) == 0;
    return n;
}

static bool answer(struct sewad *s, int fd, const char *name, const char *body, size_t length)
{
    char head[256];

    pthread_mutex_lock(&s->lock);
    size_t number = number_of(s, name);
    struct call *c = &s->calls[s->count];
    snprintf(c->name, sizeof c->name, "%s", name);
    c->body = malloc(length + 1);
    memcpy(c->body, body, length);
    c->body[length] = '\0';
    c->length = length;
    s->count += s->count + 1 < CALLS_MAX;
    pthread_mutex_unlock(&s->lock);
    struct sewad_answer a = s->handler(name, number, s->arg);
    const char *text = a.body ? a.body : "{}";
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n\r\n",
                     a.status ? a.status : 200, strlen(text));
    return send(fd, head, (size_t)n, MSG_NOSIGNAL) == n &&
           send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Length of a whole request at the start of data, or 0. */
static size_t parse(const char *data, char name[32], size_t *ret_head, size_t *ret_body)
{
    const char *end = strstr(data, "\r\n\r\n");
    const char *length = strcasestr(data, "\r\ncontent-length:");

    if (!end || sscanf(data, "POST /api/v1/worker/%31[a-z]", name) != 1)
        return 0;
    *ret_head = (size_t)(end - data) + 4;
    *ret_body = length && length < end ? (size_t)strtoull(length + 17, NULL, 10) : 0;
    return *ret_head + *ret_body;
}

static void *serve(void *arg)
{
    struct connection c = *(struct connection *)arg;
    char *data = calloc(1, REQUEST_MAX + 1);
    size_t n = 0, head, body, whole;
    char name[32];
    ssize_t got;

    free(arg);
    while ((got = recv(c.fd, data + n, REQUEST_MAX - n, 0)) > 0) {
        n += (size_t)got;
        data[n] = '\0';
        whole = parse(data, name, &head, &body);
        if (whole == 0 || n < whole)
            continue;
        if (!answer(c.sewad, c.fd, name, data + head, body))
            break;
        n = 0;
    }
    free(data);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct sewad *s = arg;
    int fd;

    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct connection *c = malloc(sizeof *c);
        *c = (struct connection){ s, fd };
        pthread_mutex_lock(&s->lock);
        if (s->connection_count == CONNECTIONS_MAX ||
            pthread_create(&s->threads[s->connection_count], NULL, serve, c) != 0)
            abort();
        s->connections[s->connection_count++] = fd;
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

struct sewad *sewad_start(sewad_handler *handler, void *arg)
{
    struct sewad *s = calloc(1, sizeof *s);
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    s->directory = scratch_new();
    s->handler = handler;
    s->arg = arg;
    pthread_mutex_init(&s->lock, NULL);
    snprintf(s->path, sizeof s->path, "%s/w", s->directory);
    memcpy(address.sun_path, s->path, sizeof s->path);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(pthread_create(&s->acceptor, NULL, accept_all, s), 0);
    return s;
}

void sewad_stop(struct sewad *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    for (size_t i = 0; i < s->connection_count; i++) {
        shutdown(s->connections[i], SHUT_RDWR);
        pthread_join(s->threads[i], NULL);
        close(s->connections[i]);
    }
    for (size_t i = 0; i < s->count; i++)
        free(s->calls[i].body);
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
    scratch_free(s->directory);
    free(s);
}

const char *sewad_socket(const struct sewad *s)
{
    return s->path;
}

size_t sewad_count(struct sewad *s, const char *call)
{
    pthread_mutex_lock(&s->lock);
    size_t n = number_of(s, call);
    pthread_mutex_unlock(&s->lock);
    return n;
}

void sewad_wait(struct sewad *s, const char *call, size_t count)
{
    for (int ms = 0; sewad_count(s, call) < count; ms += 5) {
        if (ms > WAIT_MS)
            fail_msg("%zu calls of '%s' came, not %zu", sewad_count(s, call), call, count);
        usleep(5000);
    }
}

char *sewad_body(struct sewad *s, const char *call, size_t number, size_t *ret_length)
{
    char *copy = NULL;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count && !copy; i++) {
        const struct call *c = &s->calls[i];
        if (strcmp(c->name, call) != 0 || number-- > 0)
            continue;
        copy = malloc(c->length + 1);
        memcpy(copy, c->body, c->length + 1);
        if (ret_length)
            *ret_length = c->length;
    }
    pthread_mutex_unlock(&s->lock);
    assert_non_null(copy);
    return copy;
}
