/*
 * ktls_conn.c -- the transport of a session whose records the kernel makes.
 *
 * Before the switch.  What the kernel shall decrypt must still be in the
 * socket, so while the handshake lasts its records are received exactly: the
 * header, then the body, and nothing of what follows.  When the handshake is
 * complete the server's tickets are still to be sent; the library sends them
 * with the first write, which is an empty one here.  When the socket has
 * taken everything the kernel gets the keys, first those for sending, then
 * those for receiving, and only then done() is called.  Up to there nothing
 * is lost by staying in user space, which is what happens if anything is
 * amiss, or the connection is refused when that is not wanted.
 *
 * TCP can be told about TLS only while it is connected, which a client that
 * half-closes early has ended by then: so that is done at the beginning.
 *
 * After it.  Writing is plain.c's, sendfile among it.  Receiving is by
 * records, whose type the kernel tells: data goes up, alerts and what is left
 * of the handshake protocol are looked at here.  A client that wants to
 * resume sessions of TLS 1.3 needs the tickets, which only the library can
 * read; there the receiving side stays in user space.
 *
 * New keys (KeyUpdate) are more than Linux before 6.14 can do.  A peer that
 * changes its own, or asks for others of ours, has reached the end of the
 * connection: what it sends is no longer read, what we have is still sent.
 *
 * The end.  The kernel drops the record that filled the socket when it is
 * closed right after: silently, in 9 to 17 of 50 trials.  A close_notify that
 * was accepted comes after it, so closing and shutting down wait for that, for
 * VEIL_TLS_GOODBYE_MS at most.
 */

#include "event/tls_impl.h"

#include "core/time.h"
#include "event/ktls.h"

#define KTLS_HEAD 5u
/* What a record may be; longer ones are the library's to refuse. */
#define KTLS_BODY_MAX (VEIL_TLS_RECORD + VEIL_TLS_OVERHEAD)
/* Types of handshake messages, RFC 8446, 4. */
#define KTLS_NEW_SESSION_TICKET 4
#define KTLS_KEY_UPDATE 24

struct veil_ktls_s {
    veil_ktls_reason_t reason;
    veil_ktls_reason_t rx_reason;
    int err; /* what the kernel said */
    bool flushed;
    unsigned char head[KTLS_HEAD];
    unsigned char *record; /* the one that is being received; heap */
    /* A handshake message that comes in pieces. */
    unsigned char message[4];
    unsigned message_have;
    size_t message_left;
    unsigned char alert[2];
    unsigned alert_have;
    /* The alert that is being sent. */
    unsigned char said[2];
    struct iovec iov;
    struct msghdr msg;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(uint8_t))];
    } control;
};

static void ktls_body_received(veil_op_t *op);
static void ktls_record_received(veil_op_t *op);

/* Some server of this configuration wants it.  Which one a client is for is
 * known only when its first record is here. */
static bool ktls_servers_want;

/* -- before the handshake */

void
veil_ktls_want(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    bool required = ctx->o.server && !ctx->o.ktls_fallback;
    bool news = veil_ktls_note(required);

    veil_ktls_prepare(ctx->ssl);
    if (ctx->o.server) {
        ktls_servers_want = true;
        /* With early data the keys are in use before they can be given. */
        ctx->o.early_data = ctx->o.early_data && !required;
    }
    if (news && veil_ktls_probe() != 0) {
        veil_ktls_log_state(cf->log);
    }
}

void
veil_ktls_begin(veil_tls_t *t)
{
    veil_ktls_t *k;

    if (t->server ? !ktls_servers_want : !t->ctx->o.ktls) {
        return;
    }
    k = veil_zalloc(sizeof(*k));
    t->ktls = k;
    k->reason = veil_ktls_probe() == 0
                    ? veil_ktls_attach(t->conn->handle.fd, &k->err)
                    : VEIL_KTLS_UNAVAILABLE;
    t->exact = k->reason == VEIL_KTLS_OK;
}

void
veil_ktls_done(veil_tls_t *t)
{
    if (t->ktls != NULL) {
        veil_free(t->ktls->record);
        veil_free(t->ktls);
        t->ktls = NULL;
    }
}

/* -- receiving exactly */

/* Whether an op that received exactly brought all; else ends what is to. */
static bool
ktls_has_all(veil_tls_t *t, const veil_op_t *op)
{
    if (op->res == (int) op->u.mem.len) {
        return !t->conn->closing;
    }
    if (!t->conn->closing && op->res != -ECANCELED) {
        veil_tls_lost(t, op->res < 0 ? op->res : 0);
    }
    return false;
}

/* Text, or a hello of SSL 2, which has another header. */
static bool
ktls_is_no_record(veil_tls_t *t)
{
    veil_ktls_t *k = t->ktls;
    veil_buf_t b = { k->head, k->head + KTLS_HEAD, NULL };

    if (t->state != VEIL_TLS_FIRST) {
        return false;
    }
    if (veil_tls_is_plain(&b)) {
        veil_tls_become_plain(t, &b);
        return true;
    }
    if (k->head[0] & 0x80) {
        t->exact = false;
        k->reason = VEIL_KTLS_BUFFERED;
    }
    return false;
}

static void
ktls_take(veil_tls_t *t, unsigned char *data, size_t len)
{
    veil_buf_t b = { data, data + len, NULL };

    veil_tls_take(t, &b);
    veil_tls_receive(t);
}

static void
ktls_head_received(veil_op_t *op)
{
    veil_conn_t *c = veil_container_of(op, veil_conn_t, recv);
    veil_tls_t *t = c->transport_data;
    veil_ktls_t *k;
    size_t len;

    VEIL_CHECK(t, VEIL_TLS);
    if (!ktls_has_all(t, op) || ktls_is_no_record(t)) {
        return;
    }
    k = t->ktls;
    len = (size_t) k->head[3] << 8 | k->head[4];
    if (!t->exact || len == 0 || len > KTLS_BODY_MAX) {
        ktls_take(t, k->head, KTLS_HEAD);
        return;
    }
    k->record = veil_alloc(KTLS_HEAD + len);
    memcpy(k->record, k->head, KTLS_HEAD);
    op->done = ktls_body_received;
    veil_op_recv_exact(op, k->record + KTLS_HEAD, len);
}

static void
ktls_body_received(veil_op_t *op)
{
    veil_conn_t *c = veil_container_of(op, veil_conn_t, recv);
    veil_tls_t *t = c->transport_data;
    size_t len = op->u.mem.len;
    unsigned char *record;

    VEIL_CHECK(t, VEIL_TLS);
    if (!ktls_has_all(t, op)) {
        return;
    }
    record = t->ktls->record;
    t->ktls->record = NULL;
    ktls_take(t, record, KTLS_HEAD + len);
    veil_free(record);
}

void
veil_ktls_receive(veil_tls_t *t)
{
    veil_op_t *op = &t->conn->recv;

    if (t->ktls_rx) {
        op->done = ktls_record_received;
        veil_op_recv_records(op);
    } else {
        op->done = ktls_head_received;
        veil_op_recv_exact(op, t->ktls->head, KTLS_HEAD);
    }
}

/* -- the switch */

/* With 1.3 the tickets follow the handshake; only the library reads them. */
static bool
ktls_wants_rx(const veil_tls_t *t)
{
    return t->server || t->session_key == NULL
           || SSL_version(t->ssl) != TLS1_3_VERSION;
}

/* A message of the library's, in a TX-only session. */
static void
ktls_on_message(int is_write, int version, int type, const void *data,
                size_t len, SSL *ssl, void *arg)
{
    const unsigned char *p = data;

    (void) version;
    (void) ssl;
    if (!is_write && type == SSL3_RT_HANDSHAKE && len >= 5
        && p[0] == KTLS_KEY_UPDATE && p[4] == SSL_KEY_UPDATE_REQUESTED)
    {
        ((veil_tls_t *) arg)->key_update = true;
    }
}

static veil_ktls_reason_t
ktls_hand_over(veil_tls_t *t, bool tx)
{
    veil_ktls_keys_t keys;
    veil_ktls_reason_t reason = veil_ktls_keys(t->ssl, tx, &keys);

    if (reason == VEIL_KTLS_OK) {
        reason = veil_ktls_start(t->conn->handle.fd, tx, &keys, &t->ktls->err);
    }
    veil_ktls_wipe(&keys);
    return reason;
}

static veil_ktls_reason_t
ktls_take_over(veil_tls_t *t)
{
    veil_ktls_reason_t reason = ktls_hand_over(t, true);

    if (reason != VEIL_KTLS_OK) {
        return reason;
    }
    t->ktls_tx = true;
    t->conn->transport = &veil_transport_ktls;
    veil_ktls_stats.tx++;
    if (ktls_wants_rx(t)) {
        reason = ktls_hand_over(t, false);
        if (reason == VEIL_KTLS_OK) {
            t->ktls_rx = true;
            veil_ktls_stats.rx++;
        } else {
            veil_ktls_stats.fallback[reason]++;
        }
        t->ktls->rx_reason = reason;
    }
    if (!t->ktls_rx) {
        SSL_set_msg_callback(t->ssl, ktls_on_message);
        SSL_set_msg_callback_arg(t->ssl, t);
    }
    return VEIL_KTLS_OK;
}

/* What speaks against it before anything is done. */
static veil_ktls_reason_t
ktls_obstacle(const veil_tls_t *t)
{
    if (t->ktls == NULL) {
        return VEIL_KTLS_UNAVAILABLE;
    }
    if (t->ktls->reason != VEIL_KTLS_OK) {
        return t->ktls->reason;
    }
    if (SSL_in_early_data(t->ssl)) {
        return VEIL_KTLS_EARLY;
    }
    if (!t->exact || veil_buf_len(&t->in) > 0 || SSL_has_pending(t->ssl)) {
        return VEIL_KTLS_BUFFERED;
    }
    return VEIL_KTLS_OK;
}

/* It stays in user space, or is refused. */
static void
ktls_fall_back(veil_tls_t *t, veil_ktls_reason_t reason)
{
    veil_conn_t *c = t->conn;
    int err = 0;

    if (t->ktls != NULL) {
        err = -t->ktls->err;
        t->ktls->reason = reason;
    }
    veil_ktls_stats.fallback[reason]++;
    if (t->server && !t->ctx->o.ktls_fallback) {
        veil_log(&c->log, VEIL_LOG_ERR, err,
                 "kTLS is required by \"ssl_ktls_fallback off\", but %s: "
                 "connection refused",
                 veil_ktls_reason_text(reason));
        (void) SSL_send_fatal_alert(t->ssl, SSL_AD_INTERNAL_ERROR);
        ERR_clear_error();
        veil_tls_flush(t);
        veil_tls_ended(t, -EPROTO);
        return;
    }
    veil_log(&c->log, VEIL_LOG_DEBUG, err, "kTLS is not used: %s",
             veil_ktls_reason_text(reason));
    veil_tls_open(t);
}

const char *
veil_tls_ktls_why_not(const veil_tls_t *t, bool tx)
{
    const veil_ktls_t *k = t->ktls;

    if (k == NULL || (tx ? t->ktls_tx : t->ktls_rx)) {
        return NULL;
    }
    if (!t->ktls_tx) {
        return veil_ktls_reason_text(k->reason);
    }
    return k->rx_reason != VEIL_KTLS_OK
               ? veil_ktls_reason_text(k->rx_reason)
               : "tickets of sessions are for the library to read";
}

void
veil_ktls_switch(veil_tls_t *t)
{
    veil_ktls_reason_t reason;

    if (t->conn->closing) {
        return;
    }
    if (t->err != 0) {
        veil_tls_ended(t, t->err);
        return;
    }
    reason = ktls_obstacle(t);
    if (reason == VEIL_KTLS_OK) {
        if (!t->ktls->flushed) {
            t->ktls->flushed = true;
            (void) SSL_write(t->ssl, "", 0); /* the tickets, see above */
            ERR_clear_error();
        }
        (void) veil_tls_send_now(t);
        if (t->sending != NULL || t->out != NULL) {
            veil_tls_flush(t);
            return; /* called again when it is sent */
        }
        reason = ktls_take_over(t);
    }
    veil_ktls_forget(t->ssl);
    t->exact = false;
    if (reason == VEIL_KTLS_OK) {
        veil_tls_open(t);
    } else {
        ktls_fall_back(t, reason);
    }
    veil_tls_receive(t);
}

/* -- what is not data */

/*
 * Sends an alert: true when the kernel took it, or never will; false: it has
 * no room, and ktls_said() will tell.
 */
static bool
ktls_say(veil_tls_t *t, uint8_t level, uint8_t what, veil_op_fn *done)
{
    veil_ktls_t *k = t->ktls;
    uint8_t type = VEIL_RECORD_ALERT;
    struct cmsghdr *cmsg;
    ssize_t n;

    t->said_close = true;
    k->said[0] = level;
    k->said[1] = what;
    k->iov.iov_base = k->said;
    k->iov.iov_len = sizeof(k->said);
    memset(&k->msg, 0, sizeof(k->msg));
    k->msg.msg_iov = &k->iov;
    k->msg.msg_iovlen = 1;
    k->msg.msg_control = &k->control;
    k->msg.msg_controllen = sizeof(k->control.bytes);
    cmsg = CMSG_FIRSTHDR(&k->msg);
    cmsg->cmsg_level = SOL_TLS;
    cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
    cmsg->cmsg_len = CMSG_LEN(sizeof(type));
    memcpy(CMSG_DATA(cmsg), &type, sizeof(type));
    n = sendmsg(t->conn->handle.fd, &k->msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n != -1 || errno != EAGAIN) {
        return true;
    }
    if (done != NULL) {
        t->own = veil_send_get(t->conn, done);
        veil_op_sendmsg(&t->own->op, &k->msg, 0);
    }
    return false;
}

/*
 * A record that is not to be decrypted is an error of the socket, which fails
 * what is sent as well; asking for the error takes it away.
 */
static void
ktls_clear_error(const veil_tls_t *t)
{
    int pending;
    socklen_t len = sizeof(pending);

    (void) getsockopt(t->conn->handle.fd, SOL_SOCKET, SO_ERROR, &pending,
                      &len);
}

/* The peer has gone beyond what we can follow: it is told, and not heard. */
static void
ktls_refuse(veil_tls_t *t, uint8_t alert, const char *why, int err)
{
    veil_log_t *log = &t->conn->log;

    veil_log(log, t->server ? VEIL_LOG_INFO : VEIL_LOG_ERR, -err,
             "%s while reading over TLS in the kernel", why);
    ktls_clear_error(t);
    if (!t->said_close && t->conn->send == NULL) {
        (void) ktls_say(t, SSL3_AL_FATAL, alert, NULL);
    }
    veil_tls_ended(t, -EPROTO);
}

static void
ktls_alert(veil_tls_t *t, const veil_buf_t *b)
{
    veil_ktls_t *k = t->ktls;
    const unsigned char *p;

    for (p = b->pos; p < b->end && t->state != VEIL_TLS_DEAD; p++) {
        k->alert[k->alert_have++] = *p;
        if (k->alert_have < sizeof(k->alert)) {
            continue;
        }
        k->alert_have = 0;
        if (k->alert[1] == SSL_AD_CLOSE_NOTIFY) {
            t->got_close = true;
            veil_tls_ended(t, 0);
        } else if (k->alert[1] != SSL_AD_USER_CANCELLED
                   && (k->alert[0] == SSL3_AL_FATAL
                       || SSL_version(t->ssl) == TLS1_3_VERSION))
        {
            veil_log(&t->conn->log, t->server ? VEIL_LOG_INFO : VEIL_LOG_ERR,
                     0, "peer sent alert %u over TLS in the kernel",
                     k->alert[1]);
            veil_tls_ended(t, -EPROTO);
        }
    }
}

/* A message begins; what follows of it is skipped. */
static void
ktls_message(veil_tls_t *t)
{
    veil_ktls_t *k = t->ktls;

    k->message_have = 0;
    k->message_left = (size_t) k->message[1] << 16
                      | (size_t) k->message[2] << 8 | k->message[3];
    if (SSL_version(t->ssl) == TLS1_3_VERSION) {
        if (k->message[0] == KTLS_KEY_UPDATE) {
            veil_log(&t->conn->log, VEIL_LOG_INFO, 0,
                     "peer changed its keys, which the kernel cannot: "
                     "connection is being closed");
            veil_tls_ended(t, 0);
            return;
        }
        if (!t->server && k->message[0] == KTLS_NEW_SESSION_TICKET) {
            return;
        }
    }
    ktls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "unexpected handshake message",
                0);
}

static void
ktls_handshake_record(veil_tls_t *t, const veil_buf_t *b)
{
    veil_ktls_t *k = t->ktls;
    const unsigned char *p = b->pos;
    size_t n;

    while (p < b->end && t->state != VEIL_TLS_DEAD) {
        if (k->message_left > 0) {
            n = veil_min_size(k->message_left, (size_t) (b->end - p));
            k->message_left -= n;
            p += n;
            continue;
        }
        k->message[k->message_have++] = *p++;
        if (k->message_have == sizeof(k->message)) {
            ktls_message(t);
        }
    }
}

static void
ktls_read_failed(veil_tls_t *t, int err)
{
    switch (-err) {
    case EBADMSG:
        ktls_refuse(t, SSL_AD_BAD_RECORD_MAC, "bad record", err);
        break;
    case EMSGSIZE:
        ktls_refuse(t, SSL_AD_RECORD_OVERFLOW, "too long a record", err);
        break;
    case EINVAL:
        ktls_refuse(t, SSL_AD_DECODE_ERROR, "no record", err);
        break;
    default:
        t->eof = true;
        veil_tls_ended(t, err);
        break;
    }
}

static void
ktls_record_received(veil_op_t *op)
{
    veil_conn_t *c = veil_container_of(op, veil_conn_t, recv);
    veil_tls_t *t = c->transport_data;
    uint8_t type;
    veil_buf_t b;

    VEIL_CHECK(t, VEIL_TLS);
    if (op->res > 0) {
        b = op->u.record.buf;
        type = op->u.record.type;
        if (type == VEIL_RECORD_DATA && t->state != VEIL_TLS_DEAD) {
            veil_conn_received(c, &b);
        } else {
            if (c->closing || t->state == VEIL_TLS_DEAD) {
                /* Nobody is there to be told. */
            } else if (type == VEIL_RECORD_ALERT) {
                ktls_alert(t, &b);
            } else if (type == VEIL_RECORD_HANDSHAKE) {
                ktls_handshake_record(t, &b);
            } else if (type != VEIL_RECORD_DATA) {
                ktls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE,
                            "unexpected type of record", 0);
            }
            veil_block_put(b.block);
        }
    } else if (t->state == VEIL_TLS_DEAD) {
        ktls_clear_error(t); /* the record after the one that was the end */
    } else if (!c->closing && op->res != -ECANCELED) {
        ktls_read_failed(t, op->res);
        return;
    }
    if (!op->more) {
        veil_tls_receive(t);
    }
}

void
veil_ktls_check(veil_tls_t *t)
{
    if (t->key_update && t->state != VEIL_TLS_DEAD) {
        veil_log(&t->conn->log, VEIL_LOG_INFO, 0,
                 "peer asked for new keys, which the kernel has not: "
                 "connection is being closed");
        veil_tls_ended(t, 0);
    }
}

/* -- the end */

static void
ktls_said(veil_op_t *op)
{
    veil_send_t *s = veil_container_of(op, veil_send_t, op);
    veil_conn_t *c = s->conn;
    veil_tls_t *t = c->transport_data;

    t->own = NULL;
    veil_send_put(s);
    if (c->closing) {
        if (!c->ended) {
            veil_tls_end(t);
        }
    } else if (t->shut) {
        (void) shutdown(c->handle.fd, SHUT_WR);
    }
}

/* True when close_notify has been said, or cannot be. */
static bool
ktls_say_close(veil_tls_t *t)
{
    if (t->said_close) {
        return t->own == NULL;
    }
    return ktls_say(t, SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY, ktls_said);
}

static void
ktls_close(veil_conn_t *c)
{
    veil_tls_t *t = c->transport_data;

    veil_post_cancel(&t->post);
    veil_op_cancel(&c->recv);
    if (c->reset || c->send != NULL) {
        veil_conn_end(c);
        return;
    }
    if (ktls_say_close(t)) {
        veil_tls_end(t);
        return;
    }
    veil_timer_set(c->handle.loop, &t->timer, VEIL_TLS_GOODBYE_MS);
}

static void
ktls_shutdown(veil_conn_t *c)
{
    veil_tls_t *t = c->transport_data;

    t->shut = true;
    if (ktls_say_close(t)) {
        (void) shutdown(c->handle.fd, SHUT_WR);
    }
}

const veil_transport_t veil_transport_ktls = {
    .name = "ktls",
    .start_reading = veil_tls_start_reading,
    .stop_reading = veil_tls_stop_reading,
    .write = veil_plain_write,
    .shutdown = ktls_shutdown,
    .close = ktls_close,
    .done = veil_tls_done,
    .can_sendfile = true,
    .can_splice = true,
};
