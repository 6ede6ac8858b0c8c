/*
 * hello.c -- an example of a module: a content handler and a header filter.
 *
 *     location /hello {
 *         hello         "Hello, $remote_addr!\n";
 *         hello_header  on;
 *     }
 *
 * A location's configuration starts as its parent's and is copied at the
 * first directive that changes it, so inheriting "hello_header" needs no code
 * here.  "hello" is marked as the location's own: a location in which it does
 * not stand must not answer with its parent's text.
 *
 * What this module does not do: it reads no request body and keeps no state.
 */

#include "core/platform.h"

#include "http/http.h"

typedef struct {
    const veil_http_value_t *text; /* NULL: the request is not ours */
    bool header;
} hello_conf_t;

static veil_http_handler_fn hello_handler;
static veil_http_header_filter_fn hello_header_filter;

static const veil_command_t hello_commands[] = {
    { .name = "hello",
      .where = VEIL_CONF_LOCATION,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_OWN,
      .set = veil_http_set_value,
      .offset = offsetof(hello_conf_t, text),
      .syntax = "text",
      .help = "Answers with this text; variables are expanded." },

    { .name = "hello_header",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(hello_conf_t, header),
      .syntax = "on | off",
      .def = "off",
      .help = "Adds \"X-Hello: yes\" to every response." },

    { .name = NULL },
};

static const veil_http_module_t hello_http = {
    .loc_conf_size = sizeof(hello_conf_t),
    .handler = { VEIL_PHASE_CONTENT, hello_handler },
    .filter = { .name = "hello",
                .order = VEIL_FILTER_HEADERS,
                .header = hello_header_filter },
};

veil_module_t veil_http_hello_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "hello",
    .commands = hello_commands,
    .http = &hello_http,
};

static veil_http_rc_t
hello_handler(veil_http_request_t *r)
{
    const hello_conf_t *conf = veil_http_loc_conf(r, &veil_http_hello_module);

    if (conf->text == NULL) {
        return VEIL_HTTP_NEXT;
    }
    if (!veil_http_method_in(r, VEIL_GET | VEIL_HEAD)) {
        return veil_http_fail(r, 405);
    }
    return veil_http_reply(r, 200, VEIL_STR("text/plain"),
                           veil_http_eval(r, conf->text));
}

static veil_rc_t
hello_header_filter(veil_http_request_t *r, const veil_http_filter_t *next)
{
    const hello_conf_t *conf = veil_http_loc_conf(r, &veil_http_hello_module);

    if (conf->header) {
        veil_http_header_set(r, VEIL_STR("X-Hello"), VEIL_STR("yes"));
    }
    return veil_http_next_header(r, next);
}
