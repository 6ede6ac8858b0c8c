/*
 * sim.c -- the back end for tests.
 *
 * Every op that is started stands in one list.  A turn tries each of them
 * with the plain calls of step.c, as far and in the order the script's dice
 * say; when none got anywhere it waits with poll(2).  That costs a call for
 * each op and turn, and keeps no state that could be wrong: this back end is
 * the reference the other two are compared with.
 */

#include "core/platform.h"

#include <poll.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/backend.h"
#include "event/sim.h"
#include "event/step.h"
#include "event/uring_buf.h"

/* op->backend */
enum { SIM_WAITING, SIM_RUNNING, SIM_STARVED, SIM_OFFLOADED };

typedef struct {
    veil_list_t ops; /* by wait */
    veil_sim_script_t script;
    uint64_t dice;
    struct {
        unsigned n;
        int err;
    } fail[VEIL_OP_KINDS];
    bool moved; /* in this turn */
} sim_t;

static int
sim_init(veil_loop_t *loop, const veil_loop_options_t *options)
{
    sim_t *s = veil_zalloc(sizeof(*s));

    (void) options;
    veil_list_init(&s->ops);
    loop->backend_data = s;
    return 0;
}

static const char *
sim_explain(int error)
{
    (void) error;
    return "";
}

static void
sim_done(veil_loop_t *loop)
{
    veil_free(loop->backend_data);
    loop->backend_data = NULL;
}

static sim_t *
sim_of(veil_loop_t *loop)
{
    VEIL_ASSERT(loop->backend == &veil_backend_sim);
    return loop->backend_data;
}

void
veil_sim_script(veil_loop_t *loop, const veil_sim_script_t *script)
{
    sim_t *s = sim_of(loop);

    s->script = *script;
    s->dice = script->seed;
}

void
veil_sim_fail(veil_loop_t *loop, veil_op_kind_t kind, unsigned n, int err)
{
    sim_t *s = sim_of(loop);

    s->fail[kind].n = n;
    s->fail[kind].err = err;
}

/* splitmix64: small, and any seed will do. */
static uint64_t
sim_random(sim_t *s)
{
    uint64_t x;

    s->dice += 0x9e3779b97f4a7c15u;
    x = s->dice;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool
sim_chance(sim_t *s, unsigned percent)
{
    return percent > 0 && sim_random(s) % 100 < percent;
}

static void
sim_start(veil_loop_t *loop, veil_op_t *op)
{
    sim_t *s = loop->backend_data;

    op->backend = SIM_WAITING;
    veil_list_append(&s->ops, &op->wait);
}

static void
sim_cancel(veil_loop_t *loop, veil_op_t *op)
{
    (void) loop;
    if (op->backend == SIM_STARVED) {
        veil_list_remove(&op->wait);
        veil_op_finish(op, -ECANCELED);
    }
    /* The others are in the list, where the next turn will see it. */
}

static void
sim_forget(veil_loop_t *loop, veil_handle_t *h)
{
    (void) loop;
    (void) h;
}

static bool
sim_offload(veil_loop_t *loop, veil_op_t *op)
{
    bool is_file = op->kind == VEIL_OP_OPENAT || op->kind == VEIL_OP_STATX
                   || ((op->kind == VEIL_OP_READ || op->kind == VEIL_OP_WRITE)
                       && op->u.mem.offset != UINT64_MAX);

    if (!is_file || loop->offload == NULL) {
        return false;
    }
    op->backend = SIM_OFFLOADED;
    return loop->offload(loop, op);
}

static void
sim_wait_more(sim_t *s, veil_op_t *op)
{
    op->backend = SIM_WAITING;
    veil_list_append(&s->ops, &op->wait);
}

static void
sim_try(veil_loop_t *loop, sim_t *s, veil_op_t *op)
{
    size_t max = SIZE_MAX;
    int res;

    op->state = VEIL_OP_INFLIGHT;
    op->backend = SIM_RUNNING;
    if (s->fail[op->kind].n > 0 && --s->fail[op->kind].n == 0) {
        s->moved = true;
        veil_op_complete(op, -s->fail[op->kind].err, false);
        return;
    }
    if (veil_op_takes_blocks(op) && sim_chance(s, s->script.starve)) {
        op->backend = SIM_STARVED;
        veil_rxpool_starve(loop->rx, op);
        return;
    }
    if (sim_chance(s, s->script.piece)) {
        max = 1 + sim_random(s) % 8;
    }
    if (sim_offload(loop, op)) {
        return;
    }
    op->backend = SIM_RUNNING;
    switch (veil_step(op, max, &res)) {
    case VEIL_STEP_DONE:
        s->moved = true;
        veil_op_complete(op, res, false);
        break;
    case VEIL_STEP_MORE:
        s->moved = true;
        op->moved_ms = (uint32_t) veil_now_ms();
        veil_op_complete(op, res, true);
        sim_wait_more(s, op);
        break;
    case VEIL_STEP_STARVED:
        op->backend = SIM_STARVED;
        veil_rxpool_starve(loop->rx, op);
        break;
    case VEIL_STEP_AGAIN:
        s->moved = true;
        sim_wait_more(s, op);
        break;
    default:
        sim_wait_more(s, op);
        break;
    }
}

/* A cancelled op ends, though it may get a last chance to succeed. */
static void
sim_try_cancelled(veil_loop_t *loop, sim_t *s, veil_op_t *op)
{
    s->moved = true;
    if (sim_chance(s, s->script.late_cancel)) {
        sim_try(loop, s, op);
        if (op->state == VEIL_OP_IDLE || op->backend == SIM_OFFLOADED) {
            return;
        }
        veil_list_remove(&op->wait);
    }
    op->state = VEIL_OP_INFLIGHT;
    veil_op_complete(op, -ECANCELED, false);
}

static short
sim_poll_events(const veil_op_t *op)
{
    switch (op->kind) {
    case VEIL_OP_POLL:
        return (short) op->u.poll.events;
    case VEIL_OP_SEND:
    case VEIL_OP_SENDV:
    case VEIL_OP_SENDFILE:
    case VEIL_OP_SENDMSG:
    case VEIL_OP_CONNECT:
    case VEIL_OP_WRITE:
        return POLLOUT;
    default:
        return POLLIN;
    }
}

/* Until one of the waiting ops may get on. */
static void
sim_poll(sim_t *s, int ms)
{
    struct pollfd *p;
    const veil_op_t *op;
    veil_list_t *node;
    nfds_t n = 0;

    veil_list_foreach (node, &s->ops) {
        n++;
    }
    p = veil_zalloc((n + 1) * sizeof(*p));
    n = 0;
    veil_list_foreach (node, &s->ops) {
        op = veil_list_entry(node, veil_op_t, wait);
        p[n].fd = op->handle->fd;
        p[n].events = sim_poll_events(op);
        n++;
    }
    /* Interrupted or not: the next turn tries them all. */
    (void) poll(p, n, ms);
    veil_free(p);
}

/* All ops, in the order in which they are to be tried. */
static void
sim_collect(sim_t *s, veil_list_t *list)
{
    veil_list_t *node;

    while ((node = veil_list_pop(&s->ops)) != NULL) {
        if (s->script.shuffle && (sim_random(s) & 1)) {
            veil_list_push(list, node);
        } else {
            veil_list_append(list, node);
        }
    }
}

static void
sim_wait(veil_loop_t *loop, int max_ms)
{
    sim_t *s = loop->backend_data;
    unsigned n = veil_rxpool_free(loop->rx);
    veil_list_t list;
    veil_list_t *node;
    veil_op_t *op;
    int ms;

    veil_list_init(&list);
    while (n-- > 0 && (op = veil_rxpool_next_starved(loop->rx)) != NULL) {
        sim_wait_more(s, op);
    }
    veil_time_update();
    s->moved = false;
    sim_collect(s, &list);
    while ((node = veil_list_pop(&list)) != NULL) {
        op = veil_list_entry(node, veil_op_t, wait);
        if (sim_chance(s, s->script.late)) {
            s->moved = true;
            veil_list_append(&s->ops, node);
        } else if (op->cancel) {
            sim_try_cancelled(loop, s, op);
        } else {
            sim_try(loop, s, op);
        }
    }
    ms = s->moved ? 0 : veil_loop_timeout(loop, max_ms);
    if (ms != 0) {
        sim_poll(s, ms);
        veil_time_update();
    }
}

const veil_backend_t veil_backend_sim = {
    .name = "sim",
    .init = sim_init,
    .explain = sim_explain,
    .done = sim_done,
    .start = sim_start,
    .cancel = sim_cancel,
    .forget = sim_forget,
    .wait = sim_wait,
};
