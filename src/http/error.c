/*
 * error.c -- error and redirect responses: error_page first, else a page made
 * here.
 *
 * error_page may lead to a URI (an internal redirect, the method becoming
 * GET), to a named location (the request as it is), or to a URL elsewhere.
 * While one is being answered another error does not start the search again
 * unless recursive_error_pages is on: the built-in page ends every loop.
 */

#include "core/platform.h"

#include "core/version.h"
#include "http/explain.h"
#include "http/http.h"
#include "http/rejects.h"

/* --- the built-in page
 * ------------------------------------------------------- */

/* After these nobody knows what the rest of the connection means. */
static bool
error_ends_connection(int status)
{
    switch (status) {
    case 400:
    case 408:
    case 413:
    case 414:
    case 431:
    case 500:
    case 501:
    case 505:
        return true;
    default:
        return false;
    }
}

/* nginx's own statuses, for error_page; clients get a 400. */
static veil_str_t
error_tls_reason(int status)
{
    switch (status) {
    case 495:
        return VEIL_STR("The SSL certificate error");
    case 496:
        return VEIL_STR("No required SSL certificate was sent");
    case 497:
        return VEIL_STR("The plain HTTP request was sent to HTTPS port");
    default:
        return VEIL_STR_NULL;
    }
}

static veil_str_t
error_page_reason(int status)
{
    /* The page says "Found" where nginx's status line says otherwise. */
    return status == 302 ? VEIL_STR("Found") : veil_http_status_reason(status);
}

static veil_str_t
error_page_text(veil_http_request_t *r, int status, veil_str_t why)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    veil_str_t reason = why.len != 0 ? why : error_page_reason(status);
    const char *version =
        conf->server_tokens == VEIL_TOKENS_OFF ? "" : "/" VEIL_VERSION;

    return veil_pool_printf(
        r->pool,
        "<!doctype html>\n<html lang=\"en\">\n"
        "<head><title>%d %.*s</title></head>\n"
        "<body>\n<h1>%d %.*s</h1>\n<hr>\n<p>veil%s</p>\n</body>\n</html>\n",
        status, VEIL_STR_ARG(reason), status, VEIL_STR_ARG(reason), version);
}

/* What a handler had described is void: only error fields survive. */
static void
error_reset_response(veil_http_request_t *r)
{
    if (r->out.body != NULL) {
        veil_http_body_abort(r->out.body);
        r->out.body = NULL;
    }
    r->out.reason = VEIL_STR_NULL;
    r->out.content_type = VEIL_STR_NULL;
    r->out.charset = VEIL_STR_NULL;
    r->out.etag = VEIL_STR_NULL;
    r->out.content_length = -1;
    r->out.last_modified = -1;
    r->out.allow_ranges = false;
    r->out.own_error = false;
    r->out.date_given = false;
    r->out.server_given = false;
    veil_http_headers_remove_id(&r->out.headers, VEIL_HEADER_CONTENT_ENCODING);
    if (r->status != 416) {
        veil_http_headers_remove_id(&r->out.headers,
                                    VEIL_HEADER_CONTENT_RANGE);
    }
}

static void
error_send_builtin(veil_http_request_t *r)
{
    veil_str_t why = error_tls_reason(r->status);
    int status = why.len != 0 ? 400 : r->status;
    veil_str_t text;

    if (status == 499 || status == 444) {
        r->out.status = status;
        r->proto->drop(r);
        return;
    }
    if (error_ends_connection(status)) {
        r->keepalive = false;
    }
    r->out.status = status;
    r->out.own_error = true;
    /* A status that nobody defined has no page, as in nginx. */
    if (status == 204 || status == 304
        || veil_http_status_reason(status).len == 0) {
        veil_http_send_response(r);
        return;
    }
    text = error_page_text(r, status, why);
    r->out.content_type = VEIL_STR("text/html");
    r->out.content_length = (int64_t) text.len;
    r->out.body = veil_http_body_text(r->pool, text);
    veil_http_send_response(r);
}

/* --- error_page
 * -------------------------------------------------------------- */

static const veil_http_error_page_t *
error_find_page(const veil_http_request_t *r)
{
    const veil_array_t *pages = veil_http_core_loc(r)->error_pages;
    const veil_http_error_page_t *page;
    unsigned i;

    for (i = 0; pages != NULL && i < pages->n; i++) {
        page = veil_array_at(pages, veil_http_error_page_t, i);
        if (page->status == r->status) {
            return page;
        }
    }
    return NULL;
}

/* The target's own status counts with "=", a fixed one with "=200". */
static int
error_override(const veil_http_error_page_t *page)
{
    return page->overwrite < 0 ? page->status : page->overwrite;
}

static void
error_reroute(veil_http_request_t *r, const veil_http_error_page_t *page,
              veil_str_t target)
{
    ptrdiff_t query;
    veil_str_t args = VEIL_STR_NULL;

    r->override_status = error_override(page);
    if (target.data[0] == '@') {
        (void) veil_http_reroute_named(r, target);
        if (r->route_to == 0) {
            r->override_status = 0;
            error_send_builtin(r); /* there is no such location */
            return;
        }
    } else {
        query = veil_str_chr(target, '?');
        if (query >= 0) {
            args = veil_str_from(target, (size_t) query + 1);
            target.len = (size_t) query;
        }
        if (r->in.method != VEIL_HEAD) {
            r->in.method = VEIL_GET;
            r->in.method_name = VEIL_STR("GET");
        }
        (void) veil_http_reroute(r, target, args);
    }
    veil_http_run_rerouted(r);
}

static void
error_redirect(veil_http_request_t *r, const veil_http_error_page_t *page,
               veil_str_t target)
{
    int status = page->overwrite;

    if (status != 301 && status != 303 && status != 307 && status != 308) {
        status = 302;
    }
    r->status = status;
    r->out.location = target;
    error_send_builtin(r);
}

/* Whether this error may look for its page. */
static bool
error_may_search(const veil_http_request_t *r)
{
    if (r->location == NULL && r->uri.len == 0) {
        return false; /* refused before there was a URI */
    }
    return r->reroutes <= VEIL_HTTP_MAX_REROUTES
           && (r->error_status == 0
               || veil_http_core_loc(r)->recursive_error_pages);
}

void
veil_http_send_error(veil_http_request_t *r)
{
    const veil_http_error_page_t *page = NULL;
    veil_str_t target;

    VEIL_CHECK(r, VEIL_HTTP_REQUEST);

    veil_http_reject_error(r);
    error_reset_response(r);
    if (error_may_search(r) && r->status >= 300) {
        page = error_find_page(r);
    }
    if (page == NULL) {
        veil_http_explain("error_page", NULL, "none for %d: the page of veil",
                          r->status);
        r->override_status = 0;
        error_send_builtin(r);
        return;
    }

    r->error_status = r->status;
    if (error_ends_connection(r->status)) {
        r->keepalive = false;
    }
    target = veil_http_eval(r, page->target);
    veil_http_explain("error_page", NULL, "%d leads to \"%.*s\"", r->status,
                      VEIL_STR_ARG(target));
    if (target.len != 0 && (target.data[0] == '/' || target.data[0] == '@')) {
        if (r->status >= 400) {
            r->out.location = VEIL_STR_NULL; /* a redirect's page keeps it */
        }
        error_reroute(r, page, target);
    } else {
        error_redirect(r, page, target);
    }
}
