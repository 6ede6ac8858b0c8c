/*
 * headers.c -- fields that the configuration adds to responses.
 *
 *     add_header X-Frame-Options DENY always;
 *     add_trailer X-Checksum $checksum;
 *     remove_header X-Powered-By;
 *     expires 30d;
 *
 * As in nginx a field is added to responses with 200, 201, 204, 206, 301,
 * 302, 303, 304, 307 and 308 only, unless it says "always"; an empty value
 * adds nothing; and a block that has one add_header does not get those of the
 * outer block, unless add_header_inherit says so.
 *
 * That inheritance is worked out when a response is made, from confs that
 * know their outer block's: when a block is complete, the outer one is not.
 *
 * A trailer's value is computed at the end of the body, so it may speak about
 * the body; it makes a response chunked, and is dropped for HTTP/1.0.
 */

#include "core/platform.h"

#include "core/time.h"
#include "http/http.h"
#include "http/lint.h"
#include "modules/headers/expires.h"

typedef struct {
    veil_str_t name;
    const veil_http_value_t *value;
    bool always;
} headers_field_t;

typedef enum { INHERIT_ON, INHERIT_OFF, INHERIT_MERGE } headers_inherit_t;

typedef struct headers_conf_s headers_conf_t;

struct headers_conf_s {
    veil_array_t *headers;  /* of headers_field_t */
    veil_array_t *trailers; /* of headers_field_t */
    veil_array_t *removed;  /* of veil_str_t: names */
    veil_http_expires_t *expires;
    const headers_conf_t *outer; /* the outer block's; NULL: none */
    int header_inherit;
    int trailer_inherit;
};

extern veil_module_t veil_http_headers_module;

/* --- directives ------------------------------------------------------------
 */

/* add_header NAME VALUE [always], and add_trailer */
static veil_rc_t
headers_set_field(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    static const char *const words[] = { "always", NULL };
    veil_array_t **list =
        (veil_array_t **) (void *) ((char *) conf + cmd->offset);
    headers_field_t field = { .always = veil_conf_nargs(cf) == 4 };

    if (field.always && !veil_str_eq(veil_conf_arg(cf, 3), VEIL_STR("always")))
    {
        return veil_conf_error_word(cf, 3, words);
    }
    field.name = veil_conf_arg(cf, 1);
    if (field.name.len == 0) {
        return veil_conf_error_at(cf, 1, "the name of a field is empty");
    }
    field.value = veil_http_value_compile(cf, veil_conf_arg(cf, 2));
    if (field.value == NULL) {
        return VEIL_ERROR;
    }
    *(headers_field_t *) veil_conf_array_push(cf, list, sizeof(field)) = field;
    return VEIL_OK;
}

static veil_rc_t
headers_set_expires(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                    void *conf)
{
    headers_conf_t *hcf = conf;

    hcf->expires = veil_http_expires_compile(cf);
    return hcf->expires == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
headers_conf_finish(veil_conf_t *cf VEIL_UNUSED, void *conf,
                    const void *parent)
{
    headers_conf_t *hcf = conf;

    hcf->outer = parent;
    return VEIL_OK;
}

/* --- which fields hold -----------------------------------------------------
 */

/*
 * Whether the block has no directive of this module: then it shares the conf
 * of the block around it.
 */
static bool
headers_is_shared(const veil_http_request_t *r)
{
    unsigned i = veil_http_headers_module.index;
    const veil_http_location_t *l =
        r->location == NULL ? r->server->root : r->location;
    void *const *outer;

    if (r->loc_conf != l->loc_conf) {
        outer = l->loc_conf; /* in an "if" or a limit_except */
    } else if (l->parent != NULL) {
        outer = l->parent->loc_conf;
    } else {
        outer = r->server->main->scope->conf[VEIL_CONF_OF_LOC];
    }
    return outer[i] == r->loc_conf[i];
}

typedef void headers_emit_fn(veil_http_request_t *r, const headers_field_t *f,
                             void *data);

/* Which fields are meant, and what is done with each. */
typedef struct {
    bool trailers;
    headers_emit_fn *fn;
    void *data;
} headers_emit_t;

static bool
headers_is_safe(const veil_http_request_t *r)
{
    switch (r->out.status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
        return true;
    case 416:
        /* nginx adds its fields before it looks at ranges. */
        return veil_http_headers_may_have(&r->out.headers,
                                          VEIL_HEADER_CONTENT_RANGE);
    default:
        return false;
    }
}

static void
headers_emit_list(veil_http_request_t *r, const veil_array_t *list,
                  const headers_emit_t *emit)
{
    const headers_field_t *f;
    unsigned i;

    for (i = 0; i < list->n; i++) {
        f = veil_array_at(list, headers_field_t, i);
        if (f->always || headers_is_safe(r)) {
            emit->fn(r, f, emit->data);
        }
    }
}

static const veil_array_t *
headers_list(const headers_conf_t *conf, bool trailers)
{
    return trailers ? conf->trailers : conf->headers;
}

/* The block's own fields, then those it gets from outside. */
static void
headers_emit(veil_http_request_t *r, const headers_conf_t *conf,
             const headers_emit_t *emit)
{
    const veil_array_t *list = headers_list(conf, emit->trailers);
    const headers_conf_t *outer = conf->outer;
    int inherit =
        emit->trailers ? conf->trailer_inherit : conf->header_inherit;
    bool own;

    if (list == NULL) {
        return;
    }
    own = outer == NULL || list != headers_list(outer, emit->trailers);
    if (own) {
        headers_emit_list(r, list, emit);
    }
    if (outer != NULL
        && (own ? inherit == INHERIT_MERGE : inherit != INHERIT_OFF)) {
        headers_emit(r, outer, emit);
    }
}

static void
headers_emit_all(veil_http_request_t *r, bool trailers, headers_emit_fn *fn,
                 void *data)
{
    const headers_conf_t *conf =
        veil_http_loc_conf(r, &veil_http_headers_module);
    headers_emit_t emit = { .trailers = trailers, .fn = fn, .data = data };
    int inherit = trailers ? conf->trailer_inherit : conf->header_inherit;

    if (headers_list(conf, trailers) == NULL
        || (inherit == INHERIT_OFF && headers_is_shared(r)))
    {
        return;
    }
    headers_emit(r, conf, &emit);
}

/* --- fields ----------------------------------------------------------------
 */

/* Last-Modified and ETag are one each, and what range and 304 look at. */
static bool
headers_emit_special(veil_http_request_t *r, veil_str_t name, veil_str_t value)
{
    if (veil_str_caseeq(name, VEIL_STR("Last-Modified"))) {
        veil_http_headers_remove(&r->out.headers, name);
        r->out.last_modified = veil_http_date_parse(value);
        return r->out.last_modified >= 0 || value.len == 0;
    }
    if (veil_str_caseeq(name, VEIL_STR("ETag"))) {
        veil_http_headers_remove(&r->out.headers, name);
        r->out.etag = value;
        return true;
    }
    return false;
}

static void
headers_emit_field(veil_http_request_t *r, const headers_field_t *f,
                   void *data VEIL_UNUSED)
{
    veil_str_t value = veil_http_eval(r, f->value);

    if (!headers_emit_special(r, f->name, value) && value.len != 0) {
        veil_http_header_add(r, f->name, value);
    }
}

/* What has a field of its own in r->out is removed there. */
static void
headers_remove(veil_http_request_t *r, veil_str_t name)
{
    veil_http_headers_remove(&r->out.headers, name);
    if (veil_str_caseeq(name, VEIL_STR("Server"))) {
        r->out.server_given = true;
    } else if (veil_str_caseeq(name, VEIL_STR("Date"))) {
        r->out.date_given = true;
    } else if (veil_str_caseeq(name, VEIL_STR("ETag"))) {
        r->out.etag = VEIL_STR_NULL;
    } else if (veil_str_caseeq(name, VEIL_STR("Last-Modified"))) {
        r->out.last_modified = -1;
    } else if (veil_str_caseeq(name, VEIL_STR("Content-Type"))) {
        r->out.content_type = VEIL_STR_NULL;
    }
}

/* --- trailers --------------------------------------------------------------
 */

typedef struct {
    veil_http_body_t body;
    veil_http_request_t *r;
    veil_http_headers_t trailers;
    bool ended;
} headers_body_t;

static headers_body_t *
headers_body(veil_http_body_t *b)
{
    return veil_container_of(b, headers_body_t, body);
}

/* A decoded CR LF of the URI would be a line of its own. */
static veil_str_t
headers_one_line(veil_http_request_t *r, veil_str_t value)
{
    char *text;
    size_t i;

    if (veil_str_chr(value, '\r') < 0 && veil_str_chr(value, '\n') < 0) {
        return value;
    }
    text = veil_pool_chars(r->pool, value.len);
    for (i = 0; i < value.len; i++) {
        text[i] = value.data[i] == '\r' || value.data[i] == '\n'
                      ? ' '
                      : value.data[i];
    }
    return veil_str_n(text, value.len);
}

static void
headers_emit_trailer(veil_http_request_t *r, const headers_field_t *f,
                     void *data)
{
    veil_str_t value = veil_http_eval(r, f->value);
    headers_body_t *hb = data;

    if (value.len != 0) {
        (void) veil_http_headers_add(&hb->trailers, f->name,
                                     headers_one_line(r, value));
    }
}

static veil_body_rc_t
headers_body_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n,
                  size_t max)
{
    headers_body_t *hb = headers_body(b);
    const veil_http_headers_t *before;
    const veil_http_header_t *h = NULL;
    veil_body_rc_t rc;

    if (b->below == NULL) {
        *n = 0;
        rc = VEIL_BODY_END;
    } else {
        rc = veil_http_body_pull(b->below, v, n, max);
        b->error = b->below->error;
    }
    if (rc != VEIL_BODY_END || hb->ended) {
        return rc;
    }

    hb->ended = true;
    before = b->below == NULL ? NULL : b->below->trailers;
    while (before != NULL && (h = veil_http_headers_next(before, h)) != NULL) {
        (void) veil_http_headers_add(&hb->trailers, h->name, h->value);
    }
    headers_emit_all(hb->r, true, headers_emit_trailer, hb);
    b->trailers = &hb->trailers;
    return rc;
}

static void
headers_body_consume(veil_http_body_t *b, size_t bytes)
{
    if (b->below != NULL) {
        veil_http_body_consume(b->below, bytes);
    }
}

static void
headers_body_abort(veil_http_body_t *b)
{
    if (b->below != NULL) {
        veil_http_body_abort(b->below);
    }
}

static const veil_http_body_ops_t headers_body_ops = {
    .name = "trailers",
    .pull = headers_body_pull,
    .consume = headers_body_consume,
    .abort = headers_body_abort,
};

static void
headers_body_ready(void *reader)
{
    headers_body_t *hb = reader;

    veil_http_body_is_ready(&hb->body);
}

static void
headers_count(veil_http_request_t *r VEIL_UNUSED,
              const headers_field_t *f VEIL_UNUSED, void *data)
{
    unsigned *n = data;

    (*n)++;
}

static void
headers_wrap_body(veil_http_request_t *r)
{
    headers_body_t *hb;
    unsigned wanted = 0;

    if (r->header_only || !veil_http_takes_trailers(r)) {
        return;
    }
    headers_emit_all(r, true, headers_count, &wanted);
    if (wanted == 0) {
        return;
    }

    hb = VEIL_POOL_NEW(r->pool, headers_body_t);
    hb->r = r;
    hb->body.ops = &headers_body_ops;
    hb->body.below = r->out.body;
    hb->body.length = -1;
    if (r->out.body != NULL) {
        hb->body.window = r->out.body->window;
        hb->body.flush = r->out.body->flush;
        hb->body.in_memory = r->out.body->in_memory;
        veil_http_body_set_reader(r->out.body, headers_body_ready, hb);
    }
    veil_http_headers_init(&hb->trailers, r->pool, 4);
    r->out.body = &hb->body;
    r->out.content_length = -1; /* chunked, or there is no place for them */
}

/* --- the filter ------------------------------------------------------------
 */

static veil_rc_t
headers_filter(veil_http_request_t *r, const veil_http_filter_t *next)
{
    const headers_conf_t *conf =
        veil_http_loc_conf(r, &veil_http_headers_module);
    unsigned i;

    for (i = 0; conf->removed != NULL && i < conf->removed->n; i++) {
        headers_remove(r, *veil_array_at(conf->removed, veil_str_t, i));
    }
    if (conf->expires != NULL && headers_is_safe(r)) {
        veil_http_expires_add(r, conf->expires);
    }
    if (conf->headers != NULL) {
        headers_emit_all(r, false, headers_emit_field, NULL);
    }
    if (conf->trailers != NULL) {
        headers_wrap_body(r);
    }
    return veil_http_next_header(r, next);
}

/* --- lint ------------------------------------------------------------------
 */

static const veil_lint_rule_t headers_hides = { "L101", "add-header-hides",
                                                VEIL_LINT_WARNING };

static void
headers_lint_of(veil_lint_t *lint, const veil_conf_scope_t *block,
                const char *name, int inherit)
{
    const veil_conf_node_t *outer;
    char hidden[256];

    if (inherit != INHERIT_ON
        || veil_http_lint_hidden(block, name, hidden, sizeof(hidden), &outer)
               == 0)
    {
        return;
    }
    veil_lint_add(lint, &headers_hides,
                  veil_lint_child(block->node, name, NULL), 0,
                  "responses from here lack %s of line %u: a block with one "
                  "\"%s\" gets none of the blocks around",
                  hidden, outer->args[0].line, name);
    veil_lint_advise(lint,
                     "write \"%s_inherit merge;\" here or around, or repeat "
                     "them",
                     name);
}

static void
headers_lint(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    const headers_conf_t *conf =
        veil_http_lint_conf(block, &veil_http_headers_module);

    headers_lint_of(lint, block, "add_header", conf->header_inherit);
    headers_lint_of(lint, block, "add_trailer", conf->trailer_inherit);
}

/* --- the module ------------------------------------------------------------
 */

static const veil_conf_enum_t headers_inherit[] = {
    { "on", INHERIT_ON },
    { "off", INHERIT_OFF },
    { "merge", INHERIT_MERGE },
    { NULL, 0 },
};

#define HEADERS_WHERE (VEIL_CONF_HTTP_ANY | VEIL_CONF_IF_LOCATION)

static const veil_command_t headers_commands[] = {
    { .name = "add_header",
      .where = HEADERS_WHERE,
      .args = VEIL_ARGS(2, 3),
      .flags = VEIL_CONF_MULTI,
      .set = headers_set_field,
      .offset = offsetof(headers_conf_t, headers),
      .syntax = "name value [always]",
      .help = "Adds a field to responses that succeed, or to all." },

    { .name = "add_header_inherit",
      .where = HEADERS_WHERE,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_enum,
      .offset = offsetof(headers_conf_t, header_inherit),
      .data = headers_inherit,
      .syntax = "on | off | merge",
      .def = "on",
      .help = "Whether fields of the outer block hold: if the block has none "
              "of its own, never, or always." },

    { .name = "add_trailer",
      .where = HEADERS_WHERE,
      .args = VEIL_ARGS(2, 3),
      .flags = VEIL_CONF_MULTI,
      .set = headers_set_field,
      .offset = offsetof(headers_conf_t, trailers),
      .syntax = "name value [always]",
      .help = "Adds a field behind the body." },

    { .name = "add_trailer_inherit",
      .where = HEADERS_WHERE,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_enum,
      .offset = offsetof(headers_conf_t, trailer_inherit),
      .data = headers_inherit,
      .syntax = "on | off | merge",
      .def = "on",
      .help = "The same for trailers." },

    { .name = "remove_header",
      .where = HEADERS_WHERE,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_MULTI,
      .set = veil_conf_set_strs,
      .offset = offsetof(headers_conf_t, removed),
      .syntax = "name ...",
      .help = "Takes these fields out of responses, before others are "
              "added." },

    { .name = "expires",
      .where = HEADERS_WHERE,
      .args = VEIL_ARGS(1, 2),
      .set = headers_set_expires,
      .syntax = "[modified] time | @time | epoch | max | off",
      .def = "off",
      .help = "Sets Expires and Cache-Control." },

    { .name = NULL },
};

static const veil_http_module_t headers_http = {
    .loc_conf_size = sizeof(headers_conf_t),
    .loc_conf_finish = headers_conf_finish,
    .filter = { .order = VEIL_FILTER_HEADERS, .header = headers_filter },
    .lint = headers_lint,
};

veil_module_t veil_http_headers_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "headers",
    .commands = headers_commands,
    .http = &headers_http,
};
