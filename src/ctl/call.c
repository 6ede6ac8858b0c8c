/*
 * call.c -- carrying out a verb: asked, answered, printed.
 *
 * The server keeps the deadline of a call, and tells which worker missed it.
 * The client waits a little longer than that, and gives up by itself only
 * when the server says nothing at all.  Verbs that take their time, or go on
 * for ever, have no deadline unless one is asked for.
 *
 * A server that another program has taken over from says so, and how to go on
 * there; then the same is asked of that one, and nobody notices.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "ctl/call.h"
#include "ctl/config.h"
#include "ctl/output.h"
#include "ctl/show.h"
#include "ctl/where.h"

/* The server's deadline when none is asked for. */
#define CALL_TIMEOUT_MS 10000

/* --- signals --------------------------------------------------------------*/

/* Whoever is about to wait finds it readable then. */
static int call_wake[2] = { -1, -1 };

static void
call_on_signal(int signo VEIL_UNUSED)
{
    int err = errno;
    ssize_t n VEIL_UNUSED;

    veil_ctl_interrupted = 1;
    n = write(call_wake[1], "", 1);
    errno = err;
}

void
veil_ctl_call_catch_signals(void)
{
    struct sigaction sa = { .sa_handler = call_on_signal };

    if (call_wake[0] < 0 && pipe2(call_wake, O_CLOEXEC | O_NONBLOCK) == 0) {
        veil_ctl_wake = call_wake[0];
    }
    (void) sigemptyset(&sa.sa_mask);
    (void) sigaction(SIGINT, &sa, NULL);
    (void) sigaction(SIGTERM, &sa, NULL);
}

/* --- connecting, failing --------------------------------------------------*/

veil_ctl_code_t
veil_ctl_call_failed(const veil_ctl_command_t *c, const veil_ctl_link_t *link,
                     veil_ctl_got_t got)
{
    if (got == VEIL_CTL_GOT_INTERRUPT) {
        return VEIL_CTL_OK;
    }
    veil_ctl_output_failure(c, link->code, link->msg, link->hint);
    return strcmp(link->code, VEIL_E_TIMEOUT) == 0 ? VEIL_CTL_TIMEOUT
                                                   : VEIL_CTL_FAILED;
}

bool
veil_ctl_call_connect(veil_pool_t *pool, veil_ctl_link_t *link,
                      const veil_ctl_command_t *c, veil_ctl_code_t *code)
{
    const char *why = NULL;
    const char *path = veil_ctl_where(pool, c, &why);

    *code = VEIL_CTL_FAILED;
    if (path == NULL) {
        veil_ctl_output_failure(c, VEIL_CTL_E_CONNECT, why, NULL);
        return false;
    }
    if (!veil_ctl_link_open(
            link, path, c->timeout_ms >= 0 ? c->timeout_ms : CALL_TIMEOUT_MS))
    {
        *code = veil_ctl_call_failed(c, link, VEIL_CTL_GOT_FAILURE);
        return false;
    }
    return true;
}

/* --- answers --------------------------------------------------------------*/

static bool
call_print(const veil_ctl_command_t *c, const json_t *data)
{
    veil_ctl_text_t t = { .color = veil_ctl_output_has_color(STDOUT_FILENO) };
    bool written;

    if (c->json) {
        veil_ctl_render_json(&t, data);
        veil_ctl_text_z(&t, "\n");
    } else {
        veil_ctl_show(&t, c->verb, c->args, data);
    }
    written = veil_ctl_output_write(STDOUT_FILENO, &t);
    veil_ctl_text_done(&t);
    return written;
}

/* What else the answer says, for people. */
static void
call_print_notes(const veil_ctl_command_t *c, const json_t *answer)
{
    if (json_is_true(json_object_get(answer, "dry_run"))) {
        veil_ctl_say("this was a dry run: nothing was changed");
    } else if (json_is_true(json_object_get(answer, "volatile"))) {
        veil_ctl_say("a restart (of certificates, listeners: a reload) "
                     "undoes this%s",
                     c->verb->flags & VEIL_CONTROL_PERSISTS
                         ? "; --persist keeps it"
                         : "");
    }
}

/* What there is to say besides the error: all that is wrong with a file. */
static void
call_print_failed(const veil_ctl_command_t *c, const json_t *data)
{
    veil_ctl_text_t t = { .color = veil_ctl_output_has_color(STDERR_FILENO) };

    veil_ctl_show(&t, c->verb, c->args, data);
    (void) veil_ctl_output_write(STDERR_FILENO, &t);
    veil_ctl_text_done(&t);
}

/* Also beside JSON, which has no place for it in the data. */
static void
call_print_partial(const veil_ctl_command_t *c, const json_t *workers)
{
    veil_ctl_text_t t = { .color = veil_ctl_output_has_color(STDERR_FILENO) };

    veil_ctl_say("not every worker did it:");
    veil_ctl_show_error(&t, c->verb, NULL, workers);
    (void) veil_ctl_output_write(STDERR_FILENO, &t);
    veil_ctl_text_done(&t);
}

static bool
call_has_failed_worker(const json_t *workers)
{
    size_t i;

    for (i = 0; i < json_array_size(workers); i++) {
        if (!json_is_true(json_object_get(json_array_get(workers, i), "ok"))) {
            return true;
        }
    }
    return false;
}

/* The lines were the answer, and there is nothing at their end. */
static bool
call_is_end(const veil_ctl_command_t *c, const json_t *data)
{
    return (c->verb->flags & VEIL_CONTROL_STREAMS) != 0 && json_is_object(data)
           && json_object_size(data) == 0;
}

static veil_ctl_code_t
call_answered(const veil_ctl_command_t *c, const json_t *answer)
{
    const json_t *data = json_object_get(answer, "data");
    const json_t *workers = json_object_get(answer, "workers");
    const json_t *err = json_object_get(answer, "err");
    json_t *nothing;
    const char *code;

    if (json_is_true(json_object_get(answer, "ok"))) {
        if (!call_is_end(c, data) && !call_print(c, data)) {
            return VEIL_CTL_FAILED;
        }
        call_print_notes(c, answer);
        if (!call_has_failed_worker(workers)
            && !json_is_true(json_object_get(answer, "partial")))
        {
            return veil_ctl_config_judge(c, data);
        }
        call_print_partial(c, workers);
        return VEIL_CTL_PARTIAL;
    }
    if (!c->json && json_object_size(data) != 0) {
        call_print_failed(c, data);
    }
    nothing = json_object();
    veil_ctl_output_error(c, json_is_object(err) ? err : nothing, workers);
    json_decref(nothing);
    code = json_string_value(json_object_get(err, "code"));
    return code != NULL && strcmp(code, VEIL_E_TIMEOUT) == 0 ? VEIL_CTL_TIMEOUT
                                                             : VEIL_CTL_FAILED;
}

/* Progress is for people, on standard error; lines are the answer. */
static bool
call_print_line(const veil_ctl_command_t *c, bool progress, const json_t *v)
{
    int fd = progress ? STDERR_FILENO : STDOUT_FILENO;
    veil_ctl_text_t t = { .color = veil_ctl_output_has_color(fd) };
    bool written = true;

    if (!progress || !c->json) {
        if (c->json) {
            veil_ctl_render_json(&t, v);
            veil_ctl_text_z(&t, "\n");
        } else {
            veil_ctl_show_line(&t, c->verb, v);
        }
        written = veil_ctl_output_write(fd, &t);
    }
    veil_ctl_text_done(&t);
    return written;
}

/* --- asking ---------------------------------------------------------------*/

static int64_t
call_until(const veil_ctl_command_t *c)
{
    if (c->timeout_ms >= 0) {
        return veil_ctl_link_now() + c->timeout_ms + VEIL_CTL_GRACE_MS;
    }
    if ((c->verb->flags & (VEIL_CONTROL_STREAMS | VEIL_CONTROL_SLOW)) != 0) {
        return -1;
    }
    return veil_ctl_link_now() + CALL_TIMEOUT_MS + VEIL_CTL_GRACE_MS;
}

static veil_ctl_code_t
call_once(veil_ctl_link_t *link, const veil_ctl_command_t *c)
{
    veil_ctl_request_t r = { .verb = c->verb->name,
                             .args = c->args,
                             .dry_run = c->dry_run,
                             .persist = c->persist,
                             .if_gen = c->if_gen,
                             .timeout_ms = c->timeout_ms };
    int64_t until = call_until(c);
    veil_ctl_code_t code;
    veil_ctl_got_t got;
    json_t *v;

    if (!veil_ctl_link_send(link, &r)) {
        return veil_ctl_call_failed(c, link, VEIL_CTL_GOT_FAILURE);
    }
    for (;;) {
        got = veil_ctl_link_next(link, until, &v);
        if (got == VEIL_CTL_GOT_ANSWER) {
            code = call_answered(c, v);
            json_decref(v);
            return code;
        }
        if (got == VEIL_CTL_GOT_MOVED) {
            if (!veil_ctl_link_again(link, &r)) {
                return veil_ctl_call_failed(c, link, VEIL_CTL_GOT_FAILURE);
            }
            continue;
        }
        if (got != VEIL_CTL_GOT_PROGRESS && got != VEIL_CTL_GOT_LINE) {
            return veil_ctl_call_failed(c, link, got);
        }
        if (!call_print_line(c, got == VEIL_CTL_GOT_PROGRESS, v)) {
            json_decref(v);
            return VEIL_CTL_FAILED;
        }
        json_decref(v);
    }
}

/* Again and again; on a terminal each answer takes the place of the last. */
static veil_ctl_code_t
call_watch(veil_ctl_link_t *link, const veil_ctl_command_t *c)
{
    veil_ctl_text_t clear = { .color = isatty(STDOUT_FILENO) == 1 };
    veil_ctl_code_t code = VEIL_CTL_OK;
    bool first = true;
    struct timespec ts = { .tv_sec = (time_t) (c->watch_ms / 1000),
                           .tv_nsec = (long) (c->watch_ms % 1000) * 1000000 };

    while (code == VEIL_CTL_OK && !veil_ctl_interrupted) {
        if (!c->json) {
            veil_ctl_text_z(&clear, clear.color ? "\033[H\033[2J"
                                    : first     ? ""
                                                : "\n");
            (void) veil_ctl_output_write(STDOUT_FILENO, &clear);
        }
        code = call_once(link, c);
        first = false;
        if (code == VEIL_CTL_OK && !veil_ctl_interrupted) {
            (void) nanosleep(&ts, NULL);
        }
    }
    veil_ctl_text_done(&clear);
    return code;
}

veil_ctl_code_t
veil_ctl_call(veil_ctl_link_t *link, const veil_ctl_command_t *c)
{
    if (!c->json) {
        veil_ctl_show_prepare(c->verb, c->args);
    }
    if (c->watch_ms >= 0) {
        veil_ctl_call_catch_signals();
        return call_watch(link, c);
    }
    if ((c->verb->flags & VEIL_CONTROL_STREAMS) != 0
        || json_is_true(json_object_get(c->args, "follow")))
    {
        veil_ctl_call_catch_signals();
    }
    return call_once(link, c);
}
