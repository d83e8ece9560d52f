/*
 * test_block - shared memory and its seals.
 */
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
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

static size_t mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    size_t n = 0;
    char line[512];

    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        n += strstr(line, "memfd:") != NULL;
    fclose(f);
    return n;
}

/* A worker opens new blocks for each evaluator: what is closed is given back. */
static void test_closing_gives_back(void **state)
{
    (void)state;
    struct block b;
    struct sewa_error err = { 0 };
    size_t before = mappings();

    assert_ok(block_open(&b, "test", 5000, BLOCK_SHARED, NULL, &err), err);
    int fd = b.fd;
    assert_int_equal(mappings(), before + 1);
    block_close(&b);
    assert_int_equal(mappings(), before);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_closing_gives_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
