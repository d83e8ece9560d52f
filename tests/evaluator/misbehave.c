/*
 * misbehave - an evaluator that does one thing wrong, named by its first argument. It speaks the
 * protocol with bare hands, because the library would not let it do these things.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOST = 3 };

#define READY_START "{\"type\":\"ready\",\"protocol\":1,\"gradient\":true,"
#define READY_END   "\"splits\":[\"selection\",\"report\"]}\n"
#define READY       READY_START READY_END
#define READY_FRESH READY_START "\"recalibrates\":true," READY_END

static char line[1 << 20];

static void say_bytes(const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t put = send(HOST, bytes, n, MSG_NOSIGNAL);
        if (put <= 0)
            _exit(99);
        bytes += put;
        n -= (size_t)put;
    }
}

static void say(const char *text)
{
    say_bytes(text, strlen(text));
}

/* The next line of the host without its end; exits when there is none. */
static void hear(void)
{
    size_t n = 0;

    while (read(HOST, line + n, 1) == 1) {
        if (line[n] == '\n') {
            line[n] = '\0';
            return;
        }
        n++;
    }
    _exit(0);
}

/* The next message of a type; the others are ignored, but for a stop. */
static void hear_type(const char *type)
{
    for (;;) {
        hear();
        if (strstr(line, type))
            return;
        if (strstr(line, "\"stop\""))
            exit(0);
    }
}

static long id(void)
{
    const char *at = strstr(line, "\"id\":");

    return at ? strtol(at + 5, NULL, 10) : -1;
}

static void answer(const char *fields)
{
    char text[4096];

    snprintf(text, sizeof text, "{\"type\":\"result\",\"id\":%ld,%s}\n", id(), fields);
    say(text);
}

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

/* Good until the end, from here on. */
static void serve(void)
{
    for (;;) {
        hear();
        if (strstr(line, "\"stop\""))
            exit(0);
        if (strstr(line, "\"evaluate\""))
            answer("\"loss\":1.5");
    }
}

/* ---- before it is ready ---- */

static void ends_at_once(void)
{
    fprintf(stderr, "Traceback:\nno module named 'torch'\n");
    exit(3);
}

static void killed_at_once(void)
{
    raise(SIGKILL);
}

static void prints_rubbish(void)
{
    for (int i = 0; i < 10000; i++)
        putchar((i * 7919 + 3) & 0xff);
    fflush(stdout);
    exit(1);
}

static void sends_rubbish(void)
{
    say("\x80\xff\x01 not json at all\n");
    wait_for_ever();
}

static void sends_nul(void)
{
    static const char bytes[] = "{\"type\":\"ready\"\0}\n";

    say_bytes(bytes, sizeof bytes - 1);
    wait_for_ever();
}

static void sends_array(void)
{
    say("[1, 2]\n");
    wait_for_ever();
}

static void sends_long_line(void)
{
    memset(line, 'x', sizeof line);
    say_bytes(line, sizeof line);
    say_bytes(line, sizeof line);
    say("\n");
    wait_for_ever();
}

static void sends_half_a_line(void)
{
    say("{\"type\":\"re");
    exit(4);
}

static void closes_its_socket(void)
{
    close(HOST);
    wait_for_ever();
}

static void speaks_protocol_2(void)
{
    say("{\"type\":\"ready\",\"protocol\":2,\"splits\":[\"selection\"]}\n");
    serve();
}

static void names_unknown_parameters(void)
{
    say(READY_START "\"parameters\":[\"w\",\"nope\",\"steps\"]," READY_END);
    serve();
}

static void says_result_first(void)
{
    say("{\"type\":\"result\",\"id\":1,\"loss\":0}\n");
    serve();
}

static void gives_up(void)
{
    say("{\"type\":\"error\",\"kind\":\"ValueError\",\"message\":\"no data\",\"traceback\":\"line "
        "7\"}\n");
    exit(1);
}

static void finds_a_mismatch(void)
{
    say("{\"type\":\"error\",\"kind\":\"mismatch\",\"message\":\"no tensor 'v'\"}\n");
    exit(1);
}

/* ---- after it is ready ---- */

static void ends_later(void)
{
    say(READY);
    hear_type("evaluate");
    fprintf(stderr, "out of luck\n");
    exit(7);
}

static void killed_later(void)
{
    say(READY);
    hear_type("evaluate");
    raise(SIGKILL);
}

static void hangs_in_evaluate(void)
{
    say(READY);
    hear_type("evaluate");
    printf("thinking\n");
    fflush(stdout);
    wait_for_ever();
}

static void ignores_stop(void)
{
    say(READY);
    hear_type("stop");
    printf("never\n");
    fflush(stdout);
    wait_for_ever();
}

static void answers(const char *fields)
{
    say(READY);
    for (;;) {
        hear_type("evaluate");
        answer(fields);
    }
}

/* ---- asked to recalibrate ---- */

static void recalibrates_with(const char *fields)
{
    char text[4096];

    say(READY_FRESH);
    hear_type("recalibrate");
    snprintf(text, sizeof text, "{\"type\":\"recalibrated\",\"id\":%ld,%s}\n", id(), fields);
    say(text);
    serve();
}

static void recalibrates_unknown_tensors(void)
{
    recalibrates_with("\"tensors\":[\"w\",\"nope\"]");
}

static void recalibrates_integers(void)
{
    recalibrates_with("\"tensors\":[\"steps\"]");
}

static void recalibrates_a_number(void)
{
    recalibrates_with("\"tensors\":3");
}

static void recalibrates_without_values(void)
{
    recalibrates_with("\"tensors\":[\"w\"]");
}

static void recalibrates_nothing(void)
{
    recalibrates_with("\"tensors\":[]");
}

static void recalibrates_with_a_result(void)
{
    say(READY_FRESH);
    hear_type("recalibrate");
    answer("\"loss\":1.5");
    serve();
}

static void recalibrates_rubbish(void)
{
    say(READY_FRESH);
    hear_type("recalibrate");
    say("!?\n");
    wait_for_ever();
}

static void recalibrates_never(void)
{
    say(READY_FRESH);
    hear_type("recalibrate");
    printf("a pass over the data\n");
    fflush(stdout);
    wait_for_ever();
}

static void recalibrates_and_dies(void)
{
    say(READY_FRESH);
    hear_type("recalibrate");
    fprintf(stderr, "no data left\n");
    exit(6);
}

static void cannot_recalibrate_today(void)
{
    char text[256];

    say(READY_FRESH);
    hear_type("recalibrate");
    snprintf(text, sizeof text,
             "{\"type\":\"error\",\"id\":%ld,\"kind\":\"ValueError\",\"message\":\"not today\"}\n",
             id());
    say(text);
    serve();
}

/* ---- answers ---- */

static void answers_null(void)
{
    answers("\"loss\":null");
}

static void answers_nan(void)
{
    answers("\"loss\":\"nan\",\"seconds\":null");
}

static void answers_infinite(void)
{
    answers("\"loss\":\"-inf\"");
}

static void answers_bare_nan(void)
{
    answers("\"loss\":NaN");
}

static void answers_without_loss(void)
{
    answers("\"examples\":3");
}

static void answers_text(void)
{
    answers("\"loss\":\"low\"");
}

static void answers_too_many_examples(void)
{
    answers("\"loss\":1,\"examples\":1000,\"example_losses\":true");
}

static void answers_with_new_fields(void)
{
    answers("\"loss\":2.5,\"examples\":3,\"mood\":{\"good\":[true]}");
}

static void answers_another_id(void)
{
    say(READY);
    hear_type("evaluate");
    say("{\"type\":\"result\",\"id\":77,\"loss\":0}\n");
    wait_for_ever();
}

static void answers_another_type(void)
{
    say(READY);
    hear_type("evaluate");
    say("{\"type\":\"re\\tsult\\u00e4\"}\n");
    wait_for_ever();
}

static void answers_twice(void)
{
    say(READY);
    hear_type("evaluate");
    answer("\"loss\":1");
    answer("\"loss\":1");
    serve();
}

static void answers_byte_by_byte(void)
{
    static const char text[] = READY;

    for (size_t i = 0; i + 1 < sizeof text; i++)
        say_bytes(text + i, 1);
    serve();
}

static void answers_several_lines_at_once(void)
{
    say("{\"type\":\"log\",\"level\":\"warning\",\"message\":\"one\"}\n"
        "{\"type\":\"log\",\"message\":\"two\"}\n" READY);
    serve();
}

static void floods_the_log(void)
{
    say(READY);
    hear_type("evaluate");
    for (int i = 0; i < 20000; i++)
        say("{\"type\":\"log\",\"level\":\"info\",\"message\":\"a line of the log\"}\n");
    answer("\"loss\":1.5");
    serve();
}

static void logs_for_ever(void)
{
    say(READY);
    hear_type("evaluate");
    for (;;)
        say("{\"type\":\"log\",\"level\":\"info\",\"message\":\"still here\"}\n");
}

static void print_much(void)
{
    memset(line, 'o', 1000);
    line[1000] = '\n';
    for (int i = 0; i < 20000; i++)
        fwrite(line, 1, 1001, stdout);
    fflush(stdout);
}

static void floods_stdout(void)
{
    print_much();
    say(READY);
    hear_type("evaluate");
    long was = id();
    print_much();
    snprintf(line, sizeof line, "\"id\":%ld", was);
    answer("\"loss\":1.5");
    serve();
}

static void fails_once(void)
{
    char text[256];

    say(READY);
    hear_type("evaluate");
    snprintf(text, sizeof text,
             "{\"type\":\"error\",\"id\":%ld,\"kind\":\"RuntimeError\",\"message\":\"bad\\nluck\","
             "\"traceback\":\"File x\\nRuntimeError\\n\"}\n",
             id());
    say(text);
    serve();
}

static void gives_up_later(void)
{
    say(READY);
    hear_type("evaluate");
    gives_up();
}

/* The grandchild holds the socket and the pipe open: their end says nothing about the evaluator. */
static void leaves_a_grandchild(void)
{
    say(READY);
    hear_type("evaluate");
    pid_t pid = fork();
    if (pid == 0)
        wait_for_ever();
    printf("grandchild %d\n", (int)pid);
    fflush(stdout);
    exit(5);
}

static void keeps_a_grandchild(void)
{
    pid_t pid = fork();
    if (pid == 0)
        wait_for_ever();
    printf("grandchild %d\n", (int)pid);
    fflush(stdout);
    say(READY);
    serve();
}

/* Ready, and deaf to the socket: only a signal ends it. */
static void is_deaf(void)
{
    printf("grandchild %d\n", (int)getpid());
    fflush(stdout);
    say(READY);
    wait_for_ever();
}

/* ---- what it finds when it starts ---- */

static void shows_its_world(void)
{
    extern char **environ;
    char directory[4096];
    int flags = fcntl(1, F_GETFL);

    for (char **e = environ; *e; e++)
        printf("%s\n", *e);
    for (int fd = 0; fd < 100; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("open %d\n", fd);
    char c;
    printf("stdin %zd\n", read(0, &c, 1));
    printf("stdout %s\n", flags & O_NONBLOCK ? "non-blocking" : "blocking");
    printf("directory %s\n", getcwd(directory, sizeof directory));
    printf("leader %d\n", getpid() == getpgrp() && getpid() == getsid(0));
    printf("pipe %s\n", signal(SIGPIPE, SIG_DFL) == SIG_DFL ? "default" : "ignored");
    fflush(stdout);
    say(READY);
    serve();
}

static void eats_memory(void)
{
    size_t n = (size_t)1 << 30;
    char *much = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    printf("%s\n", much == MAP_FAILED ? "refused" : "granted");
    fflush(stdout);
    say(READY);
    serve();
}

static void tries_to_break_seals(void)
{
    union {
        char bytes[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec data = { line, sizeof line };
    struct msghdr m = { .msg_iov = &data,
                        .msg_iovlen = 1,
                        .msg_control = control.bytes,
                        .msg_controllen = sizeof control };
    int fds[3];

    if (recvmsg(HOST, &m, 0) <= 0)
        _exit(98);
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fds);
    for (int i = 0; i < 3; i++) {
        void *shared = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
        void *private = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[i], 0);
        printf("block %d: shrink %d grow %d write %d shared %d private %d\n", i,
               ftruncate(fds[i], 0) == 0, ftruncate(fds[i], 1 << 30) == 0,
               pwrite(fds[i], "x", 1, 0) == 1, shared != MAP_FAILED, private != MAP_FAILED);
    }
    fflush(stdout);
    say(READY);
    serve();
}

static const struct {
    const char *name;
    void (*run)(void);
} table[] = {
#define ROW(name)   \
    {               \
#name, name \
    }
    ROW(ends_at_once),
    ROW(killed_at_once),
    ROW(prints_rubbish),
    ROW(sends_rubbish),
    ROW(sends_nul),
    ROW(sends_array),
    ROW(sends_long_line),
    ROW(sends_half_a_line),
    ROW(closes_its_socket),
    ROW(speaks_protocol_2),
    ROW(names_unknown_parameters),
    ROW(says_result_first),
    ROW(gives_up),
    ROW(finds_a_mismatch),
    ROW(wait_for_ever),
    ROW(ends_later),
    ROW(killed_later),
    ROW(hangs_in_evaluate),
    ROW(ignores_stop),
    ROW(recalibrates_unknown_tensors),
    ROW(recalibrates_integers),
    ROW(recalibrates_a_number),
    ROW(recalibrates_without_values),
    ROW(recalibrates_nothing),
    ROW(recalibrates_with_a_result),
    ROW(recalibrates_rubbish),
    ROW(recalibrates_never),
    ROW(recalibrates_and_dies),
    ROW(cannot_recalibrate_today),
    ROW(answers_null),
    ROW(answers_nan),
    ROW(answers_infinite),
    ROW(answers_bare_nan),
    ROW(answers_without_loss),
    ROW(answers_text),
    ROW(answers_too_many_examples),
    ROW(answers_with_new_fields),
    ROW(answers_another_id),
    ROW(answers_another_type),
    ROW(answers_twice),
    ROW(answers_byte_by_byte),
    ROW(answers_several_lines_at_once),
    ROW(floods_the_log),
    ROW(logs_for_ever),
    ROW(floods_stdout),
    ROW(fails_once),
    ROW(gives_up_later),
    ROW(leaves_a_grandchild),
    ROW(keeps_a_grandchild),
    ROW(is_deaf),
    ROW(shows_its_world),
    ROW(eats_memory),
    ROW(tries_to_break_seals),
#undef ROW
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, argv[1]) == 0)
            table[i].run();
    fprintf(stderr, "misbehave: no such way\n");
    return 2;
}
