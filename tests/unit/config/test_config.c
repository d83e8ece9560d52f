/*
 * test_config - loading whole files: values, defaults, mistakes with their lines, includes.
 */
#include "support/support.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "config/config.h"
#include "config/fields.h"
#include "support/alloc.h"

static int setup(void **state)
{
    *state = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

static int load(const char *directory, const char *text, struct config **ret,
                struct sewa_error *err)
{
    AUTOFREE char *path = path_join(directory, "main.conf");

    scratch_write(directory, "main.conf", text, strlen(text));
    return config_load(path, ret, err);
}

/* Everything that the documentation shows, with comments in all places that can have one. */
static void test_everything_is_read(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    struct sewa_error err = { 0 };

    assert_ok(load(*state,
                   "\xef\xbb\xbf# first\r\n"
                   "listen = \"[::1]:0\" // end of line\r\n"
                   "admin_socket /* here */ = \"\"\n"
                   "state_directory = /srv/sewad\n"
                   "artifact_directory = '/srv/out'\n"
                   "authentication = tokens\n"
                   "log_level = debug\n"
                   "scan_interval_seconds = 86400\n"
                   "settle_seconds = 0\n"
                   "allowed_roots = {\"/data\", # why\n '/more', /* a\n b */ }\n"
                   "device_slots = {0, \"1\"}\n"
                   "local_workers = 2 worker_threads = 3\n"
                   "worker_memory_mib = 4096\n"
                   "run \"cifar\" { # comment\n"
                   "    path = \"/data/ckpt/cifar\"\n"
                   "    pattern = \"step-{step}.safetensors\"\n"
                   "    state_key = model\n"
                   "    marker = '{name}.done'\n"
                   "    settle_seconds = 60\n"
                   "}\n"
                   "run other { path = /data/ckpt/other }\n"
                   "root \"lab\" { path = \"/data/lab\" marker = '{stem}.ok' }\n"
                   "evaluator \"cifar\" {\n"
                   "    command = {\"python3\", \"/srv/eval/a b.py\", \"\"}\n"
                   "    directory = \"/srv/eval\"\n"
                   "    environment = {\"A=1\", \"B=\"}\n"
                   "    timeout_seconds = 1\n"
                   "    start_timeout_seconds = 2\n"
                   "    memory_mib = 3\n"
                   "    options = '{\"data\": \"/d\",\n \"x\": \"${NOT_REPLACED}\"}'\n"
                   "}\n"
                   "launcher \"slurm\" {\n"
                   "    partition = gpu gres = 'gpu:1' time = '02:00:00'\n"
                   "    callback = 'http://head:8787' max_workers = 7\n"
                   "}",
                   &c, &err),
              err);
    assert_string_equal(c->listen, "[::1]:0");
    assert_true(config_is_loopback(c));
    assert_string_equal(c->admin_socket, "");
    assert_string_equal(c->state_directory, "/srv/sewad");
    assert_string_equal(c->artifact_directory, "/srv/out");
    assert_int_equal(c->authentication, CONFIG_TOKENS);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(c->scan_interval_seconds, 86400);
    assert_int_equal(c->settle_seconds, 0);
    assert_int_equal(c->allowed_roots.count, 2);
    assert_string_equal(c->allowed_roots.items[1], "/more");
    assert_int_equal(c->device_slots.count, 2);
    assert_string_equal(c->device_slots.items[0], "0");
    assert_int_equal(c->local_workers, 2);
    assert_int_equal(c->worker_threads, 3);
    assert_int_equal(c->worker_memory_mib, 4096);
    assert_int_equal(c->run_count, 2);
    assert_string_equal(c->runs[0].name, "cifar");
    assert_string_equal(c->runs[0].path, "/data/ckpt/cifar");
    assert_string_equal(c->runs[0].pattern, "step-{step}.safetensors");
    assert_string_equal(c->runs[0].state_key, "model");
    assert_string_equal(c->runs[0].marker, "{name}.done");
    assert_int_equal(c->runs[0].settle_seconds, 60);
    assert_string_equal(c->runs[1].pattern, "");
    assert_int_equal(c->runs[1].settle_seconds, 0); /* that of the service */
    assert_int_equal(c->root_count, 1);
    assert_string_equal(c->roots[0].marker, "{stem}.ok");
    assert_int_equal(c->evaluator_count, 1);
    assert_int_equal(c->evaluators[0].command.count, 3);
    assert_string_equal(c->evaluators[0].command.items[1], "/srv/eval/a b.py");
    assert_string_equal(c->evaluators[0].directory, "/srv/eval");
    assert_int_equal(c->evaluators[0].environment.count, 2);
    assert_int_equal(c->evaluators[0].timeout_seconds, 1);
    assert_int_equal(c->evaluators[0].start_timeout_seconds, 2);
    assert_int_equal(c->evaluators[0].memory_mib, 3);
    assert_non_null(strstr(c->evaluators[0].options, "${NOT_REPLACED}"));
    assert_true(c->slurm.is_given);
    assert_string_equal(c->slurm.partition, "gpu");
    assert_string_equal(c->slurm.gres, "gpu:1");
    assert_string_equal(c->slurm.time, "02:00:00");
    assert_string_equal(c->slurm.callback, "http://head:8787");
    assert_int_equal(c->slurm.max_workers, 7);
    assert_non_null(strstr(c->runs[0].origin, "main.conf:16"));
}

static void assert_is_default(const struct config *c)
{
    assert_string_equal(c->listen, "127.0.0.1:8787");
    assert_string_equal(c->admin_socket, "/run/sewad/admin.sock");
    assert_string_equal(c->state_directory, "/var/lib/sewad");
    assert_string_equal(c->artifact_directory, "");
    assert_int_equal(c->authentication, CONFIG_NO_AUTHENTICATION);
    assert_int_equal(c->log_level, LOG_LEVEL_INFO);
    assert_int_equal(c->scan_interval_seconds, 30);
    assert_int_equal(c->settle_seconds, 5);
    assert_int_equal(c->allowed_roots.count, 0);
    assert_int_equal(c->device_slots.count, 0);
    assert_int_equal(c->local_workers, 1);
    assert_int_equal(c->worker_threads, 0);
    assert_int_equal(c->worker_memory_mib, 0);
    assert_int_equal(c->run_count + c->root_count + c->evaluator_count, 0);
    assert_false(c->slurm.is_given);
    assert_int_equal(c->slurm.max_workers, 32);
}

static void test_defaults(void **state)
{
    AUTOPTR(config_free) struct config *none = NULL, *empty = NULL, *comment = NULL;
    struct sewa_error err = { 0 };

    assert_ok(config_defaults(&none, &err), err);
    assert_is_default(none);
    assert_ok(load(*state, "", &empty, &err), err);
    assert_is_default(empty);
    assert_ok(load(*state, "# nothing", &comment, &err), err);
    assert_is_default(comment);
}

static void test_section_defaults(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    struct sewa_error err = { 0 };

    assert_ok(load(*state, "evaluator e { command = x }\nrun r { path = /r }\n", &c, &err), err);
    assert_int_equal(c->evaluators[0].command.count, 1);
    assert_int_equal(c->evaluators[0].environment.count, 0);
    assert_string_equal(c->evaluators[0].directory, "");
    assert_string_equal(c->evaluators[0].options, "{}");
    assert_int_equal(c->evaluators[0].timeout_seconds, 600);
    assert_int_equal(c->evaluators[0].start_timeout_seconds, 120);
    assert_int_equal(c->runs[0].settle_seconds, 5);
    assert_string_equal(c->runs[0].marker, "");
}

#define LETTERS_16  "ABCDEFGHIJKLMNOP"
#define LETTERS_64  LETTERS_16 LETTERS_16 LETTERS_16 LETTERS_16
#define LETTERS_128 LETTERS_64 LETTERS_64

/* text, the line, what the message says */
static const struct {
    const char *text;
    int line;
    const char *word;
} mistakes[] = {
    { "listen = 1\n", 1, "no ADDRESS:PORT" },
    { "\n\n\nlisten = 1\n", 4, "no ADDRESS:PORT" },
    { "# a\n# b\n/* c\nd */ // e\nlisten = 1\n", 5, "no ADDRESS:PORT" },
    { "listen = 'a\nb\nc'\n", 1, "no ADDRESS:PORT" },
    { "run x {\n path = /x\n settle_seconds = 3601 }", 3, "settle_seconds is 3601" },
    { "run x {\n settle_seconds = 010x\n path = /x }", 2, "no whole number" },
    { "scan_interval_seconds = 0", 1, "allowed are 1 to 86400" },
    { "worker_threads = 1025", 1, "0 to 1024" },
    { "local_workers = 257", 1, "1 to 256" },
    { "worker_memory_mib = -1", 1, "is -1" },
    { "settle_seconds = 99999999999999999999", 1, "no whole number" },
    { "settle_seconds = ''", 1, "no whole number" },
    { "log_level = verbose", 1, "allowed are error" },
    { "authentication = password", 1, "allowed are none, tokens" },
    { "state_directory = var", 1, "no absolute path" },
    { "state_directory = '/a/../b'", 1, "'..'" },
    { "allowed_roots = {'/a',\n 'b'}", 2, "no absolute path" },
    /* the shape of the file */
    { "foo = 1", 1, "no such option 'foo'" },
    { "zzzzzzzz = 1", 1, "no such option 'zzzzzzzz'; there are listen, admin_socket, " },
    { "setle_seconds = 1", 1, "no such option 'setle_seconds'; is it 'settle_seconds'?" },
    { "runs x { path = /x }", 1, "no such option 'runs'; is it 'run'?" },
    { "run x { paht = /x }", 1, "'paht'; is it 'path'? There are path, pattern, state_key, " },
    { "evaluator x { path = /x }", 1, "'path'; there are command, directory, " },
    { "\nrun x {\n path = /x\n foo = 1\n}", 4, "no such option 'foo'" },
    { "run x {\n command = y\n}", 2, "no such option 'command'" },
    { "listen\n= '1.1.1.1:1'\n\nlisten '1.1.1.1:1'", 4, "missing equal sign" },
    { "listen = {", 1, "this '{' is never closed" },
    { "log_level = info\n}\n", 2, "unexpected closing brace" },
    { "run x {\n path = /x\n", 1, "this '{' is never closed" },
    { "\nevaluator x {\n command = {\n 'a'\n", 3, "this '{' is never closed" },
    { "log_level = {info}", 1, "unexpected" },
    { "run x { path = {/x} }", 1, "unexpected" },
    { "run { path = /x }", 1, "missing title" },
    { "log_level = info\nallowed_roots = {'/a' '/b'}", 2, "unexpected" },
    { "run x path = /x", 1, "missing opening brace" },
    { "log_level += info", 1, "append" },
    { "log_level + info", 1, "unexpected '+'" },
    { "log_level = (info)", 1, "unexpected '('" },
    { "log_level = *", 1, "unexpected '*'" },
    { "run|path = /x", 1, "unexpected '|'" },
    { ", listen = 1", 1, "unexpected" },
    /* strings, comments, variables */
    { "log_level = info\nlisten = \"abc\n\n", 2, "this string is never closed" },
    { "listen = 'abc", 1, "this string is never closed" },
    { "listen = \"abc\\", 1, "this string is never closed" },
    { "listen = 'abc\\", 1, "this string is never closed" },
    { "\n/* abc\n*", 2, "this comment is never closed" },
    { "/*/\n", 1, "this comment is never closed" },
    { "listen = \"\\9\"", 1, "the escape '\\9'" },
    { "listen = \"\\400\"", 1, "the escape '\\400'" },
    { "listen = \"\\000\"", 1, "the escape '\\000'" },
    { "listen = \"\\1234\"", 1, "the escape '\\1234'" },
    { "listen = \"\\x0\"", 1, "the escape '\\x'" },
    { "listen = \"\\xg\"", 1, "the escape '\\x'" },
    { "listen = \"C:\\data\"", 1, "unknown escape '\\d'" },
    { "listen = \"a\n${SEWA_TEST_UNSET}\"", 2, "'SEWA_TEST_UNSET' is not set" },
    { "listen = ${SEWA_TEST_UNSET}", 1, "'SEWA_TEST_UNSET' is not set" },
    { "listen = \"${A\"", 1, "'${' without '}'" },
    { "listen = \"${A\nB}\"", 1, "'${' without '}'" },
    { "listen = \"${}\"", 1, "begins no ${NAME}" },
    { "listen = \"${A-b}\"", 1, "begins no ${NAME}" },
    /* longer than any name that is looked up: not cut, but refused */
    { "listen = \"${" LETTERS_128 "}\"", 1, "begins no ${NAME}" },
    /* what must be given, and once */
    { "\nrun x {\n}\n", 2, "run 'x' has no path" },
    { "\n\nroot x { pattern = '' }\n", 3, "root 'x' has no path" },
    { "\nevaluator x {\n timeout_seconds = 1\n}", 2, "evaluator 'x' has no command" },
    { "evaluator x { command = {} }", 1, "evaluator 'x' has no command" },
    { "evaluator x { command = {''} }", 1, "an empty command" },
    { "log_level = info\n\nlog_level = info\n", 3, "log_level is set twice, before in" },
    { "allowed_roots = {}\nallowed_roots = {}\n", 2, "allowed_roots is set twice" },
    { "allowed_roots += {'/a'}\nallowed_roots = {'/b'}\n", 2, "allowed_roots is set twice" },
    { "run x {\n path = /x\n path = /x\n}", 3, "path is set twice, before in line 2" },
    { "run x { path = /x }\nrun x { path = /y }", 2, "duplicate title 'x'" },
    { "root x { path = /x }\nroot x { path = /y }", 2, "duplicate title 'x'" },
    { "evaluator x { command = a }\nevaluator 'x' { command = b }", 2, "duplicate title 'x'" },
    { "launcher slurm { }\nlauncher slurm { }", 2, "duplicate title 'slurm'" },
    /* names */
    { "\nrun 'a b' {\n path = /x }", 2, "the title of this run" },
    { "run '' { path = /x }", 1, "the title of this run" },
    { "run '../x' { path = /x }", 1, "the title of this run" },
    { "evaluator '.x' { command = a }", 1, "the title of this evaluator" },
    { "root '12345678901234567890123456789012345678901234567890123456789012' { path = /x }", 1,
      "more than 61 bytes" },
    { "\nlauncher local { }", 2, "launcher 'local' is not known" },
    /* single values of sections */
    { "run x { path = x }", 1, "no absolute path" },
    { "run x { path = '/x/' }", 1, "slash at its end" },
    { "run x {\n path = /x\n pattern = 'a' }", 3, "no {step}" },
    { "run x {\n path = /x\n pattern = '{step}{step}' }", 3, "more than once" },
    { "run x {\n path = /x\n marker = '*.done' }", 3, "{name} or {stem}" },
    { "evaluator x {\n command = a\n options =\n '{\"a\":\n1,}' }", 4, "options: not valid JSON" },
    { "evaluator x { command = a options = '[]' }", 1, "options is JSON but no object" },
    { "evaluator x { command = a environment = {'A'} }", 1, "no NAME=VALUE" },
    { "evaluator x { command = a timeout_seconds = 0 }", 1, "1 to 86400" },
    { "launcher slurm { time = tomorrow }", 1, "no time" },
    { "launcher slurm { callback = head }", 1, "no URL" },
    { "launcher slurm { max_workers = 0 }", 1, "1 to 10000" },
    /* relations */
    { "log_level = info\ndevice_slots = {0,\n 1}\ndevice_slots += {0}", 2, "'0' twice" },
    { "run a { path = /x }\nrun b { path = /x }", 2, "the path and the pattern of run 'a'" },
    { "root a { path = /x }\nroot b { path = /x }", 2, "the path of root 'a'" },
    { "\nrun a { path = /var/lib/sewad/artifacts }", 2, "writes itself" },
    { "artifact_directory = /a\nrun a { path = /a }", 2, "writes itself" },
    { "root a { path = /var/lib }", 1, "writes itself" },
    /* includes */
    { "\ninclude 'missing.conf'", 2, "'missing.conf' does not exist" },
    { "\ninclude\n\"main.conf\"", 2, "includes itself" },
    { "include 'a\\*b'", 1, "plain path" },
    { "include ''", 1, "plain path" },
    { "include main.conf", 1, "in quotes" },
    { "run x { include 'y' }", 1, "no such option 'include'" },
    { "include = 'y'", 1, "no such option 'include'" },
};

static void test_mistakes(void **state)
{
    AUTOFREE char *path = path_join(*state, "main.conf");

    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        AUTOPTR(config_free) struct config *c = NULL;
        struct sewa_error err = { 0 };
        AUTO(buf_clear) struct buf where = { 0 };
        buf_printf(&where, "%s:%d: ", path, mistakes[i].line);
        int rc = load(*state, mistakes[i].text, &c, &err);
        if (rc != SEWA_E_CONFIG || !strstr(err.text, mistakes[i].word) ||
            strncmp(err.text, where.data, where.len) != 0)
            print_error("row %zu, wanted line %d: %s\n", i, mistakes[i].line, err.text);
        assert_failed(rc, err, SEWA_E_CONFIG, mistakes[i].word);
        assert_memory_equal(err.text, where.data, where.len);
        assert_null(c);
    }
}

/* A mistake must not stay in libconfuse's lexer: the next file, read on SIGHUP, is another one. */
static void test_a_mistake_leaves_nothing_behind(void **state)
{
    struct sewa_error err = { 0 };

    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        AUTOPTR(config_free) struct config *bad = NULL, *good = NULL;
        assert_int_equal(load(*state, mistakes[i].text, &bad, &err), SEWA_E_CONFIG);
        assert_ok(load(*state, "listen = \"1.2.3.4:5\"\nlog_level = warn\n", &good, &err), err);
        assert_string_equal(good->listen, "1.2.3.4:5");
        assert_int_equal(good->log_level, LOG_LEVEL_WARN);
    }
}

static void test_variables_and_escapes(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    struct sewa_error err = { 0 };

    assert_int_equal(setenv("SEWA_TEST_BASE", "/base", 1), 0);
    /* no path, but one string: no comment begins in it */
    assert_failed(load(*state, "allowed_roots = {a//b}", &c, &err), err, SEWA_E_CONFIG, "'a//b'");
    assert_ok(load(*state,
                   "state_directory = \"${SEWA_TEST_BASE}/s\"\n"
                   "artifact_directory = \"${SEWA_TEST_UNSET:-/x}/a\"\n"
                   "allowed_roots = {'/${SEWA_TEST_BASE}', \"/\\$x\\\"\\\\\\x41\\101\",\n"
                   "  ${SEWA_TEST_BASE}, '/it\\'s'}\n",
                   &c, &err),
              err);
    assert_string_equal(c->state_directory, "/base/s");
    assert_string_equal(c->artifact_directory, "/x/a");
    assert_string_equal(c->allowed_roots.items[0], "/${SEWA_TEST_BASE}");
    assert_string_equal(c->allowed_roots.items[1], "/$x\"\\AA");
    assert_string_equal(c->allowed_roots.items[2], "/base");
    assert_string_equal(c->allowed_roots.items[3], "/it's");
}

static void load_and_free(const char *directory)
{
    static const char text[] = "listen = '127.0.0.1:1'\nallowed_roots = {'/a', '/b'}\n"
                               "run a { path = /x marker = '{name}.done' }\nroot b { path = /y }\n"
                               "evaluator c { command = {sh, x} environment = {'A=B'} }\n"
                               "launcher slurm { partition = gpu }\n";
    AUTOPTR(config_free) struct config *c = NULL;
    struct sewa_error err = { 0 };

    assert_ok(load(directory, text, &c, &err), err);
}

/* A service reads its configuration at every SIGHUP. (Sanitizers count nothing here, but find what
 * is lost by themselves.) */
static void test_what_was_loaded_is_freed(void **state)
{
    enum { LOADS = 200, SLACK_BYTES = 4096 };

    for (int i = 0; i < 5; i++)
        load_and_free(*state);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < LOADS; i++)
        load_and_free(*state);
    assert_true(mallinfo2().uordblks <= before + SLACK_BYTES);
}

static void test_origins(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL, *none = NULL;
    AUTO(buf_clear) struct buf where = { 0 };
    struct sewa_error err = { 0 };

    buf_printf(&where, "%s/main.conf:2", (const char *)*state);
    assert_ok(load(*state, "# a\nlisten = '127.0.0.1:1'\nallowed_roots += {'/a'}", &c, &err), err);
    assert_string_equal(config_origin(c, "listen"), buf_cstr(&where));
    assert_null(config_origin(c, "log_level"));
    assert_null(config_origin(c, "nothing"));
    assert_int_equal(config_mistake(c, "listen", &err, "no %d", 7), SEWA_E_CONFIG);
    buf_text(&where, ": no 7");
    assert_string_equal(err.text, buf_cstr(&where));
    config_mistake(c, "log_level", &err, "no 8");
    assert_string_equal(err.text, "no 8");
    /* what the command line says stands in no file */
    assert_ok(config_override(c, "listen", "127.0.0.1:2", &err), err);
    assert_null(config_origin(c, "listen"));
    assert_ok(config_defaults(&none, &err), err);
    assert_null(config_origin(none, "listen"));
}

static struct buf said;

static void say(const char *line)
{
    buf_printf(&said, "%s\n", line);
}

static void test_what_needs_a_restart(void **state)
{
    static const char first[] = "listen = '127.0.0.1:1'\nlocal_workers = 2\nlog_level = warn\n";
    static const char other[] = "run a { path = /x }\nsettle_seconds = 9\nlog_level = debug\n"
                                "listen = '127.0.0.1:2'\ndevice_slots = {0, 1}\n";
    AUTOPTR(config_free) struct config *a = NULL, *b = NULL, *same = NULL;
    AUTO(buf_clear) struct buf wanted = { 0 };
    const char *at = *state;
    struct sewa_error err = { 0 };

    assert_ok(load(at, first, &a, &err), err);
    assert_ok(load(at, other, &b, &err), err);
    assert_ok(
        load(at, "run a { path = /x }\nlisten = '127.0.0.1:1'\nlocal_workers = 2", &same, &err),
        err);
    config_needs_restart(a, b, say);
    buf_printf(&wanted,
               "%s/main.conf:4: listen needs a restart: until then it stays '127.0.0.1:1', and "
               "does not become '127.0.0.1:2'\n"
               "%s/main.conf:5: device_slots needs a restart: until then it stays {}, and does not "
               "become {'0', '1'}\n"
               "local_workers needs a restart: until then it stays 2, and does not become 1\n",
               at, at);
    assert_string_equal(buf_cstr(&said), buf_cstr(&wanted));
    buf_clear(&said);
    config_needs_restart(a, same, say);
    assert_int_equal(said.len, 0);
}

static void test_lists_can_be_continued(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    struct sewa_error err = { 0 };

    assert_ok(load(*state, "allowed_roots = {'/a'}\nallowed_roots += {'/b', '/c'}\n", &c, &err),
              err);
    assert_int_equal(c->allowed_roots.count, 3);
    assert_string_equal(c->allowed_roots.items[2], "/c");
}

static void test_a_list_has_an_end(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    AUTO(buf_clear) struct buf b = { 0 };
    struct sewa_error err = { 0 };

    buf_text(&b, "device_slots = {");
    for (int i = 0; i < 257; i++)
        buf_printf(&b, "%d,\n", i);
    buf_text(&b, "}\n");
    assert_failed(load(*state, buf_cstr(&b), &c, &err), err, SEWA_E_CONFIG,
                  "main.conf:257: device_slots has more than 256 items");
}

static void test_nul_bytes(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    AUTOFREE char *path = path_join(*state, "nul.conf");
    struct sewa_error err = { 0 };
    static const char text[] = "log_level = info\nlisten = '1.1.1.1:1\0'\n";

    scratch_write(*state, "nul.conf", text, sizeof text - 1);
    assert_failed(config_load(path, &c, &err), err, SEWA_E_CONFIG, "nul.conf:2: ");
}

static void test_files_that_cannot_be_read(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    AUTOFREE char *missing = path_join(*state, "missing.conf");
    struct sewa_error err = { 0 };

    assert_failed(config_load(missing, &c, &err), err, SEWA_E_NOT_FOUND, "missing.conf");
    assert_failed(config_load(*state, &c, &err), err, SEWA_E_IO, "cannot read");
    assert_null(c);
}

static void make_directory(const char *parent, const char *name)
{
    AUTOFREE char *path = path_join(parent, name);

    assert_int_equal(mkdir(path, 0755), 0);
}

static void write_text(const char *directory, const char *name, const char *text)
{
    scratch_write(directory, name, text, strlen(text));
}

static void test_includes(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    struct sewa_error err = { 0 };

    make_directory(*state, "conf.d");
    write_text(*state, "conf.d/20-b.conf", "run b { path = /b }\n");
    write_text(*state, "conf.d/10-a.conf", "run a { path = /a }\nallowed_roots += {'/x'}\n");
    write_text(*state, "conf.d/.hidden.conf", "nonsense");
    write_text(*state, "conf.d/other.txt", "nonsense");
    write_text(*state, "one.conf", "include \"conf.d/*.conf\"\nrun c { path = /c }\n");
    assert_ok(load(*state,
                   "include \"one.conf\" include 'nothing/*.conf'\n"
                   "allowed_roots = {'/y'}\n",
                   &c, &err),
              err);
    assert_int_equal(c->run_count, 3);
    assert_string_equal(c->runs[0].name, "c"); /* a file comes before what it includes */
    assert_string_equal(c->runs[1].name, "a");
    assert_string_equal(c->runs[2].name, "b");
    assert_non_null(strstr(c->runs[2].origin, "conf.d/20-b.conf:1"));
    assert_int_equal(c->allowed_roots.count, 2);
}

static void test_includes_from_a_directory_with_wildcards_in_its_name(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    AUTOFREE char *path = path_join(*state, "[x]*/a.conf");
    struct sewa_error err = { 0 };

    make_directory(*state, "[x]*");
    write_text(*state, "[x]*/a.conf", "include 'b.conf'");
    write_text(*state, "[x]*/b.conf", "run b { path = /b }");
    assert_ok(config_load(path, &c, &err), err);
    assert_int_equal(c->run_count, 1);
}

static const struct {
    const char *text, *included; /* included is sub.conf */
    const char *word;
} include_mistakes[] = {
    { "include 'sub.conf'", "\nrun x {\n  path = x }", "sub.conf:3: path is 'x'" },
    { "include 'sub.conf'\nlog_level = info", "\n\nlog_level = info",
      "sub.conf:3: log_level is set" },
    { "include 'sub.conf'\nrun x { path = /x }", "\nrun x { path = /y }",
      "sub.conf:2: found duplicate title 'x'" },
    { "include 'sub.conf'\n", "\n\ninclude 'main.conf'", "includes itself" },
    { "include 'sub.conf'\n", "include 'sub.conf'", "includes itself" },
    { "\ninclude 'sub.conf/x'\n", "", "main.conf:2: 'sub.conf/x' does not exist" },
    { "\ninclude 'conf.d'\n", "", "main.conf:2: cannot read" },
    { "\ninclude 's*.conf'\n", "\"", "sub.conf:1: this string is never closed" },
    { "allowed_roots = {'/a'}\ninclude 'sub.conf'\n", "allowed_roots = {'/b'}",
      "sub.conf:1: allowed_roots is set twice, before in" },
};

static void test_mistakes_in_includes(void **state)
{
    make_directory(*state, "conf.d");
    for (size_t i = 0; i < COUNT_OF(include_mistakes); i++) {
        AUTOPTR(config_free) struct config *c = NULL;
        struct sewa_error err = { 0 };
        write_text(*state, "sub.conf", include_mistakes[i].included);
        int rc = load(*state, include_mistakes[i].text, &c, &err);
        assert_failed(rc, err, SEWA_E_CONFIG, include_mistakes[i].word);
    }
}

static void test_includes_have_a_depth(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL, *deep = NULL;
    struct sewa_error err = { 0 };

    for (int i = 0; i < 9; i++) {
        char name[32], text[48];
        snprintf(name, sizeof name, "%d.conf", i);
        snprintf(text, sizeof text, "include '%d.conf'", i + 1);
        write_text(*state, name, i < 8 ? text : "log_level = warn");
    }
    assert_ok(load(*state, "include '1.conf'", &c, &err), err);
    assert_int_equal(c->log_level, LOG_LEVEL_WARN);
    assert_failed(load(*state, "include '0.conf'", &deep, &err), err, SEWA_E_CONFIG,
                  "7.conf:1: includes are nested more than 8 deep");
}

static void test_override(void **state)
{
    AUTOPTR(config_free) struct config *c = NULL;
    struct sewa_error err = { 0 };

    assert_ok(load(*state, "run x { path = /data/x }", &c, &err), err);
    assert_ok(config_override(c, "listen", "0.0.0.0:0", &err), err);
    assert_string_equal(c->listen, "0.0.0.0:0");
    assert_false(config_is_loopback(c));
    assert_ok(config_override(c, "log_level", "error", &err), err);
    assert_int_equal(c->log_level, LOG_LEVEL_ERROR);
    assert_failed(config_override(c, "listen", "x", &err), err, SEWA_E_CONFIG, "ADDRESS:PORT");
    assert_string_equal(c->listen, "0.0.0.0:0");
    assert_failed(config_override(c, "foo", "x", &err), err, SEWA_E_NOT_FOUND, "'foo'");
    assert_failed(config_override(c, "allowed_roots", "/", &err), err, SEWA_E_NOT_FOUND,
                  "allowed_roots");
    assert_failed(config_override(c, "state_directory", "/data", &err), err, SEWA_E_CONFIG,
                  "main.conf:1: path '/data/x' would find");
}

/* Every allocation of ours fails once; those inside libconfuse are out of reach. */
static void test_memory_may_be_short(void **state)
{
    AUTOFREE char *path = path_join(*state, "main.conf");

    write_text(*state, "sub.conf", "run b { path = /b }\nevaluator e { command = {a, b} }\n");
    write_text(*state, "main.conf",
               "include 'sub.conf'\nallowed_roots = {/a, /b}\nrun a { path = /a }\n"
               "root r { path = /r }\nlauncher slurm { }\nlog_level = warn");
    for (int64_t n = 0;; n++) {
        AUTOPTR(config_free) struct config *c = NULL;
        struct sewa_error err = { 0 };
        alloc_fail_at(n);
        int rc = config_load(path, &c, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            assert_true(n > 10);
            break;
        }
        assert_int_equal(rc, SEWA_E_NO_MEMORY);
        assert_int_equal(err.code, SEWA_E_NO_MEMORY);
        assert_null(c);
    }
}

/* The row of options.def for a name that stands at the start of a line of the example. */
static bool example_has(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += strspn(p, "\n ");
        if (strncmp(p, name, n) == 0 && strncmp(p + n, " = ", 3) == 0)
            return true;
        if (*p == '\0')
            break;
    }
    return false;
}

static void test_the_example_loads_and_is_whole(void **state)
{
    (void)state;
    static const char path[] = "../deploy/sewad.conf.example";
    AUTOPTR(config_free) struct config *c = NULL;
    AUTO(buf_clear) struct buf text = { 0 };
    struct sewa_error err = { 0 };

    assert_ok(config_load(path, &c, &err), err);
    assert_ok(file_read(path, 1 << 20, &text, &err), err);
    for (size_t i = 0; config_option_at(i); i++) {
        const struct config_option *o = config_option_at(i);
        AUTO(buf_clear) struct buf section = { 0 };
        buf_printf(&section, "\n%s \"", o->section);
        const char *from = strstr(text.data, o->section[0] ? section.data : "\n");
        assert_non_null(from);
        const char *end = o->section[0] ? strstr(from, "\n}") : NULL;
        AUTOFREE char *part = end ? strndup(from, (size_t)(end - from)) : strdup(from);
        if (!example_has(part, o->name))
            print_error("option '%s' of '%s' is missing\n", o->name, o->section);
        assert_true(example_has(part, o->name));
        assert_true(strlen(o->help) > 0);
    }
    assert_int_equal(c->run_count + c->root_count + c->evaluator_count, 3);
    assert_true(c->slurm.is_given);
    /* what is not marked as an example is the default */
    AUTOPTR(config_free) struct config *d = NULL;
    assert_ok(config_defaults(&d, &err), err);
    assert_string_equal(c->listen, d->listen);
    assert_string_equal(c->admin_socket, d->admin_socket);
    assert_string_equal(c->state_directory, d->state_directory);
    assert_int_equal(c->scan_interval_seconds, d->scan_interval_seconds);
    assert_int_equal(c->settle_seconds, d->settle_seconds);
    assert_int_equal(c->local_workers, d->local_workers);
    assert_int_equal(c->slurm.max_workers, d->slurm.max_workers);
}

/* The way in which a field is held must be that of its kind, and a default must be a value. */
static void test_the_table_agrees_with_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < field_count; i++) {
        const struct field *f = &fields[i];
        const char *value = f->option.default_value;
        bool inherited = value && strcmp(value, "-1") == 0;
        assert_int_equal(f->shape == SHAPE_NUMBER, f->kind == KIND_NUMBER);
        assert_int_equal(f->shape == SHAPE_WORD,
                         f->kind == KIND_AUTHENTICATION || f->kind == KIND_LOG_LEVEL);
        assert_int_equal(f->shape == SHAPE_LIST, f->kind >= KIND_PATH_LIST);
        if (value && f->shape != SHAPE_LIST && !inherited)
            assert_int_equal(config_check(f->kind, "x", value, f->min, f->max, NULL), 0);
        assert_ptr_equal(field_find(f->scope, f->option.name), f);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_section_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_mistake_leaves_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_variables_and_escapes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_loaded_is_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_origins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_needs_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists_can_be_continued, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_list_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nul_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_that_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_includes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_includes_from_a_directory_with_wildcards_in_its_name,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes_in_includes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_includes_have_a_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_override, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_may_be_short, setup, teardown),
        cmocka_unit_test(test_the_example_loads_and_is_whole),
        cmocka_unit_test(test_the_table_agrees_with_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
