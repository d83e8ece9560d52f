/*
 * routes - the table of all addresses. proto/openapi.json describes the public ones; a test holds
 * the two against each other.
 */
#include "http/api_body.h"

enum {
    NONE = 0,
    SMALL = 64 * 1024,
    JSON = 1024 * 1024,
    RESULT = 4 * 1024 * 1024, /* 200 candidates times 16 points */
    LOG = 256 * 1024,
};

#define WHEN_ALWAYS (ROUTE_PUBLIC | ROUTE_WHILE_DRAINING)
#define QUERY(...)  ((const char *const[]){ __VA_ARGS__, NULL })
#define PAGE        "limit", "page_token"

const struct route routes[] = {
    { HTTP_GET, "/healthz", WHEN_ALWAYS | ROUTE_ANY_HOST, api_healthz, NONE },
    { HTTP_GET, "/readyz", WHEN_ALWAYS, api_readyz, NONE },
    { HTTP_GET, "/version", WHEN_ALWAYS, api_version, NONE },
    { HTTP_GET, "/metrics", WHEN_ALWAYS, api_metrics, NONE },
    { HTTP_GET, "/openapi.json", ROUTE_PUBLIC, api_openapi, NONE },

    { HTTP_GET, "/api/v1/runs", ROUTE_PUBLIC, api_runs_list, NONE, QUERY(PAGE) },
    { HTTP_POST, "/api/v1/runs", ROUTE_PUBLIC, api_runs_create, SMALL },
    { HTTP_GET, "/api/v1/runs/{run}", ROUTE_PUBLIC, api_runs_show, NONE },
    { HTTP_PATCH, "/api/v1/runs/{run}", ROUTE_PUBLIC, api_runs_patch, SMALL },
    { HTTP_DELETE, "/api/v1/runs/{run}", ROUTE_PUBLIC, api_runs_delete, NONE },
    { HTTP_GET, "/api/v1/runs/{run}/checkpoints", ROUTE_PUBLIC, api_checkpoints_list, NONE,
      QUERY(PAGE, "state", "min_step", "max_step", "label", "order_by") },

    { HTTP_GET, "/api/v1/checkpoints/{id}", ROUTE_PUBLIC, api_checkpoints_show, NONE },
    { HTTP_PATCH, "/api/v1/checkpoints/{id}", ROUTE_PUBLIC, api_checkpoints_patch, SMALL },
    { HTTP_GET, "/api/v1/checkpoints/{id}/tensors", ROUTE_PUBLIC, api_checkpoints_tensors, NONE,
      QUERY(PAGE) },

    { HTTP_GET, "/api/v1/evaluators", ROUTE_PUBLIC, api_evaluators_list, NONE },
    { HTTP_GET, "/api/v1/evaluators/{name}", ROUTE_PUBLIC, api_evaluators_show, NONE },
    { HTTP_POST, "/api/v1/evaluators/{name}/check", ROUTE_PUBLIC, api_evaluators_check, SMALL },

    { HTTP_GET, "/api/v1/methods", ROUTE_PUBLIC, api_methods_list, NONE },
    { HTTP_GET, "/api/v1/methods/{name}", ROUTE_PUBLIC, api_methods_show, NONE },

    { HTTP_GET, "/api/v1/jobs", ROUTE_PUBLIC, api_jobs_list, NONE,
      QUERY(PAGE, "state", "run", "label", "created_after") },
    { HTTP_POST, "/api/v1/jobs", ROUTE_PUBLIC, api_jobs_create, JSON, QUERY("dry_run") },
    { HTTP_GET, "/api/v1/jobs/{id}", ROUTE_PUBLIC, api_jobs_show, NONE, QUERY("wait") },
    { HTTP_DELETE, "/api/v1/jobs/{id}", ROUTE_PUBLIC, api_jobs_delete, NONE },
    { HTTP_POST, "/api/v1/jobs/{id}/cancel", ROUTE_PUBLIC, api_jobs_cancel, SMALL },
    { HTTP_POST, "/api/v1/jobs/{id}/retry", ROUTE_PUBLIC, api_jobs_retry, SMALL },
    { HTTP_GET, "/api/v1/jobs/{id}/trace", ROUTE_PUBLIC, api_jobs_trace, NONE,
      QUERY("max_points") },
    { HTTP_GET, "/api/v1/jobs/{id}/logs", ROUTE_PUBLIC, api_jobs_logs, NONE, QUERY("follow") },
    { HTTP_GET, "/api/v1/jobs/{id}/artifacts", ROUTE_PUBLIC, api_jobs_artifacts, NONE },
    { HTTP_GET, "/api/v1/jobs/{id}/artifacts/{name}", ROUTE_PUBLIC, api_jobs_artifact, NONE },

    { HTTP_POST, "/api/v1/worker/hello", ROUTE_WORKER | ROUTE_WHILE_DRAINING, api_worker_hello,
      SMALL },
    { HTTP_POST, "/api/v1/worker/lease", ROUTE_WORKER, api_worker_lease, SMALL },
    { HTTP_POST, "/api/v1/worker/heartbeat", ROUTE_WORKER | ROUTE_WHILE_DRAINING,
      api_worker_heartbeat, SMALL },
    { HTTP_POST, "/api/v1/worker/result", ROUTE_WORKER | ROUTE_WHILE_DRAINING, api_worker_result,
      RESULT },
    { HTTP_POST, "/api/v1/worker/log", ROUTE_WORKER | ROUTE_WHILE_DRAINING | ROUTE_RAW_BODY,
      api_worker_log, LOG },
};

const size_t route_count = COUNT_OF(routes);
