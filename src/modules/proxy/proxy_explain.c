/*
 * proxy_explain.c -- what a request that is explained would send to its
 * upstream: everything is done but the sending.
 *
 * The head is made as ever, so it is the one that would be sent, but for the
 * length of a body that is not there.  The answer is taken to be a bare 200,
 * so that what is added to it can be seen.
 */

#include "http/explain.h"
#include "http/upstream/upstream_peer.h"
#include "modules/proxy/proxy.h"

static void
proxy_explain_servers(const veil_upstream_group_t *g)
{
    const veil_upstream_server_t *s;
    char text[512];
    size_t len = 0;
    unsigned i;

    text[0] = '\0';
    for (i = 0; i < g->servers.n && i < 8; i++) {
        s = *veil_array_at(&g->servers, veil_upstream_server_t *, i);
        len += veil_snprintf(text + len, sizeof(text) - len, "%s%.*s",
                             i == 0 ? "" : ", ", VEIL_STR_ARG(s->name));
    }
    if (g->servers.n != 0) {
        veil_http_explain_target_add("servers", veil_str_n(text, len));
    }
}

/* The head with lines that end as lines of text do. */
static veil_str_t
proxy_explain_head(proxy_ctx_t *ctx)
{
    char *text = veil_pool_chars(ctx->r->pool, ctx->x.head.len);
    size_t i, n = 0;

    for (i = 0; i < ctx->x.head.len; i++) {
        if (ctx->x.head.data[i] != '\r') {
            text[n++] = ctx->x.head.data[i];
        }
    }
    while (n != 0 && text[n - 1] == '\n') {
        n--;
    }
    return veil_str_n(text, n);
}

veil_http_rc_t
veil_proxy_explain(proxy_ctx_t *ctx)
{
    const proxy_target_t *t = &ctx->target;

    veil_proxy_make_head(ctx);
    if (ctx->x.make_head != NULL) {
        ctx->x.make_head(&ctx->x); /* another wire: as if it were HTTP/1 */
    }
    veil_http_explain_target("proxy");
    veil_http_explain_target_add("by", veil_str_z(ctx->kind->pass));
    veil_http_explain_target_add("upstream", t->name);
    proxy_explain_servers(t->group);
    veil_http_explain_target_add("tls",
                                 t->https ? VEIL_STR("yes") : VEIL_STR("no"));
    veil_http_explain_target_add("uri", ctx->x.uri);
    veil_http_explain_target_add("head", proxy_explain_head(ctx));
    veil_http_explain_note(ctx->kind->pass, t->node,
                           "\"%.*s\" goes to \"%.*s\"",
                           VEIL_STR_ARG(ctx->x.uri), VEIL_STR_ARG(t->name));
    veil_http_explain_unknown(
        "the status and most fields of the response are the upstream's: shown "
        "is what is added to a bare 200");
    if (ctx->r->in.has_body) {
        veil_http_explain_unknown(
            "the request's body would be sent behind the head");
    }
    ctx->r->out.content_length = -1;
    ctx->r->out.status = 200;
    return VEIL_HTTP_REPLY;
}
