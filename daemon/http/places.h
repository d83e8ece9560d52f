/*
 * places - how many connections there may be, and whose.
 *
 * Each listener has places of its own, so that nobody at the public one can keep workers or the
 * administration out. At the public one a single address of another machine gets a sixteenth, and
 * all of them together leave an eighth to this machine. Addresses of this machine may have all of
 * it: behind a proxy that runs here everybody comes from 127.0.0.1. Pure. Thread: any.
 */
#ifndef HTTP_PLACES_H
#define HTTP_PLACES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct places {
    unsigned public_max; /* connections at the public listener */
    unsigned inner_max;  /* at each socket in the file system */
};

/* At most wanted at one listener, and less where the process may open few descriptors: what else it
 * opens comes first. */
void places_plan(uint64_t descriptors, unsigned wanted, struct places *ret);

/* Who is connected, as far as places are concerned. */
struct client {
    enum client_kind { CLIENT_INNER, CLIENT_LOOPBACK, CLIENT_REMOTE } kind;
    uint8_t network[16]; /* of a remote one: its IPv4 address, or the /64 of its IPv6 address */
};

void client_of(const struct sockaddr_storage *address, struct client *ret);
bool client_is_same(const struct client *a, const struct client *b);

/* Whether this client may have one of the free places, when so many are taken by its network, and
 * by other machines altogether. */
bool places_allow(const struct places *p, const struct client *c, unsigned by_network,
                  unsigned by_remote);

#endif
