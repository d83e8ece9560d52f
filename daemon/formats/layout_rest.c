/*
 * layout_rest - what a layout has besides tensors: metadata, files, storages, notes, what was left.
 * Thread: one at a time.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"

#include "formats/layout_body.h"

void *layout_grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    size_t more = *room ? 2 * *room : 64;
    void *grown = realloc(array, more * size);
    if (grown)
        *room = more;
    return grown;
}

int layout_no_memory(struct sewa_error *err, const struct layout *l)
{
    return sewa_fail(err, SEWA_E_NO_MEMORY, "no memory for a layout of %zu tensors", l->count);
}

int layout_builder_metadata(struct layout_builder *b, const char *key, const char *value,
                            struct sewa_error *err)
{
    struct layout *l = &b->body->layout;
    struct arena *arena = &b->body->arena;

    if (l->metadata_count == LAYOUT_METADATA_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED, "more than %d metadata keys are not supported",
                         LAYOUT_METADATA_MAX);
    struct layout_metadata *metadata =
        layout_grow(l->metadata, l->metadata_count, &b->metadata_room, sizeof *metadata);
    if (!metadata)
        return layout_no_memory(err, l);
    l->metadata = metadata;
    struct layout_metadata *added = &metadata[l->metadata_count];
    added->key = arena_text(arena, key, strlen(key));
    added->value = arena_text(arena, value, strlen(value));
    if (!added->key || !added->value)
        return layout_no_memory(err, l);
    l->metadata_count++;
    return 0;
}

/* Names of files and keys end up in messages and in the index. */
static int check_text(const char *what, const char *text, struct sewa_error *err)
{
    size_t n = strlen(text);

    if (n > LAYOUT_NAME_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED, "%s has %zu bytes, at most %d are supported",
                         what, n, LAYOUT_NAME_MAX);
    if (!utf8_is_valid(text, n))
        return sewa_fail(err, SEWA_E_CORRUPT, "%s is not UTF-8", what);
    return 0;
}

static int append_file(struct layout_builder *b, const struct layout_file *file,
                       struct sewa_error *err)
{
    struct layout *l = &b->body->layout;
    struct layout_file *files = layout_grow(l->files, l->file_count, &b->files_room, sizeof *files);

    if (!files)
        return layout_no_memory(err, l);
    l->files = files;
    files[l->file_count] = *file;
    files[l->file_count].name = arena_text(&b->body->arena, file->name, strlen(file->name));
    return files[l->file_count++].name ? 0 : layout_no_memory(err, l);
}

int layout_builder_file(struct layout_builder *b, const struct layout_file *file,
                        struct sewa_error *err)
{
    if (b->body->layout.file_count == LAYOUT_FILES_MAX)
        return sewa_fail(err, SEWA_E_UNSUPPORTED, "more than %d files are not supported",
                         LAYOUT_FILES_MAX);
    if (file->bytes < 0)
        return sewa_fail(err, SEWA_E_CORRUPT, "a file of %" PRId64 " bytes", file->bytes);
    int rc = check_text("the name of a file", file->name, err);
    return rc < 0 ? rc : append_file(b, file, err);
}

int layout_builder_storage(struct layout_builder *b, const struct layout_storage *storage,
                           struct sewa_error *err)
{
    struct layout *l = &b->body->layout;
    struct layout_storage *storages =
        layout_grow(l->storages, l->storage_count, &b->storages_room, sizeof *storages);

    if (!storages)
        return layout_no_memory(err, l);
    l->storages = storages;
    storages[l->storage_count++] = *storage;
    return 0;
}

int layout_builder_note(struct layout_builder *b, struct sewa_error *err, const char *format, ...)
{
    enum { NOTE_SIZE = 501 };
    struct layout *l = &b->body->layout;
    struct arena *arena = &b->body->arena;
    char note[NOTE_SIZE];
    va_list ap;

    if (l->note_count == LAYOUT_NOTES_MAX)
        return 0;  /* a hundred sentences are more than anybody reads */
    if (!l->notes) /* the address is const for whoever reads */
        l->notes = arena_take(arena, LAYOUT_NOTES_MAX * sizeof *l->notes, _Alignof(char *));
    if (!l->notes)
        return layout_no_memory(err, l);
    va_start(ap, format);
    vsnprintf(note, sizeof note, format, ap);
    va_end(ap);
    size_t n = strlen(note);
    while (n > 0 && !utf8_is_valid(note, n)) /* cut within a character */
        n--;
    l->notes[l->note_count] = arena_text(arena, note, n);
    return l->notes[l->note_count++] ? 0 : layout_no_memory(err, l);
}

static int set_text(struct layout_builder *b, const char **ret, const char *text,
                    struct sewa_error *err)
{
    int rc = check_text("the key of the tensors or the name of a file", text, err);

    if (rc < 0)
        return rc;
    const char *copy = arena_text(&b->body->arena, text, strlen(text));
    if (!copy)
        return layout_no_memory(err, &b->body->layout);
    *ret = copy;
    return 0;
}

int layout_builder_state_key(struct layout_builder *b, const char *key, struct sewa_error *err)
{
    return set_text(b, &b->body->layout.state_key, key, err);
}

int layout_builder_last_file(struct layout_builder *b, const char *name, struct sewa_error *err)
{
    return set_text(b, &b->body->layout.last_file, name, err);
}

int layout_builder_left(struct layout_builder *b, const char *what, struct sewa_error *err)
{
    struct layout *l = &b->body->layout;

    for (size_t i = 0; i < l->left_count; i++)
        if (strcmp(l->left[i], what) == 0)
            return 0;
    if (l->left_count == LAYOUT_LEFT_MAX)
        return 0; /* the notes say how many there are */
    if (!l->left)
        l->left = arena_take(&b->body->arena, LAYOUT_LEFT_MAX * sizeof *l->left, _Alignof(char *));
    if (!l->left)
        return layout_no_memory(err, l);
    int rc = set_text(b, &l->left[l->left_count], what, err);
    if (rc == 0)
        l->left_count++;
    return rc;
}

int layout_builder_copy_rest(struct layout_builder *b, const struct layout *l,
                             struct sewa_error *err)
{
    int rc = layout_builder_state_key(b, l->state_key, err);

    if (rc == 0 && l->last_file)
        rc = layout_builder_last_file(b, l->last_file, err);
    for (size_t i = 0; i < l->metadata_count && rc == 0; i++)
        rc = layout_builder_metadata(b, l->metadata[i].key, l->metadata[i].value, err);
    for (size_t i = 0; i < l->file_count && rc == 0; i++)
        rc = layout_builder_file(b, &l->files[i], err);
    for (size_t i = 0; i < l->storage_count && rc == 0; i++)
        rc = layout_builder_storage(b, &l->storages[i], err);
    for (size_t i = 0; i < l->note_count && rc == 0; i++)
        rc = layout_builder_note(b, err, "%s", l->notes[i]);
    for (size_t i = 0; i < l->left_count && rc == 0; i++)
        rc = layout_builder_left(b, l->left[i], err);
    b->body->layout.file_bytes = l->file_bytes;
    memcpy(b->body->layout.header_digest, l->header_digest, sizeof l->header_digest);
    return rc;
}
