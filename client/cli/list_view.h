/*
 * list_view - show a list, page by page, in every format.
 */
#ifndef CLI_LIST_VIEW_H
#define CLI_LIST_VIEW_H

#include "context.h"

/* The options that every list with pages has. */
#define LIST_OPTIONS                                                                            \
    { 0, "limit", "N", "how many at most; default 50", OPTION_NUMBER, NULL, 1, 1000000, NULL }, \
        { 0, "all", NULL, "all of them", OPTION_FLAG, NULL, 0, 0, NULL },                       \
    {                                                                                           \
        0, "page-token", "TOKEN", "go on where an earlier list ended", OPTION_TEXT, NULL, 0, 0, \
            NULL                                                                                \
    }

/* One page, and how its items are shown. The functions get the struct that this is embedded in. */
struct list_view {
    const char *what; /* "jobs" */
    const struct column *columns;
    size_t column_count;

    /* Fill json, count and next_page_token; @limit 1 to 500. The page before was cleared. */
    int (*fetch)(struct list_view *v, struct context *c, int limit, const char *page_token,
                 struct sewa_error *err);
    void (*clear)(struct list_view *v); /* the page; also when there is none */
    const char *(*item_json)(const struct list_view *v, size_t i);
    const char *(*item_name)(const struct list_view *v, size_t i);
    void (*row)(const struct list_view *v, size_t i, struct table *t);

    const char *json;
    size_t count;
    const char *next_page_token;
};

/* Fetch and show; the exit status. */
int list_show(struct list_view *v, struct context *c);

#endif
