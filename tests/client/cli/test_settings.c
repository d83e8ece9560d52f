/*
 * test_settings - which place wins: the command line, the environment, the user's file, the
 * machine's; and files that cannot be used.
 */
#include "support/support.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli/settings.h"
#include "words.h"

static char *folder;
static char machine[512];

static const char *const names[] = { "SEWA_URL", "SEWA_TOKEN",      "SEWA_TOKEN_FILE",
                                     "NO_COLOR", "XDG_CONFIG_HOME", "HOME" };

static int setup(void **state)
{
    (void)state;
    char path[512];

    folder = scratch_new();
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unsetenv(names[i]);
    snprintf(path, sizeof path, "%s/sewa", folder);
    snprintf(machine, sizeof machine, "%s/client.conf", folder);
    return mkdir(path, 0700) < 0 || setenv("XDG_CONFIG_HOME", folder, 1) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_free(folder);
    return 0;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[512];

    scratch_write(folder, name, text, strlen(text));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(chmod(path, mode), 0);
}

static int load(const char *line, struct settings *s, struct sewa_error *err)
{
    AUTO(words_clear) struct words w = { 0 };

    assert_int_equal(words_parse(&w, line, err), 0);
    return settings_load(&w.a, machine, s, err);
}

static void check(const char *line, const char *url, const char *socket, const char *token)
{
    AUTO(settings_clear) struct settings s = { 0 };
    struct sewa_error err;

    assert_ok(load(line, &s, &err), err);
    assert_string_equal(s.url ? s.url : "-", url);
    assert_string_equal(s.socket ? s.socket : "-", socket);
    assert_string_equal(s.token ? s.token : "-", token);
}

static void nothing_is_said(void **state)
{
    (void)state;
    AUTO(settings_clear) struct settings s = { 0 };
    struct sewa_error err;

    check("status", "-", "-", "-");
    assert_ok(load("status", &s, &err), err);
    assert_int_equal(s.timeout_ms, 0);
    assert_true(s.color);
    assert_null(s.warning);
}

static void nearer_places_win(void **state)
{
    (void)state;
    write_file("client.conf", "url = http://machine\ntoken = m", 0600);
    check("status", "http://machine", "-", "m");
    write_file("sewa/config", "url = http://user\n", 0600);
    check("status", "http://user", "-", "m");
    setenv("SEWA_URL", "http://environment", 1);
    setenv("SEWA_TOKEN", "e", 1);
    check("status", "http://environment", "-", "e");
    check("status|--url|http://line", "http://line", "-", "e");
    setenv("SEWA_URL", "", 1); /* as if it were not there */
    check("status", "http://user", "-", "e");
}

/* An address comes from one place as a whole. */
static void addresses_are_not_mixed(void **state)
{
    (void)state;
    write_file("client.conf", "url = http://machine\nsocket = /m", 0600);
    check("status", "http://machine", "/m", "-");
    check("status|--socket|/line", "-", "/line", "-");
    check("status|--url|http://line", "http://line", "-", "-");
    setenv("SEWA_URL", "unix:/e", 1);
    check("status", "-", "/e", "-");
}

static void home_without_xdg(void **state)
{
    (void)state;
    char path[512];

    snprintf(path, sizeof path, "%s/.config", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/.config/sewa", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(".config/sewa/config", "url = http://home", 0600);
    setenv("XDG_CONFIG_HOME", "relative", 1); /* the rules of XDG: ignored */
    setenv("HOME", folder, 1);
    check("status", "http://home", "-", "-");
}

static void tokens_from_files(void **state)
{
    (void)state;
    char line[600], path[512];

    snprintf(path, sizeof path, "%s/token", folder);
    snprintf(line, sizeof line, "status|--token-file|%s", path);
    write_file("token", "secret\r\nsecond line\n", 0600);
    check(line, "-", "-", "secret");
    setenv("SEWA_TOKEN_FILE", path, 1);
    check("status", "-", "-", "secret");
    setenv("SEWA_TOKEN", "wins", 1);
    check("status", "-", "-", "wins");
    check(line, "-", "-", "secret");
}

/* Using it and saying so helps more than refusing to work. */
static void secrets_that_others_may_read(void **state)
{
    (void)state;
    struct settings s = { 0 };
    struct sewa_error err;

    write_file("sewa/config", "token = t\n", 0644);
    assert_ok(load("status", &s, &err), err);
    assert_non_null(s.warning);
    assert_non_null(strstr(s.warning, "chmod 600"));
    settings_clear(&s);
    write_file("sewa/config", "token = t\n", 0600);
    assert_ok(load("status", &s, &err), err);
    assert_null(s.warning);
    settings_clear(&s);
    write_file("sewa/config", "url = http://a\n", 0644); /* no secret in it */
    assert_ok(load("status", &s, &err), err);
    assert_null(s.warning);
    settings_clear(&s);
}

static void times_and_colors(void **state)
{
    (void)state;
    struct settings s = { 0 };
    struct sewa_error err;

    write_file("sewa/config", "request_timeout = 7\ncolor = no\n", 0600);
    assert_ok(load("status", &s, &err), err);
    assert_int_equal(s.timeout_ms, 7000);
    assert_false(s.color);
    settings_clear(&s);
    assert_ok(load("status|--request-timeout|9", &s, &err), err);
    assert_int_equal(s.timeout_ms, 9000);
    settings_clear(&s);
    write_file("sewa/config", "color = yes\n", 0600);
    setenv("NO_COLOR", "1", 1);
    assert_ok(load("status", &s, &err), err);
    assert_false(s.color);
    settings_clear(&s);
}

static void refuse(const char *line, int code, const char *word)
{
    AUTO(settings_clear) struct settings s = { 0 };
    struct sewa_error err;

    assert_failed(load(line, &s, &err), err, code, word);
    assert_null(strstr(err.text, "secret"));
}

static void files_that_cannot_be_used(void **state)
{
    (void)state;
    static char big[70000];

    write_file("sewa/config", "request_timeout = 0\n", 0600);
    refuse("status", SEWA_E_CONFIG, "0");
    write_file("sewa/config", "color = maybe\n", 0600);
    refuse("status", SEWA_E_CONFIG, "'maybe', wanted is yes or no");
    write_file("sewa/config", "\nurl\n", 0600);
    refuse("status", SEWA_E_CONFIG, "config:2:");
    memset(big, '\n', sizeof big - 1);
    write_file("sewa/config", big, 0600);
    refuse("status", SEWA_E_CONFIG, "65535 bytes");
    scratch_write(folder, "sewa/config", "url = a\0b", 9);
    refuse("status", SEWA_E_CONFIG, "NUL");
    write_file("sewa/config", "token_file = /does/not/exist\n", 0600);
    refuse("status", SEWA_E_IO, "'/does/not/exist' does not exist");
    write_file("sewa/config", "# nothing\n", 0600);
    write_file("token", "\nsecret\n", 0600);
    char line[600];
    snprintf(line, sizeof line, "status|--token-file|%s/token", folder);
    refuse(line, SEWA_E_CONFIG, "empty");
    snprintf(line, sizeof line, "status|--token-file|%s", folder);
    refuse(line, SEWA_E_IO, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(nearer_places_win, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_are_not_mixed, setup, teardown),
        cmocka_unit_test_setup_teardown(home_without_xdg, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens_from_files, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_that_others_may_read, setup, teardown),
        cmocka_unit_test_setup_teardown(times_and_colors, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_used, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
