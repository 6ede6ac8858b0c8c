/*
 * timer.c -- a hierarchical timing wheel.
 *
 * Level 0 has a slot for each of the next 64 milliseconds, level 1 one for
 * each of the next 64 spans of 64 ms, and so on for seven levels, which is
 * 139 years.  A timer lies on the level of the highest six-bit digit in which
 * its time differs from the wheel's, in the slot of that digit.  So all slots
 * of a level lie before those of the next level, and the next event is the
 * first slot in use on the lowest level in use: one bit scan a level.  When
 * its time comes, a slot of a higher level is spread over the lower ones;
 * each timer moves down at most six times in its life.
 *
 * Re-arming is lazy: a timer that is set to a later time stays in its slot
 * and moves only when that slot's time comes.  A timeout that is pushed away
 * at each read costs one store each.
 *
 * The bit of a slot that became empty by a cancel is left set, as the timer
 * does not know its wheel; the wheel may wake up once in vain for it.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/loop.h"
#include "event/timer.h"

#define TIMER_BITS 6
#define TIMER_SLOTS (1u << TIMER_BITS)
#define TIMER_LEVELS 7
#define TIMER_LONGEST ((uint64_t) 1 << (TIMER_BITS * TIMER_LEVELS - 1))
#define WHEEL_MAGIC 0x57484545u

struct veil_wheel_s {
    uint32_t magic;
    uint64_t now_ms; /* all earlier slots, and this one, are done */
    veil_list_t due; /* set to a time that is not in the future */
    uint64_t used[TIMER_LEVELS];
    veil_list_t slots[TIMER_LEVELS][TIMER_SLOTS];
};

veil_wheel_t *
veil_wheel_create(uint64_t now_ms)
{
    veil_wheel_t *w = veil_zalloc(sizeof(*w));
    unsigned level, slot;

    w->magic = WHEEL_MAGIC;
    w->now_ms = now_ms;
    veil_list_init(&w->due);
    for (level = 0; level < TIMER_LEVELS; level++) {
        for (slot = 0; slot < TIMER_SLOTS; slot++) {
            veil_list_init(&w->slots[level][slot]);
        }
    }
    return w;
}

void
veil_wheel_destroy(veil_wheel_t **wp)
{
    veil_wheel_t *w = *wp;
    unsigned level, slot;

    *wp = NULL;
    VEIL_CHECK(w, WHEEL);
    /* Timers that are still set are forgotten, not left pointing here. */
    while (veil_list_pop(&w->due) != NULL) {
        continue;
    }
    for (level = 0; level < TIMER_LEVELS; level++) {
        for (slot = 0; slot < TIMER_SLOTS; slot++) {
            while (veil_list_pop(&w->slots[level][slot]) != NULL) {
                continue;
            }
        }
    }
    w->magic = VEIL_MAGIC_DEAD;
    veil_free(w);
}

/* Puts an unlinked timer where its deadline belongs. */
static void
timer_insert(veil_wheel_t *w, veil_timer_t *t)
{
    uint64_t at = t->deadline_ms;
    unsigned level, slot;

    t->slot_ms = at;
    if (at <= w->now_ms) {
        veil_list_append(&w->due, &t->link);
        return;
    }
    level = (63u - (unsigned) __builtin_clzll(at ^ w->now_ms)) / TIMER_BITS;
    if (level >= TIMER_LEVELS) {
        /* Beyond the last level: look again at the end of what there is. */
        level = TIMER_LEVELS - 1;
        slot = TIMER_SLOTS - 1;
    } else {
        slot = (unsigned) (at >> (level * TIMER_BITS)) & (TIMER_SLOTS - 1);
    }
    veil_list_append(&w->slots[level][slot], &t->link);
    w->used[level] |= (uint64_t) 1 << slot;
}

void
veil_timer_init(veil_timer_t *t, veil_timer_fn *fired)
{
    veil_list_init(&t->link);
    t->deadline_ms = 0;
    t->slot_ms = 0;
    t->fired = fired;
}

void
veil_timer_set(veil_loop_t *loop, veil_timer_t *t, uint64_t after_ms)
{
    uint64_t deadline;

    deadline =
        veil_now_ms() + (after_ms < TIMER_LONGEST ? after_ms : TIMER_LONGEST);
    /* 0 means "not set", and a clock may begin there in tests. */
    t->deadline_ms = deadline == 0 ? 1 : deadline;
    if (veil_list_is_linked(&t->link)) {
        if (t->deadline_ms >= t->slot_ms) {
            return;
        }
        veil_list_remove(&t->link);
    }
    timer_insert(loop->wheel, t);
}

void
veil_timer_cancel(veil_timer_t *t)
{
    veil_list_remove(&t->link);
    t->deadline_ms = 0;
}

/* The earliest time at which a slot may have to be looked at; ~0: none. */
static uint64_t
timer_next(const veil_wheel_t *w, unsigned *at_level, unsigned *at_slot)
{
    unsigned level, slot, shift;

    for (level = 0; level < TIMER_LEVELS; level++) {
        if (w->used[level] == 0) {
            continue;
        }
        slot = (unsigned) __builtin_ctzll(w->used[level]);
        shift = level * TIMER_BITS;
        *at_level = level;
        *at_slot = slot;
        return (w->now_ms >> (shift + TIMER_BITS) << (shift + TIMER_BITS))
               | ((uint64_t) slot << shift);
    }
    *at_level = 0;
    *at_slot = 0;
    return UINT64_MAX;
}

/* Fires, or puts further away, each timer of a list the wheel gave up. */
static void
timer_fire(veil_wheel_t *w, veil_list_t *list)
{
    veil_timer_t *t;
    veil_list_t *n;

    while ((n = veil_list_pop(list)) != NULL) {
        t = veil_list_entry(n, veil_timer_t, link);
        if (t->deadline_ms > w->now_ms) {
            timer_insert(w, t);
            continue;
        }
        t->deadline_ms = 0;
        t->fired(t);
    }
}

void
veil_wheel_run(veil_wheel_t *w, uint64_t now_ms)
{
    veil_list_t list;
    unsigned level, slot;
    uint64_t at;

    VEIL_CHECK(w, WHEEL);
    /* What is set to "at once" from here on waits for the next run. */
    veil_list_init(&list);
    veil_list_splice(&list, &w->due);
    timer_fire(w, &list);

    while ((at = timer_next(w, &level, &slot)) <= now_ms) {
        w->now_ms = at;
        w->used[level] &= ~((uint64_t) 1 << slot);
        veil_list_splice(&list, &w->slots[level][slot]);
        timer_fire(w, &list);
    }
    if (now_ms > w->now_ms) {
        w->now_ms = now_ms;
    }
}

int
veil_wheel_next(const veil_wheel_t *w, uint64_t now_ms)
{
    unsigned level, slot;
    uint64_t at;

    VEIL_CHECK(w, WHEEL);
    if (!veil_list_is_empty(&w->due)) {
        return 0;
    }
    at = timer_next(w, &level, &slot);
    if (at == UINT64_MAX) {
        return -1;
    }
    if (at <= now_ms) {
        return 0;
    }
    return at - now_ms > INT32_MAX ? INT32_MAX : (int) (at - now_ms);
}
