/*
 * test_router - which row of the table a request belongs to.
 */
#include "fake.h"

#include <string.h>

static void nothing(struct api *a, struct request *rq)
{
    (void)a;
    (void)rq;
}

static const struct route table[] = {
    { HTTP_GET, "/", ROUTE_PUBLIC, nothing, 0, NULL },
    { HTTP_GET, "/runs", ROUTE_PUBLIC, nothing, 0, NULL },
    { HTTP_POST, "/runs", ROUTE_PUBLIC, nothing, 10, NULL },
    { HTTP_GET, "/runs/{run}", ROUTE_PUBLIC, nothing, 0, NULL },
    { HTTP_DELETE, "/runs/{run}", ROUTE_PUBLIC, nothing, 0, NULL },
    { HTTP_GET, "/runs/{run}/files/{name}", ROUTE_PUBLIC, nothing, 0, NULL },
    { HTTP_POST, "/work", ROUTE_WORKER, nothing, 0, NULL },
    { HTTP_GET, "/both", ROUTE_PUBLIC | ROUTE_WORKER, nothing, 0, NULL },
};

struct row {
    enum http_method method;
    const char *target;
    unsigned side;
    int found; /* place in the table, or -1 */
    unsigned allowed;
    const char *parameters[3];
};

static const struct row rows[] = {
    { HTTP_GET, "/", ROUTE_PUBLIC, 0, 0, { NULL } },
    { HTTP_GET, "/runs", ROUTE_PUBLIC, 1, 0, { NULL } },
    { HTTP_GET, "/runs?limit=5", ROUTE_PUBLIC, 1, 0, { NULL } },
    { HTTP_POST, "/runs", ROUTE_PUBLIC, 2, 0, { NULL } },
    { HTTP_GET, "/runs/digits", ROUTE_PUBLIC, 3, 0, { "digits" } },
    { HTTP_GET, "/runs/runs", ROUTE_PUBLIC, 3, 0, { "runs" } },
    { HTTP_GET, "/runs/%7Brun%7D", ROUTE_PUBLIC, 3, 0, { "{run}" } },
    { HTTP_GET, "/runs/a%2Fb", ROUTE_PUBLIC, 3, 0, { "a/b" } },
    { HTTP_DELETE, "/runs/digits", ROUTE_PUBLIC, 4, 0, { "digits" } },
    { HTTP_GET, "/runs/a/files/b", ROUTE_PUBLIC, 5, 0, { "a", "b" } },
    { HTTP_POST, "/work", ROUTE_WORKER, 6, 0, { NULL } },
    { HTTP_GET, "/both", ROUTE_PUBLIC, 7, 0, { NULL } },
    { HTTP_GET, "/both", ROUTE_WORKER, 7, 0, { NULL } },

    { HTTP_GET, "/run", ROUTE_PUBLIC, -1, 0, { NULL } },
    { HTTP_GET, "/runsx", ROUTE_PUBLIC, -1, 0, { NULL } },
    { HTTP_GET, "/Runs", ROUTE_PUBLIC, -1, 0, { NULL } },
    { HTTP_GET, "/runs/a/files", ROUTE_PUBLIC, -1, 0, { NULL } },
    { HTTP_GET, "/runs/a/files/b/c", ROUTE_PUBLIC, -1, 0, { NULL } },
    { HTTP_GET, "/runs/a/file/b", ROUTE_PUBLIC, -1, 0, { NULL } },
    { HTTP_GET, "/runs%2Fa", ROUTE_PUBLIC, -1, 0, { NULL } },
    { HTTP_POST, "/work", ROUTE_PUBLIC, -1, 0, { NULL } },
    { HTTP_GET, "/runs", ROUTE_WORKER, -1, 0, { NULL } },

    { HTTP_DELETE, "/runs", ROUTE_PUBLIC, -1, HTTP_GET | HTTP_POST, { NULL } },
    { HTTP_OPTIONS, "/runs", ROUTE_PUBLIC, -1, HTTP_GET | HTTP_POST, { NULL } },
    { HTTP_POST, "/runs/digits", ROUTE_PUBLIC, -1, HTTP_GET | HTTP_DELETE, { NULL } },
    { HTTP_GET, "/work", ROUTE_WORKER, -1, HTTP_POST, { NULL } },
    { HTTP_GET, "/work", ROUTE_PUBLIC, -1, 0, { NULL } },
    { (enum http_method)0, "/", ROUTE_PUBLIC, -1, HTTP_GET, { NULL } },
};

static void test_row(void **state)
{
    const struct row *r = *state;
    struct fake f;
    unsigned allowed = 99;

    fake_open(&f, r->method, r->target);
    const struct route *found = router_find(table, COUNT_OF(table), r->side, &f.rq, &allowed);
    assert_ptr_equal(found, r->found < 0 ? NULL : &table[r->found]);
    if (!found)
        assert_int_equal(allowed, r->allowed);
    for (int i = 0; found && i < 3; i++) {
        if (r->parameters[i])
            assert_string_equal(f.rq.parameters[i], r->parameters[i]);
        else
            assert_null(f.rq.parameters[i]);
    }
    fake_close(&f);
}

static int count_parameters(const char *path)
{
    int n = 0;

    for (; (path = strchr(path, '{')) != NULL; path++)
        n++;
    return n;
}

/* The real table: within the limits, and no row hides another. */
static void test_all_routes(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        assert_non_null(routes[i].handle);
        assert_true(routes[i].flags & (ROUTE_PUBLIC | ROUTE_WORKER));
        assert_true(count_parameters(routes[i].path) <= REQUEST_PARAMETERS_MAX);
        assert_true(routes[i].method != HTTP_GET || routes[i].body_max == 0);
        for (size_t j = 0; j < i; j++)
            if (routes[i].method == routes[j].method && strcmp(routes[i].path, routes[j].path) == 0)
                fail_msg("%s is there twice", routes[i].path);
    }
}

/* Workers and clients do not meet: no address of one side is one of the other. */
static void test_sides(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        bool is_worker = strncmp(routes[i].path, "/api/v1/worker/", 15) == 0;
        assert_int_equal((routes[i].flags & ROUTE_WORKER) != 0, is_worker);
        assert_int_equal((routes[i].flags & ROUTE_PUBLIC) != 0, !is_worker);
    }
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 2];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ .name = rows[n].target,
                                        .test_func = test_row,
                                        .initial_state = (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_all_routes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_sides);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
