/*
 * test_timer.c -- the wheel, on a clock of its own.
 */

#include <criterion/criterion.h>

#include "core/time.h"
#include "event/timer.c"

#define MAX 5000

typedef struct {
    veil_timer_t timer;
    uint64_t want;
    uint64_t fired_at;
    int fired;
    int order;
} probe_t;

static veil_loop_t loop;
static probe_t probes[MAX];
static int fired;
static uint64_t dice = 1;

static uint64_t
roll(uint64_t n)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 24) % n;
}

static void
probe_fired(veil_timer_t *t)
{
    probe_t *p = veil_container_of(t, probe_t, timer);

    cr_assert_not(veil_timer_is_set(t));
    p->fired_at = veil_now_ms();
    p->fired++;
    p->order = fired++;
}

static void
start_at(uint64_t now)
{
    int i;

    if (loop.wheel != NULL) {
        veil_wheel_destroy(&loop.wheel);
    }
    veil_time_set(now, 0, 0);
    loop.wheel = veil_wheel_create(now);
    fired = 0;
    memset(probes, 0, sizeof(probes));
    for (i = 0; i < MAX; i++) {
        veil_timer_init(&probes[i].timer, probe_fired);
    }
}

static void
run_at(uint64_t now)
{
    veil_time_set(now, 0, 0);
    veil_wheel_run(loop.wheel, now);
}

static void
set(int i, uint64_t after)
{
    probes[i].want = veil_now_ms() + after;
    veil_timer_set(&loop, &probes[i].timer, after);
}

Test(timer, fires_at_its_time_not_before)
{
    start_at(1000);
    set(0, 10);
    cr_assert(veil_timer_is_set(&probes[0].timer));
    cr_assert_eq(veil_wheel_next(loop.wheel, 1000), 10);
    run_at(1009);
    cr_assert_eq(probes[0].fired, 0);
    cr_assert_eq(veil_wheel_next(loop.wheel, 1009), 1);
    run_at(1010);
    cr_assert_eq(probes[0].fired, 1);
    cr_assert_eq(veil_wheel_next(loop.wheel, 1010), -1);
    veil_wheel_destroy(&loop.wheel);
}

Test(timer, of_zero_fires_in_the_next_run)
{
    start_at(0); /* even where the clock begins */
    set(0, 0);
    cr_assert(veil_timer_is_set(&probes[0].timer));
    cr_assert_leq(veil_wheel_next(loop.wheel, 0), 1);
    run_at(1);
    cr_assert_eq(probes[0].fired, 1);
    start_at(77);
    set(1, 0);
    cr_assert_eq(veil_wheel_next(loop.wheel, 77), 0);
    run_at(77);
    cr_assert_eq(probes[1].fired, 1);
}

static void
again_at_once(veil_timer_t *t)
{
    fired++;
    veil_timer_set(&loop, t, 0);
}

Test(timer, that_sets_itself_to_zero_does_not_hold_the_wheel)
{
    start_at(500);
    veil_timer_init(&probes[0].timer, again_at_once);
    set(0, 0);
    run_at(500);
    cr_assert_eq(fired, 1);
    run_at(510);
    cr_assert_leq(fired, 3);
}

Test(timer, cancelled_does_not_fire)
{
    start_at(5000);
    set(0, 100);
    set(1, 0);
    veil_timer_cancel(&probes[0].timer);
    veil_timer_cancel(&probes[0].timer);
    veil_timer_cancel(&probes[1].timer);
    cr_assert_not(veil_timer_is_set(&probes[0].timer));
    run_at(6000);
    cr_assert_eq(fired, 0);
}

Test(timer, set_later_stays_where_it_is)
{
    veil_list_t *slot;
    uint64_t i;

    start_at(100000);
    set(0, 60000);
    slot = probes[0].timer.link.next;
    for (i = 1; i < 1000; i++) {
        veil_time_set(100000 + i, 0, 0);
        set(0, 60000);
        cr_assert_eq(probes[0].timer.link.next, slot, "lazy");
    }
    run_at(100999 + 59999);
    cr_assert_eq(fired, 0);
    run_at(100999 + 60000);
    cr_assert_eq(fired, 1);
}

Test(timer, set_earlier_fires_earlier)
{
    start_at(100000);
    set(0, 60000);
    set(0, 5);
    cr_assert_eq(veil_wheel_next(loop.wheel, 100000), 5);
    run_at(100005);
    cr_assert_eq(fired, 1);
    run_at(200000);
    cr_assert_eq(fired, 1);
}

Test(timer, very_long_ones)
{
    uint64_t year = (uint64_t) 365 * 86400 * 1000;

    start_at(123456789);
    set(0, year);
    set(1, 30 * year);
    set(2, UINT64_MAX); /* cut */
    cr_assert_gt(veil_wheel_next(loop.wheel, 123456789), 0);
    run_at(123456789 + year - 1);
    cr_assert_eq(fired, 0);
    run_at(123456789 + year);
    cr_assert_eq(probes[0].fired, 1);
    run_at(123456789 + 30 * year);
    cr_assert_eq(probes[1].fired, 1);
    cr_assert_eq(probes[2].fired, 0);
    run_at(123456789 + 139 * year);
    cr_assert_eq(probes[2].fired, 1);
}

/* Sleeping exactly as long as the wheel says meets every deadline. */
Test(timer, many_at_random_each_on_time_and_in_order)
{
    uint64_t now = 7777777;
    int i, next, sleeps = 0;

    start_at(now);
    for (i = 0; i < MAX; i++) {
        set(i, roll((uint64_t) 1 << roll(28)));
    }
    for (i = 0; i < MAX; i++) {
        switch (roll(4)) {
        case 0:
            set(i, roll(1000000)); /* later or earlier */
            break;
        case 1:
            veil_timer_cancel(&probes[i].timer);
            probes[i].want = 0;
            break;
        default:
            break;
        }
    }
    run_at(now);
    while ((next = veil_wheel_next(loop.wheel, now)) != -1) {
        now += (uint64_t) next;
        run_at(now);
        cr_assert_lt(sleeps++, 8 * MAX);
    }
    for (i = 0; i < MAX; i++) {
        cr_assert_eq(probes[i].fired, probes[i].want != 0);
        cr_assert_eq(probes[i].fired_at, probes[i].want);
    }
}

Test(timer, one_run_fires_in_the_order_of_deadlines)
{
    int i, j;

    start_at(999);
    for (i = 0; i < 200; i++) {
        set(i, 1 + roll(100000));
    }
    run_at(999 + 200000);
    cr_assert_eq(fired, 200);
    for (i = 0; i < 200; i++) {
        for (j = 0; j < 200; j++) {
            if (probes[i].want < probes[j].want) {
                cr_assert_lt(probes[i].order, probes[j].order);
            }
        }
    }
}
