/*
 * reload_verbs.c -- "reload", "config.diff", "config.dump" and "status".
 *
 * All of them but one are the master's; the text of the files is the keeper's
 * to show, who has read them.  A reload asked for here is the one SIGHUP
 * asks for, with somebody who waits: until it has failed, or the new
 * generation serves and those before accept no more, or are gone.  The call
 * ends with the result of the load (reload.h).  One loads at a time; a second
 * "reload" meanwhile is refused rather than queued, as its caller should know
 * which files were read.  A caller who goes away does not stop the load.
 *
 * What a configuration would change is found by a child (look.c): for
 * "config.diff", and for a reload with dry_run.
 */

#include "core/platform.h"

#include <sys/wait.h>

#include "core/control.h"
#include "core/due.h"
#include "core/overlay.h"
#include "core/pool.h"
#include "core/state.h"
#include "core/time.h"
#include "core/version.h"
#include "process/master_state.h"
#include "process/reload/look.h"
#include "process/reload/reload_verbs.h"
#include "process/show.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade.h"
#include "process/workers.h"

/*
 * Answers are lines of any length, but processes send each other 64 MiB of
 * JSON at most (control_call.c), and a byte of text is up to six of those.
 */
#define RELOAD_DUMP_MAX (10 * 1024 * 1024)
/* How long a worker may take to stop accepting. */
#define RELOAD_PATIENCE_MS 2000

/* --- looking --------------------------------------------------------------
 */

static void
reload_look_cancel(veil_control_call_t *call)
{
    veil_look_t *look = call->ctx;

    veil_look_cancel(look);
    veil_free(look);
}

/* For "config.diff" the difference is the answer, with what was said. */
static json_t *
reload_diff_answer(const json_t *found)
{
    const json_t *diff = json_object_get(found, "diff");
    json_t *o =
        diff == NULL ? json_object() : json_copy((json_t *) (uintptr_t) diff);

    json_object_set(o, "warnings", json_object_get(found, "warnings"));
    json_object_set(o, "diagnostics", json_object_get(found, "diagnostics"));
    return o;
}

static void
reload_looked(veil_look_t *look, const json_t *found, int status)
{
    veil_control_call_t *call = look->data;
    veil_control_rc_t rc = VEIL_CONTROL_DONE;
    const char *code;

    veil_free(look);
    if (strcmp(call->verb->name, "reload") == 0) {
        call->data = json_copy((json_t *) (uintptr_t) found);
    } else {
        call->data = reload_diff_answer(found);
    }
    if (found == NULL) {
        rc = veil_control_fail(
            call, VEIL_E_FAILED,
            WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
                ? "reading the configuration took too long"
                : "the process that read the configuration failed");
    } else if (!json_is_true(json_object_get(found, "ok"))) {
        code = json_string_value(json_object_get(found, "code"));
        rc = veil_control_fail(
            call,
            strcmp(code, VEIL_E_FAILED) == 0 ? VEIL_E_FAILED : VEIL_E_INVALID,
            "%s", json_string_value(json_object_get(found, "reason")));
    }
    veil_control_done(call, rc);
}

/* The file that is asked for; false after noting what is wrong with it. */
static bool
reload_conf_path(veil_control_call_t *call, const char **path)
{
    *path = veil_control_text(call, "config");
    if (*path == NULL || **path == '/') {
        return true;
    }
    (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                             "\"config\" must be an absolute path");
    return false;
}

static veil_control_rc_t
reload_look(veil_control_call_t *call, const char *path)
{
    veil_launch_t launch = veil_master.launch;
    veil_look_running_t running = { .text_fd = veil_master.text_fd,
                                    .facts_fd = veil_master.facts_fd,
                                    .hold = &veil_master.hold };
    veil_look_t *look = veil_zalloc(sizeof(*look));
    int rc;

    if (path != NULL) {
        launch.conf_path = veil_str_z(path);
    }
    look->ended = reload_looked;
    look->data = call;
    rc = veil_look_start(look, &launch, &running);
    if (rc < 0) {
        veil_free(look);
        return veil_control_fail(call, VEIL_E_FAILED,
                                 "no process could be made (%d: %s)", -rc,
                                 strerror(-rc));
    }
    call->ctx = look;
    call->cancel = reload_look_cancel;
    return VEIL_CONTROL_LATER;
}

static veil_control_rc_t
reload_run_diff(veil_control_call_t *call)
{
    const char *path;

    return reload_conf_path(call, &path) ? reload_look(call, path)
                                         : VEIL_CONTROL_FAILED;
}

/* --- reloading ------------------------------------------------------------
 */

/*
 * Who waits for a load, and after it until those before accept no more, or
 * are gone.
 */
typedef struct {
    veil_reload_waiter_t waiter;
    veil_list_t draining; /* in reload_draining, when it is that */
    veil_control_call_t *call;
    uint64_t generation;
    uint64_t patience_ms;  /* with workers that do not say they are quiet */
    veil_due_t impatience; /* then */
    bool wants_drained;
} reload_call_t;

static veil_list_t reload_draining = { &reload_draining, &reload_draining };

static void
reload_free(reload_call_t *rc)
{
    veil_reload_wait_no_more(&rc->waiter);
    veil_list_remove(&rc->draining);
    veil_due_cancel(&rc->impatience);
    veil_free(rc);
}

static void
reload_cancel(veil_control_call_t *call)
{
    reload_free(call->ctx);
}

/*
 * Whether a generation before that of the call is in the way of its end: one
 * that accepts connections, or with "drained" any.  One that is stuck does
 * neither, and would never say so.
 */
static bool
reload_is_waiting(const reload_call_t *rc)
{
    bool patient = veil_now_ms() < rc->patience_ms;
    const veil_generation_t *g;
    const veil_list_t *n;

    veil_list_foreach (n, &veil_master.generations) {
        g = (const veil_generation_t *) (const void *) n;
        if (g->number < rc->generation
            && (rc->wants_drained
                || (patient && !g->quiet
                    && g->state == VEIL_GENERATION_DRAINING)))
        {
            return true;
        }
    }
    return false;
}

_Static_assert(offsetof(veil_generation_t, link) == 0,
               "a generation's link is its beginning");

static veil_control_rc_t
reload_fail(veil_control_call_t *call, const veil_reload_result_t *r)
{
    if (r->errors > 1) {
        veil_control_hint(call, "%u errors were found; all are in the log",
                          r->errors);
    }
    return veil_control_fail(call, r->code, "%s", r->reason);
}

static void
reload_ended(veil_reload_waiter_t *w, const veil_reload_result_t *r)
{
    reload_call_t *rc = (reload_call_t *) (void *) w;
    veil_control_call_t *call = rc->call;

    call->data = veil_reload_json(r, true);
    rc->patience_ms = veil_now_ms() + RELOAD_PATIENCE_MS;
    if (r->ok && reload_is_waiting(rc)) {
        veil_list_append(&reload_draining, &rc->draining);
        veil_due_set(&rc->impatience, RELOAD_PATIENCE_MS);
        return;
    }
    reload_free(rc);
    veil_control_done(call, r->ok ? VEIL_CONTROL_DONE : reload_fail(call, r));
}

_Static_assert(offsetof(reload_call_t, waiter) == 0,
               "a call's waiter is its beginning");

void
veil_reload_look_again(void)
{
    veil_control_call_t *call;
    reload_call_t *rc;
    veil_list_t *n;
    veil_list_t *tmp;

    veil_list_foreach_safe (n, tmp, &reload_draining) {
        rc = veil_list_entry(n, reload_call_t, draining);
        if (!reload_is_waiting(rc)) {
            call = rc->call;
            reload_free(rc);
            veil_control_done(call, VEIL_CONTROL_DONE);
        }
    }
}

static void
reload_impatient(veil_due_t *due VEIL_UNUSED)
{
    veil_reload_look_again();
}

static veil_control_rc_t
reload_refuse_busy(veil_control_call_t *call)
{
    if (veil_master.stopping) {
        return veil_control_fail(call, VEIL_E_CONFLICT,
                                 "the server is being stopped");
    }
    if (veil_upgrade_is_passed()) {
        return veil_control_fail(call, VEIL_E_CONFLICT,
                                 "another master serves: connect again");
    }
    veil_control_hint(call, "try again when it serves, or has failed");
    if (veil_upgrade_is_busy()) {
        return veil_control_fail(call, VEIL_E_CONFLICT,
                                 "another binary is being tried");
    }
    return veil_control_fail(call, VEIL_E_CONFLICT,
                             "generation %llu is being loaded",
                             (unsigned long long) veil_master.loading->number);
}

static veil_control_rc_t
reload_run(veil_control_call_t *call)
{
    veil_master_load_t what = { .cause = VEIL_RELOAD_VERB };
    const char *wait = veil_control_text(call, "wait");
    reload_call_t *rc;
    uint64_t number;

    if (veil_master.stopping || veil_master.loading != NULL
        || veil_upgrade_is_busy() || veil_upgrade_is_passed())
    {
        return reload_refuse_busy(call);
    }
    if (!reload_conf_path(call, &what.conf_path)) {
        return VEIL_CONTROL_FAILED;
    }
    if (call->dry_run) {
        return reload_look(call, what.conf_path);
    }
    number = veil_master_load(&what);
    if (number == 0) {
        return reload_fail(call, veil_reload_last(0));
    }
    rc = veil_zalloc(sizeof(*rc));
    veil_list_init(&rc->draining);
    veil_due_init(&rc->impatience, reload_impatient);
    rc->waiter.ended = reload_ended;
    rc->call = call;
    rc->generation = number;
    rc->wants_drained = wait != NULL && strcmp(wait, "drained") == 0;
    veil_reload_wait(&rc->waiter, number);
    call->ctx = rc;
    call->cancel = reload_cancel;
    return VEIL_CONTROL_LATER;
}

/* --- what runs ------------------------------------------------------------
 */

/* One comment for each thing that was changed at run time. */
static void
reload_dump_changes(FILE *to)
{
    json_t *left_out = json_array();
    json_t *state = veil_state_now(left_out), *rows, *row;
    const char *part;
    char *text;
    size_t i;

    /* What no file could have holds as well. */
    json_object_set_new(state, "not to be saved", left_out);
    json_object_foreach(state, part, rows)
    {
        json_array_foreach(rows, i, row)
        {
            text = json_dumps(row, JSON_SORT_KEYS);
            fprintf(to, "# changed at run time (%s): %s\n", part, text);
            veil_free(text);
        }
    }
    json_decref(state);
}

/* In the keeper, which has the files. */
static veil_control_rc_t
reload_run_dump(veil_control_call_t *call)
{
    char *overlay = NULL;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL) {
        return veil_control_fail(call, VEIL_E_FAILED, "there is no memory");
    }
    veil_conf_dump(veil_cycle, out);
    if (veil_control_flag(call, "effective")) {
        overlay = veil_overlay_print(veil_state_in_force);
        (void) fputs(overlay, out);
        veil_free(overlay);
        reload_dump_changes(out);
    }
    (void) fclose(out);
    if (len <= RELOAD_DUMP_MAX) {
        call->data = json_object();
        json_object_set_new(call->data, "text",
                            veil_control_string(veil_str_n(text, len)));
    }
    free(text); /* the C library's */
    if (call->data != NULL) {
        return VEIL_CONTROL_DONE;
    }
    veil_control_hint(call, "\"veil -T\" prints what is on the disk");
    return veil_control_fail(call, VEIL_E_FAILED,
                             "the configuration has %zu bytes, an answer at "
                             "most %d",
                             len, RELOAD_DUMP_MAX);
}

static const char *
reload_state_name(const veil_generation_t *g)
{
    static const char *const names[] = {
        [VEIL_GENERATION_LOADING] = "loading",
        [VEIL_GENERATION_SERVING] = "serving",
        [VEIL_GENERATION_DRAINING] = "draining",
        [VEIL_GENERATION_ORPHANED] = "orphaned",
    };

    return names[g->state];
}

/* Of the workers of a generation. */
static void
reload_count(veil_show_counts_t *to, uint64_t generation)
{
    const veil_board_block_t *b;
    unsigned i;

    memset(to, 0, sizeof(*to));
    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        b = veil_board_block(i);
        if (b != NULL && b->role == VEIL_BOARD_WORKER
            && b->generation == generation) {
            veil_show_counts_add(to, b);
        }
    }
}

static void
reload_set_counts(json_t *o, const veil_show_counts_t *n)
{
    json_object_set_new(o, "connections",
                        json_integer((json_int_t) n->connections));
    json_object_set_new(o, "accepted", json_integer((json_int_t) n->accepted));
    json_object_set_new(o, "requests", json_integer((json_int_t) n->requests));
}

static json_t *
reload_worker(const veil_generation_t *g, unsigned slot)
{
    json_t *o = json_pack("{s:i, s:i}", "worker", (int) slot, "pid",
                          (int) g->workers[slot]);
    veil_show_counts_t n = { 0 };
    const veil_board_block_t *b;
    unsigned i;

    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        b = veil_board_block(i);
        if (b != NULL && b->role == VEIL_BOARD_WORKER
            && b->generation == g->number
            && veil_board_pid(b) == g->workers[slot])
        {
            veil_workers_set_state(o, b);
            veil_show_counts_add(&n, b);
            break;
        }
    }
    reload_set_counts(o, &n);
    return o;
}

static json_t *
reload_workers(const veil_generation_t *g)
{
    json_t *workers = json_array();
    unsigned i;

    for (i = 0; i < g->nworkers; i++) {
        if (g->workers[i] != 0) {
            json_array_append_new(workers, reload_worker(g, i));
        }
    }
    return workers;
}

static json_t *
reload_generation(const veil_generation_t *g, bool workers)
{
    uint64_t now = veil_now_ms();
    uint64_t end =
        g->state == VEIL_GENERATION_LOADING ? g->deadline_ms : g->end_ms;
    json_t *o = json_object();
    veil_show_counts_t n;

    json_object_set_new(o, "generation", json_integer((json_int_t) g->number));
    json_object_set_new(o, "state", json_string(reload_state_name(g)));
    json_object_set_new(
        o, "keeper", g->keeper == 0 ? json_null() : json_integer(g->keeper));
    json_object_set_new(o, "uptime_ms",
                        json_integer((json_int_t) (now - g->started_ms)));
    json_object_set_new(o, "workers",
                        workers ? reload_workers(g)
                                : json_integer(veil_generation_workers(g)));
    reload_count(&n, g->number);
    json_object_set_new(o, "connections",
                        json_integer((json_int_t) n.connections));
    if (end > now) {
        json_object_set_new(o, "left_ms",
                            json_integer((json_int_t) (end - now)));
    }
    return o;
}

static const char *
reload_server_state(void)
{
    if (veil_master.stopping) {
        return "stopping";
    }
    if (veil_master.serving != NULL) {
        return "serving";
    }
    return veil_master.loading != NULL ? "starting" : "down";
}

/* Where the configuration is, in full, so that others find it. */
static void
reload_set_paths(json_t *o)
{
    const veil_launch_t *l = &veil_master.launch;
    veil_cycle_t *cycle = veil_cycle_create(l->prefix, l->conf_path,
                                            VEIL_STR_NULL, VEIL_STR_NULL);

    json_object_set_new(o, "config", veil_control_string(cycle->conf_path));
    json_object_set_new(o, "prefix", veil_control_string(cycle->prefix));
    veil_cycle_destroy(&cycle);
}

static veil_control_rc_t
reload_run_status(veil_control_call_t *call)
{
    bool workers = veil_control_flag(call, "workers");
    json_t *o = json_object();
    json_t *list = json_array();
    veil_show_counts_t counts = { 0 };
    const veil_list_t *n;

    call->data = o;
    json_object_set_new(o, "state", json_string(reload_server_state()));
    json_object_set_new(o, "version", json_string(VEIL_VERSION));
    json_object_set_new(o, "pid", json_integer(getpid()));
    json_object_set_new(
        o, "uptime_ms",
        json_integer((json_int_t) (veil_now_ms() - veil_master.began_ms)));
    if (veil_master.stopping) {
        json_object_set_new(
            o, "stopping_ms",
            json_integer(
                (json_int_t) (veil_now_ms() - veil_master.stopped_ms)));
    }
    reload_set_paths(o);
    veil_show_counts_all(&counts);
    reload_set_counts(o, &counts);
    json_object_set_new(
        o, "generation",
        veil_master.serving == NULL
            ? json_null()
            : json_integer((json_int_t) veil_master.serving->number));
    veil_list_foreach (n, &veil_master.generations) {
        json_array_append_new(
            list, reload_generation(
                      (const veil_generation_t *) (const void *) n, workers));
    }
    json_object_set_new(o, "generations", list);
    if (veil_master.serving != NULL && veil_master.serving->block >= 0) {
        json_object_set_new(
            o, "drained_listeners",
            json_integer(veil_board_drained_of(veil_master.serving->block)));
    }
    if (veil_takeover_old() != 0) {
        json_object_set_new(o, "old_master",
                            json_pack("{s:i, s:s}", "pid",
                                      (int) veil_takeover_old(), "state",
                                      veil_takeover_old_state()));
    }
    if (veil_reload_last(0) != NULL) {
        json_object_set_new(o, "reload",
                            veil_reload_json(veil_reload_last(0), false));
    }
    return VEIL_CONTROL_DONE;
}

/* --- the table ------------------------------------------------------------
 */

static const veil_control_arg_t reload_args[] = {
    { .name = "config",
      .flags = VEIL_CONTROL_FILE,
      .help = "the main file from now on, if it is taken" },
    { .name = "wait",
      .type = VEIL_CONTROL_WORD,
      .words = "ready|drained",
      .help = "until the new generation serves, or until those before it "
              "have ended" },
    { .name = NULL },
};

static const veil_control_arg_t reload_diff_args[] = {
    { .name = "config",
      .flags = VEIL_CONTROL_FILE | VEIL_CONTROL_POSITION,
      .help = "the file to compare; the running server's own by default" },
    { .name = NULL },
};

static const veil_control_arg_t reload_dump_args[] = {
    { .name = "effective",
      .type = VEIL_CONTROL_FLAG,
      .help = "and what was changed at run time" },
    { .name = NULL },
};

static const veil_control_arg_t reload_status_args[] = {
    { .name = "workers",
      .type = VEIL_CONTROL_FLAG,
      .help = "and each worker: its state, age and connections" },
    { .name = NULL },
};

static const veil_control_verb_t reload_verbs[] = {
    { .name = "status",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_MASTER,
      .args = reload_status_args,
      .run = reload_run_status,
      .help = "Tells what runs, which generations there are, how many "
              "connections, and what became of the last reload." },
    { .name = "reload",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_MASTER,
      .flags = VEIL_CONTROL_CHANGES | VEIL_CONTROL_SLOW,
      .args = reload_args,
      .run = reload_run,
      .help = "Reads the configuration and lets a new generation take over, "
              "or says what is wrong and changes nothing." },
    { .name = "config.diff",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_MASTER,
      .flags = VEIL_CONTROL_SLOW,
      .args = reload_diff_args,
      .run = reload_run_diff,
      .help = "Compares a configuration with the running one." },
    { .name = "config.dump",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .args = reload_dump_args,
      .run = reload_run_dump,
      .help = "Prints the files of the running configuration, as they were "
              "read." },
    { .name = NULL },
};

veil_module_t veil_core_reload_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "reload",
    .control = reload_verbs,
};
