/*
 * fuzz_dcp - the input is the .metadata of a distributed checkpoint, in a directory with one part
 * that is sound. What is accepted lies within that part, and is no trainer's state.
 */
#include "check_layout.h"

#include <fcntl.h>
#include <unistd.h>

#include "formats/checkpoint.h"
#include "formats/trainer_state.h"

#include "../unit/formats/archive.h"

/* A tensor of six floats, as torch.save writes one by itself. */
static const char pickle[] =
    "\x80\x02"
    "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"
    "0X\x03\0\0\0cpuK\x06tQK\0K\x06\x85K\x01\x85\x89}tR.";

static char directory[] = "/tmp/fuzz-dcp-XXXXXX";
static int directory_fd = -1, metadata_fd = -1;
static int64_t part_bytes;

static void clean_up(void)
{
    unlinkat(directory_fd, ".metadata", 0);
    unlinkat(directory_fd, "__0_0.distcp", 0);
    rmdir(directory);
}

static void set_up(void)
{
    AUTO(archive_clear) struct archive a = { .count = 0 };

    MUST(mkdtemp(directory) != NULL);
    directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(directory_fd >= 0);
    atexit(clean_up);
    archive_checkpoint(&a, pickle, sizeof pickle - 1);
    AUTOCLOSE int part = openat(directory_fd, "__0_0.distcp", O_WRONLY | O_CREAT, 0600);
    MUST(part >= 0 && write(part, a.bytes.data, a.bytes.len) == (ssize_t)a.bytes.len);
    part_bytes = (int64_t)a.bytes.len;
    metadata_fd = openat(directory_fd, ".metadata", O_RDWR | O_CREAT, 0600);
    MUST(metadata_fd >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    if (directory_fd < 0)
        set_up();
    MUST(ftruncate(metadata_fd, 0) == 0 && pwrite(metadata_fd, data, size, 0) == (ssize_t)size);
    int rc = checkpoint_read_directory(directory_fd, "d", NULL, &l, &err);
    MUST((rc == 0) == (l != NULL) && rc == err.code);
    if (rc < 0) {
        MUST((rc == SEWA_E_CORRUPT || rc == SEWA_E_INCOMPLETE || rc == SEWA_E_UNSUPPORTED) &&
             err.text[0]);
        return 0;
    }
    MUST(l->file_count <= 1);
    for (size_t i = 0; i < l->count; i++) {
        char state[TRAINER_STATE_SIZE];
        MUST(l->tensors[i].offset + l->tensors[i].span_bytes <= part_bytes);
        MUST(!trainer_state_of(l->tensors[i].name, state));
    }
    check_layout(l);
    return 0;
}
