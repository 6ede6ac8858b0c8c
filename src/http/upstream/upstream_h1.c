/*
 * upstream_h1.c -- reads the head of an HTTP/1 response.
 *
 * The usual head comes in one block: its end is found there, and the bytes
 * are copied once, to the pool, where they are parsed and stay.  A head in
 * pieces is collected in a buffer of proxy_buffer_size, which is also the
 * limit for one that is whole.
 *
 * Parsing is as strict as for requests, because whoever sits behind us must
 * see the same end of the body as we do; only line ends are not: a lone line
 * feed ends a line, as some old servers send them.
 *
 * What is between the two servers stays there: fields for this connection
 * only (RFC 9110, 7.6.1), those Connection names among them, are left out of
 * x->headers, but for Upgrade with a 101.
 */

#include "http/upstream/upstream_impl.h"

static void
upstream_h1_bad_head(veil_exchange_t *x, veil_http_parse_t e)
{
    const char *before = x->log->action;

    x->log->action = "while reading response header from upstream";
    veil_log(x->log, VEIL_LOG_ERR, 0, "upstream sent %s",
             veil_http_parse_reason(e));
    x->log->action = before;
    veil_exchange_failed(x, VEIL_NEXT_INVALID_HEADER, 502);
}

/* --- fields ---------------------------------------------------------------
 */

static bool
upstream_h1_next_token(veil_str_t *rest, veil_str_t *token)
{
    while (rest->len != 0) {
        *token = veil_str_trim(veil_str_cut(rest, ','));
        if (token->len != 0) {
            return true;
        }
    }
    return false;
}

/* Connection: keep-alive, close, and names of fields that go no further. */
static void
upstream_h1_connection(veil_exchange_t *x, veil_str_t value, bool *close,
                       bool *keepalive)
{
    veil_str_t token;

    while (upstream_h1_next_token(&value, &token)) {
        if (veil_str_caseeq(token, VEIL_STR("close"))) {
            *close = true;
        } else if (veil_str_caseeq(token, VEIL_STR("keep-alive"))) {
            *keepalive = true;
        } else if (!veil_str_caseeq(token, VEIL_STR("upgrade"))) {
            veil_http_headers_remove(&x->headers, token);
        }
    }
}

bool
veil_exchange_field_stays(const veil_exchange_t *x, unsigned id)
{
    switch (id) {
    case VEIL_HEADER_CONNECTION:
    case VEIL_HEADER_TRANSFER_ENCODING:
    case VEIL_HEADER_CONTENT_LENGTH:
        return true;
    case VEIL_HEADER_UPGRADE:
        return x->status != 101;
    case VEIL_HEADER_PROXY_AUTHENTICATE:
        return false; /* for the client that asked to be proxied */
    default:
        return veil_http_header_is_hop(id);
    }
}

static veil_http_parse_t
upstream_h1_fields(veil_exchange_t *x, const char *text, size_t n,
                   veil_http_framing_t *framing)
{
    veil_str_t connection[4];
    unsigned i, nconnection = 0;
    bool close = false, keepalive = false;
    veil_http_fields_t it;
    veil_http_field_t f;
    veil_http_parse_t e;

    veil_http_headers_init(&x->headers, x->pool, 12);
    veil_http_framing_init(framing);
    veil_http_fields_init(&it, text, n, VEIL_HTTP_ALLOW_LF);

    while ((e = veil_http_fields_next(&it, &f)) == VEIL_PARSE_OK) {
        e = veil_http_framing_add(framing, &f);
        if (e != VEIL_PARSE_OK) {
            return e;
        }
        if (f.flags & VEIL_FIELD_NOT_TOKEN) {
            continue;
        }
        if (f.id == VEIL_HEADER_CONNECTION
            && nconnection < veil_countof(connection)) {
            connection[nconnection++] = f.value;
        }
        if (f.id != 0 && veil_exchange_field_stays(x, f.id)) {
            continue;
        }
        veil_http_headers_add_id(&x->headers, f.id, f.name, f.value);
    }
    if (e != VEIL_PARSE_END) {
        return e;
    }
    for (i = 0; i < nconnection; i++) {
        upstream_h1_connection(x, connection[i], &close, &keepalive);
    }
    x->priv->keepalive = x->version >= 11 ? !close : keepalive && !close;
    return VEIL_PARSE_OK;
}

/* --- the head as a whole --------------------------------------------------
 */

/* text lives in the pool; true: it was a last head, and good. */
static bool
upstream_h1_parse(veil_exchange_t *x, const char *text, size_t n)
{
    veil_exchange_private_t *p = x->priv;
    veil_http_status_line_t line;
    veil_http_framing_t framing;
    veil_http_parse_t e;

    e = veil_http_status_line_parse(text, n, VEIL_HTTP_ALLOW_LF, &line);
    if (e != VEIL_PARSE_OK) {
        upstream_h1_bad_head(x, e);
        return false;
    }
    x->status = line.status;
    x->reason = line.reason;
    x->version = line.version;
    e = upstream_h1_fields(x, text + line.len, n - line.len, &framing);
    if (e == VEIL_PARSE_OK) {
        e = veil_http_framing_response(&framing, x->version, x->status,
                                       x->head_method ? VEIL_HEAD : VEIL_GET);
    }
    if (e != VEIL_PARSE_OK) {
        upstream_h1_bad_head(x, e);
        return false;
    }
    p->keepalive &= !framing.close;
    return veil_exchange_take_head(x, &framing);
}

/* --- bytes ----------------------------------------------------------------
 */

static void
upstream_h1_too_big(veil_exchange_t *x)
{
    veil_exchange_log(x, VEIL_LOG_ERR, 0, "upstream sent too big header",
                      "while reading response header from upstream");
    veil_exchange_failed(x, VEIL_NEXT_INVALID_HEADER, 502);
}

/* Appends to the collected head what of b may belong to it. */
static void
upstream_h1_collect(veil_exchange_t *x, veil_buf_t *b, size_t n)
{
    veil_exchange_private_t *p = x->priv;

    if (p->head == NULL) {
        p->head_cap = (size_t) x->conf->header_buffer_size;
        p->head = veil_pool_chars(x->pool, p->head_cap);
    }
    memcpy(p->head + p->head_len, b->pos, n);
    p->head_len += n;
    b->pos += n;
}

/*
 * A complete head in the pool, or an empty string: more is needed, or it is
 * too big (then the attempt has failed).
 */
static veil_str_t
upstream_h1_cut_head(veil_exchange_t *x, veil_buf_t *b)
{
    veil_exchange_private_t *p = x->priv;
    size_t limit = (size_t) x->conf->header_buffer_size;
    size_t have = veil_buf_len(b), n, before = p->head_len;
    char *text;

    if (before == 0) {
        n = veil_http_head_find_end((const char *) b->pos, have, &p->scanned);
        if (n != 0 && n <= limit) {
            text = veil_pool_chars(x->pool, n);
            memcpy(text, b->pos, n);
            b->pos += n;
            p->scanned = 0;
            return veil_str_n(text, n);
        }
        if (n != 0 || have >= limit) {
            upstream_h1_too_big(x);
            return VEIL_STR_NULL;
        }
        upstream_h1_collect(x, b, have);
        return VEIL_STR_NULL;
    }

    have = veil_min_size(have, limit - before);
    upstream_h1_collect(x, b, have);
    n = veil_http_head_find_end(p->head, p->head_len, &p->scanned);
    if (n == 0) {
        if (p->head_len == limit) {
            upstream_h1_too_big(x);
        }
        return VEIL_STR_NULL;
    }
    b->pos -= p->head_len - n; /* what follows the head stays in the block */
    p->head_len = 0;
    p->scanned = 0;
    text = p->head;
    p->head = NULL; /* the views of it stay; another head gets its own */
    return veil_str_n(text, n);
}

void
veil_exchange_head_data(veil_exchange_t *x, veil_buf_t *b)
{
    veil_exchange_private_t *p = x->priv;
    const veil_upstream_conn_t *uc = p->uc; /* a retry may have another */
    veil_str_t head;

    /* Several interim responses may come in one block. */
    while (p->state == VEIL_X_HEAD && b->pos < b->end) {
        head = upstream_h1_cut_head(x, b);
        if (head.len == 0) {
            if (p->state != VEIL_X_HEAD || p->uc != uc) {
                b->pos = b->end; /* of a connection given up */
            }
            return;
        }
        p->reused = false; /* whatever it did say */
        if (!upstream_h1_parse(x, head.data, head.len)) {
            if (p->state != VEIL_X_HEAD || p->uc != uc) {
                b->pos = b->end;
                return;
            }
            continue;
        }
        if (p->state == VEIL_X_TUNNEL) {
            veil_exchange_tunnel_begin(x);
            veil_exchange_tunnel_data(x, b);
        } else {
            veil_exchange_body_data(x, b);
        }
        veil_exchange_head_done(x);
        return;
    }
}
