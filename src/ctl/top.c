/*
 * top.c -- a live view of the server: the terminal, keys, and time.
 *
 * A turn asks for a sample, makes a frame of it and the one before, and waits
 * for the next turn, a key, or another size of the terminal.  A frame is
 * written in one piece over the last one, each line cleared behind its end,
 * so nothing flickers.  The terminal is used in its plainest way, with the
 * sequences that all of them know; its settings and its screen are given back
 * however the program ends, but by SIGKILL.
 *
 * When the server goes away, for an upgrade or a restart, the last frame
 * stays, the reason stands in its first line, and it is tried again.
 *
 * With --snapshot there is one frame, of two samples, without any sequence.
 */

#include "core/platform.h"

#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <time.h>

#include "ctl/call.h"
#include "ctl/output.h"
#include "ctl/render.h"
#include "ctl/top.h"
#include "ctl/where.h"

#define TOP_EVERY_MS 1000
#define TOP_EVERY_LEAST_MS 100
#define TOP_EVERY_MOST_MS 60000

const veil_control_arg_t veil_ctl_top_args[] = {
    { "interval", VEIL_CONTROL_TIME, VEIL_CONTROL_POSITION, NULL,
      "how often to look; 1s" },
    { "sort", VEIL_CONTROL_WORD, 0, "name|rate|conns",
      "what workers and servers are sorted by" },
    { "snapshot", VEIL_CONTROL_FLAG, 0, NULL,
      "print one frame, as text, and end" },
    { .name = NULL }
};

typedef struct {
    const veil_ctl_command_t *command;
    veil_ctl_link_t link;
    veil_pool_t *pool;
    veil_ctl_top_view_t view;
    veil_ctl_sample_t now;
    veil_ctl_sample_t then;
    char error[600]; /* of the link */
    bool quit;
    struct termios saved;
} top_t;

static volatile sig_atomic_t top_resized;

static void
top_on_resize(int signo VEIL_UNUSED)
{
    top_resized = 1;
}

/* --- the terminal ---------------------------------------------------------*/

static bool
top_open_terminal(top_t *top)
{
    struct sigaction sa = { .sa_handler = top_on_resize };
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &top->saved) != 0) {
        return false;
    }
    raw = top->saved;
    raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    (void) tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    (void) sigemptyset(&sa.sa_mask);
    (void) sigaction(SIGWINCH, &sa, NULL);
    return true;
}

/* The other screen, without a cursor; and back. */
static void
top_screen(bool on)
{
    veil_ctl_text_t t = { 0 };

    veil_ctl_text_z(&t, on ? "\033[?1049h\033[?25l\033[2J"
                           : "\033[?25h\033[?1049l");
    (void) veil_ctl_output_write(STDOUT_FILENO, &t);
    veil_ctl_text_done(&t);
}

/* --- samples --------------------------------------------------------------*/

static void
top_failed(top_t *top, const char *code, const char *msg)
{
    (void) veil_snprintf(top->error, sizeof(top->error), "%s (%s)", msg, code);
    top->view.error = top->error;
}

/* Connected, or why not in view.error. */
static bool
top_connect(top_t *top)
{
    const char *why = NULL, *path;

    if (top->link.fd >= 0) {
        return true;
    }
    path = veil_ctl_where(top->pool, top->command, &why);
    if (path == NULL) {
        top_failed(top, VEIL_CTL_E_CONNECT, why);
        return false;
    }
    if (!veil_ctl_link_open(&top->link, path, top->view.every_ms)) {
        top_failed(top, top->link.code, top->link.msg);
        return false;
    }
    return true;
}

static void
top_note_history(top_t *top)
{
    veil_ctl_top_view_t *v = &top->view;

    if (top->then.at_ms == 0) {
        return;
    }
    if (v->nhistory == VEIL_CTL_TOP_HISTORY) {
        memmove(v->history, v->history + 1,
                (VEIL_CTL_TOP_HISTORY - 1) * sizeof(v->history[0]));
        v->nhistory--;
    }
    v->history[v->nhistory++] = veil_ctl_sample_rate(
        &top->now, &top->then, "veil_http_requests_total", NULL, NULL, 0);
}

/* A new sample; the last one is the one before then. */
static bool
top_sample(top_t *top)
{
    veil_ctl_sample_t s;
    veil_ctl_got_t got;

    if (!top_connect(top)) {
        return false;
    }
    got = veil_ctl_sample_take(&top->link, top->command->timeout_ms, &s);
    if (got != VEIL_CTL_GOT_ANSWER) {
        veil_ctl_link_close(&top->link);
        if (got != VEIL_CTL_GOT_INTERRUPT) {
            top_failed(top, top->link.code, top->link.msg);
        }
        return false;
    }
    top->view.error = NULL;
    veil_ctl_sample_done(&top->then);
    top->then = top->now;
    top->now = s;
    top_note_history(top);
    return true;
}

/* --- frames ---------------------------------------------------------------*/

/* Over the last frame, line by line. */
static bool
top_draw(top_t *top)
{
    veil_ctl_text_t frame = { .color =
                                  veil_ctl_output_has_color(STDOUT_FILENO) };
    veil_ctl_text_t t = { 0 };
    veil_str_t rest;
    bool written, first = true;

    veil_ctl_output_size(STDOUT_FILENO, &top->view.columns, &top->view.rows);
    veil_ctl_top_frame(&frame, &top->view, &top->now, &top->then);
    veil_ctl_text_z(&t, "\033[H");
    rest = veil_ctl_text_str(&frame);
    while (rest.data != NULL && rest.len != 0) {
        /* No line feed behind the last line: it would scroll. */
        veil_ctl_text_z(&t, first ? "" : "\n");
        veil_ctl_text_add(&t, veil_str_cut(&rest, '\n'));
        veil_ctl_text_z(&t, "\033[K");
        first = false;
    }
    veil_ctl_text_z(&t, "\033[J");
    written = veil_ctl_output_write(STDOUT_FILENO, &t);
    veil_ctl_text_done(&t);
    veil_ctl_text_done(&frame);
    return written;
}

/* --- keys -----------------------------------------------------------------*/

static void
top_key(top_t *top, char key)
{
    veil_ctl_top_view_t *v = &top->view;

    switch (key) {
    case 'q':
    case 'Q':
        top->quit = true;
        break;
    case 'p':
    case ' ':
        v->paused = !v->paused;
        break;
    case 's':
        v->sort = v->sort == VEIL_CTL_TOP_BY_CONNS ? VEIL_CTL_TOP_BY_NAME
                                                   : v->sort + 1;
        break;
    case 'n':
        v->sort = VEIL_CTL_TOP_BY_NAME;
        break;
    case 'r':
        v->sort = VEIL_CTL_TOP_BY_RATE;
        break;
    case 'c':
        v->sort = VEIL_CTL_TOP_BY_CONNS;
        break;
    case '+':
        v->every_ms = v->every_ms * 2 > TOP_EVERY_MOST_MS ? TOP_EVERY_MOST_MS
                                                          : v->every_ms * 2;
        break;
    case '-':
        v->every_ms = v->every_ms / 2 < TOP_EVERY_LEAST_MS ? TOP_EVERY_LEAST_MS
                                                           : v->every_ms / 2;
        break;
    default:
        break;
    }
}

/* Keys, until the time or until something must be drawn anew. */
static void
top_wait(top_t *top, int64_t until_ms)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    int64_t left;
    char keys[16];
    ssize_t n, i;

    while (!top->quit && !veil_ctl_interrupted) {
        left = until_ms - veil_ctl_link_now();
        if (left <= 0) {
            return;
        }
        if (poll(&p, 1, (int) left) > 0) {
            n = read(STDIN_FILENO, keys, sizeof(keys));
            if (n <= 0) {
                top->quit = true; /* the terminal is gone */
            }
            /* What begins with ESC is a key without a letter. */
            for (i = 0; i < n && keys[i] != '\033'; i++) {
                top_key(top, keys[i]);
            }
            (void) top_draw(top);
        } else if (top_resized) {
            top_resized = 0;
            (void) top_draw(top);
        }
    }
}

/* --- the whole ------------------------------------------------------------*/

static bool
top_has_utf8(void)
{
    const char *z = getenv("LC_ALL");

    z = z == NULL || *z == '\0' ? getenv("LC_CTYPE") : z;
    z = z == NULL || *z == '\0' ? getenv("LANG") : z;
    return z != NULL
           && (strcasestr(z, "utf-8") != NULL
               || strcasestr(z, "utf8") != NULL);
}

static veil_ctl_code_t
top_complain(top_t *top)
{
    bool late =
        top->link.code != NULL && strcmp(top->link.code, VEIL_E_TIMEOUT) == 0;

    veil_ctl_output_failure(
        top->command,
        top->link.code == NULL ? VEIL_CTL_E_CONNECT : top->link.code,
        top->link.code == NULL ? top->error : top->link.msg, top->link.hint);
    return late ? VEIL_CTL_TIMEOUT : VEIL_CTL_FAILED;
}

/* The same numbers for programs. */
static veil_ctl_code_t
top_print_json(top_t *top)
{
    json_t *o = veil_ctl_sample_json(&top->now, &top->then);
    veil_ctl_text_t t = { 0 };
    bool written;

    veil_ctl_render_json(&t, o);
    veil_ctl_text_z(&t, "\n");
    json_decref(o);
    written = veil_ctl_output_write(STDOUT_FILENO, &t);
    veil_ctl_text_done(&t);
    return written ? VEIL_CTL_OK : VEIL_CTL_FAILED;
}

static veil_ctl_code_t
top_snapshot(top_t *top)
{
    struct timespec ts = { .tv_sec = (time_t) (top->view.every_ms / 1000),
                           .tv_nsec =
                               (long) (top->view.every_ms % 1000) * 1000000 };
    veil_ctl_text_t frame = { 0 };
    const char *columns = getenv("COLUMNS");
    int64_t n = columns == NULL ? -1 : veil_str_to_int(veil_str_z(columns));
    bool written;

    if (!top_sample(top)) {
        return top_complain(top);
    }
    (void) nanosleep(&ts, NULL);
    if (!top_sample(top)) {
        return top_complain(top);
    }
    if (top->command->json) {
        return top_print_json(top);
    }
    top->view.columns = n > 0 && n < 10000 ? (unsigned) n : 200;
    top->view.rows = 0;
    veil_ctl_top_frame(&frame, &top->view, &top->now, &top->then);
    written = veil_ctl_output_write(STDOUT_FILENO, &frame);
    veil_ctl_text_done(&frame);
    return written ? VEIL_CTL_OK : VEIL_CTL_FAILED;
}

static veil_ctl_code_t
top_live(top_t *top)
{
    bool drawn = true;

    /* What is wrong from the beginning is better told on the plain screen. */
    if (!top_sample(top)) {
        return top_complain(top);
    }
    if (isatty(STDOUT_FILENO) != 1 || !top_open_terminal(top)) {
        veil_ctl_say("\"top\" needs a terminal; --snapshot does not");
        return VEIL_CTL_USAGE;
    }
    veil_ctl_call_catch_signals();
    top_screen(true);
    (void) top_draw(top);
    /* The first frame has no rates: the next one comes soon. */
    top_wait(top, veil_ctl_link_now() + TOP_EVERY_LEAST_MS * 2);
    while (!top->quit && !veil_ctl_interrupted && drawn) {
        if (!top->view.paused) {
            (void) top_sample(top);
        }
        drawn = top_draw(top);
        top_wait(top, veil_ctl_link_now() + top->view.every_ms);
    }
    top_screen(false);
    (void) tcsetattr(STDIN_FILENO, TCSANOW, &top->saved);
    return VEIL_CTL_OK;
}

veil_ctl_code_t
veil_ctl_top(const veil_ctl_command_t *c)
{
    const char *every =
        json_string_value(json_object_get(c->args, "interval"));
    const char *sort = json_string_value(json_object_get(c->args, "sort"));
    top_t top = { .command = c, .link = { .fd = -1 } };
    veil_ctl_code_t code;

    top.pool = veil_pool_create("top", 4096);
    top.view.every_ms =
        every == NULL ? TOP_EVERY_MS : veil_str_to_msec(veil_str_z(every));
    if (top.view.every_ms < TOP_EVERY_LEAST_MS) {
        top.view.every_ms = TOP_EVERY_LEAST_MS;
    }
    if (sort != NULL) {
        top.view.sort = strcmp(sort, "rate") == 0    ? VEIL_CTL_TOP_BY_RATE
                        : strcmp(sort, "conns") == 0 ? VEIL_CTL_TOP_BY_CONNS
                                                     : VEIL_CTL_TOP_BY_NAME;
    }
    top.view.bars = top_has_utf8();
    code = json_is_true(json_object_get(c->args, "snapshot"))
               ? top_snapshot(&top)
               : top_live(&top);
    veil_ctl_sample_done(&top.now);
    veil_ctl_sample_done(&top.then);
    veil_ctl_link_close(&top.link);
    veil_pool_destroy(&top.pool);
    return code;
}
