/*
 * workers.c -- the module "workers": worker_watchdog, and the verbs
 * worker.list, worker.restart and worker.profile.
 *
 * The list is read off the board and /proc, so it has the workers of all
 * generations and waits for none of them.  Restarting is the crew's, one slot
 * after the other: never is more than one more process there than workers.
 * A profile is made by the worker itself (profile.c).
 */

#include "core/platform.h"

#include <fcntl.h>

#include "core/board.h"
#include "core/control.h"
#include "core/pool.h"
#include "core/time.h"
#include "process/crew.h"
#include "process/profile.h"
#include "process/show.h"
#include "process/workers.h"

#define WORKERS_PROFILE_MS 5000
#define WORKERS_PROFILE_MAX_MS 300000
/* A busy machine alone may take this long. */
#define WORKERS_WATCHDOG_MIN_MS 200

/* --- the list ----------------------------------------------------------- */

static const char *const workers_states[] = {
    [VEIL_BOARD_STARTING] = "starting", [VEIL_BOARD_WAITING] = "waiting",
    [VEIL_BOARD_SERVING] = "serving",   [VEIL_BOARD_DRAINING] = "draining",
    [VEIL_BOARD_CLOSING] = "closing",   [VEIL_BOARD_LEAVING] = "leaving",
};

/*
 * State, time on processors and memory, from /proc/PID/stat: fields 3, 14 and
 * 15 in ticks, 24 in pages (proc(5)); the second one may hold anything.
 */
static void
workers_add_proc(json_t *to, pid_t pid)
{
    char path[64], text[1024], state = '?', *p;
    unsigned long long utime = 0, stime = 0;
    long long rss = 0;
    ssize_t n;
    int fd;

    veil_snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    p = strrchr(text, ')');
    if (p == NULL
        || sscanf(p + 1,
                  " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu %*s "
                  "%*s %*s %*s %*s %*s %*s %*s %lld",
                  &state, &utime, &stime, &rss)
               != 4)
    {
        return;
    }
    json_object_set_new(to, "stopped", json_boolean(state == 'T'));
    json_object_set_new(to, "traced", json_boolean(state == 't'));
    json_object_set_new(
        to, "cpu_s",
        json_real((double) (utime + stime) / (double) sysconf(_SC_CLK_TCK)));
    json_object_set_new(
        to, "rss_bytes",
        json_integer((json_int_t) rss * sysconf(_SC_PAGESIZE)));
}

void
veil_workers_set_state(json_t *to, const veil_board_block_t *b)
{
    const char *state = b->state < veil_countof(workers_states)
                            ? workers_states[b->state]
                            : "?";

    json_object_set_new(to, "state", json_string(state));
    json_object_set_new(to, "uptime_s",
                        json_integer(veil_clock.sec - b->started_sec));
    workers_add_proc(to, veil_board_pid(b));
}

static json_t *
workers_row(const veil_board_block_t *b)
{
    veil_show_counts_t counts = { 0 };
    uint64_t beat = b->heartbeat_ms;
    json_t *row = json_object();

    json_object_set_new(row, "slot", json_integer((json_int_t) b->slot));
    json_object_set_new(row, "pid", json_integer(veil_board_pid(b)));
    json_object_set_new(row, "generation",
                        json_integer((json_int_t) b->generation));
    veil_workers_set_state(row, b);
    json_object_set_new(row, "started", json_integer(b->started_sec));
    json_object_set_new(row, "heartbeat_ms",
                        json_integer(veil_now_ms() > beat
                                         ? (json_int_t) (veil_now_ms() - beat)
                                         : 0));
    veil_show_counts_add(&counts, b);
    json_object_set_new(row, "connections",
                        json_integer((json_int_t) counts.connections));
    json_object_set_new(row, "accepted",
                        json_integer((json_int_t) counts.accepted));
    json_object_set_new(row, "requests",
                        json_integer((json_int_t) counts.requests));
    return row;
}

static veil_control_rc_t
workers_list(veil_control_call_t *call)
{
    json_t *rows = json_array();
    const veil_board_block_t *b;
    unsigned i;

    if (veil_board_is_open()) {
        veil_board_sweep();
    }
    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        b = veil_board_block(i);
        if (b != NULL && b->role == VEIL_BOARD_WORKER) {
            json_array_append_new(rows, workers_row(b));
        }
    }
    call->data = rows;
    return VEIL_CONTROL_DONE;
}

/* --- restarting --------------------------------------------------------- */

typedef struct {
    veil_control_call_t *call;
    json_t *done;
    unsigned slot;
    unsigned end; /* the one after the last */
    bool over;
} workers_restart_t;

static veil_crew_restarted_fn workers_restarted;

static veil_control_rc_t
workers_restart_failed(const workers_restart_t *r, int rc)
{
    switch (rc) {
    case -ENOENT:
        return veil_control_fail(
            r->call, VEIL_E_NOT_FOUND,
            "there is no worker %lld, they are 0 to %u",
            (long long) veil_control_number(r->call, "slot", r->slot),
            veil_crew_slots() - 1);
    case -EBUSY:
        return veil_control_fail(r->call, VEIL_E_CONFLICT,
                                 "worker %u is being started or replaced",
                                 r->slot);
    case -ECHILD:
        return veil_control_fail(
            r->call, VEIL_E_FAILED,
            "the new process for worker %u ended before it was ready",
            r->slot);
    case -ECANCELED:
        return veil_control_fail(
            r->call, VEIL_E_CONFLICT,
            "this configuration is being replaced, and its workers with it");
    default:
        return veil_control_fail(r->call, VEIL_E_FAILED,
                                 "no process could be made for worker %u",
                                 r->slot);
    }
}

static veil_control_rc_t
workers_restart_next(workers_restart_t *r)
{
    int rc;

    if (r->slot == r->end) {
        r->call->data = r->done;
        r->done = NULL;
        return VEIL_CONTROL_DONE;
    }
    rc = veil_crew_restart(r->slot, workers_restarted, r);
    return rc == 0 ? VEIL_CONTROL_LATER : workers_restart_failed(r, rc);
}

static void
workers_restart_free(workers_restart_t *r)
{
    json_decref(r->done);
    veil_free(r);
}

static void
workers_restarted(void *data, int rc, pid_t was, pid_t is)
{
    workers_restart_t *r = data;
    veil_control_call_t *call = r->call;
    veil_control_rc_t result;

    if (rc == 0) {
        json_array_append_new(r->done, json_pack("{s:i, s:i, s:i}", "slot",
                                                 (int) r->slot, "old_pid",
                                                 (int) was, "pid", (int) is));
        veil_control_event(
            "worker.restarted",
            json_pack("{s:i, s:i}", "worker", (int) r->slot, "pid", (int) is));
        r->slot++;
        result = workers_restart_next(r);
    } else {
        result = workers_restart_failed(r, rc);
    }
    if (result != VEIL_CONTROL_LATER) {
        workers_restart_free(r);
        veil_control_done(call, result);
    }
}

static void
workers_restart_cancel(veil_control_call_t *call)
{
    workers_restart_t *r = call->ctx;

    veil_crew_restart_cancel(r->slot);
    workers_restart_free(r);
}

static veil_control_rc_t
workers_restart(veil_control_call_t *call)
{
    workers_restart_t *r = veil_zalloc(sizeof(*r));
    int64_t slot = veil_control_number(call, "slot", -1);
    veil_control_rc_t rc;

    r->call = call;
    r->slot =
        slot < 0 ? 0 : (unsigned) veil_min_size((size_t) slot, UINT32_MAX - 1);
    r->end = slot < 0 ? veil_crew_slots() : r->slot + 1;
    r->done = json_array();
    if (r->slot >= veil_crew_slots()) {
        rc = workers_restart_failed(r, -ENOENT);
    } else if (call->dry_run) {
        call->data = json_pack("{s:i, s:i}", "first", (int) r->slot, "last",
                               (int) r->end - 1);
        rc = VEIL_CONTROL_DONE;
    } else {
        call->ctx = r;
        call->cancel = workers_restart_cancel;
        rc = workers_restart_next(r);
    }
    if (rc != VEIL_CONTROL_LATER) {
        workers_restart_free(r);
    }
    return rc;
}

/* For the audit record: {"worker.0": its process}. */
static json_t *
workers_restart_changed(const json_t *args VEIL_UNUSED, const json_t *data)
{
    json_t *before = json_object(), *after = json_object();
    char name[32];
    json_t *row;
    size_t i;

    json_array_foreach(data, i, row)
    {
        (void) veil_snprintf(
            name, sizeof(name), "worker.%lld",
            (long long) json_integer_value(json_object_get(row, "slot")));
        json_object_set(before, name, json_object_get(row, "old_pid"));
        json_object_set(after, name, json_object_get(row, "pid"));
    }
    return json_pack("{s:o, s:o}", "before", before, "after", after);
}

/* --- profiles ----------------------------------------------------------- */

static veil_control_rc_t
workers_profile(veil_control_call_t *call)
{
    int64_t slot = veil_control_number(call, "slot", 0);
    int64_t ms = veil_control_number(call, "for", WORKERS_PROFILE_MS);
    pid_t pid =
        slot >= 0 && slot < UINT32_MAX ? veil_crew_pid((unsigned) slot) : 0;

    if (pid == 0) {
        return veil_control_fail(call, VEIL_E_NOT_FOUND,
                                 "there is no worker %lld, or not now",
                                 (long long) slot);
    }
    if (ms < 1 || ms > WORKERS_PROFILE_MAX_MS) {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "a profile takes between 1 ms and %d s",
                                 WORKERS_PROFILE_MAX_MS / 1000);
    }
    return veil_control_forward(call,
                                json_pack("{s:i, s:I}", VEIL_CONTROL_ONLY_PID,
                                          (int) pid, "ms", (json_int_t) ms));
}

static void
workers_profiled(void *data, json_t *profile)
{
    veil_control_call_t *call = data;

    call->data = profile;
    veil_control_done(call, VEIL_CONTROL_DONE);
}

static void
workers_profile_cancel(veil_control_call_t *call)
{
    (void) call; /* there is one at a time */
    veil_profile_cancel();
}

static veil_control_rc_t
workers_profile_run(veil_control_call_t *call)
{
    int64_t ms = json_integer_value(json_object_get(call->args, "ms"));
    int rc = veil_profile_start(veil_cycle->loop, (uint64_t) ms,
                                workers_profiled, call);

    if (rc == -EBUSY) {
        return veil_control_fail(call, VEIL_E_CONFLICT,
                                 "the worker is being profiled already");
    }
    if (rc < 0) {
        return veil_control_fail(call, VEIL_E_FAILED,
                                 "the timer for it cannot be had: %s",
                                 strerror(-rc));
    }
    call->cancel = workers_profile_cancel;
    return VEIL_CONTROL_LATER;
}

/* The one worker's answer. */
static json_t *
workers_profile_gather(const json_t *args, const json_t *answers)
{
    json_t *data = json_object_get(json_array_get(answers, 0), "data");

    (void) args;
    return json_incref(data);
}

/* --- tables ------------------------------------------------------------- */

static const veil_control_arg_t workers_restart_args[] = {
    { "slot", VEIL_CONTROL_NUMBER, VEIL_CONTROL_POSITION, NULL,
      "the worker's number; without it all, one after the other" },
    { NULL, VEIL_CONTROL_STRING, 0, NULL, NULL },
};

static const veil_control_arg_t workers_profile_args[] = {
    { "slot", VEIL_CONTROL_NUMBER,
      VEIL_CONTROL_POSITION | VEIL_CONTROL_REQUIRED, NULL,
      "the worker's number" },
    { "for", VEIL_CONTROL_TIME, 0, NULL, "for how long; 5s if not given" },
    { NULL, VEIL_CONTROL_STRING, 0, NULL, NULL },
};

static const veil_control_verb_t workers_verbs[] = {
    { .name = "worker.list",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_KEEPER,
      .run = workers_list,
      .help = "Lists the workers of all generations and how they are." },

    { .name = "worker.restart",
      .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = VEIL_CONTROL_CHANGES | VEIL_CONTROL_SLOW,
      .args = workers_restart_args,
      .run = workers_restart,
      .changed = workers_restart_changed,
      .help = "Replaces workers by new processes without losing a request." },

    { .name = "worker.profile",
      .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = VEIL_CONTROL_SLOW,
      .args = workers_profile_args,
      .run = workers_profile,
      .worker = workers_profile_run,
      .gather = workers_profile_gather,
      .help = "Shows where a worker spends its time, as folded stacks." },

    { .name = NULL },
};

static veil_rc_t
workers_set_watchdog(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                     void *conf)
{
    veil_workers_conf_t *wcf = conf;
    int64_t ms;

    if (veil_str_eq(veil_conf_arg(cf, 1), VEIL_STR("off"))) {
        wcf->watchdog_ms = 0;
        return VEIL_OK;
    }
    ms = veil_conf_arg_msec(cf, 1);
    if (ms < 0) {
        return VEIL_ERROR;
    }
    if (ms < WORKERS_WATCHDOG_MIN_MS) {
        return veil_conf_error_at(
            cf, 1, "\"worker_watchdog\" must be at least %d ms, or \"off\"",
            WORKERS_WATCHDOG_MIN_MS);
    }
    wcf->watchdog_ms = (uint64_t) ms;
    return VEIL_OK;
}

static void
workers_conf_init(void *conf)
{
    ((veil_workers_conf_t *) conf)->watchdog_ms = 30000;
}

static const veil_command_t workers_commands[] = {
    { .name = "worker_watchdog",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = workers_set_watchdog,
      .syntax = "time | off",
      .def = "30s",
      .help = "A worker whose loop does not turn for so long is killed and "
              "replaced, unless a debugger has it." },
    { .name = NULL },
};

static const veil_core_module_t workers_core = {
    .conf = {
        .size = sizeof(veil_workers_conf_t),
        .init = workers_conf_init,
    },
};

veil_module_t veil_core_workers_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "workers",
    .commands = workers_commands,
    .core = &workers_core,
    .control = workers_verbs,
};
