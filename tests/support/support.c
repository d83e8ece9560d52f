/*
 * support - scratch directories and assertions for the unit tests.
 */
#include "support/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *scratch_new(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];

    snprintf(path, sizeof path, "%s/sewa-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

void scratch_free(char *path)
{
    char command[4200];

    if (!path)
        return;
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' && rm -rf '%s'", path, path);
    assert_int_equal(system(command), 0);
    free(path);
}

void scratch_write(const char *directory, const char *name, const void *data, size_t n)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

size_t scratch_entries(const char *directory)
{
    DIR *d = opendir(directory);
    size_t n = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

void support_assert_failed(int rc, const struct sewa_error *err, int wanted, const char *word,
                           const char *file, int line)
{
    if (rc != wanted || err->code != wanted)
        print_error("returned %d (%s), wanted %s: %s\n", rc, sewa_code_info(rc)->slug,
                    sewa_code_info(wanted)->slug, err->text);
    _assert_true(rc == wanted && err->code == wanted, "the wanted code", file, line);
    if (!strstr(err->text, word))
        print_error("'%s' does not stand in: %s\n", word, err->text);
    _assert_true(strstr(err->text, word) != NULL, "the word in the message", file, line);
}

void support_assert_ok(int rc, const struct sewa_error *err, const char *file, int line)
{
    if (rc < 0)
        print_error("failed with %s: %s\n", sewa_code_info(rc)->slug, err->text);
    _assert_true(rc >= 0, "success", file, line);
}
