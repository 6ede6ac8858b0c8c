/*
 * control_task.c -- calls of the control socket, in the master: who is asked,
 * what is answered, and when at the latest.
 *
 * A request that may be carried out becomes a task.  A verb of the master is
 * run on the spot; any other goes to the keeper of the generation that serves
 * (or, for verbs that say so, of those that drain as well), and answers come
 * back one by one:
 *
 *     keeper: EXPECT [slot, pid] ...   then ANSWER by each of these
 *     keeper: ANSWER                   when it has done it itself
 *
 * A task ends when all have answered, when who has not has died, or at its
 * deadline; then those that are missing are named.  So a process that is
 * stuck costs its caller the deadline, and nobody else anything.
 */

#include "core/platform.h"

#include "core/due.h"
#include "core/pool.h"
#include "core/time.h"
#include "process/control/control_task.h"
#include "process/control/events.h"
#include "process/master_state.h"

#define TASK_TIMEOUT_MS 10000

/* A process that was asked. */
typedef struct {
    uint64_t generation; /* 0: the master */
    unsigned worker;     /* slot; VEIL_ANSWER_NO_WORKER: none */
    pid_t pid;           /* 0: any */
    bool answered;
} control_asked_t;

typedef struct {
    veil_list_t link;
    veil_control_message_t head;
    const veil_control_verb_t *verb;
    veil_control_client_t *client;  /* NULL: it is gone */
    veil_control_session_t session; /* the client's */
    json_t *request_id;
    json_t *args;
    uint64_t started_ms;
    uint64_t generation; /* that served then; 0: none */
    control_asked_t *asked;
    unsigned nasked;
    json_t *answers;  /* of workers */
    json_t *failures; /* the same */
    json_t *data;     /* of the keeper or the master */
    json_t *err;      /* the same; NULL: none */
    bool by_workers;  /* workers answer, not the keeper */
    bool is_volatile;
    bool sending; /* not all have been asked yet */
} control_task_t;

static struct {
    veil_list_t tasks;
    uint64_t last_id;
} control_task;

/* --- tasks --------------------------------------------------------------- */

static control_task_t *
control_task_find(uint64_t id)
{
    control_task_t *t;
    veil_list_t *n;

    veil_list_foreach (n, &control_task.tasks) {
        t = veil_list_entry(n, control_task_t, link);
        if (t->head.id == id) {
            return t;
        }
    }
    return NULL;
}

static void
control_task_free(control_task_t *t)
{
    veil_list_remove(&t->link);
    if (t->client != NULL) {
        t->client->tasks--;
    }
    json_decref(t->request_id);
    json_decref(t->args);
    json_decref(t->answers);
    json_decref(t->failures);
    json_decref(t->data);
    json_decref(t->err);
    veil_free(t->asked);
    veil_free(t);
}

/* Whoever still works on it may stop. */
static void
control_task_cancel(const control_task_t *t)
{
    veil_cancel_message_t m = { .id = t->head.id };
    veil_generation_t *g;
    veil_list_t *n;

    veil_control_calls_cancel(t->head.id);
    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->channel >= 0) {
            (void) veil_channel_try_send(g->channel, VEIL_MSG_CANCEL, &m,
                                         sizeof(m), NULL, 0);
        }
    }
}

static void
control_task_ask(control_task_t *t, uint64_t generation, unsigned worker,
                 pid_t pid)
{
    control_asked_t *a;

    t->asked = veil_realloc(t->asked, (t->nasked + 1) * sizeof(*t->asked));
    a = &t->asked[t->nasked++];
    a->generation = generation;
    a->worker = worker;
    a->pid = pid;
    a->answered = false;
}

/* Whose answer this is; NULL: nobody waits for it. */
static control_asked_t *
control_task_asked(control_task_t *t, const veil_answer_message_t *head)
{
    unsigned i;

    for (i = 0; i < t->nasked; i++) {
        control_asked_t *a = &t->asked[i];

        if (!a->answered && a->generation == head->generation
            && a->worker == head->worker
            && (a->pid == 0 || a->pid == head->pid))
        {
            return a;
        }
    }
    return NULL;
}

static json_t *
control_task_who(const control_asked_t *a)
{
    return json_pack("{s:i, s:I, s:i}", "worker", (int) a->worker,
                     "generation", (json_int_t) a->generation, "pid",
                     (int) a->pid);
}

/* Takes over err. */
static void
control_task_fail(control_task_t *t, control_asked_t *a, json_t *err)
{
    json_t *o;

    a->answered = true;
    if (a->worker == VEIL_ANSWER_NO_WORKER) {
        json_decref(t->err);
        t->err = err;
        return;
    }
    o = control_task_who(a);
    json_object_set_new(o, "ok", json_false());
    json_object_set_new(o, "err", err);
    json_array_append_new(t->failures, o);
}

/* --- the end of a task --------------------------------------------------- */

/* The first worker's word is enough; others may have failed. */
static bool
control_task_wants_one(const control_task_t *t)
{
    return t->verb->place == VEIL_CONTROL_IN_ONE_WORKER
           || t->verb->place == VEIL_CONTROL_IN_ANY_WORKER;
}

bool
veil_control_asks_draining(const veil_control_verb_t *verb)
{
    return verb->place == VEIL_CONTROL_IN_ALL_WORKERS
           || verb->place == VEIL_CONTROL_IN_ANY_WORKER;
}

/* What workers said, as one answer. */
static json_t *
control_task_gather(const control_task_t *t)
{
    if (control_task_wants_one(t)) {
        return json_incref(
            json_object_get(json_array_get(t->answers, 0), "data"));
    }
    if (t->verb->gather != NULL) {
        return t->verb->gather(t->args, t->answers);
    }
    return json_incref(t->answers);
}

static json_t *
control_task_success(const control_task_t *t)
{
    json_t *o = veil_control_reply(t->request_id, true);

    if (t->by_workers) {
        json_object_set_new(o, "data", control_task_gather(t));
    } else {
        json_object_set(o, "data", t->data);
    }
    if (json_array_size(t->failures) != 0 && !control_task_wants_one(t)) {
        json_object_set_new(o, "partial", json_true());
    }
    if (t->is_volatile && !t->head.persist && !t->head.dry_run) {
        json_object_set_new(o, "volatile", json_true());
    }
    return o;
}

static json_t *
control_task_failure(const control_task_t *t)
{
    json_t *o = veil_control_reply(t->request_id, false);
    json_t *err = t->err;

    if (err == NULL) {
        err = json_object_get(json_array_get(t->failures, 0), "err");
    }
    if (err != NULL) {
        json_object_set(o, "err", err);
    } else {
        json_object_set_new(o, "err",
                            veil_control_err("E_NO_WORKER",
                                             "there is no worker to ask",
                                             NULL));
    }
    return o;
}

static json_t *
control_task_result(const control_task_t *t)
{
    bool any = json_array_size(t->answers) != 0;
    json_t *o = t->err != NULL || (t->by_workers && !any)
                    ? control_task_failure(t)
                    : control_task_success(t);

    if (json_array_size(t->failures) != 0) {
        json_object_set(o, "workers", t->failures);
    }
    if (t->head.dry_run) {
        json_object_set_new(o, "dry_run", json_true());
    }
    return o;
}

static bool
control_task_is_over(const control_task_t *t)
{
    unsigned i;

    if (t->sending) {
        return false;
    }
    if (control_task_wants_one(t) && json_array_size(t->answers) != 0) {
        return true;
    }
    for (i = 0; i < t->nasked; i++) {
        if (!t->asked[i].answered) {
            return false;
        }
    }
    return true;
}

/* As the audit log has it. */
static void
control_task_describe(const control_task_t *t, veil_control_asked_t *asked)
{
    unsigned i;

    memset(asked, 0, sizeof(*asked));
    asked->id = t->request_id;
    asked->verb = t->verb->name;
    asked->table = t->verb;
    asked->args = t->args;
    asked->dry_run = t->head.dry_run;
    asked->elapsed_ms = (int64_t) (veil_now_ms() - t->started_ms);
    asked->generation_before = t->generation;
    asked->workers_ok = (unsigned) json_array_size(t->answers);
    if (control_task_wants_one(t) && asked->workers_ok != 0) {
        /* The others were asked as well, but it did not depend on them. */
        asked->workers_ok = 1;
        asked->workers_expected = 1;
        return;
    }
    asked->workers_err = (unsigned) json_array_size(t->failures);
    for (i = 0; i < t->nasked; i++) {
        asked->workers_expected += t->asked[i].worker != VEIL_ANSWER_NO_WORKER;
    }
}

static void
control_task_finish(control_task_t *t)
{
    json_t *o = control_task_result(t);
    veil_control_asked_t asked;

    control_task_describe(t, &asked);
    asked.data = json_object_get(o, "data");
    veil_control_audit_done(&t->session, &asked, o);
    if (t->client != NULL) {
        (void) veil_control_client_send(t->client, o);
    }
    json_decref(o);
    control_task_free(t);
}

static void
control_task_finish_if_over(control_task_t *t)
{
    if (control_task_is_over(t)) {
        control_task_finish(t);
    }
}

/* --- answers ------------------------------------------------------------- */

/* The keeper says who will answer in its place. */
static void
control_task_expect(control_task_t *t, control_asked_t *keeper,
                    const json_t *pids)
{
    uint64_t generation = keeper->generation;
    json_t *pair;
    size_t i;

    keeper->answered = true;
    t->by_workers = true;
    json_array_foreach(pids, i, pair)
    {
        control_task_ask(
            t, generation,
            (unsigned) json_integer_value(json_array_get(pair, 0)),
            (pid_t) json_integer_value(json_array_get(pair, 1)));
    }
}

static void
control_task_done(control_task_t *t, control_asked_t *a, const json_t *json)
{
    json_t *data = json_deep_copy(json);
    json_t *o;

    a->answered = true;
    if (a->worker == VEIL_ANSWER_NO_WORKER) {
        json_decref(t->data);
        t->data = data;
        return;
    }
    o = control_task_who(a);
    json_object_set_new(o, "data", data);
    json_array_append_new(t->answers, o);
}

static void
control_task_line(const control_task_t *t, const control_asked_t *a,
                  const json_t *json)
{
    bool streams = (t->verb->flags & VEIL_CONTROL_STREAMS) != 0;
    json_t *o;

    if (t->client == NULL) {
        return;
    }
    o = json_object();
    if (t->request_id != NULL) {
        json_object_set(o, "id", t->request_id);
    }
    json_object_set_new(o, streams ? "line" : "progress",
                        json_deep_copy(json));
    if (a->worker != VEIL_ANSWER_NO_WORKER) {
        json_object_set_new(o, "from", control_task_who(a));
    }
    (void) veil_control_client_send(t->client, o);
    json_decref(o);
}

static void
control_task_failed(control_task_t *t, control_asked_t *a, const char *code,
                    const json_t *json)
{
    const char *msg = json_string_value(json_object_get(json, "msg"));
    const char *hint = json_string_value(json_object_get(json, "hint"));

    const json_t *details = json_object_get(json, "details");
    json_t *err = veil_control_err(code, msg == NULL ? "" : msg, hint);

    if (details != NULL) {
        json_object_set_new(err, "details", json_deep_copy(details));
    }
    control_task_fail(t, a, err);
}

static void
control_task_answer(const veil_answer_message_t *head, const json_t *json)
{
    control_task_t *t = control_task_find(head->id);
    control_asked_t *a = t == NULL ? NULL : control_task_asked(t, head);

    if (a == NULL) {
        return; /* too late */
    }
    t->is_volatile |= head->is_volatile;
    switch (head->kind) {
    case VEIL_ANSWER_EXPECT:
        control_task_expect(t, a, json);
        break;
    case VEIL_ANSWER_DONE:
        control_task_done(t, a, json);
        break;
    case VEIL_ANSWER_LINE:
        control_task_line(t, a, json);
        return;
    case VEIL_ANSWER_FAILED:
        control_task_failed(t, a, head->code, json);
        break;
    }
    control_task_finish_if_over(t);
}

void
veil_control_answer(veil_generation_t *g, const veil_message_t *m)
{
    veil_answer_message_t head;
    json_t *json = veil_control_take(m, sizeof(head));

    if (json == NULL) {
        veil_log(&veil_master.log, VEIL_LOG_ALERT, 0,
                 "a broken answer to a control call came from generation %llu",
                 (unsigned long long) g->number);
        return;
    }
    memcpy(&head, m->data, sizeof(head));
    head.code[sizeof(head.code) - 1] = '\0';
    head.generation = g->number;
    control_task_answer(&head, json);
    json_decref(json);
}

void
veil_control_event_message(const veil_message_t *m)
{
    veil_event_message_t head;
    json_t *json = veil_control_take(m, sizeof(head));

    if (json == NULL) {
        return;
    }
    memcpy(&head, m->data, sizeof(head));
    head.kind[sizeof(head.kind) - 1] = '\0';
    veil_events_take(&head, json);
}

/* One that drained has ended: what it would have said is no loss. */
static bool
control_task_is_left(const control_task_t *t, const control_asked_t *a)
{
    const veil_generation_t *g = veil_master.serving;

    return veil_control_asks_draining(t->verb)
           && (g == NULL || a->generation != g->number);
}

static void
control_task_gone(control_task_t *t, control_asked_t *a)
{
    if (control_task_is_left(t, a)) {
        a->answered = true;
    } else {
        control_task_fail(
            t, a, veil_control_err("E_GONE", "the process has ended", NULL));
    }
}

/* Those that were asked and are no more have failed; pid 0: all of it. */
static void
control_task_ended(uint64_t generation, pid_t pid)
{
    control_task_t *t;
    control_asked_t *a;
    veil_list_t *n;
    veil_list_t *tmp;
    unsigned i;

    veil_list_foreach_safe (n, tmp, &control_task.tasks) {
        t = veil_list_entry(n, control_task_t, link);
        for (i = 0; i < t->nasked; i++) {
            a = &t->asked[i];
            if (!a->answered
                && (pid != 0 ? a->pid == pid : a->generation == generation)) {
                control_task_gone(t, a);
            }
        }
        control_task_finish_if_over(t);
    }
}

void
veil_control_process_ended(pid_t pid)
{
    if (pid != 0) {
        control_task_ended(0, pid);
    }
}

void
veil_control_generation_ended(uint64_t generation)
{
    control_task_ended(generation, 0);
}

/* --- time ---------------------------------------------------------------- */

static void
control_task_time_up(control_task_t *t)
{
    unsigned i;

    for (i = 0; i < t->nasked; i++) {
        if (!t->asked[i].answered) {
            control_task_fail(t, &t->asked[i],
                              veil_control_err(VEIL_E_TIMEOUT,
                                               "no answer came in time",
                                               NULL));
        }
    }
    control_task_cancel(t);
    control_task_finish(t);
}

int
veil_control_tasks_timeout(uint64_t now_ms)
{
    int wait = veil_due_timeout(now_ms);
    uint64_t due;
    veil_list_t *n;

    veil_list_foreach (n, &control_task.tasks) {
        due = veil_list_entry(n, control_task_t, link)->head.deadline_ms;
        if (due == 0) {
            continue;
        }
        due = due > now_ms ? due - now_ms : 0;
        if (wait < 0 || due < (uint64_t) wait) {
            wait = (int) due;
        }
    }
    return wait;
}

void
veil_control_tasks_run_due(uint64_t now_ms)
{
    control_task_t *t;
    veil_list_t *n;
    veil_list_t *tmp;

    veil_due_run(now_ms);
    veil_list_foreach_safe (n, tmp, &control_task.tasks) {
        t = veil_list_entry(n, control_task_t, link);
        if (t->head.deadline_ms != 0 && t->head.deadline_ms <= now_ms) {
            control_task_time_up(t);
        }
    }
}

void
veil_control_client_moved(veil_control_client_t *c)
{
    control_task_t *t;
    veil_list_t *n;
    veil_list_t *tmp;
    json_t *args;

    veil_list_foreach_safe (n, tmp, &control_task.tasks) {
        t = veil_list_entry(n, control_task_t, link);
        if (t->client != c || (t->verb->flags & VEIL_CONTROL_CHANGES) != 0) {
            continue;
        }
        json_decref(t->err);
        t->err = veil_control_err(VEIL_E_MOVED, "another master serves now",
                                  "connect again, and ask that one");
        args = veil_control_calls_moved(t->head.id);
        if (args != NULL) {
            json_object_set_new(t->err, "details",
                                json_pack("{s:o}", "args", args));
        }
        control_task_cancel(t);
        control_task_finish(t);
    }
}

void
veil_control_client_gone(veil_control_client_t *c)
{
    veil_control_asked_t asked;
    control_task_t *t;
    veil_list_t *n;
    veil_list_t *tmp;

    veil_list_foreach_safe (n, tmp, &control_task.tasks) {
        t = veil_list_entry(n, control_task_t, link);
        if (t->client != c) {
            continue;
        }
        t->client = NULL;
        /* What changes something is brought to its end. */
        if ((t->verb->flags & VEIL_CONTROL_CHANGES) == 0) {
            control_task_describe(t, &asked);
            veil_control_audit_left(&t->session, &asked);
            control_task_cancel(t);
            control_task_free(t);
        }
    }
}

/* --- the beginning of a task --------------------------------------------- */

static void
control_task_send(control_task_t *t, veil_generation_t *g)
{
    int rc;

    if (g->channel < 0 || g->keeper == 0) {
        return;
    }
    control_task_ask(t, g->number, VEIL_ANSWER_NO_WORKER, 0);
    rc = veil_control_send(g->channel, VEIL_MSG_CONTROL, &t->head,
                           sizeof(t->head), t->args);
    if (rc < 0) {
        control_task_fail(t, &t->asked[t->nasked - 1],
                          veil_control_err("E_KEEPER_BUSY",
                                           "the keeper does not take messages",
                                           NULL));
    }
}

static void
control_task_begin(control_task_t *t)
{
    veil_generation_t *g;
    veil_list_t *n;

    t->by_workers = t->verb->place >= VEIL_CONTROL_IN_WORKERS;
    if (veil_control_place(t->verb, t->args) == VEIL_CONTROL_IN_MASTER) {
        control_task_ask(t, 0, VEIL_ANSWER_NO_WORKER, 0);
        veil_control_calls_run(&t->head, json_deep_copy(t->args));
        return; /* it may have ended by now */
    }
    if (t->verb->before != NULL) {
        t->verb->before(t->args, t->head.dry_run);
    }
    t->sending = true;
    if (veil_control_asks_draining(t->verb)) {
        veil_list_foreach (n, &veil_master.generations) {
            g = veil_list_entry(n, veil_generation_t, link);
            /* When the server ends, the one that serves drains, too. */
            if (g->state == VEIL_GENERATION_DRAINING
                && g != veil_master.serving) {
                control_task_send(t, g);
            }
        }
    }
    if (veil_master.serving != NULL) {
        control_task_send(t, veil_master.serving);
    }
    t->sending = false;
    control_task_finish_if_over(t);
}

/* What is not over at once is noted at its beginning, too. */
static void
control_task_accepted(const control_task_t *t)
{
    unsigned flags = t->verb->flags;
    veil_control_asked_t asked;

    if ((flags & (VEIL_CONTROL_STREAMS | VEIL_CONTROL_SLOW)) != 0
        || ((flags & VEIL_CONTROL_CHANGES) != 0
            && t->verb->place != VEIL_CONTROL_IN_MASTER))
    {
        control_task_describe(t, &asked);
        veil_control_audit_accepted(&t->session, &asked);
    }
}

static uint64_t
control_task_deadline(const veil_control_request_t *r,
                      const veil_control_verb_t *verb)
{
    if (r->timeout_ms != 0) {
        return veil_now_ms() + r->timeout_ms;
    }
    if ((verb->flags & (VEIL_CONTROL_STREAMS | VEIL_CONTROL_SLOW)) != 0) {
        return 0;
    }
    return veil_now_ms() + TASK_TIMEOUT_MS;
}

void
veil_control_task_start(veil_control_client_t *c, veil_control_request_t *r,
                        const veil_control_verb_t *verb)
{
    control_task_t *t = veil_zalloc(sizeof(*t));

    t->verb = verb;
    t->client = c;
    c->tasks++;
    t->request_id = r->id;
    t->args = r->args;
    r->id = NULL;
    r->args = NULL;
    t->started_ms = veil_now_ms();
    t->answers = json_array();
    t->failures = json_array();
    t->head.id = ++control_task.last_id;
    t->head.deadline_ms = control_task_deadline(r, verb);
    t->head.dry_run = r->dry_run;
    t->head.persist = r->persist;
    (void) veil_str_copy_z(t->head.verb, sizeof(t->head.verb),
                           veil_str_z(verb->name));
    t->session = c->session;
    if (veil_master.serving != NULL) {
        t->generation = veil_master.serving->number;
    }
    veil_list_append(&control_task.tasks, &t->link);
    control_task_accepted(t);
    control_task_begin(t);
}

static bool
control_task_is_behind(uint64_t id)
{
    const control_task_t *t = control_task_find(id);

    return t == NULL || t->client == NULL
           || t->client->out_len - t->client->out_off
                  > VEIL_CONTROL_QUEUE_MAX / 2;
}

/* "wait gen-drained" */
static int
control_task_gen_drained(uint64_t number)
{
    veil_list_t *n;

    if (number == 0 || number > veil_master.last_number) {
        return -1;
    }
    veil_list_foreach (n, &veil_master.generations) {
        if (veil_list_entry(n, veil_generation_t, link)->number <= number) {
            return 0;
        }
    }
    return 1;
}

void
veil_control_master_init(void)
{
    veil_control_calls_t o;

    memset(&o, 0, sizeof(o));
    o.answer = control_task_answer;
    o.is_behind = control_task_is_behind;
    o.worker = VEIL_ANSWER_NO_WORKER;
    veil_list_init(&control_task.tasks);
    veil_control_gen_drained = control_task_gen_drained;
    veil_control_calls_init(&o);
    veil_control_count_init();
}
