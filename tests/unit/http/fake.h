/*
 * fake - a request without a connection: its target, header fields and body are given, and what it
 * is answered with can be looked at. In place of the HTTP library's two functions that need one; so
 * handlers that ask for header fields cannot be tested with a real connection in this folder.
 */
#ifndef TESTS_UNIT_HTTP_FAKE_H
#define TESTS_UNIT_HTTP_FAKE_H

#include "support/support.h"

#include "http/api_body.h"

enum { FAKE_FIELDS_MAX = 4 };

struct fake {
    struct request rq;
    struct {
        const char *name, *value; /* borrowed */
    } fields[FAKE_FIELDS_MAX];
    int field_count;
};

/* The target is split, and matched against the table of all routes if it fits one. */
void fake_open(struct fake *f, enum http_method method, const char *target);
void fake_field(struct fake *f, const char *name, const char *value);
void fake_body(struct fake *f, const char *text);
void fake_close(struct fake *f);

/* A field of the answer, or NULL. */
const char *fake_answer_field(const struct fake *f, const char *name);

/* From now on (or not any more) no answer can be made for want of memory. */
void fake_no_memory(bool none);

/* The body of the last answer that was made; "" when it had none. */
const char *fake_answer_body(void);

/* It is answered with problem+json of this code. */
void fake_assert_problem(const struct fake *f, int code, const char *word);

#endif
