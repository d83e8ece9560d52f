/*
 * rng - Philox4x32-10, straight from the paper: ten rounds, the key bumped by the Weyl constants.
 */
#include "base/rng.h"

#define ROUND_A 0xD2511F53u
#define ROUND_B 0xCD9E8D57u
#define WEYL_A  0x9E3779B9u
#define WEYL_B  0xBB67AE85u

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t ret[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)ROUND_A * c0;
        uint64_t b = (uint64_t)ROUND_B * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += WEYL_A;
        k1 += WEYL_B;
    }
    ret[0] = c0;
    ret[1] = c1;
    ret[2] = c2;
    ret[3] = c3;
}

double rng_uniform(uint64_t seed, uint32_t a, uint32_t b, uint32_t c, uint32_t stream)
{
    uint32_t counter[4] = { a, b, c, stream };
    uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    uint32_t out[4];

    philox4x32(counter, key, out);
    uint64_t z = (uint64_t)out[0] << 32 | out[1];
    double u = ((double)(z >> 11) + 0.5) * 0x1p-53;
    return u < 1 ? u : 0x1.fffffffffffffp-1; /* all 53 bits set: the half rounds up to 1 */
}
