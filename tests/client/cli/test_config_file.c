/*
 * test_config_file - "key = value": what is read, and where what is wrong stands.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cli/config_file.h"

struct row {
    const char *text, *url, *token_file;
    const char *word; /* of the refusal */
};

static const struct row rows[] = {
    { "", NULL, NULL, NULL },
    { "\n \t\n# url = x\n  # y\n", NULL, NULL, NULL },
    { "url=http://a", "http://a", NULL, NULL },
    { " url \t=  http://a  \r\ntoken_file = /t\n", "http://a", "/t", NULL },
    { "url = \"http://a b\"\n", "http://a b", NULL, NULL },
    { "url = http://a?b=c#d", "http://a?b=c#d", NULL, NULL },
    { "\n\nurl\n", NULL, NULL, "f:3: 'url' is not 'key = value'" },
    { "ulr = x\n", NULL, NULL, "f:1: there is no 'ulr'; there are url, socket" },
    { "url = x\nurl = y\n", NULL, NULL, "f:2: 'url' is set twice" },
    { "url =\n", NULL, NULL, "f:1: 'url' has no value" },
    { "url = \"\"\n", NULL, NULL, "f:1: 'url' has no value" },
    { "url = \"x\n", NULL, NULL, "f:1: the quotes of 'url' do not match" },
    { "url = \"x\"y\"\n", NULL, NULL, "f:1: the quotes of 'url' do not match" },
    { "url = \"\n", NULL, NULL, "f:1: the quotes of 'url' do not match" },
    { "= x\n", NULL, NULL, "f:1: there is no ''" },
};

static void clear(struct config_file *c)
{
    config_file_clear(c);
}

static void same(const char *found, const char *wanted)
{
    if (wanted)
        assert_string_equal(found, wanted);
    else
        assert_null(found);
}

static void check_row(void **state)
{
    const struct row *r = *state;
    AUTO(clear) struct config_file c = { 0 };
    AUTOFREE char *text = strdup(r->text);
    struct sewa_error err;
    int rc = config_file_parse(text, "f", &c, &err);

    if (r->word)
        assert_failed(rc, err, SEWA_E_CONFIG, r->word);
    else
        assert_ok(rc, err);
    same(c.values[CONFIG_URL], r->url);
    same(c.values[CONFIG_TOKEN_FILE], r->token_file);
}

static void all_keys(void **state)
{
    (void)state;
    AUTO(clear) struct config_file c = { 0 };
    char text[] = "url=a\nsocket=b\ntoken=c\ntoken_file=d\nrequest_timeout=e\ncolor=f";
    struct sewa_error err;

    assert_ok(config_file_parse(text, "f", &c, &err), err);
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        const char wanted[2] = { (char)('a' + i), '\0' };
        assert_string_equal(c.values[i], wanted);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 1] = { cmocka_unit_test(all_keys) };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i + 1] = (struct CMUnitTest){ rows[i].text, check_row, NULL, NULL, (void *)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
