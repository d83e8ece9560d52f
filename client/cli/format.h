/*
 * format - numbers, sizes and times as people read them. Pure.
 * All write into the caller's buffer and return it.
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stdint.h>

#define FORMAT_SIZE 32

const char *format_bytes(int64_t bytes, char ret[FORMAT_SIZE]);     /* "1.4 MB" */
const char *format_number(double x, char ret[FORMAT_SIZE]);         /* "0.7069", "-" for NaN */
const char *format_percent(double share, char ret[FORMAT_SIZE]);    /* "1.5 %" of 0.015 */
const char *format_count(int64_t n, char ret[FORMAT_SIZE]);         /* "-" below 0 */
const char *format_duration(double seconds, char ret[FORMAT_SIZE]); /* "0.38 s", "3 min 12 s" */
const char *format_age(int64_t then_ms, int64_t now_ms, char ret[FORMAT_SIZE]); /* "5m" */
const char *format_time(int64_t ms, char ret[FORMAT_SIZE]); /* "2026-11-22 04:42:05Z" */

#endif
