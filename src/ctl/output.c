/*
 * output.c -- where veilctl's words go.
 *
 * Answers go to standard output, everything about them to standard error, so
 * that a pipe gets nothing but answers.  With --json an error is an answer
 * too: a script that reads objects finds its code there.
 */

#include "core/platform.h"

#include <sys/ioctl.h>

#include "ctl/output.h"
#include "ctl/render.h"
#include "ctl/show.h"

bool
veil_ctl_output_has_color(int fd)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return (no == NULL || *no == '\0') && term != NULL
           && strcmp(term, "dumb") != 0 && isatty(fd) == 1;
}

void
veil_ctl_output_size(int fd, unsigned *columns, unsigned *rows)
{
    struct winsize w = { .ws_row = 0 };

    *columns = 80;
    *rows = 24;
    if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col != 0 && w.ws_row != 0) {
        *columns = w.ws_col;
        *rows = w.ws_row;
    }
}

bool
veil_ctl_output_write(int fd, veil_ctl_text_t *t)
{
    size_t done = 0;
    ssize_t n;
    int err = 0;

    while (done < t->len) {
        n = write(fd, t->data + done, t->len - done);
        if (n < 0) {
            err = errno;
            if (err == EINTR) {
                continue;
            }
            break;
        }
        done += (size_t) n;
    }
    if (done < t->len && fd != STDERR_FILENO) {
        veil_ctl_say("cannot write to standard output: %s", strerror(err));
    }
    done = t->len - done;
    t->len = 0;
    return done == 0;
}

void
veil_ctl_say(const char *fmt, ...)
{
    veil_ctl_text_t t = { 0 };
    char line[2048];
    va_list ap;

    va_start(ap, fmt);
    (void) veil_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    veil_ctl_text_z(&t, "veilctl: ");
    veil_ctl_text_safe(&t, veil_str_z(line), false);
    veil_ctl_text_z(&t, "\n");
    (void) veil_ctl_output_write(STDERR_FILENO, &t);
    veil_ctl_text_done(&t);
}

void
veil_ctl_output_error(const veil_ctl_command_t *c, const json_t *err,
                      const json_t *workers)
{
    veil_ctl_text_t t = { 0 };
    json_t *o;

    if (c->json) {
        o = json_is_object(err) ? json_copy((json_t *) (uintptr_t) err)
                                : json_object();
        if (json_array_size(workers) != 0) {
            json_object_set(o, "workers", (json_t *) (uintptr_t) workers);
        }
        veil_ctl_render_json(&t, o);
        veil_ctl_text_z(&t, "\n");
        json_decref(o);
        (void) veil_ctl_output_write(STDOUT_FILENO, &t);
    } else {
        t.color = veil_ctl_output_has_color(STDERR_FILENO);
        veil_ctl_show_error(&t, c->verb, err, workers);
        (void) veil_ctl_output_write(STDERR_FILENO, &t);
    }
    veil_ctl_text_done(&t);
}

/* A text that may be no UTF-8, as a path may be: then as it would be shown. */
static json_t *
output_string(const char *z)
{
    veil_ctl_text_t t = { 0 };
    json_t *v = json_string(z);

    if (v == NULL) {
        veil_ctl_text_safe(&t, veil_str_z(z), false);
        v = json_stringn(t.data, t.len);
        veil_ctl_text_done(&t);
    }
    return v;
}

void
veil_ctl_output_failure(const veil_ctl_command_t *c, const char *code,
                        const char *msg, const char *hint)
{
    json_t *err = json_object();

    json_object_set_new(err, "code", json_string(code));
    json_object_set_new(err, "msg", output_string(msg));
    if (hint != NULL && *hint != '\0') {
        json_object_set_new(err, "hint", output_string(hint));
    }
    veil_ctl_output_error(c, err, NULL);
    json_decref(err);
}
