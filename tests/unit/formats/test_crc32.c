/*
 * test_crc32 - known checksums, and that it does not matter how the bytes come in.
 */
#include "support/support.h"

#include <string.h>

#include "base/cleanup.h"
#include "formats/crc32.h"

static void test_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t crc;
    } known[] = {
        { "", 0 },
        { "a", 0xe8b7be43 },
        { "123456789", 0xcbf43926 },
        { "The quick brown fox jumps over the lazy dog", 0x414fa339 },
    };

    for (size_t i = 0; i < COUNT_OF(known); i++)
        assert_int_equal(crc32_update(0, known[i].text, strlen(known[i].text)), known[i].crc);
}

static void test_pieces(void **state)
{
    (void)state;
    uint8_t bytes[100];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    uint32_t whole = crc32_update(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        uint32_t first = crc32_update(0, bytes, cut);
        assert_int_equal(crc32_update(first, bytes + cut, sizeof bytes - cut), whole);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_known),
                                               cmocka_unit_test(test_pieces) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
