/*
 * test_output - the pipe that an evaluator prints to, and its last words.
 */
#include "support/support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/output.h"

static const struct words_row {
    const char *printed, *words;
} words_rows[] = {
    { "", "" },
    { "\n\n", "" },
    { "one", "one" },
    { "one\ntwo\nthree\nfour\n\n", "two / three / four" },
    { "a\tb\x1b[1m \xff\xc3\xa4\n", "a b [1m ?\xc3\xa4" },
};

static void test_last_words(void **state)
{
    (void)state;
    char words[OUTPUT_WORDS_SIZE];
    struct output o;

    for (size_t i = 0; i < COUNT_OF(words_rows); i++) {
        output_init(&o, -1, NULL);
        output_text(&o, words_rows[i].printed, strlen(words_rows[i].printed));
        assert_string_equal(output_last_words(&o, words), words_rows[i].words);
    }
}

/* However it is cut into pieces, the tail is the tail; and what is shown is never too long. */
static void test_last_words_of_much(void **state)
{
    (void)state;
    char text[10000], words[OUTPUT_WORDS_SIZE];
    struct output o;

    for (size_t piece = 1; piece < 5000; piece += 613) {
        output_init(&o, -1, NULL);
        memset(text, '\xff', sizeof text);
        for (size_t at = 0; at < sizeof text; at += piece)
            output_text(&o, text + at, piece < sizeof text - at ? piece : sizeof text - at);
        output_text(&o, "\nthe end\n", 9);
        output_last_words(&o, words);
        assert_true(strlen(words) < OUTPUT_WORDS_SIZE);
        assert_string_equal(words + strlen(words) - strlen("? / the end"), "? / the end");
        assert_int_equal(o.tail_length, OUTPUT_TAIL_BYTES);
    }
}

static void test_output_reads_the_pipe(void **state)
{
    (void)state;
    struct output o;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    output_init(&o, fds[0], NULL);
    assert_int_equal(output_read(&o), 0);
    assert_int_equal(write(fds[1], "hello", 5), 5);
    assert_int_equal(output_read(&o), 5);
    assert_int_equal(output_read(&o), 0);
    assert_true(o.fd >= 0);
    close(fds[1]);
    output_drain(&o);
    assert_int_equal(o.fd, -1);
    assert_int_equal(output_read(&o), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_last_words_of_much),
        cmocka_unit_test(test_output_reads_the_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
