/*
 * test_channel - lines over a real socket pair.
 */
#include "support/support.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/channel.h"

struct pair {
    struct channel ours;
    int theirs;
};

static void pair_open(struct pair *p)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    channel_init(&p->ours, fds[0]);
    p->theirs = fds[1];
}

static void pair_close(struct pair *p)
{
    channel_close(&p->ours);
    if (p->theirs >= 0)
        close(p->theirs);
}

static void put(struct pair *p, const char *text)
{
    struct sewa_error err = { 0 };

    assert_int_equal(write(p->theirs, text, strlen(text)), strlen(text));
    assert_ok(channel_read(&p->ours, &err), err);
}

static void expect(struct pair *p, int wanted, const char *text)
{
    AUTOJSON json_t *message = NULL;
    struct sewa_error err = { 0 };
    int rc = channel_next(&p->ours, &message, &err);

    if (wanted < 0) {
        assert_failed(rc, err, wanted, text);
        return;
    }
    assert_int_equal(rc, wanted);
    AUTOFREE char *got = rc > 0 ? json_text(message) : strdup("");
    assert_string_equal(got, text);
}

static void test_lines_in_pieces(void **state)
{
    (void)state;
    AUTO(pair_close) struct pair p;

    pair_open(&p);
    expect(&p, 0, "");
    put(&p, "{\"a\"");
    expect(&p, 0, "");
    put(&p, ":1}\n{\"b\":2}\r\n{\"c");
    expect(&p, 1, "{\"a\":1}");
    expect(&p, 1, "{\"b\":2}");
    expect(&p, 0, "");
    put(&p, "\":3}\n");
    expect(&p, 1, "{\"c\":3}");
    expect(&p, 0, "");
    assert_false(p.ours.at_end);
    put(&p, "{\"last\":1}\n{\"half");
    close(p.theirs);
    p.theirs = -1;
    assert_ok(channel_read(&p.ours, NULL), (struct sewa_error){ 0 });
    assert_true(p.ours.at_end);
    expect(&p, 1, "{\"last\":1}");
    expect(&p, 0, "");
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } rows[] = {
        { "\n", "sent ''" },
        { "{\"a\":1,\"a\":2}\n", "duplicate" },
        { "7\n", "sent '7', which is no object" },
        { "{\"a\":\"\\u0000\"}\n", "\\u0000" },
        { "{}{}\n", "sent '{}{}'" },
        { "\x1b[2Jhello\n", "sent '?[2Jhello'" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(pair_close) struct pair p;
        pair_open(&p);
        put(&p, rows[i].text);
        expect(&p, SEWA_E_EVALUATOR_PROTOCOL, rows[i].word);
    }
}

/* More than the socket holds: the rest goes when the other side has read. */
static void test_writing_never_blocks(void **state)
{
    (void)state;
    AUTO(pair_close) struct pair p;
    AUTO(buf_clear) struct buf big = { 0 }, got = { 0 };
    struct sewa_error err = { 0 };

    pair_open(&p);
    for (int i = 0; i < 900000; i++)
        buf_char(&big, 'y');
    assert_ok(channel_queue(&p.ours, json_pack("{s:s}", "x", buf_cstr(&big)), NULL, 0, &err), err);
    for (int i = 0; i < 1000 && channel_wants_to_write(&p.ours); i++) {
        assert_ok(channel_write(&p.ours, &err), err);
        ssize_t n = recv(p.theirs, buf_reserve(&got, 65536), 65536, MSG_DONTWAIT);
        buf_advance(&got, n > 0 ? (size_t)n : 0);
    }
    for (ssize_t n; (n = recv(p.theirs, buf_reserve(&got, 65536), 65536, MSG_DONTWAIT)) > 0;)
        buf_advance(&got, (size_t)n);
    assert_int_equal(got.len, 900000 + strlen("{\"x\":\"\"}\n"));
    assert_int_equal(got.data[got.len - 1], '\n');
}

static void test_lost_peer(void **state)
{
    (void)state;
    AUTO(pair_close) struct pair p;
    struct sewa_error err = { 0 };

    pair_open(&p);
    close(p.theirs);
    p.theirs = -1;
    assert_ok(channel_queue(&p.ours, json_pack("{}"), NULL, 0, &err), err);
    assert_ok(channel_write(&p.ours, &err), err); /* and no SIGPIPE */
    assert_false(channel_wants_to_write(&p.ours));
    assert_ok(channel_read(&p.ours, &err), err);
    assert_true(p.ours.at_end);
}

static void test_queue_refuses(void **state)
{
    (void)state;
    AUTO(pair_close) struct pair p;
    AUTO(buf_clear) struct buf big = { 0 };
    struct sewa_error err = { 0 };

    pair_open(&p);
    for (int i = 0; i < EVALUATOR_LINE_MAX; i++)
        buf_char(&big, 'y');
    int rc = channel_queue(&p.ours, json_pack("{s:s}", "x", buf_cstr(&big)), NULL, 0, &err);
    assert_failed(rc, err, SEWA_E_TOO_LARGE,
                  "a message of 1048585 bytes, at most 1048576 are allowed");
    rc = channel_queue(&p.ours, NULL, NULL, 0, &err);
    assert_failed(rc, err, SEWA_E_NO_MEMORY, "memory");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_in_pieces),      cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_writing_never_blocks), cmocka_unit_test(test_lost_peer),
        cmocka_unit_test(test_queue_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
