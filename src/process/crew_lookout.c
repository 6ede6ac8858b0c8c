/*
 * crew_lookout.c -- clients that nobody comes for.
 *
 * Of those who wait on a listening socket the kernel wakes one for each
 * client, and that is the one that has waited the longest.  If it is stuck,
 * so is the client, and all that follow it: with io_uring the accept of a
 * process that does not run takes every wake-up and never gets to the queue.
 * It need not even be a worker of this generation: one that is stuck while it
 * should drain has its accept open still.  Until the watchdog has found it,
 * after half a minute, nobody would be served, though all others are idle.
 *
 * So the keeper has an eye on the sockets itself.  poll(2) waits beside the
 * others and takes no wake-up from them.  When a client is there, a moment is
 * given to whoever was woken, and if a client is there after it, all workers
 * are told to look.  Under load that is a wrong alarm now and then, for a
 * system call in each; a server without clients is never woken by this.
 *
 * A worker that has not turned its loop since it was told is not told again:
 * its channel would fill.
 */

#include "core/platform.h"

#include "core/board.h"
#include "core/time.h"
#include "event/listen.h"
#include "process/crew_state.h"

/* For whoever was woken. */
#define LOOKOUT_MOMENT_MS 50

static struct {
    uint64_t due_ms; /* then it is looked again; 0: a client is waited for */
} crew_lookout;

static bool
crew_lookout_is_on(void)
{
    return veil_crew.started && !veil_crew.draining;
}

static unsigned
crew_lookout_sockets(struct pollfd *fds)
{
    const veil_listen_t *l;
    veil_list_t *node;
    unsigned n = 0;
    unsigned i;

    veil_list_foreach (node, &veil_cycle->listens) {
        l = veil_list_entry(node, veil_listen_t, link);
        for (i = 0; l->accept != NULL && i < l->nslots; i++) {
            if (fds != NULL) {
                fds[n] = (struct pollfd){ .fd = l->fds[i], .events = POLLIN };
            }
            n++;
        }
    }
    return n;
}

unsigned
veil_crew_lookout_max(void)
{
    return crew_lookout_is_on() ? crew_lookout_sockets(NULL) : 0;
}

unsigned
veil_crew_lookout_poll(struct pollfd *fds)
{
    return crew_lookout_is_on() && crew_lookout.due_ms == 0
               ? crew_lookout_sockets(fds)
               : 0;
}

static bool
crew_lookout_any(const struct pollfd *fds, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if ((fds[i].revents & POLLIN) != 0) {
            return true;
        }
    }
    return false;
}

void
veil_crew_lookout_polled(const struct pollfd *fds, unsigned n)
{
    if (crew_lookout_any(fds, n)) {
        crew_lookout.due_ms = veil_now_ms() + LOOKOUT_MOMENT_MS;
    }
}

static void
crew_lookout_tell(uint64_t now_ms)
{
    crew_process_t *p;
    veil_list_t *n;

    veil_list_foreach (n, &veil_crew.processes) {
        p = veil_crew_process(n);
        if (p->state == CREW_SERVING && p->block >= 0
            && veil_board_heartbeat(p->block) >= p->told_ms)
        {
            p->told_ms = now_ms;
            veil_crew_send(p, VEIL_MSG_LOOK, NULL, 0, NULL, 0);
        }
    }
}

uint64_t
veil_crew_lookout_due(void)
{
    return crew_lookout_is_on() ? crew_lookout.due_ms : 0;
}

void
veil_crew_lookout(uint64_t now_ms)
{
    struct pollfd *fds;
    unsigned n;

    if (veil_crew_lookout_due() == 0 || crew_lookout.due_ms > now_ms) {
        return;
    }
    crew_lookout.due_ms = 0;
    fds = veil_alloc((veil_crew_lookout_max() + 1) * sizeof(*fds));
    n = crew_lookout_sockets(fds);
    if (n != 0 && poll(fds, n, 0) > 0 && crew_lookout_any(fds, n)) {
        crew_lookout_tell(now_ms);
        crew_lookout.due_ms = now_ms + LOOKOUT_MOMENT_MS;
    }
    veil_free(fds);
}
