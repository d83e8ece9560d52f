/*
 * router - one table of all addresses: method, path, handler, query parameters. proto/openapi.json
 * is held against it by a test. Loop thread only.
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "http/request.h"

enum route_flags {
    ROUTE_PUBLIC = 1 << 0,         /* on the TCP listener */
    ROUTE_WORKER = 1 << 1,         /* on the worker socket */
    ROUTE_RAW_BODY = 1 << 2,       /* the body is bytes, not JSON */
    ROUTE_WHILE_DRAINING = 1 << 3, /* answered although the service is stopping */
    ROUTE_ANY_HOST = 1 << 4,       /* whatever Host and Origin say: it tells nothing */
};

struct api; /* what handlers know; api.h */

struct route {
    enum http_method method;
    const char *path; /* "/api/v1/runs/{run}/checkpoints" */
    unsigned flags;
    void (*handle)(struct api *api, struct request *rq);
    size_t body_max;          /* bytes; 0: no body is read */
    const char *const *query; /* names of query parameters, NULL-terminated; NULL: none */
};

extern const struct route routes[];
extern const size_t route_count;

/*
 * Find the route and fill the parameters. NULL with *ret_allowed 0: no such path (404); with
 * methods in *ret_allowed: the path is there, the method is not (405). @side is ROUTE_PUBLIC or
 * ROUTE_WORKER.
 */
const struct route *router_find(const struct route *table, size_t count, unsigned side,
                                struct request *rq, unsigned *ret_allowed);

#endif
