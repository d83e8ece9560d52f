/*
 * log - one line per event on stderr, written by one write(), so that lines of threads never mix.
 *
 * Under systemd (JOURNAL_STREAM is set) a line begins with the syslog priority "<N>" and journald
 * adds the time; elsewhere it begins with the time and the level in words. Control characters in
 * a message are shown as \xHH: what a client or a file sends cannot forge a line.
 * error: someone must act. warn: we coped, and the line says how. info: one line per job, upload,
 * start and stop. debug: off unless asked for. Thread: any.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "sewa/error.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level least);
void log_error(const char *format, ...) SEWA_PRINTF(1, 2);
void log_warn(const char *format, ...) SEWA_PRINTF(1, 2);
void log_info(const char *format, ...) SEWA_PRINTF(1, 2);
void log_debug(const char *format, ...) SEWA_PRINTF(1, 2);

#endif
