/*
 * due.c -- what is to be done later in a process without a loop.
 *
 * A list in the order of the times: there are few at any moment, calls of the
 * control socket that wait for something and a level of the log that ends.
 */

#include "core/platform.h"

#include "core/due.h"
#include "core/time.h"

static veil_list_t due_list = { &due_list, &due_list };

void (*veil_due_changed)(void);

void
veil_due_init(veil_due_t *d, void (*run)(veil_due_t *d))
{
    veil_list_init(&d->link);
    d->at_ms = 0;
    d->run = run;
}

void
veil_due_cancel(veil_due_t *d)
{
    if (veil_list_is_linked(&d->link)) {
        veil_list_remove(&d->link);
    }
}

void
veil_due_set(veil_due_t *d, uint64_t after_ms)
{
    veil_list_t *at;

    veil_due_cancel(d);
    d->at_ms = veil_now_ms() + after_ms;
    for (at = due_list.prev; at != &due_list; at = at->prev) {
        if (veil_list_entry(at, veil_due_t, link)->at_ms <= d->at_ms) {
            break;
        }
    }
    veil_list_push(at, &d->link);
    if (due_list.next == &d->link && veil_due_changed != NULL) {
        veil_due_changed();
    }
}

int
veil_due_timeout(uint64_t now_ms)
{
    const veil_due_t *first;
    uint64_t ms;

    if (veil_list_is_empty(&due_list)) {
        return -1;
    }
    first = veil_list_first(&due_list, veil_due_t, link);
    ms = first->at_ms > now_ms ? first->at_ms - now_ms : 0;
    return ms > INT32_MAX ? INT32_MAX : (int) ms;
}

void
veil_due_forget(void)
{
    while (!veil_list_is_empty(&due_list)) {
        veil_list_remove(due_list.next);
    }
}

void
veil_due_run(uint64_t now_ms)
{
    veil_list_t due;
    veil_due_t *d;

    veil_list_init(&due);
    while (!veil_list_is_empty(&due_list)) {
        d = veil_list_first(&due_list, veil_due_t, link);
        if (d->at_ms > now_ms) {
            break;
        }
        veil_list_remove(&d->link);
        veil_list_append(&due, &d->link);
    }
    while (!veil_list_is_empty(&due)) {
        d = veil_list_first(&due, veil_due_t, link);
        veil_list_remove(&d->link);
        d->run(d);
    }
}
