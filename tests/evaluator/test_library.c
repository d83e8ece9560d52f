/*
 * test_library - the C library against a host that makes mistakes: each is a message on the socket
 * and an exit with status 1, never a wild pointer.
 */
#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/block.h"
#include "host/channel.h"
#include "host/messages.h"
#include "host/process.h"

enum { BYTES = 256 };

/* A host by hand: a process, a channel, and blocks of two banks of 128 bytes. */
struct host {
    struct process process;
    struct channel channel;
    struct block weights, gradient, table;
};

static void host_open(struct host *h, const char *table)
{
    const char *argv[] = { QUADRATIC, NULL };
    struct sewa_error err = { 0 };
    int fds[2];

    *h = (struct host){ 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    channel_init(&h->channel, fds[0]);
    AUTOCLOSE int theirs = fds[1];
    AUTOCLOSE int output = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct process_plan plan = { .argv = argv, .socket = theirs, .output = output };
    assert_ok(process_start(&plan, &h->process, &err), err);
    assert_ok(block_open(&h->weights, "w", BYTES, BLOCK_HOST_WRITES, NULL, &err), err);
    assert_ok(block_open(&h->gradient, "g", BYTES, BLOCK_SHARED, NULL, &err), err);
    assert_ok(block_open(&h->table, "t", strlen(table), BLOCK_NEVER_CHANGES, table, &err), err);
}

static void host_close(struct host *h)
{
    process_kill(&h->process);
    channel_close(&h->channel);
    block_close(&h->weights);
    block_close(&h->gradient);
    block_close(&h->table);
}

static void say(struct host *h, const char *text, const int *fds, size_t fd_count)
{
    struct sewa_error err = { 0 };
    AUTOJSON json_t *message = json_parse(text, strlen(text), &err);

    assert_non_null(message);
    assert_ok(channel_queue(&h->channel, TAKE(message), fds, fd_count, &err), err);
    assert_ok(channel_write(&h->channel, &err), err);
}

/* The next message, or NULL when the other side has closed. */
static json_t *hear(struct host *h)
{
    struct pollfd p = { .fd = h->channel.fd, .events = POLLIN };
    json_t *message = NULL;
    struct sewa_error err = { 0 };

    for (;;) {
        int rc = channel_next(&h->channel, &message, &err);
        assert_ok(rc, err);
        if (rc > 0 || h->channel.at_end)
            return message;
        assert_true(poll(&p, 1, 60000) > 0);
        assert_ok(channel_read(&h->channel, &err), err);
    }
}

static void assert_ends(struct host *h, int status)
{
    int64_t deadline = clock_monotonic_ms() + 60000;

    while (!process_has_ended(&h->process) && clock_monotonic_ms() < deadline)
        usleep(1000);
    assert_true(h->process.ended);
    assert_int_equal(h->process.status, status << 8);
}

static void assert_error(struct host *h, const char *kind, const char *word)
{
    AUTOJSON json_t *m = hear(h);

    assert_non_null(m);
    assert_string_equal(json_string_value(json_object_get(m, "type")), "error");
    assert_string_equal(json_string_value(json_object_get(m, "kind")), kind);
    const char *text = json_string_value(json_object_get(m, "message"));
    if (!strstr(text, word))
        fail_msg("'%s' does not stand in: %s", word, text);
}

#define INIT        "{\"type\":\"init\",\"protocol\":1,\"banks\":2,\"bank_bytes\":128,"
#define REST        "\"gradient_bank_bytes\":128,\"options\":{}}"
#define ROW(fields) "{\"tensors\":[{\"name\":\"w\"," fields "}]}"
#define GOOD        ROW("\"dtype\":\"F32\",\"shape\":[2],\"offset\":64,\"gradient_offset\":0")

/* table_bytes is added by the test. */
static const struct row {
    const char *name, *init, *table;
    int fds;
    const char *word;
} rows[] = {
    { "another beginning", "{\"type\":\"stop\"}", GOOD, 0, "began with a message of type 'stop'" },
    { "no type", "{}", GOOD, 0, "of type ''" },
    { "another protocol", "{\"type\":\"init\",\"protocol\":2}", GOOD, 3, "protocol 2" },
    { "no descriptors", INIT REST, GOOD, 0, "no descriptor came for the weights" },
    { "two descriptors", INIT REST, GOOD, 2, "no descriptor came for the table" },
    { "no banks", "{\"type\":\"init\",\"protocol\":1,\"bank_bytes\":128," REST, GOOD, 3,
      "0 banks of 128 bytes" },
    { "too many banks", "{\"type\":\"init\",\"protocol\":1,\"banks\":3,\"bank_bytes\":128," REST,
      GOOD, 3, "3 banks of 128 bytes, but the weights have 256" },
    { "banks that overflow",
      "{\"type\":\"init\",\"protocol\":1,\"banks\":4611686018427387904,\"bank_bytes\":128," REST,
      GOOD, 3, "but the weights have" },
    { "gradients too large", INIT "\"gradient_bank_bytes\":192}", GOOD, 3,
      "2 banks of 192 bytes, but the gradients have 256" },
    { "table is no JSON", INIT REST, "{\"tensors\":", 3, "table of tensors is no JSON" },
    { "table without tensors", INIT REST, "{}", 3, "no 'tensors'" },
    { "tensor without name", INIT REST, "{\"tensors\":[{\"dtype\":\"F32\"}]}", 3, "tensor 0" },
    { "tensor without type", INIT REST, ROW("\"shape\":[]"), 3, "unknown type ''" },
    { "tensor of another type", INIT REST, ROW("\"dtype\":\"BF16\""), 3, "unknown type 'BF16'" },
    { "no shape", INIT REST, ROW("\"dtype\":\"F32\""), 3, "shape of 'w' is no array" },
    { "shape with a fraction", INIT REST, ROW("\"dtype\":\"F32\",\"shape\":[1.5]"), 3,
      "impossible" },
    { "shape below zero", INIT REST, ROW("\"dtype\":\"F32\",\"shape\":[-1]"), 3, "impossible" },
    { "shape that overflows", INIT REST, ROW("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296]"),
      3, "impossible" },
    { "no offset", INIT REST, ROW("\"dtype\":\"F32\",\"shape\":[2]"), 3, "values of 'w'" },
    { "crooked offset", INIT REST, ROW("\"dtype\":\"F32\",\"shape\":[2],\"offset\":4"), 3,
      "values of 'w' (2 elements at 4)" },
    { "offset below zero", INIT REST, ROW("\"dtype\":\"F32\",\"shape\":[2],\"offset\":-64"), 3,
      "at -64" },
    { "values past the end", INIT REST, ROW("\"dtype\":\"F64\",\"shape\":[9],\"offset\":64"), 3,
      "do not fit into a bank of 128 bytes" },
    { "bytes that overflow", INIT REST,
      ROW("\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"offset\":0"), 3, "do not fit" },
    { "gradients past the end", INIT REST,
      ROW("\"dtype\":\"F32\",\"shape\":[2],\"offset\":0,\"gradient_offset\":128"), 3,
      "gradients of 'w'" },
    { "no gradients", INIT REST, ROW("\"dtype\":\"F64\",\"shape\":[1],\"offset\":0"), 3,
      "gradients of 'w'" },
};

static void begin(struct host *h, const char *init, int fd_count)
{
    int fds[] = { h->weights.fd, h->gradient.fd, h->table.fd };
    AUTO(buf_clear) struct buf text = { 0 };

    buf_append(&text, init, strlen(init) - 1);
    if (strlen(init) > 2)
        buf_char(&text, ',');
    buf_printf(&text, "\"table_bytes\":%zu}", h->table.bytes);
    say(h, buf_cstr(&text), fds, (size_t)fd_count);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTO(host_close) struct host h;

    host_open(&h, row->table);
    begin(&h, row->init, row->fds);
    assert_error(&h, "protocol", row->word);
    assert_null(hear(&h));
    assert_ends(&h, 1);
}

static void start_well(struct host *h)
{
    host_open(h, GOOD);
    begin(h, INIT REST, 3);
    AUTOJSON json_t *ready = hear(h);
    assert_int_equal(message_type(ready), MESSAGE_READY);
}

/* What is wrong with one request is the answer to it; what is wrong with the talk is the end. */
static void test_requests(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *word; /* NULL: it is answered */
    } requests[] = {
        { "{\"type\":\"evaluate\",\"id\":1,\"bank\":2,\"split\":\"selection\"}", "bank 2 of 2" },
        { "{\"type\":\"evaluate\",\"id\":1,\"bank\":-1,\"split\":\"selection\"}", "bank -1" },
        { "{\"type\":\"evaluate\",\"id\":1,\"split\":\"selection\"}", "bank -1" },
        { "{\"type\":\"evaluate\",\"id\":1,\"bank\":0}", "no split ''" },
        { "{\"type\":\"evaluate\",\"id\":1,\"bank\":0,\"split\":\"train\"}", "no split 'train'" },
        { "{\"type\":\"recalibrate\",\"id\":1,\"bank\":7}", "bank 7 of 2" },
        { "{\"type\":\"evaluate\",\"id\":1,\"bank\":1,\"split\":\"report\",\"new\":{}}", NULL },
    };
    AUTO(host_close) struct host h;

    start_well(&h);
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        say(&h, requests[i].text, NULL, 0);
        if (requests[i].word) {
            assert_error(&h, i < 3 || i == 5 ? "protocol" : "invalid", requests[i].word);
        } else {
            AUTOJSON json_t *m = hear(&h);
            assert_int_equal(message_type(m), MESSAGE_RESULT);
            assert_true(message_has_id(m, 1));
        }
    }
    say(&h, "{\"type\":\"stop\"}", NULL, 0);
    assert_null(hear(&h));
    assert_ends(&h, 0);
}

static void test_talk(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } rows_of_talk[] = {
        { "{\"type\":\"dance\"}", "type 'dance'" },
        { "{\"type\":\"evaluate\",\"bank\":0}", "type 'evaluate' without an id" },
        { "{\"type\":7}", "type ''" },
        { "{\"type\":\"examples\",\"bytes\":16}", "block for losses" },
        { "[]", "another value" },
    };

    for (size_t i = 0; i < COUNT_OF(rows_of_talk); i++) {
        AUTO(host_close) struct host h;
        start_well(&h);
        say(&h, rows_of_talk[i].text, NULL, 0);
        assert_error(&h, "protocol", rows_of_talk[i].word);
        assert_ends(&h, 1);
    }
}

/* Bytes that are no message at all, and one that never ends. */
static void test_bytes(void **state)
{
    (void)state;
    AUTO(host_close) struct host h, long_one;
    AUTO(buf_clear) struct buf much = { 0 };

    start_well(&h);
    assert_int_equal(write(h.channel.fd, "nonsense\n", 9), 9);
    assert_error(&h, "protocol", "no JSON object");
    assert_ends(&h, 1);
    start_well(&long_one);
    for (int i = 0; i < EVALUATOR_LINE_MAX; i++)
        buf_char(&much, ' ');
    buf_clear(&long_one.channel.out);
    long_one.channel.out = much;
    much = (struct buf){ 0 };
    while (channel_wants_to_write(&long_one.channel))
        channel_write(&long_one.channel, NULL);
    assert_error(&long_one, "protocol", "line of more than 1048576 bytes");
    assert_ends(&long_one, 1);
}

static void test_lost_host(void **state)
{
    (void)state;
    AUTO(host_close) struct host h;

    start_well(&h);
    channel_close(&h.channel);
    assert_ends(&h, 1);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 4];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] =
            (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)(uintptr_t)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_requests);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_talk);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_bytes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_lost_host);
    return _cmocka_run_group_tests("library", tests, n, NULL, NULL);
}
