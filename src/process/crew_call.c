/*
 * crew_call.c -- what a keeper says to its workers and hears from them.
 *
 * Every process is asked and listened to, also one that drains as another
 * has taken its slot; only new calls are for those that serve.
 */

#include "core/platform.h"

#include "core/log.h"
#include "process/channel.h"
#include "process/crew_state.h"
#include "process/message.h"
#include "process/reload/diagnostic.h"

/* --- control calls ------------------------------------------------------ */

json_t *
veil_crew_pids(void)
{
    json_t *pids = json_array();
    const crew_process_t *p;
    veil_list_t *n;

    veil_list_foreach (n, &veil_crew.processes) {
        p = veil_crew_process(n);
        if (p->state != CREW_STARTING && p->channel >= 0) {
            json_array_append_new(
                pids, json_pack("[ii]", (int) p->slot, (int) p->pid));
        }
    }
    return pids;
}

int
veil_crew_control(pid_t pid, const veil_control_message_t *m,
                  const json_t *args)
{
    const crew_process_t *p;
    veil_list_t *n;

    veil_list_foreach (n, &veil_crew.processes) {
        p = veil_crew_process(n);
        if (p->pid == pid && p->channel >= 0) {
            return veil_control_send(p->channel, VEIL_MSG_CONTROL, m,
                                     sizeof(*m), args);
        }
    }
    return -ESRCH;
}

void
veil_crew_cancel(const veil_message_t *m)
{
    const crew_process_t *p;
    veil_list_t *n;

    veil_list_foreach (n, &veil_crew.processes) {
        p = veil_crew_process(n);
        if (p->channel >= 0) {
            /* One that is stuck does nothing anyway. */
            (void) veil_channel_try_send(p->channel, VEIL_MSG_CANCEL, m->data,
                                         m->len, NULL, 0);
        }
    }
}

pid_t
veil_crew_pid(unsigned slot)
{
    const crew_process_t *p =
        slot < veil_crew.o.workers ? veil_crew.slots[slot].now : NULL;

    return p == NULL || p->state == CREW_STARTING ? 0 : p->pid;
}

unsigned
veil_crew_slots(void)
{
    return veil_crew.o.workers;
}

/* --- messages ----------------------------------------------------------- */

/* What a worker says to the master. */
static void
crew_pass_up(const veil_message_t *m)
{
    int rc = veil_channel_try_send(veil_crew.o.up, m->type, m->data, m->len,
                                   m->fds, m->nfds);

    if (rc < 0 && rc != -EPIPE) {
        veil_log(veil_crew.o.log, VEIL_LOG_ERR, -rc,
                 "the master does not take a worker's message %s",
                 veil_message_name(m->type));
    }
}

/* An event, which may be lost on the way, but not silently. */
static void
crew_pass_event(veil_message_t *m)
{
    static uint64_t lost;
    veil_event_message_t head;
    int up = veil_crew.o.up;

    if (m->len < sizeof(head)) {
        return;
    }
    memcpy(&head, m->data, sizeof(head));
    head.lost += lost;
    memcpy(m->data, &head, sizeof(head));
    if (veil_channel_queued(up) > VEIL_CONTROL_EVENTS_QUEUED
        || veil_channel_try_send(up, m->type, m->data, m->len, m->fds, m->nfds)
               < 0)
    {
        lost = head.lost + 1;
    } else {
        lost = 0;
    }
}

unsigned
veil_crew_poll(struct pollfd *fds)
{
    veil_list_t *n;
    unsigned count = 0;

    veil_list_foreach (n, &veil_crew.processes) {
        if (veil_crew_process(n)->channel >= 0) {
            fds[count].fd = veil_crew_process(n)->channel;
            fds[count].events = POLLIN;
            fds[count].revents = 0;
            count++;
        }
    }
    return count;
}

static void
crew_receive(crew_process_t *p)
{
    static veil_message_t m;
    bool reopen = false;
    int rc;

    while ((rc = veil_channel_recv(p->channel, &m)) == 1) {
        if (m.type == VEIL_MSG_DIAGNOSTIC) {
            (void) veil_channel_send(veil_crew.o.up, VEIL_MSG_DIAGNOSTIC,
                                     m.data, m.len, NULL, 0);
        } else if (m.type == VEIL_MSG_QUIET) {
            p->quiet = true;
        } else if (m.type == VEIL_MSG_READY) {
            veil_crew_on_ready(p);
        } else if (m.type == VEIL_MSG_EVENT) {
            crew_pass_event(&m);
        } else if (m.type == VEIL_MSG_ANSWER) {
            crew_pass_up(&m);
        } else if (m.type == VEIL_MSG_REOPEN) {
            reopen = true;
        }
        veil_message_close_fds(&m);
    }
    if (rc != -EAGAIN) {
        /* It ends, or is beyond help; waitpid() will say. */
        close(p->channel);
        p->channel = -1;
    }
    if (reopen) {
        veil_crew_reopen_logs(veil_cycle); /* it got SIGUSR1 */
    }
}

void
veil_crew_polled(const struct pollfd *fds, unsigned n)
{
    veil_list_t *link;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (fds[i].revents == 0) {
            continue;
        }
        veil_list_foreach (link, &veil_crew.processes) {
            if (veil_crew_process(link)->channel == fds[i].fd) {
                crew_receive(veil_crew_process(link));
                break;
            }
        }
    }
}

void
veil_crew_tell(veil_message_type_t type, const void *data, size_t len)
{
    veil_list_t *n;

    if (veil_crew.processes.next == NULL) {
        return; /* before veil_crew_init() */
    }
    veil_list_foreach (n, &veil_crew.processes) {
        veil_crew_send(veil_crew_process(n), type, data, len, NULL, 0);
    }
}

/* --- logs --------------------------------------------------------------- */

/* Sends descriptors of consecutive files, the first of which has the index. */
static void
crew_send_logs(unsigned first, const int *fds, unsigned n)
{
    veil_reopen_message_t m = { .first = first };
    veil_list_t *link;

    if (n == 0) {
        return;
    }
    veil_list_foreach (link, &veil_crew.processes) {
        veil_crew_send(veil_crew_process(link), VEIL_MSG_REOPEN, &m, sizeof(m),
                       fds, n);
    }
}

void
veil_crew_reopen_logs(veil_cycle_t *cycle)
{
    int fds[VEIL_MESSAGE_FDS];
    veil_log_file_t *file;
    veil_list_t *node;
    unsigned index = 0;
    unsigned n = 0;
    int rc;

    veil_list_foreach (node, &cycle->log_files) {
        file = veil_list_entry(node, veil_log_file_t, link);
        rc = veil_log_file_reopen(file);
        if (rc < 0) {
            veil_log(veil_crew.o.log, VEIL_LOG_EMERG, -rc,
                     "open() \"%.*s\" failed, writing on to the old file",
                     VEIL_STR_ARG(file->path));
        }
        if (rc < 0 || n == VEIL_MESSAGE_FDS) {
            crew_send_logs(index - n, fds, n);
            n = 0;
        }
        if (rc >= 0) {
            fds[n++] = file->fd;
        }
        index++;
    }
    crew_send_logs(index - n, fds, n);
}
