/*
 * ulid - make and recognise identifiers. The random part comes from getrandom(), so that ids of
 * two daemons never meet; a counter step keeps those of one daemon in order.
 */
#include "base/ulid.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_ms;
static uint8_t last_random[10];

static void fresh(uint8_t random[10])
{
    if (getrandom(random, 10, 0) != 10)
        abort();       /* the kernel cannot fail this for so few bytes once it has booted */
    random[0] &= 0x7f; /* head room, so that counting up never overflows */
}

static void count_up(uint8_t random[10])
{
    for (int i = 9; i >= 0; i--)
        if (++random[i] != 0)
            return;
}

void ulid_new(int64_t now_ms, char ret[ULID_TEXT_SIZE])
{
    uint8_t bytes[16];

    pthread_mutex_lock(&lock);
    uint64_t ms = now_ms < 0 ? 0 : (uint64_t)now_ms & 0xffffffffffff;
    if (ms > last_ms) {
        last_ms = ms;
        fresh(last_random);
    } else {
        count_up(last_random);
    }
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(last_ms >> (40 - 8 * i));
    memcpy(bytes + 6, last_random, 10);
    pthread_mutex_unlock(&lock);

    /* 128 bits as 26 groups of five, the first group holding three */
    for (int i = 0; i < 26; i++) {
        int bit = i * 5 - 2;
        unsigned value = 0;
        for (int b = bit; b < bit + 5; b++)
            value = value << 1 | (b < 0 ? 0 : (bytes[b / 8] >> (7 - b % 8)) & 1u);
        ret[i] = alphabet[value];
    }
    ret[26] = '\0';
}

void id_new(const char *prefix, int64_t now_ms, char ret[ID_TEXT_SIZE])
{
    char ulid[ULID_TEXT_SIZE];

    ulid_new(now_ms, ulid);
    snprintf(ret, ID_TEXT_SIZE, "%.10s_%s", prefix, ulid);
}

bool id_is(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);

    if (strncmp(text, prefix, n) != 0 || text[n] != '_')
        return false;
    text += n + 1;
    return strlen(text) == 26 && text[0] <= '7' && strspn(text, alphabet) == 26;
}
