/*
 * grpc_reply.c -- what clients of gRPC get when something goes wrong.
 *
 * Before the head of the response has gone: a header filter makes a response
 * of trailers only (HTTP's 200, grpc-status, grpc-message) of our own page
 * for an error.  An operator's error_page is left alone, and so is what the
 * server says.  It comes before add_header and the like, so that these hold
 * for the response that is sent.
 *
 * Afterwards: the body that goes to the client is watched.  If that of the
 * upstream fails, because it was reset, cut or is past its deadline, the
 * watched one ends as if all were well, but with trailers that tell what
 * happened, as the server's would.  A client that does not read trailers, or
 * was promised a length, must see a body that breaks off.
 */

#include "modules/proxy/grpc.h"

#include "core/cycle.h"
#include "http/grpc_status.h"

static grpc_ctx_t *
grpc_reply_ctx(const veil_http_request_t *r)
{
    return veil_http_ctx(r, &veil_http_grpc_module);
}

static veil_str_t
grpc_reply_type(const veil_http_request_t *r)
{
    return veil_http_headers_value(&r->in.headers, VEIL_HEADER_CONTENT_TYPE);
}

static bool
grpc_reply_is_grpc(const veil_http_request_t *r)
{
    return veil_grpc_is_type(grpc_reply_type(r), NULL);
}

bool
veil_grpc_can_tell(const veil_http_request_t *r)
{
    return grpc_reply_is_grpc(r)
           && (r->proto->frames
               || (veil_http_takes_trailers(r)
                   && veil_grpc_wants_trailers(r)));
}

static void
grpc_reply_fields(veil_http_request_t *r, veil_http_headers_t *hs,
                  veil_grpc_status_t status, veil_str_t message)
{
    veil_http_headers_set(hs, VEIL_STR("grpc-status"),
                          veil_pool_printf(r->pool, "%d", (int) status));
    veil_http_headers_set(hs, VEIL_STR("grpc-message"),
                          veil_grpc_message(r->pool, message));
}

/* --- before the head -------------------------------------------------------
 */

static void
grpc_reply_error(veil_http_request_t *r)
{
    const grpc_ctx_t *ctx = grpc_reply_ctx(r);
    veil_grpc_status_t status = veil_grpc_status_of(r->out.status);
    veil_str_t message = veil_http_status_reason(r->out.status);

    if (ctx != NULL && ctx->expired) {
        status = VEIL_GRPC_DEADLINE_EXCEEDED;
        message = VEIL_STR("Deadline Exceeded");
    } else if (ctx != NULL && ctx->proxy.x.reset != 0) {
        status = veil_grpc_status_of_reset(ctx->proxy.x.reset - 1);
    }
    if (r->out.body != NULL) {
        veil_http_body_abort(r->out.body);
        r->out.body = NULL;
    }
    r->out.status = 200;
    r->out.reason = VEIL_STR_NULL;
    r->out.content_type = VEIL_STR("application/grpc");
    r->out.charset = VEIL_STR_NULL;
    r->out.content_length = 0;
    grpc_reply_fields(r, &r->out.headers, status, message);
}

veil_rc_t
veil_grpc_error_filter(veil_http_request_t *r, const veil_http_filter_t *next)
{
    const grpc_conf_t *conf = veil_http_loc_conf(r, &veil_http_grpc_module);

    if (conf->proxy.target != NULL && r->out.own_error && r->out.status >= 400
        && grpc_reply_is_grpc(r))
    {
        grpc_reply_error(r);
    }
    if (conf->proxy.target != NULL && r->out.body == NULL && r->proto->frames)
    {
        r->out.content_length = -1; /* trailers only say nothing of it */
    }
    return veil_http_next_header(r, next);
}

/* --- afterwards ------------------------------------------------------------
 */

static grpc_ctx_t *
grpc_body_ctx(veil_http_body_t *b)
{
    return veil_container_of(b, grpc_ctx_t, body.body);
}

static void
grpc_body_explain(grpc_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->proxy.r;
    grpc_body_t *b = &ctx->body;
    veil_grpc_status_t status = VEIL_GRPC_UNAVAILABLE;
    veil_str_t message = VEIL_STR("the response broke off");

    if (ctx->expired) {
        status = VEIL_GRPC_DEADLINE_EXCEEDED;
        message = VEIL_STR("Deadline Exceeded");
    } else if (ctx->proxy.x.reset != 0) {
        status = veil_grpc_status_of_reset(ctx->proxy.x.reset - 1);
        message = VEIL_STR("the server reset the call");
    }
    veil_http_headers_init(&b->trailers, r->pool, 2);
    grpc_reply_fields(r, &b->trailers, status, message);
    b->body.trailers = &b->trailers;
    b->failed = true;
}

static veil_body_rc_t
grpc_body_pull(veil_http_body_t *body, veil_slice_t *v, unsigned *n,
               size_t max)
{
    grpc_ctx_t *ctx = grpc_body_ctx(body);
    grpc_body_t *b = &ctx->body;
    veil_body_rc_t rc;

    if (b->failed) {
        *n = 0;
        return VEIL_BODY_END;
    }
    rc = veil_http_body_pull(b->below, v, n, max);
    if (rc == VEIL_BODY_END) {
        b->body.trailers = b->below->trailers;
        veil_timer_cancel(&ctx->deadline);
    } else if (rc == VEIL_BODY_FAILED) {
        veil_timer_cancel(&ctx->deadline);
        b->body.error = b->below->error;
        if (b->body.length < 0 && veil_grpc_can_tell(ctx->proxy.r)) {
            grpc_body_explain(ctx);
            *n = 0;
            return VEIL_BODY_END;
        }
    }
    return rc;
}

static void
grpc_body_consume(veil_http_body_t *body, size_t bytes)
{
    veil_http_body_consume(grpc_body_ctx(body)->body.below, bytes);
}

static void
grpc_body_abort(veil_http_body_t *body)
{
    grpc_ctx_t *ctx = grpc_body_ctx(body);

    veil_timer_cancel(&ctx->deadline);
    veil_http_body_abort(ctx->body.below);
}

static void
grpc_body_ready(void *reader)
{
    grpc_body_t *b = reader;

    veil_http_body_is_ready(&b->body);
}

static const veil_http_body_ops_t grpc_body_ops = {
    .name = "grpc response",
    .pull = grpc_body_pull,
    .consume = grpc_body_consume,
    .abort = grpc_body_abort,
};

void
veil_grpc_watch(grpc_ctx_t *ctx)
{
    veil_http_out_t *out = &ctx->proxy.r->out;
    grpc_body_t *b = &ctx->body;

    b->below = out->body;
    b->body.ops = &grpc_body_ops;
    b->body.below = b->below;
    b->body.length = b->below->length;
    b->body.window = b->below->window;
    b->body.in_memory = b->below->in_memory;
    veil_http_body_set_reader(b->below, grpc_body_ready, b);
    out->body = &b->body;
}

/* --- what was sent ---------------------------------------------------------
 */

static veil_str_t
grpc_reply_find(const veil_http_headers_t *hs)
{
    const veil_http_header_t *h =
        veil_http_headers_find(hs, VEIL_STR("grpc-status"), NULL);

    return h == NULL ? VEIL_STR_NULL : h->value;
}

veil_str_t
veil_grpc_sent_status(const veil_http_request_t *r)
{
    veil_str_t status = grpc_reply_find(&r->out.headers);
    const veil_http_body_t *body;

    /* A filter may have made something else of the trailers (gRPC-Web). */
    for (body = r->out.body; status.len == 0 && body != NULL;
         body = body->below) {
        if (body->trailers != NULL) {
            status = grpc_reply_find(body->trailers);
        }
    }
    return status;
}
