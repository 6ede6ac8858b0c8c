/*
 * output.c -- printing, without stdio: what is written is written now.
 *
 * Writes block.  There is nothing else to be done meanwhile, and the sender
 * is held back by it: what is not read fills the socket, and no memory here.
 *
 * A head is printed with bare line feeds, a body as it is.  When a second
 * response follows a body without a line feed at its end, one is put between,
 * so that a status line always begins a line.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>

#include "fetch/output.h"

/* --- standard error -------------------------------------------------------*/

/* Nobody could be told of a failure here. */
static void
output_stderr(const char *mark, const char *fmt, va_list ap)
{
    char line[2048];
    size_t n;
    ssize_t ignored;

    n = veil_snprintf(line, sizeof(line) - 1, "%s", mark);
    n += veil_vsnprintf(line + n, sizeof(line) - 1 - n, fmt, ap);
    line[n++] = '\n';
    ignored = write(STDERR_FILENO, line, n);
    (void) ignored;
}

void
veil_fetch_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    output_stderr("veil-fetch: ", fmt, ap);
    va_end(ap);
}

void
veil_fetch_note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    output_stderr("* ", fmt, ap);
    va_end(ap);
}

static void output_mark(const char *mark, const char *fmt, ...)
    VEIL_PRINTF(2, 3);

static void
output_mark(const char *mark, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    output_stderr(mark, fmt, ap);
    va_end(ap);
}

void
veil_fetch_note_head(const char *mark, veil_str_t head)
{
    veil_str_t line;

    while (head.len != 0) {
        line = veil_str_cut(&head, '\n');
        if (line.len != 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }
        if (line.len != 0) {
            output_mark(mark, "%.*s", VEIL_STR_ARG(line));
        }
    }
}

veil_str_t
veil_fetch_log_text(const char *line, size_t len)
{
    veil_str_t s = veil_str_n(line, len);
    ptrdiff_t at = veil_str_find(s, VEIL_STR("] ")); /* "[error] 1#1: " */

    if (at >= 0) {
        s = veil_str_from(s, (size_t) at);
        at = veil_str_find(s, VEIL_STR(": "));
    }
    if (at >= 0) {
        s = veil_str_from(s, (size_t) at + 2);
    }
    if (s.len != 0 && s.data[0] == '*') {
        (void) veil_str_cut(&s, ' ');
    }
    while (s.len != 0 && s.data[s.len - 1] == '\n') {
        s.len--;
    }
    return s;
}

/* --- standard output and files --------------------------------------------*/

static int
output_failed(const veil_fetch_output_t *out, bool body, int err)
{
    if (body && out->path != NULL) {
        veil_fetch_say("cannot write to \"%s\": %s", out->path, strerror(err));
    } else {
        veil_fetch_say("cannot write to standard output: %s", strerror(err));
    }
    return -err;
}

static int
output_write(const veil_fetch_output_t *out, bool body, const char *p,
             size_t len)
{
    struct pollfd wait = { .fd = body ? out->body_fd : out->head_fd,
                           .events = POLLOUT };
    ssize_t n;

    while (len > 0) {
        n = write(wait.fd, p, len);
        if (n > 0) {
            p += n;
            len -= (size_t) n;
        } else if (n < 0 && errno == EAGAIN) {
            /* Whoever gave us this descriptor has made it non-blocking. */
            (void) poll(&wait, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return output_failed(out, body, errno);
        }
    }
    return 0;
}

int
veil_fetch_output_open(veil_fetch_output_t *out, const char *path,
                       bool summary)
{
    *out = (veil_fetch_output_t){ .head_fd = STDOUT_FILENO,
                                  .body_fd = STDOUT_FILENO };
    if (summary) {
        out->body_fd = -1;
    }
    if (path == NULL) {
        return 0;
    }
    out->path = path;
    out->body_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out->body_fd < 0) {
        return output_failed(out, true, errno);
    }
    out->owns_body_fd = true;
    return 0;
}

int
veil_fetch_output_head(veil_fetch_output_t *out,
                       const veil_fetch_response_t *r)
{
    char text[VEIL_FETCH_MAX_HEAD + 4];
    veil_http_fields_t it;
    veil_http_field_t f;
    char *p = text;

    /*
     * Never more than was received: a field line came with a colon and a line
     * feed at least, and here there is a blank more.
     */
    if (out->midline) {
        *p++ = '\n';
    }
    p = veil_fmt_str(p, r->line);
    *p++ = '\n';
    veil_http_fields_init(&it, r->fields.data, r->fields.len,
                          VEIL_HTTP_ALLOW_LF);
    while (veil_http_fields_next(&it, &f) == VEIL_PARSE_OK) {
        if (f.name.len + f.value.len + 4 > (size_t) (text + sizeof(text) - p))
        {
            int rc = output_write(out, false, text, (size_t) (p - text));

            if (rc < 0) {
                return rc;
            }
            p = text;
        }
        p = veil_fmt_str(p, f.name);
        *p++ = ':';
        *p++ = ' ';
        p = veil_fmt_str(p, f.value);
        *p++ = '\n';
    }
    *p++ = '\n';
    out->midline = false;
    return output_write(out, false, text, (size_t) (p - text));
}

int
veil_fetch_output_body(veil_fetch_output_t *out, const void *data, size_t len)
{
    if (out->body_fd < 0 || len == 0) {
        return 0;
    }
    if (out->body_fd == out->head_fd) {
        out->midline = ((const char *) data)[len - 1] != '\n';
    }
    return output_write(out, true, data, len);
}

int
veil_fetch_output_line(veil_fetch_output_t *out, const char *fmt, ...)
{
    char line[2048];
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = veil_vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    line[n++] = '\n';
    return output_write(out, false, line, n);
}

int
veil_fetch_output_close(veil_fetch_output_t *out)
{
    int fd = out->body_fd;

    if (!out->owns_body_fd) {
        return 0;
    }
    out->owns_body_fd = false;
    out->body_fd = -1;
    return close(fd) < 0 ? output_failed(out, true, errno) : 0;
}
