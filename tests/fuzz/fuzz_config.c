/*
 * fuzz_config - text that an administrator might write: it is a configuration, or every mistake has
 * its line; and what was taken is within its ranges and taken again the same way.
 */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "config/config.h"

static int load(const char *path, struct config **ret, struct sewa_error *err)
{
    int rc = config_load(path, ret, err);

    MUST((rc == 0) == (*ret != NULL));
    MUST(rc == 0 ||
         (rc == err->code && err->text[0] && utf8_is_valid(err->text, strlen(err->text))));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    static char path[64];
    struct config *c = NULL, *again = NULL;
    struct sewa_error err = { 0 };

    if (memmem(data, n, "include", 7)) /* other files are no business of a fuzzer */
        return 0;
    if (fd < 0) {
        fd = memfd_create("sewad.conf", MFD_CLOEXEC);
        MUST(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    MUST(ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n);
    int rc = load(path, &c, &err);
    if (rc == 0) {
        MUST(c->listen && c->state_directory && c->worker_memory_mib >= 0);
        MUST(load(path, &again, &err) == 0);
        MUST(strcmp(c->listen, again->listen) == 0);
    } else {
        MUST(rc != SEWA_E_CONFIG || strstr(err.text, ":") != NULL); /* FILE:LINE */
    }
    config_free(c);
    config_free(again);
    return 0;
}
