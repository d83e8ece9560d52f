/*
 * places - share the connections out.
 */
#include "http/places.h"

#include <string.h>

enum {
    DESCRIPTORS_ELSEWHERE = 64, /* the index, scans, workers and evaluators */
    INNER_MAX = 500,
    NETWORK_SHARE = 16, /* one address of another machine: a sixteenth */
    LOCAL_SHARE = 8,    /* kept for this machine: an eighth */
};

static unsigned at_least_one(uint64_t n)
{
    return n < 1 ? 1 : (unsigned)n;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void places_plan(uint64_t descriptors, unsigned wanted, struct places *ret)
{
    uint64_t free = descriptors > 2 * DESCRIPTORS_ELSEWHERE ? descriptors - DESCRIPTORS_ELSEWHERE
                                                            : descriptors / 2;

    ret->public_max = at_least_one(smaller(wanted, free / 4 * 3));
    ret->inner_max = at_least_one(smaller(smaller(wanted, INNER_MAX), free / 8));
}

void client_of(const struct sockaddr_storage *address, struct client *ret)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    const struct sockaddr_in6 *six = (const void *)address;
    const uint8_t *four = NULL;

    memset(ret, 0, sizeof *ret);
    if (address->ss_family == AF_INET)
        four = (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
    else if (address->ss_family != AF_INET6)
        return; /* CLIENT_INNER */
    else if (memcmp(&six->sin6_addr, mapped, sizeof mapped) == 0)
        four = (const uint8_t *)&six->sin6_addr + sizeof mapped;
    bool here = four ? four[0] == 127 : IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
    ret->kind = here ? CLIENT_LOOPBACK : CLIENT_REMOTE;
    if (here)
        return;
    if (four) {
        memcpy(ret->network, mapped, sizeof mapped);
        memcpy(ret->network + sizeof mapped, four, 4);
    } else {
        memcpy(ret->network, &six->sin6_addr, 8);
    }
}

bool client_is_same(const struct client *a, const struct client *b)
{
    return a->kind == b->kind && memcmp(a->network, b->network, sizeof a->network) == 0;
}

bool places_allow(const struct places *p, const struct client *c, unsigned by_network,
                  unsigned by_remote)
{
    if (c->kind != CLIENT_REMOTE)
        return true;
    return by_network < at_least_one(p->public_max / NETWORK_SHARE) &&
           by_remote < at_least_one(p->public_max - p->public_max / LOCAL_SHARE);
}
