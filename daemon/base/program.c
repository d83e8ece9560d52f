/*
 * program - where the shell would find a program.
 */
#include "base/program.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int program_find(const char *name, const char *path, char **ret)
{
    for (const char *at = path; *name && at;) {
        size_t n = strcspn(at, ":");
        AUTOFREE char *file = NULL;
        if (asprintf(&file, "%.*s/%s", n ? (int)n : 1, n ? at : ".", name) < 0) {
            file = NULL;
            return -1;
        }
        struct stat st;
        if (access(file, X_OK) == 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            *ret = TAKE(file);
            return 1;
        }
        at = at[n] ? at + n + 1 : NULL;
    }
    return 0;
}
