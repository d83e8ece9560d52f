/*
 * test_block - shared memory and its seals.
 */
#include "support/support.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/block.h"

static void test_blocks(void **state)
{
    (void)state;
    struct block b;
    struct sewa_error err = { 0 };

    assert_ok(block_open(&b, "test", 100, BLOCK_HOST_WRITES, NULL, &err), err);
    assert_int_equal(b.bytes, 100);
    ((char *)b.data)[99] = 7; /* still writable here after the seal */
    assert_ptr_equal(mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, b.fd, 0), MAP_FAILED);
    char c = 0;
    assert_int_equal(pread(b.fd, &c, 1, 99), 1);
    assert_int_equal(c, 7);
    block_close(&b);
    block_close(&b); /* twice is fine */
    assert_ok(block_open(&b, "test", 0, BLOCK_SHARED, NULL, &err), err);
    assert_int_equal(b.bytes, 1);
    block_close(&b);
    int rc = block_open(&b, "test", (size_t)1 << 62, BLOCK_SHARED, NULL, &err);
    assert_true(rc < 0 && strstr(err.text, "4611686018427387904 bytes") && b.fd == -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
