/*
 * send.c -- sending a request.
 *
 * A body of the command line goes out with the head.  A source gives piece
 * after piece, and the next one is read when the last one is gone, so what is
 * held is one piece, however long the body.  A file whose length is known is
 * left to sendfile where the transport has it: plain connections, and those
 * whose TLS is the kernel's.
 *
 * A body whose length was announced must have it.  One that turns out shorter
 * cannot be mended: the request is given up, and the connection with it.
 */

#include "core/platform.h"

#include "event/transport.h"
#include "fetch/output.h"
#include "fetch/send.h"

enum { SEND_HEAD, SEND_BODY, SEND_FILE, SEND_LAST, SEND_OVER };

static void
send_over(veil_fetch_send_t *s, veil_fetch_sent_t how)
{
    s->state = SEND_OVER;
    s->over(s, how);
}

static void
send_ended_early(veil_fetch_send_t *s, uint64_t got)
{
    veil_fetch_say("\"%s\" ended after %llu of %lld bytes", s->name,
                   (unsigned long long) got, (long long) s->length);
    send_over(s, VEIL_FETCH_UNREAD);
}

/* The source has ended, or all that was announced is sent. */
static void
send_finish(veil_fetch_send_t *s)
{
    veil_slice_t last =
        veil_slice_mem(VEIL_HTTP_CHUNK_LAST.data, VEIL_HTTP_CHUNK_LAST.len);

    if (s->length >= 0) {
        send_over(s, VEIL_FETCH_SENT);
        return;
    }
    s->state = SEND_LAST;
    veil_conn_write(s->conn, &last, 1);
}

static void
send_piece(veil_fetch_send_t *s, size_t n)
{
    veil_str_t tail = VEIL_HTTP_CHUNK_TAIL;
    veil_slice_t slices[3];
    unsigned i = 0;

    if (s->length < 0) {
        slices[i++] =
            veil_slice_mem(s->line, veil_http_chunk_head(s->line, n));
    }
    slices[i++] = veil_slice_mem(s->body->piece, n);
    if (s->length < 0) {
        slices[i++] = veil_slice_mem(tail.data, tail.len);
    }
    veil_conn_write(s->conn, slices, i);
}

static void
send_got(veil_fetch_body_t *b, int n)
{
    veil_fetch_send_t *s = b->owner;
    size_t len = n > 0 ? (size_t) n : 0;

    if (n < 0) {
        veil_fetch_say("cannot read \"%s\": %s", s->name, strerror(-n));
        send_over(s, VEIL_FETCH_UNREAD);
        return;
    }
    if (s->length >= 0) {
        if (n == 0) {
            send_ended_early(s, s->read);
            return;
        }
        len = veil_min_size(len, (size_t) ((uint64_t) s->length - s->read));
    } else if (n == 0) {
        send_finish(s);
        return;
    }
    s->read += len;
    send_piece(s, len);
}

static void
send_next(veil_fetch_send_t *s)
{
    if (s->length >= 0 && s->read == (uint64_t) s->length) {
        send_finish(s);
        return;
    }
    s->state = SEND_BODY;
    veil_fetch_body_read(s->body, send_got);
}

static void
send_file(veil_fetch_send_t *s)
{
    veil_slice_t file =
        veil_slice_file(s->body->fd, s->body->offset, (size_t) s->length);

    s->state = SEND_FILE;
    veil_conn_write(s->conn, &file, 1);
}

static void
send_body(veil_fetch_send_t *s)
{
    veil_slice_t text = veil_slice_mem(s->text.data, s->text.len);

    if (s->body == NULL) {
        if (s->text.len == 0) {
            send_over(s, VEIL_FETCH_SENT);
            return;
        }
        s->state = SEND_LAST;
        veil_conn_write(s->conn, &text, 1);
    } else if (s->body->regular && s->length > 0
               && s->conn->transport->can_sendfile)
    {
        send_file(s);
    } else {
        send_next(s);
    }
}

void
veil_fetch_send_begin(veil_fetch_send_t *s, bool paused)
{
    veil_slice_t slices[2] = {
        veil_slice_mem(s->head.data, s->head.len),
        veil_slice_mem(s->text.data, s->text.len),
    };
    bool both = !paused && s->body == NULL && s->text.len != 0;

    s->paused = paused;
    s->head_sent = false;
    s->read = 0;
    s->state = both ? SEND_LAST : SEND_HEAD;
    if (s->body != NULL) {
        s->body->owner = s;
    }
    veil_conn_write(s->conn, slices, both ? 2 : 1);
}

void
veil_fetch_send_go_on(veil_fetch_send_t *s)
{
    if (!s->paused || s->state == SEND_OVER) {
        return;
    }
    s->paused = false;
    if (s->head_sent) {
        send_body(s);
    }
}

void
veil_fetch_send_moved(veil_fetch_send_t *s, ssize_t res)
{
    if (s->state == SEND_OVER) {
        return;
    }
    if (res < 0) {
        send_over(s, VEIL_FETCH_UNSENT);
        return;
    }
    switch (s->state) {
    case SEND_HEAD:
        s->head_sent = true;
        if (!s->paused) {
            send_body(s);
        }
        break;
    case SEND_BODY:
        send_next(s);
        break;
    case SEND_FILE:
        if (res < s->length) {
            send_ended_early(s, (uint64_t) res);
            break;
        }
        send_over(s, VEIL_FETCH_SENT);
        break;
    default:
        send_over(s, VEIL_FETCH_SENT);
        break;
    }
}

void
veil_fetch_send_stop(veil_fetch_send_t *s)
{
    s->state = SEND_OVER;
    if (s->body != NULL) {
        veil_fetch_body_close(s->body);
        s->body = NULL;
    }
}

bool
veil_fetch_send_is_over(const veil_fetch_send_t *s)
{
    return s->state == SEND_OVER;
}
