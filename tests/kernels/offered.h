/*
 * offered - which tables of kernels this processor has, by what the kernel of the system says of
 * it. Detection that finds too little fails no comparison: what is not offered is compared with
 * nothing.
 */
#ifndef TESTS_KERNELS_OFFERED_H
#define TESTS_KERNELS_OFFERED_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numerics/kernels.h"

enum { OFFERED_MAX = 3 };

/* A word in " a b c ". */
static inline bool offered_has(const char *flags, const char *name)
{
    char word[32];

    snprintf(word, sizeof word, " %s ", name);
    return strstr(flags, word) != NULL;
}

/* The flags of the first processor between blanks. An emulator shows those of its host: then they
 * stand in SEWA_TEST_CPU_FLAGS. */
static inline void offered_flags(char *ret, size_t size)
{
    const char *given = getenv("SEWA_TEST_CPU_FLAGS");
    char line[8192];

    snprintf(ret, size, " %s ", given ? given : "");
    FILE *f = given ? NULL : fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "flags", 5) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(ret, size, " %s ", strchr(line, ':') ? strchr(line, ':') + 1 : "");
            break;
        }
    if (f)
        fclose(f);
}

/* Names of the tables, NULL behind the last. */
static inline void offered_expected(const char *ret[OFFERED_MAX + 1])
{
    char flags[8192];
    size_t n = 0;

    offered_flags(flags, sizeof flags);
    ret[n++] = "reference";
#if defined(__x86_64__)
    if (offered_has(flags, "avx2") && offered_has(flags, "fma") && offered_has(flags, "f16c")) {
        ret[n++] = "avx2";
        if (offered_has(flags, "avx512f") && offered_has(flags, "avx512bw") &&
            offered_has(flags, "avx512dq") && offered_has(flags, "avx512vl"))
            ret[n++] = "avx512";
    }
#elif defined(__aarch64__)
    ret[n++] = "neon";
#endif
    ret[n] = NULL;
}

/* Fails the test unless kernels_at() gives just those. Include support.h before. */
static inline void offered_check(void)
{
    const char *expected[OFFERED_MAX + 1];
    size_t n = 0;

    offered_expected(expected);
    for (; expected[n]; n++) {
        const struct kernels *k = kernels_at(n);
        if (!k || strcmp(k->name, expected[n]) != 0)
            fail_msg("table %zu is '%s', and by its flags this processor has '%s' there", n,
                     k ? k->name : "none", expected[n]);
    }
    if (kernels_at(n))
        fail_msg("there are kernels '%s', which this processor does not have by its flags",
                 kernels_at(n)->name);
}

#endif
