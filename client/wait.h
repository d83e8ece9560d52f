/*
 * wait - patience with a service that was there and is away.
 */
#ifndef CLIENT_WAIT_H
#define CLIENT_WAIT_H

#include "transport.h"

/*
 * @rc is a failed call. 0, after a pause: try again. Otherwise it is no failure that passes by
 * itself, or the service is away for too long, or the caller was interrupted.
 */
int sewa_endure(struct sewa_client *c, int rc, struct sewa_error *err);

#endif
