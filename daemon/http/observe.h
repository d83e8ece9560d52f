/*
 * observe - what the metrics and the log learn from a finished request. Loop thread only.
 */
#ifndef HTTP_OBSERVE_H
#define HTTP_OBSERVE_H

#include "http/request.h"

void observe_request(const struct request *rq, int64_t now_ms);

#endif
