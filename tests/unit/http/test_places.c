/*
 * test_places - how many connections there may be, and whose.
 */
#include "support/support.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/cleanup.h"
#include "http/places.h"

static void test_plan(void **state)
{
    (void)state;
    static const struct {
        uint64_t descriptors;
        unsigned wanted, public_max, inner_max;
    } rows[] = {
        { UINT64_MAX, 2000, 2000, 500 },
        { 1048576, 2000, 2000, 500 },
        { 4096, 2000, 2000, 500 },
        { 1024, 2000, 720, 120 },
        { 256, 2000, 144, 24 },
        { 128, 2000, 48, 8 },
        { 64, 2000, 24, 4 },
        { 8, 2000, 3, 1 },
        { 0, 2000, 1, 1 },
        { 1024, 50, 50, 50 },
        { 1024, 1, 1, 1 },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct places p;
        places_plan(rows[i].descriptors, rows[i].wanted, &p);
        assert_int_equal(p.public_max, rows[i].public_max);
        assert_int_equal(p.inner_max, rows[i].inner_max);
        if (rows[i].descriptors >= 128)
            assert_true(p.public_max + 2 * (uint64_t)p.inner_max < rows[i].descriptors - 32);
    }
}

static struct client client_from(const char *text)
{
    struct sockaddr_storage a = { .ss_family = AF_UNIX };
    struct sockaddr_in *four = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a;
    struct client c;

    if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
        a.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1)
        a.ss_family = AF_INET6;
    client_of(&a, &c);
    return c;
}

static void test_clients(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        enum client_kind kind;
        const char *same, *other; /* or NULL */
    } rows[] = {
        { "a socket", CLIENT_INNER, "a socket", "127.0.0.1" },
        { "127.0.0.1", CLIENT_LOOPBACK, "127.9.9.9", "126.0.0.1" },
        { "::1", CLIENT_LOOPBACK, "127.0.0.1", "::2" },
        { "::ffff:127.0.0.1", CLIENT_LOOPBACK, "127.0.0.1", "::ffff:128.0.0.1" },
        { "192.0.2.1", CLIENT_REMOTE, "::ffff:192.0.2.1", "192.0.2.2" },
        { "10.0.0.127", CLIENT_REMOTE, "10.0.0.127", "127.0.0.1" },
        { "2001:db8::1", CLIENT_REMOTE, "2001:db8::ffff:1:2:3", "2001:db8:0:1::1" },
        { "::", CLIENT_REMOTE, "::5", "::1" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client c = client_from(rows[i].address), same = client_from(rows[i].same),
                      other = client_from(rows[i].other);
        assert_int_equal(c.kind, rows[i].kind);
        assert_true(client_is_same(&c, &same));
        assert_false(client_is_same(&c, &other));
    }
}

static void test_shares(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        unsigned by_network, by_remote;
        bool allowed;
    } rows[] = {
        { "192.0.2.1", 0, 0, true },      { "192.0.2.1", 124, 124, true },
        { "192.0.2.1", 125, 125, false }, { "192.0.2.1", 0, 1749, true },
        { "192.0.2.1", 0, 1750, false },  { "2001:db8::1", 125, 125, false },
        { "127.0.0.1", 1999, 0, true },   { "::1", 1900, 0, true },
        { "a socket", 499, 0, true },
    };
    struct places p;

    places_plan(UINT64_MAX, 2000, &p);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client c = client_from(rows[i].address);
        assert_int_equal(places_allow(&p, &c, rows[i].by_network, rows[i].by_remote),
                         rows[i].allowed);
    }
    /* the smallest plan lets everybody in once */
    places_plan(0, 1, &p);
    struct client c = client_from("192.0.2.1");
    assert_true(places_allow(&p, &c, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
