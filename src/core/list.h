/*
 * list.h -- intrusive doubly linked lists.
 *
 * A list head is a veil_list_t pointing at itself.  A node that is in no list
 * points at itself too once initialised or removed, so "is it linked?" can be
 * asked, and removing twice is harmless.
 */

#ifndef VEIL_CORE_LIST_H
#define VEIL_CORE_LIST_H

#include "core/types.h"

struct veil_list_s {
    veil_list_t *next;
    veil_list_t *prev;
};

static inline void
veil_list_init(veil_list_t *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool
veil_list_is_empty(const veil_list_t *l)
{
    return l->next == l;
}

/* Whether the node is in some list; it must have been initialised. */
static inline bool
veil_list_is_linked(const veil_list_t *n)
{
    return n->next != n;
}

static inline void
veil_list_insert_after(veil_list_t *at, veil_list_t *n)
{
    n->next = at->next;
    n->prev = at;
    at->next->prev = n;
    at->next = n;
}

/* At the front. */
static inline void
veil_list_push(veil_list_t *head, veil_list_t *n)
{
    veil_list_insert_after(head, n);
}

/* At the end. */
static inline void
veil_list_append(veil_list_t *head, veil_list_t *n)
{
    veil_list_insert_after(head->prev, n);
}

/* Takes the node out and leaves it initialised. */
static inline void
veil_list_remove(veil_list_t *n)
{
    n->next->prev = n->prev;
    n->prev->next = n->next;
    n->next = n;
    n->prev = n;
}

/* The first node, taken out; NULL when the list is empty. */
static inline veil_list_t *
veil_list_pop(veil_list_t *head)
{
    veil_list_t *n = head->next;

    if (n == head) {
        return NULL;
    }
    veil_list_remove(n);
    return n;
}

/* Moves all nodes of from to the end of to; from is empty afterwards. */
static inline void
veil_list_splice(veil_list_t *to, veil_list_t *from)
{
    if (veil_list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    veil_list_init(from);
}

#define veil_list_entry(node, type, member)                                   \
    veil_container_of(node, type, member)

#define veil_list_first(head, type, member)                                   \
    veil_list_entry((head)->next, type, member)

#define veil_list_foreach(n, head)                                            \
    for ((n) = (head)->next; (n) != (head); (n) = (n)->next)

/* The current node may be removed by the body; its neighbour may not. */
#define veil_list_foreach_safe(n, tmp, head)                                  \
    for ((n) = (head)->next, (tmp) = (n)->next; (n) != (head);                \
         (n) = (tmp), (tmp) = (n)->next)

#endif
