/*
 * control_verbs.c -- verbs of the control socket itself, and "stop".
 *
 * A stop is answered twice: a line of progress whenever fewer processes are
 * left, and the answer proper when the last has ended.  The master keeps the
 * socket until then, so whoever asked knows that nothing runs any more.
 */

#include "core/platform.h"

#include "core/due.h"
#include "core/pool.h"
#include "core/time.h"
#include "process/control/control_conf.h"
#include "process/master_state.h"

#define VERBS_LOOK_MS 100

static json_t *
control_verbs_describe_args(const veil_control_verb_t *verb)
{
    static const char *const types[] = { "string", "number", "flag", "time",
                                         "word" };
    json_t *args = json_array();
    const veil_control_arg_t *a;
    json_t *o;

    for (a = verb->args; a != NULL && a->name != NULL; a++) {
        o = json_pack("{s:s, s:s, s:b, s:s}", "name", a->name, "type",
                      types[a->type], "required",
                      (a->flags & VEIL_CONTROL_REQUIRED) != 0, "help",
                      a->help);
        if (a->words != NULL) {
            json_object_set_new(o, "words", json_string(a->words));
        }
        json_array_append_new(args, o);
    }
    return args;
}

/* What there is to be asked: for programs, as "veilctl help" is for people. */
static veil_control_rc_t
control_verbs_list(veil_control_call_t *call)
{
    static const char *const roles[] = { "read", "operate", "admin" };
    const veil_control_verb_t *v;
    unsigned i;

    call->data = json_array();
    for (i = 0; (v = veil_control_verb_at(i)) != NULL; i++) {
        json_array_append_new(
            call->data,
            json_pack("{s:s, s:s, s:b, s:b, s:b, s:o, s:s}", "verb", v->name,
                      "role", roles[v->role], "changes",
                      (v->flags & VEIL_CONTROL_CHANGES) != 0, "persists",
                      (v->flags & VEIL_CONTROL_PERSISTS) != 0, "streams",
                      (v->flags & VEIL_CONTROL_STREAMS) != 0, "args",
                      control_verbs_describe_args(v), "help", v->help));
    }
    return VEIL_CONTROL_DONE;
}

static veil_control_rc_t
control_verbs_ping(veil_control_call_t *call)
{
    call->data = json_pack("{s:i}", "pid", (int) getpid());
    return VEIL_CONTROL_DONE;
}

/* --- stop ---------------------------------------------------------------- */

typedef struct {
    veil_due_t due;
    veil_control_call_t *call;
    uint64_t began_ms;
    unsigned left; /* processes, when it was said last */
} control_stop_t;

static unsigned
control_verbs_processes(void)
{
    const veil_generation_t *g;
    veil_list_t *n;
    unsigned left = 0;

    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        left += veil_generation_workers(g) + (g->keeper != 0);
    }
    return left;
}

static void
control_verbs_look(veil_due_t *due)
{
    control_stop_t *s = veil_container_of(due, control_stop_t, due);
    veil_control_call_t *call = s->call;
    unsigned left = control_verbs_processes();

    if (veil_list_is_empty(&veil_master.generations)) {
        call->data = json_pack("{s:I, s:i}", "elapsed_ms",
                               (json_int_t) (veil_now_ms() - s->began_ms),
                               "master", (int) getpid());
        veil_control_done(call, VEIL_CONTROL_DONE); /* s goes with it */
        return;
    }
    if (left != s->left) {
        s->left = left;
        veil_control_say(call, json_pack("{s:i}", "processes", (int) left));
    }
    veil_due_set(due, VERBS_LOOK_MS);
}

static void
control_verbs_stop_cancel(veil_control_call_t *call)
{
    control_stop_t *s = call->ctx;

    /* It goes on; only nobody waits for it. */
    veil_due_cancel(&s->due);
}

static veil_control_rc_t
control_verbs_stop(veil_control_call_t *call)
{
    const char *how = veil_control_text(call, "how");
    bool hard = how != NULL && strcmp(how, "hard") == 0;
    int64_t ms =
        veil_control_number(call, "deadline", (int64_t) veil_master.stop_ms);
    control_stop_t *s;

    if (hard && veil_control_has(call, "deadline")) {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"hard\" waits for nobody: there is no "
                                 "\"deadline\"");
    }
    if (call->dry_run) {
        call->data =
            json_pack("{s:i}", "processes", (int) control_verbs_processes());
        return VEIL_CONTROL_DONE;
    }
    s = veil_zalloc(sizeof(*s));
    s->call = call;
    s->began_ms = veil_now_ms();
    call->ctx = s;
    call->owns_ctx = true;
    call->cancel = control_verbs_stop_cancel;
    veil_due_init(&s->due, control_verbs_look);
    veil_due_set(&s->due, 0);
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0, "stopping %s, as asked",
             hard ? "at once" : "gracefully");
    veil_master_stop(hard ? 0 : (uint64_t) ms);
    return VEIL_CONTROL_LATER;
}

/* --- tables -------------------------------------------------------------- */

static const veil_control_arg_t control_verbs_stop_args[] = {
    { .name = "how",
      .type = VEIL_CONTROL_WORD,
      .flags = VEIL_CONTROL_POSITION,
      .words = "soft|hard",
      .help = "finish what is under way, or not" },

    { .name = "deadline",
      .type = VEIL_CONTROL_TIME,
      .help = "how long that may take; shutdown_timeout without it" },

    { .name = NULL },
};

const veil_control_verb_t veil_control_own_verbs[] = {
    { .name = "verbs",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_MASTER,
      .run = control_verbs_list,
      .help = "Lists the verbs and their arguments." },

    { .name = "ping",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_ALL_WORKERS,
      .run = control_verbs_ping,
      .help = "Asks every worker for a sign of life." },

    { .name = "stop",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_MASTER,
      .flags = VEIL_CONTROL_CHANGES | VEIL_CONTROL_SLOW,
      .args = control_verbs_stop_args,
      .run = control_verbs_stop,
      .help = "Ends the server and waits until it has ended." },

    { .name = NULL },
};
