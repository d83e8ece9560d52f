/*
 * test_presence - what a configuration names and this machine does not have.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/path.h"
#include "base/program.h"
#include "config/presence.h"

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

static void on_found(const char *line, void *arg)
{
    buf_printf(arg, "%s\n", line);
}

/* Every line about @text, "DIR" in which is the scratch directory. */
static void look(const char *directory, const char *text, struct buf *ret)
{
    AUTOPTR(config_free) struct config *c = NULL;
    AUTOFREE char *path = path_join(directory, "main.conf");
    AUTO(buf_clear) struct buf whole = { 0 };
    struct sewa_error err = { 0 };

    for (const char *at; (at = strstr(text, "DIR")); text = at + 3)
        buf_printf(&whole, "%.*s%s", (int)(at - text), text, directory);
    buf_text(&whole, text);
    scratch_write(directory, "main.conf", buf_cstr(&whole), whole.len);
    assert_ok(config_load(path, &c, &err), err);
    presence_directories(c, on_found, ret);
    presence_programs(c, on_found, ret);
}

static void test_directories(void **state)
{
    static const struct {
        const char *text;
        const char *words; /* of the only line; NULL: there is none */
    } rows[] = {
        { "run a { path = DIR }", NULL },
        { "\nrun a { path = DIR/no }", "main.conf:2: run a: there is no directory" },
        { "run a { path = DIR/file }", ":1: run a: 'DIR/file' is not a directory" },
        { "root a { path = DIR/no }", ":1: root a: there is no directory" },
        { "root a { path = DIR }", NULL },
        { "log_level = info\nallowed_roots = {DIR,\n '/no/such'}",
          ":2: allowed_roots: there is no directory '/no/such'" },
        { "evaluator a { command = sh directory = DIR/no }",
          ":1: evaluator a: there is no directory" },
        { "evaluator a { command = sh directory = DIR }", NULL },
        /* sewad makes them */
        { "state_directory = DIR/no/such", NULL },
        { "\nstate_directory = DIR/file/x",
          "main.conf:2: state_directory: nothing can be written to 'DIR/file/x' (Not a directory)" },
        { "artifact_directory = DIR/no", NULL },
        { "artifact_directory = DIR/file",
          ":1: artifact_directory: nothing can be written to 'DIR/file' (Not a directory)" },
        { "admin_socket = DIR/socket", NULL },
        { "admin_socket = '/socket'", NULL },
        { "admin_socket = ''", NULL },
        { "admin_socket = DIR/no/socket", ":1: admin_socket: there is no directory 'DIR/no'" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(buf_clear) struct buf found = { 0 };
        AUTO(buf_clear) struct buf words = { 0 };
        const char *place = rows[i].words ? strstr(rows[i].words, "DIR") : NULL;
        look(*state, rows[i].text, &found);
        if (place)
            buf_printf(&words, "%.*s%s%s", (int)(place - rows[i].words), rows[i].words,
                       (const char *)*state, place + 3);
        else if (rows[i].words)
            buf_text(&words, rows[i].words);
        if (!rows[i].words) {
            assert_string_equal(buf_cstr(&found), "");
            continue;
        }
        assert_non_null(strstr(buf_cstr(&found), buf_cstr(&words)));
        assert_ptr_equal(strchr(found.data, '\n'), found.data + found.len - 1); /* one line */
    }
}

static void test_programs(void **state)
{
    static const struct {
        const char *command;
        const char *words;
    } rows[] = {
        { "command = {sh, '-c', x}", NULL },
        { "command = '/bin/sh'", NULL },
        { "command = {no-such-program, a}", "there is no program 'no-such-program' in PATH '" },
        { "command = '/bin/no-such'", "there is no program '/bin/no-such'" },
        { "command = 'sh -c x'", "no shell splits the command 'sh -c x'" },
        { "command = {'sh -c', x}", "there is no program 'sh -c' in PATH" },
        { "command = {'DIR/with blank'}", NULL },
        { "command = tool", "there is no program 'tool' in PATH" },
        { "command = tool environment = {'PATH=/no:DIR'}", NULL },
        { "command = sh environment = {'PATH=/no'}", "there is no program 'sh' in PATH '/no'" },
        /* executable, and a regular file */
        { "command = file environment = {'PATH=DIR'}", "there is no program 'file'" },
        { "command = folder environment = {'PATH=DIR'}", "there is no program 'folder'" },
        { "command = './tool' directory = DIR", NULL },
        { "command = './no' directory = DIR", "there is no program './no'" },
        /* only the worker knows where it will run */
        { "command = './no'", NULL },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(buf_clear) struct buf found = { 0 };
        AUTO(buf_clear) struct buf text = { 0 };
        buf_printf(&text, "\nevaluator e {\n %s\n}", rows[i].command);
        look(*state, buf_cstr(&text), &found);
        if (!rows[i].words && found.len > 0)
            print_error("row %zu: %s", i, buf_cstr(&found));
        if (!rows[i].words) {
            assert_int_equal(found.len, 0);
            continue;
        }
        assert_non_null(strstr(buf_cstr(&found), "main.conf:2: evaluator e: "));
        assert_non_null(strstr(buf_cstr(&found), rows[i].words));
    }
}

static int make_files(void **state)
{
    static const char *const programs[] = { "tool", "with blank" };

    setup(state);
    for (size_t i = 0; i < COUNT_OF(programs); i++) {
        AUTOFREE char *path = path_join(*state, programs[i]);
        scratch_write(*state, programs[i], "", 0);
        assert_int_equal(chmod(path, 0755), 0);
    }
    AUTOFREE char *folder = path_join(*state, "folder");
    assert_int_equal(mkdir(folder, 0755), 0);
    AUTOFREE char *file = path_join(*state, "file");
    scratch_write(*state, "file", "", 0);
    return chmod(file, 0644);
}

/* The cases of PATH that a configuration cannot show well. */
static void test_program_find(void **state)
{
    AUTO(buf_clear) struct buf path = { 0 };
    AUTOFREE char *found = NULL, *wanted = path_join(*state, "tool"), *here = NULL;

    buf_printf(&path, "/no/such:%s:/bin", (const char *)*state);
    assert_int_equal(program_find("tool", buf_cstr(&path), &found), 1);
    assert_string_equal(found, wanted);
    assert_int_equal(program_find("", buf_cstr(&path), &here), 0);
    assert_int_equal(program_find("tool", "", &here), 0);
    /* an empty entry is the directory that one is in */
    assert_int_equal(chdir(*state), 0);
    assert_int_equal(program_find("tool", "/no::/no", &here), 1);
    assert_string_equal(here, "./tool");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_directories, make_files, teardown),
        cmocka_unit_test_setup_teardown(test_programs, make_files, teardown),
        cmocka_unit_test_setup_teardown(test_program_find, make_files, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
