/*
 * rewrite_if.c -- conditions of "if".
 *
 *     if ($variable)            neither empty nor "0"
 *     if ($variable = text)     also !=
 *     if ($variable ~ regex)    also ~* !~ !~*
 *     if (-f file)              also -d -e -x, and with ! in front
 *
 * The words of a directive are cut at blanks, so the parentheses stand at the
 * beginning of the first and at the end of the last one.
 */

#include "core/platform.h"

#include <sys/stat.h>

#include "http/config.h"
#include "modules/rewrite/rewrite.h"

/* The words between the parentheses. */
typedef struct {
    veil_str_t word[3];
    unsigned arg[3]; /* which argument of the directive */
    size_t skip[3];  /* bytes of it before the word */
    unsigned n;
} rewrite_condition_t;

/* --- tests -----------------------------------------------------------------
 */

static veil_str_t
rewrite_operand(veil_http_request_t *r, const rewrite_op_t *op)
{
    veil_str_t s;

    (void) veil_http_var(r, op->variable, &s);
    return s;
}

static bool
rewrite_test_set(veil_http_request_t *r, const rewrite_op_t *op)
{
    veil_str_t s = rewrite_operand(r, op);

    return s.len != 0 && !(s.len == 1 && s.data[0] == '0');
}

static bool
rewrite_test_equal(veil_http_request_t *r, const rewrite_op_t *op)
{
    return veil_str_eq(rewrite_operand(r, op), veil_http_eval(r, op->value));
}

static bool
rewrite_test_regex(veil_http_request_t *r, const rewrite_op_t *op)
{
    return veil_http_regex_match(r, op->regex, rewrite_operand(r, op));
}

/*
 * The file is looked at in place: a condition has no way to wait.  Like
 * nginx's, it is one stat() of a name that is most likely cached.
 */
static bool
rewrite_stat(veil_http_request_t *r, const rewrite_op_t *op, struct stat *st)
{
    veil_str_t path = veil_http_eval_z(r, op->value);

    return path.len != 0 && stat(path.data, st) == 0;
}

static bool
rewrite_test_file(veil_http_request_t *r, const rewrite_op_t *op)
{
    struct stat st;

    return rewrite_stat(r, op, &st) && S_ISREG(st.st_mode);
}

static bool
rewrite_test_dir(veil_http_request_t *r, const rewrite_op_t *op)
{
    struct stat st;

    return rewrite_stat(r, op, &st) && S_ISDIR(st.st_mode);
}

static bool
rewrite_test_exists(veil_http_request_t *r, const rewrite_op_t *op)
{
    struct stat st;

    return rewrite_stat(r, op, &st);
}

static bool
rewrite_test_exec(veil_http_request_t *r, const rewrite_op_t *op)
{
    struct stat st;

    return rewrite_stat(r, op, &st) && (st.st_mode & 0111) != 0;
}

/* --- compiling -------------------------------------------------------------
 */

static veil_rc_t
rewrite_cut_condition(veil_conf_t *cf, rewrite_condition_t *c)
{
    unsigned last = veil_conf_nargs(cf) - 1, i;
    veil_str_t s;
    size_t skip;

    s = veil_conf_arg(cf, 1);
    if (s.len == 0 || s.data[0] != '(') {
        return veil_conf_error_at(cf, 1,
                                  "a condition begins with \"(\", as in "
                                  "\"if ($a = b)\"");
    }
    s = veil_conf_arg(cf, last);
    if (s.len == 0 || s.data[s.len - 1] != ')') {
        return veil_conf_error_at(cf, last, "a condition ends with \")\"");
    }

    c->n = 0;
    for (i = 1; i <= last; i++) {
        s = veil_conf_arg(cf, i);
        skip = 0;
        if (i == 1) {
            s = veil_str_from(s, 1);
            skip = 1;
        }
        if (i == last) {
            s.len--;
        }
        if (s.len == 0 && (i == 1 || i == last)) {
            continue; /* a parenthesis that stands alone */
        }
        if (c->n == 3) {
            return veil_conf_error_at(cf, i, "invalid condition \"%.*s\"",
                                      VEIL_STR_ARG(s));
        }
        c->word[c->n] = s;
        c->arg[c->n] = i;
        c->skip[c->n++] = skip;
    }
    return c->n == 0 ? veil_conf_error(cf, "the condition is empty") : VEIL_OK;
}

static veil_rc_t
rewrite_compile_file(veil_conf_t *cf, rewrite_op_t *op,
                     const rewrite_condition_t *c)
{
    static const struct {
        char letter;
        rewrite_test_fn *test;
    } tests[] = {
        { 'f', rewrite_test_file },
        { 'd', rewrite_test_dir },
        { 'e', rewrite_test_exists },
        { 'x', rewrite_test_exec },
    };
    veil_str_t word = c->word[0];
    unsigned i;

    if (word.data[0] == '!') {
        op->negate = true;
        word = veil_str_from(word, 1);
    }
    for (i = 0; i < veil_countof(tests); i++) {
        if (word.len == 2 && word.data[0] == '-'
            && word.data[1] == tests[i].letter) {
            op->test = tests[i].test;
        }
    }
    if (op->test == NULL || c->n != 2) {
        return veil_conf_error_at(cf, c->arg[0], "invalid condition \"%.*s\"",
                                  VEIL_STR_ARG(c->word[0]));
    }
    op->value = veil_http_value_compile(cf, c->word[1]);
    return op->value == NULL ? VEIL_ERROR : VEIL_OK;
}

/* The regex is the rest of its argument, without a closing parenthesis. */
static veil_rc_t
rewrite_compile_regex(veil_conf_t *cf, rewrite_op_t *op,
                      const rewrite_condition_t *c, bool caseless)
{
    veil_conf_word_t *arg = &cf->node->args[c->arg[2]];
    veil_str_t whole = arg->str;

    arg->str.len = c->skip[2] + c->word[2].len;
    op->regex = veil_http_regex_compile(cf, c->arg[2], c->skip[2], caseless);
    arg->str = whole;
    op->test = rewrite_test_regex;
    return op->regex == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
rewrite_compile_compare(veil_conf_t *cf, rewrite_op_t *op,
                        const rewrite_condition_t *c)
{
    static const char *const operators[] = { "=",  "!=",  "~", "~*",
                                             "!~", "!~*", NULL };
    veil_str_t o = c->word[1];

    if (c->n != 3) {
        return veil_conf_error_at(cf, c->arg[c->n - 1],
                                  "an operand is missing in the condition");
    }
    if (o.len > 1 && o.data[0] == '!') {
        op->negate = true;
        o = veil_str_from(o, 1);
    }
    if (veil_str_eq(o, VEIL_STR("="))) {
        op->test = rewrite_test_equal;
        op->value = veil_http_value_compile(cf, c->word[2]);
        return op->value == NULL ? VEIL_ERROR : VEIL_OK;
    }
    if (veil_str_eq(o, VEIL_STR("~")) || veil_str_eq(o, VEIL_STR("~*"))) {
        return rewrite_compile_regex(cf, op, c, o.len == 2);
    }
    return veil_conf_error_word(cf, c->arg[1], operators);
}

static veil_rc_t
rewrite_compile_condition(veil_conf_t *cf, rewrite_op_t *op)
{
    rewrite_condition_t c = { .n = 0 };

    memset(&c, 0, sizeof(c));
    if (rewrite_cut_condition(cf, &c) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (c.word[0].len < 2 || c.word[0].data[0] != '$') {
        return rewrite_compile_file(cf, op, &c);
    }
    op->variable = veil_http_var_index(cf, veil_str_from(c.word[0], 1));
    if (c.n == 1) {
        op->test = rewrite_test_set;
        return VEIL_OK;
    }
    return rewrite_compile_compare(cf, op, &c);
}

veil_rc_t
veil_rewrite_set_if(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                    void *conf)
{
    rewrite_conf_t *rcf = conf;
    bool in_server = cf->scope->where == VEIL_CONF_SERVER;
    const rewrite_conf_t *inner;
    veil_conf_scope_t *scope;
    rewrite_op_t op;
    veil_rc_t rc;

    memset(&op, 0, sizeof(op));
    op.run = veil_rewrite_run_if;
    op.node = cf->node;
    if (rewrite_compile_condition(cf, &op) != VEIL_OK) {
        return VEIL_ERROR;
    }

    scope = veil_conf_scope_create(cf, &veil_http_layer, cf->scope,
                                   in_server ? VEIL_CONF_IF_SERVER
                                             : VEIL_CONF_IF_LOCATION,
                                   1u << VEIL_CONF_OF_LOC);
    scope->object = cf->scope->object;
    rc = veil_conf_apply(cf, scope);

    inner =
        veil_conf_read_of(scope, &veil_http_rewrite_module, VEIL_CONF_OF_LOC);
    op.ops = inner->ops != rcf->ops ? inner->ops : NULL;
    op.loc_conf = scope->conf[VEIL_CONF_OF_LOC];
    *(rewrite_op_t *) veil_conf_array_push(cf, &rcf->ops, sizeof(op)) = op;
    return rc;
}
