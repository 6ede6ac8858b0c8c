/*
 * control_keeper.c -- calls as they pass through a keeper.
 *
 * A verb for keepers is run here.  One for workers is handed to each of them
 * as it came, after telling the master whom to wait for.  What workers answer
 * is passed up unread.  Nothing here waits: a worker that does not take its
 * message is answered for, and one that took it and never answers is the
 * master's to give up, by the deadline.
 */

#include "process/control/control.h"

#include "core/pool.h"
#include "process/crew.h"

static struct {
    int up;
    uint64_t generation;
    const veil_log_t *log;
} control_keeper;

static void
control_keeper_answer(const veil_answer_message_t *head, const json_t *json)
{
    int rc = veil_control_send(control_keeper.up, VEIL_MSG_ANSWER, head,
                               sizeof(*head), json);

    if (rc < 0 && rc != -EPIPE) {
        veil_log(control_keeper.log, VEIL_LOG_ERR, -rc,
                 "the master does not take the answer to a control call");
    }
}

/* Tells the master that this worker cannot be asked. */
static void
control_keeper_unreachable(uint64_t id, unsigned slot, pid_t pid)
{
    veil_answer_message_t head;
    json_t *json = json_object();

    memset(&head, 0, sizeof(head));
    head.id = id;
    head.generation = control_keeper.generation;
    head.worker = slot;
    head.pid = pid;
    head.kind = VEIL_ANSWER_FAILED;
    (void) veil_str_copy_z(head.code, sizeof(head.code),
                           VEIL_STR("E_WORKER_BUSY"));
    json_object_set_new(
        json, "msg",
        json_string("the worker does not take messages: it is stuck"));
    control_keeper_answer(&head, json);
    json_decref(json);
}

/* [[slot, pid], ...] of those that are to be asked. */
static json_t *
control_keeper_expected(const json_t *args)
{
    const json_t *only = json_object_get(args, VEIL_CONTROL_ONLY_PID);
    json_t *all = veil_crew_pids();
    size_t i = 0;

    while (only != NULL && i < json_array_size(all)) {
        if (json_equal(json_array_get(json_array_get(all, i), 1), only)) {
            i++;
        } else {
            json_array_remove(all, i);
        }
    }
    return all;
}

static void
control_keeper_ask_workers(const veil_control_message_t *m, json_t *args)
{
    veil_answer_message_t head;
    json_t *expected = control_keeper_expected(args);
    json_t *pair;
    size_t i;

    memset(&head, 0, sizeof(head));
    head.id = m->id;
    head.generation = control_keeper.generation;
    head.worker = VEIL_ANSWER_NO_WORKER;
    head.pid = getpid();
    head.kind = VEIL_ANSWER_EXPECT;
    control_keeper_answer(&head, expected);

    json_array_foreach(expected, i, pair)
    {
        unsigned slot = (unsigned) json_integer_value(json_array_get(pair, 0));
        pid_t pid = (pid_t) json_integer_value(json_array_get(pair, 1));

        if (veil_crew_control(pid, m, args) < 0) {
            control_keeper_unreachable(m->id, slot, pid);
        }
    }
    json_decref(expected);
}

void
veil_control_keeper_init(int up, uint64_t generation, const veil_log_t *log)
{
    veil_control_calls_t o;

    memset(&o, 0, sizeof(o));
    o.answer = control_keeper_answer;
    o.forward = control_keeper_ask_workers;
    o.generation = generation;
    o.worker = VEIL_ANSWER_NO_WORKER;
    control_keeper.up = up;
    control_keeper.generation = generation;
    control_keeper.log = log;
    veil_control_calls_init(&o);
    veil_control_events_to(up, generation, VEIL_ANSWER_NO_WORKER);
}

static void
control_keeper_call(const veil_message_t *m)
{
    const veil_control_verb_t *verb;
    veil_control_message_t head;
    json_t *args;

    memcpy(&head, m->data, sizeof(head));
    head.verb[sizeof(head.verb) - 1] = '\0';
    verb = veil_control_verb(veil_str_z(head.verb));
    if (verb == NULL || verb->place <= VEIL_CONTROL_IN_KEEPER) {
        veil_control_calls_message(m);
        return;
    }
    args = veil_control_take(m, sizeof(head));
    control_keeper_ask_workers(&head, args);
    json_decref(args);
}

void
veil_control_keeper_message(veil_message_t *m)
{
    if (m->type == VEIL_MSG_CONTROL) {
        control_keeper_call(m);
        return;
    }
    veil_control_calls_cancel(
        ((const veil_cancel_message_t *) (const void *) m->data)->id);
    veil_crew_cancel(m);
}
