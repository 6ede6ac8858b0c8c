/*
 * link.c -- connecting: a name, its addresses in turn, TLS.
 *
 * Each address is an attempt with a connection and a pool of its own, as the
 * one that failed is still being closed while the next is tried.  The
 * connection's callbacks are ours for its whole life: the owner's are called
 * through them, as long as there is an owner, and its end is not his affair.
 *
 * What the library says about a failure goes to the log, as in the server.
 * Here the log is a text that is kept, and becomes a part of the message.
 */

#include "core/platform.h"

#include "core/conf.h"
#include "event/backend.h"
#include "fetch/link.h"
#include "fetch/output.h"

typedef struct veil_fetch_attempt_s link_attempt_t;

struct veil_fetch_attempt_s {
    veil_conn_t c;
    veil_pool_t *pool;
    veil_fetch_link_t *link; /* NULL: nobody waits for it any more */
    veil_pin_t pin;          /* of what is sent */
};

static void link_try(veil_fetch_link_t *link, int err);

/* --- the log --------------------------------------------------------------*/

static char link_text[1024];

/* Kept without the server's view of the world. */
static void
link_log_write(const veil_log_sink_t *sink VEIL_UNUSED,
               veil_log_level_t level VEIL_UNUSED, const char *line,
               size_t len)
{
    static const veil_str_t action =
        VEIL_STR_INIT(" while SSL handshaking to upstream");
    veil_str_t text = veil_fetch_log_text(line, len);

    if (veil_str_ends(text, action)) {
        text.len -= action.len;
    }
    (void) veil_str_copy_z(link_text, sizeof(link_text), text);
}

static const veil_log_sink_t link_sink = { .level = VEIL_LOG_ERR,
                                           .write = link_log_write };
static const veil_log_t link_log = { .level = VEIL_LOG_ERR,
                                     .sinks = &link_sink };

const char *
veil_fetch_link_complaint(void)
{
    return link_text;
}

/* --- the context ----------------------------------------------------------*/

static void
link_fill_options(veil_pool_t *pool, const veil_fetch_options_t *o,
                  veil_tls_options_t *t)
{
    veil_tls_cert_files_t *files;

    veil_tls_options_default(t, false);
    if (o->protocols != 0) {
        t->protocols = o->protocols;
    }
    if (o->ciphers.len != 0) {
        t->ciphers = o->ciphers;
    }
    t->verify = o->insecure ? VEIL_TLS_VERIFY_OFF : VEIL_TLS_VERIFY_ON;
    t->verify_depth = 10;
    t->trusted = o->cacert;
    t->alpn = &o->alpn;
    /* Without it nobody needs tickets, and the kernel may receive, too. */
    t->session_reuse = o->reconnect;
    t->ktls = o->ktls != VEIL_FETCH_KTLS_OFF;
    t->ktls_fallback = o->ktls != VEIL_FETCH_KTLS_ON;
    if (o->cert.len != 0) {
        t->certs = veil_array_create(pool, sizeof(*files), 1);
        files = veil_array_push(t->certs);
        files->cert = o->cert;
        files->key = o->key;
    }
}

veil_tls_ctx_t *
veil_fetch_link_ctx(veil_pool_t *pool, const veil_fetch_options_t *o)
{
    veil_conf_t cf = { .pool = pool, .log = &link_log };
    veil_tls_options_t t;
    veil_tls_ctx_t *ctx;

    cf.temp_pool = veil_pool_create("temp", 4096);
    link_fill_options(pool, o, &t);
    ctx = veil_tls_ctx_create(&cf, &t);
    veil_pool_destroy(&cf.temp_pool);
    if (ctx == NULL) {
        veil_fetch_say("TLS cannot be used: %s", link_text);
    }
    return ctx;
}

/* --- the connection's callbacks -------------------------------------------*/

static link_attempt_t *
link_attempt_of(veil_conn_t *c)
{
    return veil_container_of(c, link_attempt_t, c);
}

veil_fetch_link_t *
veil_fetch_link_of(veil_conn_t *c)
{
    return link_attempt_of(c)->link;
}

static void
link_on_data(veil_conn_t *c, veil_buf_t *b)
{
    link_attempt_of(c)->link->conn_ops->on_data(c, b);
}

static void
link_on_eof(veil_conn_t *c, int err)
{
    link_attempt_of(c)->link->conn_ops->on_eof(c, err);
}

static void
link_on_sent(veil_conn_t *c, ssize_t res)
{
    link_attempt_of(c)->link->conn_ops->on_sent(c, res);
}

static void
link_on_read_timeout(veil_conn_t *c)
{
    link_attempt_of(c)->link->conn_ops->on_read_timeout(c);
}

static void
link_on_write_timeout(veil_conn_t *c)
{
    link_attempt_of(c)->link->conn_ops->on_write_timeout(c);
}

static void
link_on_closed(veil_conn_t *c)
{
    link_attempt_t *a = link_attempt_of(c);
    veil_pool_t *pool = a->pool;

    VEIL_ASSERT(a->link == NULL);
    if (a->pin.pool != NULL) {
        veil_pool_unpin(&a->pin);
    }
    veil_pool_retire(&pool);
}

static const veil_conn_ops_t link_conn_ops = {
    .name = "fetch",
    .on_data = link_on_data,
    .on_eof = link_on_eof,
    .on_sent = link_on_sent,
    .on_read_timeout = link_on_read_timeout,
    .on_write_timeout = link_on_write_timeout,
    .on_closed = link_on_closed,
};

static void
link_abandon(veil_fetch_link_t *link)
{
    link_attempt_t *a = link->attempt;

    link->conn = NULL;
    link->attempt = NULL;
    veil_timer_cancel(&link->timer);
    if (a != NULL) {
        a->link = NULL;
        veil_conn_close(&a->c);
    }
}

/* --- TLS ------------------------------------------------------------------*/

static void
link_ready(veil_fetch_link_t *link)
{
    veil_timer_cancel(&link->timer);
    link->conn = &link->attempt->c;
    veil_conn_write_timeout(link->conn, link->o->timeout_ms);
    link->ops->ready(link);
}

/* What the library said, which takes every server for an upstream. */
static void
link_say_tls_failed(const veil_fetch_link_t *link, int err)
{
    static const veil_str_t upstream = VEIL_STR_INIT("upstream SSL ");
    veil_str_t text = veil_str_z(link_text);

    if (text.len == 0) {
        text = veil_str_z(strerror(-err));
    } else if (veil_str_starts(text, upstream)) {
        text = veil_str_from(text, upstream.len);
    }
    veil_fetch_say("TLS with %.*s failed: %.*s",
                   VEIL_STR_ARG(link->url.authority), VEIL_STR_ARG(text));
}

static void
link_tls_done(veil_conn_t *c, int rc)
{
    veil_fetch_link_t *link = veil_fetch_link_of(c);
    const char *why;

    if (rc != 0) {
        link_say_tls_failed(link, rc);
    } else if (link->o->ktls == VEIL_FETCH_KTLS_ON
               && !veil_tls_is_ktls_tx(veil_tls_of(c)))
    {
        why = veil_tls_ktls_why_not(veil_tls_of(c), true);
        veil_fetch_say("kTLS is required by --ktls on, but %s",
                       why != NULL ? why : "it is not used");
    } else {
        link_ready(link);
        return;
    }
    link->ops->failed(link, VEIL_FETCH_TLS);
}

static void
link_tls_timed_out(veil_timer_t *timer)
{
    veil_fetch_link_t *link =
        veil_container_of(timer, veil_fetch_link_t, timer);

    veil_fetch_say("timed out while TLS with %.*s was being set up",
                   VEIL_STR_ARG(link->url.authority));
    link->ops->failed(link, VEIL_FETCH_TIMEOUT);
}

static void
link_begin_tls(veil_fetch_link_t *link)
{
    const veil_fetch_options_t *o = link->o;
    const veil_fetch_url_t *url = &link->url;
    veil_tls_target_t target = { .verify = url->host };

    if (o->has_sni) {
        target.sni = o->sni;
        target.verify = o->sni.len != 0 ? o->sni : url->host;
    } else if (!url->is_address) {
        target.sni = url->host;
    }
    if (o->insecure) {
        target.verify = VEIL_STR_NULL;
    }
    target.session = veil_pool_printf(link->pool, "%.*s:%u",
                                      VEIL_STR_ARG(url->host), url->port);
    link_text[0] = '\0';
    if (o->timeout_ms != 0) {
        veil_timer_set(link->loop, &link->timer, o->timeout_ms);
    }
    veil_tls_connect(&link->attempt->c, link->ctx, &target, link_tls_done);
}

/* --- addresses ------------------------------------------------------------*/

static void
link_connected(veil_conn_t *c, int err)
{
    veil_fetch_link_t *link = veil_fetch_link_of(c);

    if (err != 0) {
        link->at++;
        link_try(link, err);
        return;
    }
    if (link->o->verbose) {
        char text[VEIL_ADDR_TEXT_MAX];
        size_t n = veil_addr_print(&c->peer, text, sizeof(text));

        veil_fetch_note("connected to %.*s", (int) n, text);
    }
    if (link->url.tls) {
        link_begin_tls(link);
    } else {
        link_ready(link);
    }
}

static void
link_say_failed(const veil_fetch_link_t *link, int err)
{
    char text[VEIL_ADDR_TEXT_MAX];
    size_t n =
        veil_addr_print(&link->addrs[link->naddrs - 1], text, sizeof(text));

    if (err == -ETIMEDOUT) {
        veil_fetch_say("timed out while connecting to %.*s", (int) n, text);
    } else {
        veil_fetch_say("cannot connect to %.*s: %s%s", (int) n, text,
                       strerror(-err),
                       link->naddrs > 1 ? " (and to none of its other "
                                          "addresses)"
                                        : "");
    }
}

/* The next address; err is how the one before it failed. */
static void
link_try(veil_fetch_link_t *link, int err)
{
    veil_connect_options_t options = { .timeout_ms = link->o->timeout_ms };
    veil_pool_t *pool;
    link_attempt_t *a;

    link_abandon(link);
    while (link->at < link->naddrs) {
        pool = veil_pool_create("attempt", 2048);
        a = VEIL_POOL_NEW(pool, link_attempt_t);
        a->pool = pool;
        a->link = link;
        options.addr = link->addrs[link->at];
        err = veil_conn_connect(&a->c, link->loop, pool, &options,
                                link_connected, &link_conn_ops, &link_log);
        if (err == 0) {
            link->attempt = a;
            return;
        }
        veil_pool_destroy(&pool);
        link->at++;
    }
    link_say_failed(link, err);
    link->ops->failed(link, err == -ETIMEDOUT ? VEIL_FETCH_TIMEOUT
                                              : VEIL_FETCH_CONNECT);
}

static void
link_set_addrs(veil_fetch_link_t *link, const veil_addr_t *addrs, unsigned n,
               uint16_t port)
{
    unsigned i;

    VEIL_ASSERT(n > 0);
    link->addrs = veil_pool_alloc(link->pool, n * sizeof(*addrs));
    for (i = 0; i < n; i++) {
        link->addrs[i] = addrs[i];
        if (addrs[i].family != AF_UNIX) {
            link->addrs[i].port = port;
        }
    }
    link->naddrs = n;
    link->at = 0;
}

static uint16_t
link_port(const veil_fetch_link_t *link)
{
    return link->o->has_connect ? link->o->connect.port : link->url.port;
}

static void
link_resolved(veil_resolve_t *q)
{
    veil_fetch_link_t *link = veil_container_of(q, veil_fetch_link_t, query);

    if (q->err != 0) {
        veil_fetch_say("cannot find the address of \"%.*s\": %s",
                       VEIL_STR_ARG(q->name), veil_resolve_strerror(q->err));
        link->ops->failed(link, q->err == VEIL_RESOLVE_TIMEOUT
                                    ? VEIL_FETCH_TIMEOUT
                                    : VEIL_FETCH_CONNECT);
        return;
    }
    link_set_addrs(link, q->addrs, q->naddrs, link_port(link));
    link_try(link, 0);
}

/* Where to: a path, or a name, which may be an address. */
static void
link_find(veil_fetch_link_t *link)
{
    const veil_fetch_options_t *o = link->o;
    veil_resolver_options_t options = { .timeout_ms = o->timeout_ms,
                                        .ipv4 = true,
                                        .ipv6 = true };

    link->query.name = o->has_connect && !o->connect.is_unix ? o->connect.host
                                                             : link->url.host;
    link->query.pool = link->pool;
    link->query.log = &link_log;
    link->query.done = link_resolved;
    veil_resolve(veil_resolver_get(link->loop, &options), &link->query);
}

/* --- a link ---------------------------------------------------------------*/

static void
link_start_unix(veil_timer_t *timer)
{
    veil_fetch_link_t *link =
        veil_container_of(timer, veil_fetch_link_t, timer);
    veil_addr_t addr = { .family = AF_UNIX };

    addr.u.path = veil_pool_strz(link->pool, link->o->connect.path);
    link_set_addrs(link, &addr, 1, 0);
    veil_timer_init(&link->timer, link_tls_timed_out);
    link_try(link, 0);
}

veil_fetch_link_t *
veil_fetch_link_open(veil_loop_t *loop, const veil_fetch_options_t *o,
                     veil_tls_ctx_t *ctx, const veil_fetch_url_t *url,
                     const veil_fetch_link_ops_t *ops,
                     const veil_conn_ops_t *conn_ops, void *owner)
{
    veil_pool_t *pool = veil_pool_create("link", 2048);
    veil_fetch_link_t *link = VEIL_POOL_NEW(pool, veil_fetch_link_t);

    link->pool = pool;
    link->loop = loop;
    link->o = o;
    link->ctx = ctx;
    link->url = *url;
    link->ops = ops;
    link->conn_ops = conn_ops;
    link->owner = owner;
    if (o->has_connect && o->connect.is_unix) {
        /* From the loop, as with a name. */
        veil_timer_init(&link->timer, link_start_unix);
        veil_timer_set(loop, &link->timer, 0);
    } else {
        veil_timer_init(&link->timer, link_tls_timed_out);
        link_find(link);
    }
    return link;
}

void
veil_fetch_link_close(veil_fetch_link_t *link)
{
    veil_pool_t *pool = link->pool;

    veil_resolve_cancel(&link->query);
    link_abandon(link);
    veil_pool_retire(&pool);
}

void
veil_fetch_link_hold(veil_fetch_link_t *link, veil_pool_t *pool)
{
    link_attempt_t *a = link->attempt;

    if (a->pin.pool != NULL) {
        veil_pool_unpin(&a->pin);
    }
    veil_pool_pin(pool, &a->pin, "request");
}

size_t
veil_fetch_link_describe(const veil_fetch_link_t *link, char *buf, size_t n)
{
    const veil_tls_t *t = veil_tls_of(link->conn);

    if (t == NULL) {
        return veil_snprintf(buf, n, "plain");
    }
    return veil_snprintf(buf, n, "%s, %s%s", veil_tls_version(t),
                         veil_tls_cipher(t),
                         veil_tls_is_resumed(t) ? ", resumed" : "");
}

/* Why the kernel has not all of it. */
static const char *
link_ktls_reason(const veil_fetch_link_t *link)
{
    const veil_tls_t *t = veil_tls_of(link->conn);
    const char *why = veil_tls_ktls_why_not(t, !veil_tls_is_ktls_tx(t));

    if (link->o->ktls == VEIL_FETCH_KTLS_OFF) {
        return "switched off";
    }
    return why != NULL ? why : "not asked for";
}

size_t
veil_fetch_link_path(const veil_fetch_link_t *link, char *buf, size_t n)
{
    const char *loop = link->loop->backend->name;
    const veil_tls_t *t = veil_tls_of(link->conn);

    if (t == NULL) {
        return veil_snprintf(buf, n, "plain TCP + %s", loop);
    }
    if (veil_tls_is_ktls_tx(t) && veil_tls_is_ktls_rx(t)) {
        return veil_snprintf(buf, n, "kTLS (kernel TLS) + %s", loop);
    }
    if (veil_tls_is_ktls_tx(t)) {
        return veil_snprintf(buf, n,
                             "kTLS (kernel TLS) for sending, user-space TLS "
                             "for receiving + %s (kTLS: %s)",
                             loop, link_ktls_reason(link));
    }
    return veil_snprintf(buf, n, "user-space TLS + %s (kTLS: %s)", loop,
                         link_ktls_reason(link));
}
