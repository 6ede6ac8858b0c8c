/*
 * upstream_send.c -- writes the request over HTTP/1: head, then the body as it
 * comes.
 *
 * A request without a body is one write of the head where it stands, in the
 * pool of whoever made it, which is pinned until the write is over.  With a
 * body the bytes are copied into a block of the connection's own first, the
 * head too if it is the first one: a client that goes away takes the memory
 * of its body with it at once, while a write to the upstream may still be
 * under way; and a small request is one write this way.
 *
 * The block is taken when there is something to send and given back when it
 * is sent, so that a slow upload holds none while it waits.
 */

#include "http/upstream/upstream_impl.h"

#define SEND_BLOCK (32 * 1024)
#define SEND_SLICES 16
/* A chunk's line, its end, and the last chunk. */
#define SEND_FRAME_ROOM (VEIL_HTTP_CHUNK_HEAD_MAX + 2 + 5)

static void upstream_send_more(veil_exchange_t *x);

bool
veil_exchange_request_is_sent(const veil_exchange_t *x)
{
    const veil_exchange_private_t *p = x->priv;

    return p->head_sent && p->body_ended && p->in_write == 0;
}

void
veil_exchange_stop_body(veil_exchange_t *x)
{
    if (x->body != NULL && !x->priv->body_ended) {
        veil_http_body_abort(x->body);
        x->body = NULL;
    }
}

/* --- one write ----------------------------------------------------------- */

static void
upstream_send_head_only(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_slice_t v = veil_slice_mem(x->head.data, x->head.len);

    p->head_sent = true;
    p->body_ended = x->body == NULL;
    p->in_write = x->head.len;
    veil_pool_pin(x->pool, &p->uc->pin, "upstream send");
    veil_conn_write(&p->uc->c, &v, 1);
}

/* Trailers of the client's body, or the plain last chunk. */
static char *
upstream_send_last_chunk(veil_exchange_t *x, char *dst, const char *end)
{
    const veil_http_headers_t *trailers = x->body->trailers;
    const veil_http_header_t *h = NULL;

    dst = veil_fmt_str(dst, VEIL_STR("0\r\n"));
    while (trailers != NULL
           && (h = veil_http_headers_next(trailers, h)) != NULL) {
        if ((size_t) (end - dst) < h->name.len + h->value.len + 6) {
            break; /* optional for whoever receives them (RFC 9110, 6.5.1) */
        }
        dst = veil_fmt_str(dst, h->name);
        dst = veil_fmt_str(dst, VEIL_STR(": "));
        dst = veil_fmt_str(dst, h->value);
        dst = veil_fmt_str(dst, VEIL_STR("\r\n"));
    }
    return veil_fmt_str(dst, VEIL_STR("\r\n"));
}

typedef struct {
    char *start; /* where a chunk's line goes */
    char *p;
    char *end;
    bool ended;
} upstream_send_room_t;

/* Copies what can be pulled; LATER and FAILED only when that is nothing. */
static veil_body_rc_t
upstream_send_pull(veil_exchange_t *x, upstream_send_room_t *room)
{
    veil_slice_t v[SEND_SLICES];
    veil_body_rc_t rc;
    unsigned i, n;
    size_t bytes, all = 0;

    for (;;) {
        n = SEND_SLICES;
        bytes = (size_t) (room->end - room->p);
        rc = veil_http_body_pull(x->body, v, &n, bytes);
        if (rc == VEIL_BODY_LATER || rc == VEIL_BODY_FAILED) {
            return all != 0 && rc == VEIL_BODY_LATER ? VEIL_BODY_DATA : rc;
        }
        bytes = 0;
        for (i = 0; i < n; i++) {
            VEIL_ASSERT(v[i].data != NULL); /* to_memory bodies only */
            memcpy(room->p, v[i].data, v[i].len);
            room->p += v[i].len;
            bytes += v[i].len;
        }
        if (bytes != 0) {
            veil_http_body_consume(x->body, bytes);
            x->priv->body_used = true;
        }
        all += bytes;
        if (rc == VEIL_BODY_END || room->p == room->end) {
            return rc;
        }
    }
}

/* Puts a chunk's line before [data, p), and its end behind. */
static char *
upstream_send_frame(char *start, char *data, char *p)
{
    char line[VEIL_HTTP_CHUNK_HEAD_MAX];
    size_t n = (size_t) (p - data);
    size_t len;

    if (n == 0) {
        return start;
    }
    len = veil_http_chunk_head(line, n);
    memcpy(start, line, len);
    if (start + len != data) {
        memmove(start + len, data, n);
    }
    p = start + len + n;
    return veil_fmt_str(p, VEIL_HTTP_CHUNK_TAIL);
}

void
veil_exchange_send_failed(veil_exchange_t *x)
{
    int error = x->body->error;

    veil_exchange_log(x, VEIL_LOG_INFO, 0,
                      "the client's request body cannot be read",
                      "while sending request to upstream");
    veil_exchange_drop(x, false);
    if (!x->priv->told) {
        veil_exchange_tell_later(x, error != 0 ? error : 400);
    } else {
        veil_exchange_body_fail(x);
        veil_exchange_body_wake(x);
    }
}

static void
upstream_send_block(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_block_t *block = veil_block_create(SEND_BLOCK);
    upstream_send_room_t room;
    veil_body_rc_t rc;
    char *data, *limit = (char *) block->data + block->size;
    veil_slice_t v;

    room.p = (char *) block->data;
    room.end = limit;
    if (!p->head_sent && x->head.len <= SEND_BLOCK / 2) {
        room.p = veil_fmt_str(room.p, x->head);
    }
    room.start = room.p;
    if (x->body_chunked) {
        room.p += VEIL_HTTP_CHUNK_HEAD_MAX;
        room.end -= SEND_FRAME_ROOM;
    }
    data = room.p;

    rc = upstream_send_pull(x, &room);
    if (rc == VEIL_BODY_FAILED) {
        veil_block_put(block);
        veil_exchange_send_failed(x);
        return;
    }
    if (x->body_chunked) {
        room.p = upstream_send_frame(room.start, data, room.p);
    }
    if (rc == VEIL_BODY_END) {
        p->body_ended = true;
        if (x->body_chunked) {
            room.p = upstream_send_last_chunk(x, room.p, limit);
        }
    } else if (rc == VEIL_BODY_LATER) {
        p->send_waiting = true;
    }

    p->in_write = (size_t) (room.p - (char *) block->data);
    if (p->in_write == 0) {
        veil_block_put(block); /* nothing yet, or an end without bytes */
        if (p->body_ended && p->state == VEIL_X_HEAD) {
            veil_conn_read_timeout(&p->uc->c, x->conf->read_timeout);
        }
        return;
    }
    p->head_sent = true;
    p->uc->sending = block;
    v = veil_slice_mem(block->data, p->in_write);
    veil_conn_write(&p->uc->c, &v, 1);
}

/* --- when to write --------------------------------------------------------
 */

static void
upstream_send_body_ready(void *reader)
{
    veil_exchange_t *x = reader;
    veil_exchange_private_t *p = x->priv;

    if (!p->send_waiting || p->uc == NULL) {
        return;
    }
    p->send_waiting = false;
    if (p->in_write != 0) {
        p->send_ready = true;
        return;
    }
    upstream_send_more(x);
}

static void
upstream_send_more(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (p->body_ended || p->send_waiting || p->send_failed || x->body == NULL)
    {
        return;
    }
    upstream_send_block(x);
}

void
veil_exchange_send(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (x->head.len == 0) {
        x->make_head(x); /* another wire was asked for */
    }
    veil_conn_write_timeout(&p->uc->c, x->conf->send_timeout);
    veil_conn_read(&p->uc->c);
    if (x->body == NULL || x->head.len > SEND_BLOCK / 2) {
        if (x->body != NULL) {
            veil_http_body_set_reader(x->body, upstream_send_body_ready, x);
        }
        upstream_send_head_only(x);
        return;
    }
    p->body_ended = false;
    veil_http_body_set_reader(x->body, upstream_send_body_ready, x);
    upstream_send_block(x);
}

void
veil_exchange_on_sent(veil_exchange_t *x, ssize_t res)
{
    veil_exchange_private_t *p = x->priv;

    if (p->state == VEIL_X_TUNNEL) {
        veil_exchange_tunnel_sent(x, res);
        return;
    }
    p->in_write = 0;
    if (res < 0) {
        /*
         * A response may be on its way, or wait to be read, all the same: a
         * server that refuses a large request says why and closes.
         */
        p->send_failed = true;
        p->keepalive = false;
        veil_exchange_stop_body(x);
        if (p->state == VEIL_X_HEAD) {
            veil_conn_read_timeout(&p->uc->c, x->conf->read_timeout);
        }
        return;
    }
    if (p->body_ended) {
        if (p->state == VEIL_X_HEAD) {
            veil_conn_read_timeout(&p->uc->c, x->conf->read_timeout);
        }
        return;
    }
    upstream_send_more(x);
}
