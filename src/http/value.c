/*
 * value.c -- texts with variables, compiled once.
 *
 * A text becomes a list of parts: literals, variables, captures.  Evaluating
 * asks for all parts first, then makes one string of the right size; a text
 * of a single part is that part, without a copy.
 */

#include "core/platform.h"

#include "http/vars.h"

typedef enum { PART_LITERAL, PART_VARIABLE, PART_CAPTURE } value_kind_t;

typedef struct {
    value_kind_t kind;
    unsigned index; /* of the variable, or the number of the capture */
    veil_str_t literal;
} value_part_t;

struct veil_http_value_s {
    veil_str_t text; /* of a constant */
    unsigned nparts; /* 0: constant */
    unsigned max_capture;
    value_part_t parts[];
};

/* So many parts are evaluated on the stack; more take the pool. */
#define VALUE_PARTS_STACK 16

/* --- compiling
 * ------------------------------------------------------------------- */

static bool
value_is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '_';
}

/* Cuts "name" or "{name}" after a "$"; false: there is none. */
static bool
value_cut_name(veil_str_t *rest, veil_str_t *name)
{
    bool braces = rest->len != 0 && rest->data[0] == '{';
    size_t i = braces ? 1 : 0;
    size_t start = i;

    while (i < rest->len && value_is_name(rest->data[i])) {
        i++;
        if (!braces && i == start + 1 && rest->data[start] >= '1'
            && rest->data[start] <= '9')
        {
            break; /* $1x is capture 1 and an x */
        }
    }
    *name = veil_str_n(rest->data + start, i - start);
    if (name->len == 0 || (braces && (i == rest->len || rest->data[i] != '}')))
    {
        return false;
    }
    *rest = veil_str_from(*rest, i + (braces ? 1 : 0));
    return true;
}

static void
value_add_name(veil_conf_t *cf, veil_array_t *parts, veil_str_t name)
{
    value_part_t *part = veil_array_push(parts);

    if (name.len == 1 && name.data[0] >= '0' && name.data[0] <= '9') {
        part->kind = PART_CAPTURE;
        part->index = (unsigned) (name.data[0] - '0');
        return;
    }
    part->kind = PART_VARIABLE;
    part->index = veil_http_var_index(cf, name);
}

static veil_rc_t
value_cut(veil_conf_t *cf, veil_array_t *parts, veil_str_t rest)
{
    value_part_t *part;
    veil_str_t name;
    ptrdiff_t dollar;

    while (rest.len != 0) {
        dollar = veil_str_chr(rest, '$');
        if (dollar != 0) {
            part = veil_array_push(parts);
            part->kind = PART_LITERAL;
            part->literal = rest;
            if (dollar < 0) {
                break;
            }
            part->literal.len = (size_t) dollar;
            rest = veil_str_from(rest, (size_t) dollar);
        }
        rest = veil_str_from(rest, 1);
        if (!value_cut_name(&rest, &name)) {
            return veil_conf_error(cf, "invalid variable name");
        }
        value_add_name(cf, parts, name);
    }
    return VEIL_OK;
}

const veil_http_value_t *
veil_http_value_compile(veil_conf_t *cf, veil_str_t text)
{
    struct veil_http_value_s *v;
    const value_part_t *p;
    veil_array_t parts;
    unsigned i;

    if (veil_str_chr(text, '$') < 0) {
        v = VEIL_POOL_NEW(cf->pool, struct veil_http_value_s);
        v->text = veil_pool_str(cf->pool, text);
        return v;
    }

    veil_array_init(&parts, cf->temp_pool, sizeof(value_part_t), 8);
    if (value_cut(cf, &parts, text) != VEIL_OK) {
        return NULL;
    }
    v = veil_pool_zalloc(cf->pool,
                         sizeof(*v) + parts.n * sizeof(value_part_t));
    v->nparts = parts.n;
    for (i = 0; i < parts.n; i++) {
        p = veil_array_at(&parts, value_part_t, i);
        v->parts[i] = *p;
        if (p->kind == PART_LITERAL) {
            v->parts[i].literal = veil_pool_str(cf->pool, p->literal);
        } else if (p->kind == PART_CAPTURE && p->index > v->max_capture) {
            v->max_capture = p->index;
        }
    }
    return v;
}

bool
veil_http_value_is_constant(const veil_http_value_t *v)
{
    return v->nparts == 0;
}

veil_str_t
veil_http_value_text(const veil_http_value_t *v)
{
    VEIL_ASSERT(v->nparts == 0);
    return v->text;
}

unsigned
veil_http_value_max_capture(const veil_http_value_t *v)
{
    return v->max_capture;
}

veil_rc_t
veil_http_set_value(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    const veil_http_value_t **field =
        (const veil_http_value_t **) (void *) ((char *) conf + cmd->offset);

    *field = veil_http_value_compile(cf, veil_conf_arg(cf, 1));
    return *field == NULL ? VEIL_ERROR : VEIL_OK;
}

veil_rc_t
veil_http_set_values(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    veil_array_t **field =
        (veil_array_t **) (void *) ((char *) conf + cmd->offset);
    const veil_http_value_t *v;
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        v = veil_http_value_compile(cf, veil_conf_arg(cf, i));
        if (v == NULL) {
            return VEIL_ERROR;
        }
        *(const veil_http_value_t **) veil_conf_array_push(cf, field,
                                                           sizeof(v)) = v;
    }
    return VEIL_OK;
}

/* --- evaluating
 * ------------------------------------------------------------------ */

/* A capture is decoded text: in a query it must not mean more than it did. */
static veil_str_t
value_escape(veil_http_request_t *r, veil_str_t s)
{
    char *p = veil_pool_chars(r->pool, 3 * s.len);

    return veil_str_n(p, veil_str_escape(p, s, VEIL_ESCAPE_ARGS));
}

static veil_str_t
value_part(veil_http_request_t *r, const value_part_t *p, bool escape)
{
    veil_str_t s = VEIL_STR_NULL;

    switch (p->kind) {
    case PART_LITERAL:
        return p->literal;
    case PART_VARIABLE:
        (void) veil_http_var(r, p->index, &s);
        return s;
    case PART_CAPTURE:
        s = veil_http_capture(r, p->index);
        return escape ? value_escape(r, s) : s;
    }
    return s;
}

static veil_str_t
value_join(veil_http_request_t *r, const veil_http_value_t *v, size_t extra,
           bool escape)
{
    veil_str_t stack[VALUE_PARTS_STACK];
    veil_str_t *parts = stack;
    char *text, *p;
    size_t len = 0;
    unsigned i;

    if (v->nparts > VALUE_PARTS_STACK) {
        parts = veil_pool_alloc(r->pool, v->nparts * sizeof(*parts));
    }
    for (i = 0; i < v->nparts; i++) {
        parts[i] = value_part(r, &v->parts[i], escape);
        len += parts[i].len;
    }
    text = veil_pool_chars(r->pool, len + extra);
    p = text;
    for (i = 0; i < v->nparts; i++) {
        p = veil_fmt_str(p, parts[i]);
    }
    if (extra != 0) {
        *p = '\0';
    }
    return veil_str_n(text, len);
}

veil_str_t
veil_http_eval(veil_http_request_t *r, const veil_http_value_t *v)
{
    if (v == NULL) {
        return VEIL_STR_NULL;
    }
    if (v->nparts == 0) {
        return v->text;
    }
    if (v->nparts == 1) {
        return value_part(r, &v->parts[0], false);
    }
    return value_join(r, v, 0, false);
}

veil_str_t
veil_http_eval_z(veil_http_request_t *r, const veil_http_value_t *v)
{
    if (v == NULL) {
        return VEIL_STR("");
    }
    if (v->nparts == 0) {
        return v->text;
    }
    return value_join(r, v, 1, false);
}

veil_str_t
veil_http_eval_args(veil_http_request_t *r, const veil_http_value_t *v)
{
    if (v == NULL || v->nparts == 0) {
        return veil_http_eval(r, v);
    }
    return value_join(r, v, 0, true);
}

bool
veil_http_eval_any(veil_http_request_t *r, const veil_array_t *values)
{
    veil_str_t s;
    unsigned i;

    for (i = 0; values != NULL && i < values->n; i++) {
        s = veil_http_eval(
            r, *veil_array_at(values, const veil_http_value_t *, i));
        if (s.len != 0 && !(s.len == 1 && s.data[0] == '0')) {
            return true;
        }
    }
    return false;
}

veil_str_t
veil_http_capture(const veil_http_request_t *r, unsigned n)
{
    int from, to;

    if (n >= r->ncaptures) {
        return VEIL_STR_NULL;
    }
    from = r->captures[2 * n];
    to = r->captures[2 * n + 1];
    if (from < 0 || to < from) {
        return VEIL_STR_NULL;
    }
    return veil_str_n(r->captured.data + from, (size_t) (to - from));
}
