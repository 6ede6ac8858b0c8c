/*
 * redirect.c -- sends clients elsewhere.
 *
 *     redirect https://example.com$request_uri;
 *     redirect https://example.com/v2 status=308 preserve_path;
 *
 * Unlike "return" this is content: access rules and limits come first, and
 * apply to redirects as well.  preserve_path appends what of the URI lies
 * behind the location's prefix, with one slash between, escaped again, and
 * the query.
 */

#include "core/platform.h"

#include "http/http.h"
#include "http/location.h"
#include "http/parse/uri.h"

typedef struct {
    const veil_http_value_t *url; /* NULL: no redirect here */
    int64_t status;
    bool preserve_path;
} redirect_conf_t;

extern veil_module_t veil_http_redirect_module;

/* redirect URL [status=CODE] [preserve_path] */
static veil_rc_t
redirect_set(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
             void *conf)
{
    static const char *const words[] = { "status=", "preserve_path", NULL };
    redirect_conf_t *rcf = conf;
    veil_str_t value;
    unsigned i;

    rcf->status = 301;
    rcf->preserve_path = false;
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        if (veil_conf_arg_is(cf, i, "status", &value)) {
            rcf->status = veil_str_to_int(value);
            if ((rcf->status < 301 || rcf->status > 303) && rcf->status != 307
                && rcf->status != 308)
            {
                return veil_conf_error_at(cf, i,
                                          "invalid status \"%.*s\" of a "
                                          "redirect: it is 301, 302, 303, 307 "
                                          "or 308",
                                          VEIL_STR_ARG(value));
            }
        } else if (veil_str_eq(veil_conf_arg(cf, i),
                               VEIL_STR("preserve_path"))) {
            rcf->preserve_path = true;
        } else {
            return veil_conf_error_word(cf, i, words);
        }
    }
    if (veil_conf_arg(cf, 1).len == 0) {
        return veil_conf_error_at(cf, 1, "the URL of a redirect is empty");
    }
    if (rcf->preserve_path && veil_str_chr(veil_conf_arg(cf, 1), '?') >= 0) {
        return veil_conf_error_at(
            cf, 1,
            "with \"preserve_path\" the URL cannot have a query: the "
            "request's is appended");
    }
    rcf->url = veil_http_value_compile(cf, veil_conf_arg(cf, 1));
    return rcf->url == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_str_t
redirect_preserve(veil_http_request_t *r, veil_str_t url)
{
    veil_str_t rest = veil_http_location_rest(r);

    if (rest.len != 0) {
        url = veil_http_path_join(r->pool, url,
                                  veil_http_uri_escape(r->pool, rest));
    }
    if (r->args.len != 0) {
        url = veil_pool_printf(r->pool, "%.*s?%.*s", VEIL_STR_ARG(url),
                               VEIL_STR_ARG(r->args));
    }
    return url;
}

static veil_http_rc_t
redirect_handler(veil_http_request_t *r)
{
    const redirect_conf_t *rcf =
        veil_http_loc_conf(r, &veil_http_redirect_module);
    veil_str_t url;

    if (rcf->url == NULL) {
        return VEIL_HTTP_NEXT;
    }
    url = veil_http_eval(r, rcf->url);
    if (rcf->preserve_path) {
        url = redirect_preserve(r, url);
    }
    return veil_http_redirect(r, (int) rcf->status, url);
}

static const veil_command_t redirect_commands[] = {
    { .name = "redirect",
      .where = VEIL_CONF_SERVER | VEIL_CONF_LOCATION | VEIL_CONF_IF_LOCATION,
      .args = VEIL_ARGS(1, 3),
      .flags = VEIL_CONF_OWN,
      .set = redirect_set,
      .offset = offsetof(redirect_conf_t, url),
      .syntax = "url [status=301 | 302 | 303 | 307 | 308] [preserve_path]",
      .help = "Sends clients to this URL." },

    { .name = NULL },
};

static const veil_http_module_t redirect_http = {
    .loc_conf_size = sizeof(redirect_conf_t),
    .handler = { VEIL_PHASE_CONTENT, redirect_handler },
};

veil_module_t veil_http_redirect_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "redirect",
    .commands = redirect_commands,
    .http = &redirect_http,
};
