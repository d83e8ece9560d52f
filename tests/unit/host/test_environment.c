/*
 * test_environment - what an evaluator inherits, and what not.
 */
#include "support/alloc.h"
#include "support/support.h"

#include "host/process.h"

static void join(char **environment, struct buf *ret)
{
    for (char **e = environment; *e; e++)
        buf_printf(ret, "%s;", *e);
}

static void test_environment(void **state)
{
    (void)state;
    static const char *const inherited[] = { "PATH=/bin",
                                             "SEWA_TOKEN=x",
                                             "SEWA_X=1",
                                             "MY_TOKEN=x",
                                             "TOKENIZER_TOKEN_FILE=x",
                                             "TOKEN=x",
                                             "NOTIFY_SOCKET=x",
                                             "HOME=/root",
                                             "TOKENIZERS_PARALLELISM=y",
                                             "LANG=C",
                                             NULL };
    static const char *const configured[] = { "LANG=de", "SEWA_MINE=2",     "SEWA_EVALUATOR_FD=7",
                                              "EMPTY=",  "HF_TOKEN=wanted", NULL };
    AUTO(environment_clear) char **environment = environment_make(inherited, configured);
    AUTO(environment_clear) char **least = environment_make(NULL, NULL);
    AUTO(buf_clear) struct buf text = { 0 }, little = { 0 };

    join(environment, &text);
    assert_string_equal(buf_cstr(&text),
                        "PATH=/bin;HOME=/root;TOKENIZERS_PARALLELISM=y;LANG=de;SEWA_MINE=2;EMPTY=;"
                        "HF_TOKEN=wanted;SEWA_EVALUATOR_FD=3;");
    join(least, &little);
    assert_string_equal(buf_cstr(&little), "SEWA_EVALUATOR_FD=3;");
}

static void test_environment_without_memory(void **state)
{
    (void)state;
    static const char *const inherited[] = { "PATH=/bin", NULL };

    alloc_fail_at(0);
    assert_null(environment_make(inherited, inherited));
    assert_true(alloc_fired());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_environment_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
