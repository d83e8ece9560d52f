/*
 * list - a doubly linked ring of embedded nodes. The head is a node too; an empty ring points to
 * itself. A node that is zero or was removed is "not linked".
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head || head->next == NULL;
}

static inline bool list_is_linked(const struct list *node)
{
    return node->next != NULL && node->next != node;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node)
{
    if (!node->next)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
}

#define list_entry(node, type, member) \
    ((type *)(void *)((char *)(node) - __builtin_offsetof(type, member)))

#define list_for_each(node, head) \
    for (struct list *node = (head)->next; node != (head); node = node->next)

/* The current node may be removed inside the body. */
#define list_for_each_safe(node, head)                                                \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
         node = node##_next, node##_next = node->next)

#endif
