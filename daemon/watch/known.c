/*
 * known - the names that one watched directory is known to hold.
 */
#include "watch/known.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 16 };

/* FNV-1a. Who can choose names to make it slow can also make a million files. */
static uint32_t hash_of(const char *name)
{
    uint32_t h = 2166136261u;

    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        h = (h ^ *p) * 16777619u;
    return h;
}

static struct known_file **bucket_of(const struct known *k, uint32_t hash)
{
    return &k->buckets[hash & (k->bucket_count - 1)];
}

static int grow(struct known *k)
{
    size_t count = k->bucket_count ? k->bucket_count * 2 : BUCKETS_MIN;
    struct known bigger = { .buckets = calloc(count, sizeof *bigger.buckets),
                            .bucket_count = count };

    if (!bigger.buckets)
        return -1;
    for (size_t i = 0; i < k->bucket_count; i++)
        for (struct known_file *f = k->buckets[i], *next; f; f = next) {
            struct known_file **bucket = bucket_of(&bigger, f->hash);
            next = f->next;
            f->next = *bucket;
            *bucket = f;
        }
    free(k->buckets);
    k->buckets = bigger.buckets;
    k->bucket_count = count;
    return 0;
}

struct known_file *known_find(const struct known *k, const char *name)
{
    if (k->bucket_count == 0)
        return NULL;
    uint32_t hash = hash_of(name);
    struct known_file *f = *bucket_of(k, hash);
    while (f && (f->hash != hash || strcmp(f->name, name) != 0))
        f = f->next;
    return f;
}

/* by is +1 or -1 in two's complement */
static void count_state(struct known *k, int state, size_t by)
{
    if (state == KNOWN_WAITING || state == KNOWN_COMPLETE)
        k->files += by;
    if (state == KNOWN_WAITING)
        k->waiting += by;
}

struct known_file *known_add(struct known *k, const char *name, enum known_state state)
{
    size_t n = strlen(name) + 1;

    if (k->count == k->bucket_count && grow(k) < 0)
        return NULL;
    struct known_file *f = calloc(1, sizeof *f + n);
    if (!f)
        return NULL;
    memcpy(f->name, name, n);
    f->hash = hash_of(name);
    f->state = (uint8_t)state;
    struct known_file **bucket = bucket_of(k, f->hash);
    f->next = *bucket;
    *bucket = f;
    k->count++;
    count_state(k, state, 1);
    return f;
}

void known_set_state(struct known *k, struct known_file *f, enum known_state state)
{
    count_state(k, f->state, (size_t)-1);
    f->state = (uint8_t)state;
    count_state(k, state, 1);
}

void known_remove(struct known *k, struct known_file *f)
{
    struct known_file **p = bucket_of(k, f->hash);

    while (*p != f)
        p = &(*p)->next;
    *p = f->next;
    k->count--;
    count_state(k, f->state, (size_t)-1);
    free(f);
}

struct known_file *known_next(const struct known *k, struct known_walk *w)
{
    struct known_file *f = w->next;

    while (!f && w->bucket < k->bucket_count)
        f = k->buckets[w->bucket++];
    w->next = f ? f->next : NULL;
    return f;
}

void known_clear(struct known *k)
{
    struct known_walk w = { 0 };

    for (struct known_file *f; (f = known_next(k, &w));)
        free(f);
    free(k->buckets);
    memset(k, 0, sizeof *k);
}
