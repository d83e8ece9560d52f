/*
 * notify - tell the service manager (sd_notify(3), the protocol of systemd) in ten lines instead of
 * a library. Does nothing when nobody asked. Thread: any.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

void notify_service(const char *state); /* "READY=1" */

#endif
