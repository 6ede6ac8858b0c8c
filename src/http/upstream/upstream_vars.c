/*
 * upstream_vars.c -- $upstream_...: what became of the attempts.
 *
 * Each attempt is one record; texts list them in order, ", " between attempts
 * of one exchange and " : " where another exchange began (after an internal
 * redirect), as in nginx.
 */

#include "http/upstream/upstream_impl.h"

/* One attempt's part; returns the length. */
typedef size_t upstream_vars_print_fn(const veil_upstream_state_t *s,
                                      char *buf, size_t n);

static size_t
upstream_vars_ms(int64_t ms, char *buf, size_t n)
{
    if (ms < 0) {
        return veil_snprintf(buf, n, "-");
    }
    return veil_snprintf(buf, n, "%lld.%03d", (long long) (ms / 1000),
                         (int) (ms % 1000));
}

static size_t
upstream_vars_addr(const veil_upstream_state_t *s, char *buf, size_t n)
{
    return veil_snprintf(buf, n, "%.*s", VEIL_STR_ARG(s->peer));
}

static size_t
upstream_vars_status(const veil_upstream_state_t *s, char *buf, size_t n)
{
    return s->status == 0 ? veil_snprintf(buf, n, "-")
                          : veil_snprintf(buf, n, "%d", s->status);
}

static size_t
upstream_vars_connect(const veil_upstream_state_t *s, char *buf, size_t n)
{
    return upstream_vars_ms(s->connect_ms, buf, n);
}

static size_t
upstream_vars_header(const veil_upstream_state_t *s, char *buf, size_t n)
{
    return upstream_vars_ms(s->header_ms, buf, n);
}

static size_t
upstream_vars_time(const veil_upstream_state_t *s, char *buf, size_t n)
{
    return upstream_vars_ms(s->response_ms, buf, n);
}

static size_t
upstream_vars_length(const veil_upstream_state_t *s, char *buf, size_t n)
{
    return veil_snprintf(buf, n, "%lld", (long long) s->response_length);
}

static size_t
upstream_vars_received(const veil_upstream_state_t *s, char *buf, size_t n)
{
    return veil_snprintf(buf, n, "%llu",
                         (unsigned long long) s->bytes_received);
}

static size_t
upstream_vars_sent(const veil_upstream_state_t *s, char *buf, size_t n)
{
    return veil_snprintf(buf, n, "%llu", (unsigned long long) s->bytes_sent);
}

/* The printers by number, as a definition's data is no function. */
static upstream_vars_print_fn *const upstream_vars_printers[] = {
    upstream_vars_addr,     upstream_vars_status, upstream_vars_connect,
    upstream_vars_header,   upstream_vars_time,   upstream_vars_length,
    upstream_vars_received, upstream_vars_sent,
};

#define UPSTREAM_VARS_PART (VEIL_ADDR_TEXT_MAX + 128)

static bool
upstream_vars_list(veil_http_request_t *r, const veil_http_variable_t *v,
                   veil_str_t *out)
{
    upstream_vars_print_fn *print = *(upstream_vars_print_fn *const *) v->data;
    const veil_array_t *states = r->upstream_states;
    const veil_upstream_state_t *s;
    char *text, *p;
    unsigned i;

    if (states == NULL || states->n == 0) {
        return false;
    }
    if (r->exchange != NULL && r->exchange->priv != NULL) {
        veil_exchange_times_now(r->exchange);
    }
    text = veil_pool_chars(r->pool, states->n * UPSTREAM_VARS_PART);
    p = text;
    for (i = 0; i < states->n; i++) {
        s = veil_array_at(states, veil_upstream_state_t, i);
        if (i != 0) {
            p = veil_fmt_str(p, s->first ? VEIL_STR(" : ") : VEIL_STR(", "));
        }
        p += print(s, p, UPSTREAM_VARS_PART - 4);
    }
    *out = veil_str_n(text, (size_t) (p - text));
    return true;
}

/* All of that name, joined; fields that were kept back are there, too. */
static bool
upstream_vars_field(veil_http_request_t *r, const veil_http_headers_t *hs,
                    veil_str_t suffix, veil_str_t *out)
{
    return veil_http_var_field(r, hs, suffix, ", ", true, out);
}

static bool
upstream_vars_http(veil_http_request_t *r, const veil_http_variable_t *v,
                   veil_str_t *out)
{
    return r->exchange != NULL
           && upstream_vars_field(r, &r->exchange->headers, v->suffix, out);
}

static bool
upstream_vars_trailer(veil_http_request_t *r, const veil_http_variable_t *v,
                      veil_str_t *out)
{
    return r->exchange != NULL && r->exchange->priv != NULL
           && r->exchange->priv->trailers != NULL
           && upstream_vars_field(r, r->exchange->priv->trailers, v->suffix,
                                  out);
}

static bool
upstream_vars_cookie(veil_http_request_t *r, const veil_http_variable_t *v,
                     veil_str_t *out)
{
    const veil_http_headers_t *hs;
    veil_str_t rest, pair;
    ptrdiff_t equals;
    unsigned i;

    if (r->exchange == NULL) {
        return false;
    }
    hs = &r->exchange->headers;
    for (i = 0; i < hs->n; i++) {
        if (hs->list[i].id != VEIL_HEADER_SET_COOKIE) {
            continue;
        }
        rest = hs->list[i].value;
        pair = veil_str_cut(&rest, ';');
        equals = veil_str_chr(pair, '=');
        if (equals > 0
            && veil_str_caseeq(
                veil_str_trim(veil_str_n(pair.data, (size_t) equals)),
                v->suffix))
        {
            *out = veil_str_trim(veil_str_from(pair, (size_t) equals + 1));
            return true;
        }
    }
    return false;
}

#define UPSTREAM_VARS_LIST(n, i)                                              \
    {                                                                         \
        .name = n, .get = upstream_vars_list,                                 \
        .data = &upstream_vars_printers[i], .flags = VEIL_HTTP_VAR_VOLATILE   \
    }

const veil_http_var_def_t veil_upstream_variables[] = {
    UPSTREAM_VARS_LIST("upstream_addr", 0),
    UPSTREAM_VARS_LIST("upstream_status", 1),
    UPSTREAM_VARS_LIST("upstream_connect_time", 2),
    UPSTREAM_VARS_LIST("upstream_header_time", 3),
    UPSTREAM_VARS_LIST("upstream_response_time", 4),
    UPSTREAM_VARS_LIST("upstream_response_length", 5),
    UPSTREAM_VARS_LIST("upstream_bytes_received", 6),
    UPSTREAM_VARS_LIST("upstream_bytes_sent", 7),
    { .name = "upstream_http_",
      .get = upstream_vars_http,
      .flags = VEIL_HTTP_VAR_PREFIX | VEIL_HTTP_VAR_VOLATILE },
    { .name = "upstream_trailer_",
      .get = upstream_vars_trailer,
      .flags = VEIL_HTTP_VAR_PREFIX | VEIL_HTTP_VAR_VOLATILE },
    { .name = "upstream_cookie_",
      .get = upstream_vars_cookie,
      .flags = VEIL_HTTP_VAR_PREFIX | VEIL_HTTP_VAR_VOLATILE },
    { .name = NULL },
};
