/*
 * tls_conn.c -- the transport that puts TLS records between a connection and
 * its socket.
 *
 * Reading.  One multishot receive, as in plain.c.  What arrives is given to
 * the library at once, all of it: complete records are decrypted into one
 * scratch buffer of the process and shown to the owner from there, a record
 * that is incomplete stays with the library.  So an idle connection has no
 * buffer, and a held one has what conn.c keeps.  Only while a handshake waits
 * for something else than its peer (a certificate, a signature) is ciphertext
 * kept here.
 *
 * Writing.  Plaintext is encrypted into a buffer of up to VEIL_TLS_OUT_MAX
 * bytes and sent by one operation; when that is through, the next part is
 * encrypted.  Small slices are put together first: a head and its body are
 * one record.  What the library wants to say by itself (handshake, alerts,
 * tickets, key updates) goes into the same buffers in the same order; while
 * no write of the owner's is under way, such bytes borrow an operation of
 * their own.  There is never more than one operation sending.
 *
 * The end.  A close says close_notify first and waits until the socket has
 * taken it (tls_end.c); a write that is cut short, a reset and an error are
 * ended at once.
 *
 * TLS in the kernel: ktls_conn.c takes over when the handshake is complete;
 * what it shares with this file is declared in tls_impl.h.
 *
 * The library is called from the loop's completions and from the owner's
 * calls.  In the latter nothing may be passed up, so a failure there waits
 * for t->post.
 */

#include "event/tls_impl.h"

#include <limits.h>

#include "core/time.h"

/* Blocks kept while a handshake waits. */
#define TLS_KEPT 4

static void tls_received(veil_op_t *op);
static void tls_sent(veil_op_t *op);
static void tls_posted(veil_post_t *post);
static void tls_goodbye_over(veil_timer_t *timer);
static void tls_run(veil_tls_t *t);

static const veil_transport_t tls_transport;

/*
 * Plaintext on its way, used within one call.  One for each direction: who is
 * shown data may answer before he has looked at all of it.
 */
static unsigned char tls_scratch_in[VEIL_TLS_RECORD];
static unsigned char tls_scratch_out[VEIL_TLS_RECORD];

/* --- the end of a session --------------------------------------------------
 */

void
veil_tls_done(veil_conn_t *c)
{
    veil_tls_t *t = c->transport_data;

    VEIL_CHECK(t, VEIL_TLS);
    VEIL_ASSERT(t->own == NULL);
    VEIL_ASSERT(t->sending == NULL);

    c->transport_data = NULL;
    veil_post_cancel(&t->post);
    veil_timer_cancel(&t->timer);
    veil_tls_out_drop(t);
    veil_chain_done(&t->kept);
    veil_tls_sign_drop(t);
    veil_ktls_done(t);
    SSL_free(t->ssl);
    veil_tls_ctx_put(t->ctx);
    veil_free(t->name);
    veil_free(t->expected);
    veil_free(t->session_key);
    veil_free(t->hello);
    t->magic = VEIL_MAGIC_DEAD;
    veil_free(t);
}

/* Nothing is left to be sent, or there is no point in it. */
void
veil_tls_end(veil_tls_t *t)
{
    veil_conn_t *c = t->conn;

    veil_timer_cancel(&t->timer);
    veil_tls_out_drop(t);
    if (c->send != NULL && t->sending == NULL) {
        veil_conn_sent(c, -ECANCELED);
    }
    veil_conn_end(c);
}

static void
tls_goodbye_over(veil_timer_t *timer)
{
    veil_tls_end(veil_container_of(timer, veil_tls_t, timer));
}

static void
tls_close(veil_conn_t *c)
{
    veil_tls_t *t = c->transport_data;

    t->done = NULL;
    veil_post_cancel(&t->post);
    veil_tls_sign_drop(t);
    if (c->reset || c->send != NULL || t->err != 0) {
        veil_op_cancel(&c->recv);
        veil_tls_end(t);
    } else if (veil_tls_is_unfinished(t)) {
        veil_tls_finish(t);
    } else {
        veil_tls_goodbye(t);
    }
}

static void
tls_shutdown(veil_conn_t *c)
{
    veil_tls_t *t = c->transport_data;

    t->shut = true;
    if (veil_tls_is_unfinished(t)) {
        return; /* tls_run() comes back */
    }
    veil_tls_say_close(t);
    if (t->sending == NULL && t->out == NULL) {
        (void) shutdown(c->handle.fd, SHUT_WR);
    } else {
        veil_tls_flush(t);
    }
}

/* --- failing ---------------------------------------------------------------
 */

static const char *
tls_action(const veil_tls_t *t)
{
    if (t->state == VEIL_TLS_OPEN) {
        return t->server ? "while reading client's data over TLS"
                         : "while reading upstream's data over TLS";
    }
    return t->server ? "while SSL handshaking"
                     : "while SSL handshaking to upstream";
}

static void
tls_log_failure(veil_tls_t *t, const char *text)
{
    veil_log_t *log = &t->conn->log;
    const char *action = log->action;
    char why[512];

    log->action = tls_action(t);
    if (!t->server && veil_tls_client_explain(t, why, sizeof(why))) {
        text = why;
    }
    veil_tls_log(log, t->server ? VEIL_LOG_INFO : VEIL_LOG_ERR, text);
    log->action = action;
}

/* The stream is over: in a handshake done() says so, else on_eof(). */
void
veil_tls_ended(veil_tls_t *t, int err)
{
    veil_conn_t *c = t->conn;
    veil_tls_done_fn *done = t->done;

    if (t->ended) {
        return;
    }
    t->ended = true;
    t->state = VEIL_TLS_DEAD;
    t->done = NULL;
    veil_op_cancel(&c->recv);
    if (c->closing) {
        return;
    }
    if (done != NULL) {
        veil_tls_count_handshake(t, false);
        done(c, err != 0 ? err : -ECONNRESET);
    } else {
        veil_conn_ended(c, err);
    }
}

/* --- reading ---------------------------------------------------------------
 */

static bool
tls_wants_data(const veil_tls_t *t)
{
    switch ((veil_tls_state_t) t->state) {
    case VEIL_TLS_FIRST:
    case VEIL_TLS_HANDSHAKE:
        return true;
    case VEIL_TLS_WAIT:
        return !t->exact && t->kept.n < TLS_KEPT;
    case VEIL_TLS_OPEN:
        return !t->conn->stopped;
    case VEIL_TLS_SWITCH:
    case VEIL_TLS_DEAD:
        break;
    }
    return false;
}

void
veil_tls_receive(veil_tls_t *t)
{
    veil_conn_t *c = t->conn;

    if (c->closing || !veil_op_is_idle(&c->recv) || !tls_wants_data(t)) {
        return;
    }
    if (t->exact || t->ktls_rx) {
        veil_ktls_receive(t);
    } else {
        c->recv.done = tls_received;
        veil_op_recv(&c->recv);
    }
}

void
veil_tls_start_reading(veil_conn_t *c)
{
    veil_tls_receive(c->transport_data);
}

void
veil_tls_stop_reading(veil_conn_t *c)
{
    veil_op_cancel(&c->recv);
}

/* Decrypts what there is, record by record, and shows it. */
static void
tls_read(veil_tls_t *t)
{
    veil_conn_t *c = t->conn;
    veil_buf_t b;
    int n = 0;

    while (!c->closing) {
        n = SSL_read(t->ssl, tls_scratch_in, sizeof(tls_scratch_in));
        if (n <= 0) {
            break;
        }
        b.pos = tls_scratch_in;
        b.end = tls_scratch_in + n;
        b.block = NULL;
        veil_conn_received(c, &b);
        if (veil_buf_len(&t->in) == 0 && !SSL_has_pending(t->ssl)) {
            return;
        }
    }
    if (c->closing) {
        return;
    }
    switch (SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        t->got_close = true;
        veil_tls_ended(t, 0);
        break;
    default:
        tls_log_failure(t, "SSL_read() failed");
        veil_tls_ended(t, -EPROTO);
        break;
    }
}

void
veil_tls_open(veil_tls_t *t)
{
    veil_tls_done_fn *done = t->done;

    t->state = VEIL_TLS_OPEN;
    t->exact = false;
    t->done = NULL;
    veil_tls_count_handshake(t, true);
    done(t->conn, 0);
}

static void
tls_handshake(veil_tls_t *t)
{
    int n = SSL_do_handshake(t->ssl);

    if (n == 1) {
        if (t->ctx->o.ktls) {
            t->state = VEIL_TLS_SWITCH;
            veil_ktls_switch(t);
        } else {
            veil_tls_open(t);
        }
        return;
    }
    switch (SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        t->state = VEIL_TLS_HANDSHAKE;
        break;
    case SSL_ERROR_PENDING_CERTIFICATE:
    case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION:
        t->state = VEIL_TLS_WAIT;
        break;
    default:
        tls_log_failure(t, "SSL_do_handshake() failed");
        veil_tls_ended(t, -EPROTO);
        break;
    }
}

/* t->in, as far as it goes. */
static void
tls_run(veil_tls_t *t)
{
    if (t->state == VEIL_TLS_FIRST || t->state == VEIL_TLS_HANDSHAKE) {
        tls_handshake(t);
    }
    if (t->state == VEIL_TLS_OPEN && !t->ktls_rx) {
        tls_read(t);
        veil_ktls_check(t);
        if (t->shut && !t->said_close && !t->conn->closing) {
            tls_shutdown(t->conn);
        }
    }
    veil_tls_flush(t);
}

/* The first byte of a ClientHello, or of what was before TLS. */
bool
veil_tls_is_plain(const veil_buf_t *b)
{
    return b->pos[0] != SSL3_RT_HANDSHAKE && (b->pos[0] & 0x80) == 0;
}

/* Bytes as they are from here on; the operation and its data go along. */
static void
tls_become_plain(veil_tls_t *t, veil_op_t *op)
{
    veil_conn_t *c = t->conn;
    veil_tls_done_fn *done = t->done;

    veil_tls_done(c);
    c->transport = &veil_transport_plain;
    op->done = veil_plain_received;
    done(c, VEIL_TLS_PLAIN);
    veil_plain_received(op);
}

void
veil_tls_become_plain(veil_tls_t *t, veil_buf_t *b)
{
    veil_conn_t *c = t->conn;
    veil_tls_done_fn *done = t->done;
    unsigned char copy[16];
    veil_buf_t first = { copy, copy + veil_buf_len(b), NULL };

    VEIL_ASSERT(veil_buf_len(b) <= sizeof(copy));
    memcpy(copy, b->pos, veil_buf_len(b));
    veil_tls_done(c);
    c->transport = &veil_transport_plain;
    done(c, VEIL_TLS_PLAIN);
    veil_conn_received(c, &first);
    if (!c->closing && !c->stopped) {
        c->transport->start_reading(c);
    }
}

/* What is left of the input waits; only a handshake leaves anything. */
static void
tls_keep_rest(veil_tls_t *t)
{
    if (veil_buf_len(&t->in) > 0 && t->state == VEIL_TLS_WAIT
        && !t->conn->closing) {
        veil_chain_append_copy(&t->kept, t->in.pos, veil_buf_len(&t->in));
    }
    t->in.pos = t->in.end = NULL;
}

void
veil_tls_take(veil_tls_t *t, const veil_buf_t *b)
{
    t->in = *b;
    if (!t->conn->closing && t->state != VEIL_TLS_DEAD
        && t->state != VEIL_TLS_WAIT)
    {
        tls_run(t);
    }
    tls_keep_rest(t);
}

void
veil_tls_lost(veil_tls_t *t, int err)
{
    t->eof = true;
    if (t->done != NULL) {
        veil_log(&t->conn->log, t->server ? VEIL_LOG_INFO : VEIL_LOG_ERR, -err,
                 "peer closed connection in SSL handshake");
    }
    veil_tls_ended(t, err);
}

static void
tls_received(veil_op_t *op)
{
    veil_conn_t *c = veil_container_of(op, veil_conn_t, recv);
    veil_tls_t *t = c->transport_data;

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_CHECK(t, VEIL_TLS);

    if (op->res > 0) {
        if (t->state == VEIL_TLS_FIRST && !c->closing
            && veil_tls_is_plain(&op->u.buf)) {
            tls_become_plain(t, op);
            return;
        }
        veil_tls_take(t, &op->u.buf);
        if (op->u.buf.block != NULL) {
            veil_block_put(op->u.buf.block);
        }
        if (t->state == VEIL_TLS_WAIT && t->kept.n >= TLS_KEPT) {
            veil_op_cancel(op);
        }
    } else if (!c->closing && op->res != -ECANCELED) {
        veil_tls_lost(t, op->res);
        return;
    }
    if (!op->more) {
        veil_tls_receive(t);
    }
}

void
veil_tls_go_on(veil_tls_t *t)
{
    veil_conn_t *c = t->conn;
    const veil_buf_t *first;
    size_t len;

    VEIL_CHECK(t, VEIL_TLS);
    if (c->closing || t->state != VEIL_TLS_WAIT) {
        return;
    }
    t->state = VEIL_TLS_HANDSHAKE;
    tls_run(t);
    while (!c->closing && t->state != VEIL_TLS_WAIT
           && t->state != VEIL_TLS_DEAD
           && (first = veil_chain_first(&t->kept)) != NULL)
    {
        len = veil_buf_len(first);
        t->in = *first;
        tls_run(t);
        len -= veil_buf_len(&t->in);
        t->in.pos = t->in.end = NULL;
        veil_chain_consume(&t->kept, len);
    }
    veil_tls_receive(t);
}

/* --- writing ---------------------------------------------------------------
 */

/* The next piece of plaintext: in place, or small ones put together. */
static const unsigned char *
tls_gather(veil_tls_t *t, size_t max, size_t *len)
{
    struct iovec *v = &t->conn->send->iov[t->iov_at];
    size_t n = 0, part;

    if (v->iov_len >= max || v->iov_len == t->left) {
        *len = veil_min_size(v->iov_len, max);
        return v->iov_base;
    }
    while (n < max && n < t->left) {
        part = veil_min_size(v->iov_len, max - n);
        memcpy(tls_scratch_out + n, v->iov_base, part);
        n += part;
        v++;
    }
    *len = n;
    return tls_scratch_out;
}

static void
tls_advance(veil_tls_t *t, size_t n)
{
    veil_send_t *s = t->conn->send;
    struct iovec *v;
    size_t part;

    t->left -= n;
    s->total += n;
    veil_conn_count_sent(t->conn, n);
    while (n > 0) {
        v = &s->iov[t->iov_at];
        part = veil_min_size(v->iov_len, n);
        v->iov_base = (unsigned char *) v->iov_base + part;
        v->iov_len -= part;
        n -= part;
        if (v->iov_len == 0) {
            t->iov_at++;
        }
    }
}

/* Encrypts as much as one operation sends. */
static void
tls_encrypt(veil_tls_t *t)
{
    size_t max = (size_t) t->ctx->o.buffer_size;
    const unsigned char *p;
    size_t len;
    int n;

    while (t->left > 0
           && t->out_len + max + VEIL_TLS_OVERHEAD <= VEIL_TLS_OUT_MAX) {
        p = tls_gather(t, max, &len);
        n = SSL_write(t->ssl, p, (int) len);
        if (n <= 0) {
            tls_log_failure(t, "SSL_write() failed");
            t->err = -EPROTO;
            return;
        }
        tls_advance(t, (size_t) n);
    }
}

static void
tls_write(veil_conn_t *c, const veil_slice_t *slices, unsigned n)
{
    veil_tls_t *t = c->transport_data;
    veil_send_t *s = c->send;
    size_t total = 0;
    unsigned i;

    VEIL_CHECK(t, VEIL_TLS);
    for (i = 0; i < n; i++) {
        if (slices[i].len == 0) {
            continue;
        }
        VEIL_ASSERT(slices[i].data != NULL);
        VEIL_ASSERT(s->niov < VEIL_CONN_SLICES);
        s->iov[s->niov].iov_base = (void *) (uintptr_t) slices[i].data;
        s->iov[s->niov].iov_len = slices[i].len;
        s->niov++;
        total += slices[i].len;
    }
    VEIL_ASSERT(total > 0);
    t->iov_at = 0;
    t->left = total;
    s->op.moved_ms = (uint32_t) veil_now_ms();
    if (t->err == 0) {
        tls_encrypt(t);
        veil_tls_flush(t);
    }
    if (t->err != 0) {
        veil_post(c->handle.loop, &t->post);
    }
}

/* Sends the oldest buffer, unless one is on its way. */
void
veil_tls_flush(veil_tls_t *t)
{
    veil_conn_t *c = t->conn;
    veil_tls_out_t *out = t->out;
    veil_send_t *s = c->send;

    if (t->sending != NULL || out == NULL || t->err != 0 || c->ended) {
        return;
    }
    t->out = out->next;
    if (t->out == NULL) {
        t->out_last = NULL;
    }
    t->out_len -= out->len;
    t->sending = out;
    if (s == NULL) {
        s = veil_send_get(c, tls_sent);
        t->own = s;
    }
    s->op.done = tls_sent;
    veil_op_send(&s->op, out->data, out->len);
}

/* Some of it is gone: more of the same, or the end of the write. */
static void
tls_go_on_writing(veil_tls_t *t)
{
    veil_conn_t *c = t->conn;

    if (c->send != NULL && t->left > 0 && t->err == 0) {
        tls_encrypt(t);
    }
    veil_tls_flush(t);
    if (t->sending != NULL) {
        return;
    }
    if (t->state == VEIL_TLS_SWITCH) {
        veil_ktls_switch(t);
    } else if (c->send != NULL) {
        veil_conn_sent(c, t->err != 0 ? t->err : (ssize_t) c->send->total);
    } else if (t->shut && t->said_close && t->err == 0) {
        (void) shutdown(c->handle.fd, SHUT_WR);
    }
}

static void
tls_sent(veil_op_t *op)
{
    veil_send_t *s = veil_container_of(op, veil_send_t, op);
    veil_conn_t *c = s->conn;
    veil_tls_t *t = c->transport_data;
    int res = op->res;

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_CHECK(t, VEIL_TLS);

    veil_tls_out_put(t->sending);
    t->sending = NULL;
    if (s == t->own) {
        t->own = NULL;
        veil_send_put(s);
    }
    if (res < 0 && t->err == 0) {
        t->err = res;
        veil_tls_out_drop(t);
    }
    if (!c->closing) {
        tls_go_on_writing(t);
        return;
    }
    if (!c->ended) {
        veil_tls_flush(t);
        if (t->sending == NULL && !t->finishing) {
            veil_tls_end(t);
        }
    } else if (c->send != NULL) {
        veil_conn_sent(c, -ECANCELED);
    }
}

/* What could not be said inside of a call. */
static void
tls_posted(veil_post_t *post)
{
    veil_tls_t *t = veil_container_of(post, veil_tls_t, post);
    veil_conn_t *c = t->conn;

    if (t->state == VEIL_TLS_HANDSHAKE && t->done != NULL) {
        tls_run(t); /* a client's first flight */
        veil_tls_receive(t);
    } else if (t->state == VEIL_TLS_WAIT) {
        veil_tls_go_on(t);
    } else if (t->err != 0 && c->send != NULL && t->sending == NULL) {
        veil_conn_sent(c, t->err);
    }
}

static const veil_transport_t tls_transport = {
    .name = "tls",
    .start_reading = veil_tls_start_reading,
    .stop_reading = veil_tls_stop_reading,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .done = veil_tls_done,
    .can_sendfile = false,
    .can_splice = false,
};

/* --- the beginning ---------------------------------------------------------
 */

static veil_tls_t *
tls_create(veil_conn_t *c, veil_tls_ctx_t *ctx)
{
    veil_tls_t *t = veil_zalloc(sizeof(*t));
    BIO *bio;

    t->magic = VEIL_TLS_MAGIC;
    t->conn = c;
    t->ctx = veil_tls_ctx_get(ctx);
    t->ssl = SSL_new(ctx->ssl);
    VEIL_ASSERT(t->ssl != NULL);
    bio = veil_tls_bio_create(t);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    veil_post_init(&t->post, tls_posted);
    veil_timer_init(&t->timer, tls_goodbye_over);
    c->transport = &tls_transport;
    c->transport_data = t;
    return t;
}

void
veil_tls_accept(veil_conn_t *c, veil_tls_ctx_t *ctx,
                const veil_tls_accept_ops_t *accept)
{
    veil_tls_t *t = tls_create(c, ctx);

    VEIL_ASSERT(veil_op_is_idle(&c->recv));
    t->server = true;
    t->state = VEIL_TLS_FIRST;
    t->accept = accept;
    t->done = accept->done;
    SSL_set_accept_state(t->ssl);
    if (ctx->derived) {
        (void) SSL_set_session_id_context(t->ssl, ctx->sid, sizeof(ctx->sid));
    }
    c->stopped = false;
    veil_ktls_begin(t);
    veil_tls_receive(t);
}

void
veil_tls_select(veil_conn_t *c, veil_tls_ctx_t *ctx)
{
    veil_tls_t *t = c->transport_data;

    VEIL_CHECK(t, VEIL_TLS);
    VEIL_ASSERT(t->later);
    t->later = false;
    if (ctx == NULL) {
        t->refused = true;
    } else if (!veil_tls_ctx_enter(ctx, t)) {
        t->refused = true;
    }
    veil_post(c->handle.loop, &t->post);
}

void
veil_tls_connect(veil_conn_t *c, veil_tls_ctx_t *ctx,
                 const veil_tls_target_t *target, veil_tls_done_fn *done)
{
    veil_tls_t *t = tls_create(c, ctx);

    t->state = VEIL_TLS_HANDSHAKE;
    t->done = done;
    SSL_set_connect_state(t->ssl);
    veil_tls_client_prepare(t, target);
    c->stopped = false;
    veil_ktls_begin(t);
    veil_post(c->handle.loop, &t->post);
}

void
veil_tls_trim(void)
{
    veil_tls_client_trim();
    veil_tls_bio_trim();
}
