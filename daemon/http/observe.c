/*
 * observe - count finished requests.
 */
#include "http/observe.h"

#include "http/router.h"
#include "http/server_body.h"
#include "metrics/metrics.h"

static int method_label(const struct request *rq)
{
    switch (rq->method) {
    case HTTP_GET: return rq->is_head ? METRIC_METHOD_HEAD : METRIC_METHOD_GET;
    case HTTP_POST: return METRIC_METHOD_POST;
    case HTTP_PUT: return METRIC_METHOD_PUT;
    case HTTP_PATCH: return METRIC_METHOD_PATCH;
    case HTTP_DELETE: return METRIC_METHOD_DELETE;
    case HTTP_OPTIONS: return METRIC_METHOD_OPTIONS;
    default: return METRIC_METHOD_OTHER;
    }
}

void observe_request(const struct request *rq, int64_t now_ms)
{
    if (rq->status == 0)
        return; /* the client left before there was an answer */
    metric_add_at3(METRIC_HTTP_REQUESTS, method_label(rq), metric_status((int)rq->status),
                   rq->listener->side == ROUTE_WORKER ? METRIC_API_WORKER : METRIC_API_PUBLIC, 1);
    if (!rq->waited && !rq->streams) /* these take as long as their client wants */
        metric_observe(METRIC_HTTP_REQUEST, (double)(now_ms - rq->started_ms) / 1000);
}
