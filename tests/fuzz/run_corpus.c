/*
 * run_corpus - give each file of the directories on the command line to a fuzz target, once: the
 * corpus as an ordinary test, for compilers without libFuzzer.
 */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

/* The bytes are in a block of exactly their size, so that a sanitizer notices reading on. */
static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;

    MUST(f && fstat(fileno(f), &st) == 0);
    size_t n = (size_t)st.st_size;
    uint8_t *bytes = malloc(n ? n : 1);
    MUST(bytes && fread(bytes, 1, n, f) == n);
    fclose(f);
    printf("%s\n", path); /* the last one printed is the one that failed */
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, n);
    free(bytes);
}

static int run_directory(const char *path)
{
    struct dirent **entries;
    int count = 0, n = scandir(path, &entries, NULL, alphasort);

    MUST(n >= 0);
    for (int i = 0; i < n; i++) {
        char file[4096];
        struct stat st;
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            run_file(file);
            count++;
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++)
        count += run_directory(argv[i]);
    printf("%d files\n", count);
    return count > 0 ? 0 : 1; /* a corpus that is not there is a failure */
}
