/*
 * regex.c -- regular expressions for requests: see regex.h.
 */

#include "core/platform.h"

#include "http/regex.h"

#include "http/http.h"

typedef struct {
    unsigned group;
    unsigned variable;
} regex_named_t;

struct veil_http_regex_s {
    veil_regex_t *re;
    unsigned nnamed;
    regex_named_t named[];
};

/* Pairs for a match that nobody wants to keep. */
#define REGEX_MAX_PAIRS 64

veil_http_regex_t *
veil_http_regex_compile(veil_conf_t *cf, unsigned arg, size_t skip,
                        bool caseless)
{
    veil_str_t pattern = veil_str_from(veil_conf_arg(cf, arg), skip);
    const veil_regex_name_t *names;
    veil_regex_error_t error;
    veil_http_variable_t *v;
    veil_http_regex_t *x;
    veil_regex_t *re;
    unsigned i, n;

    re = veil_regex_compile(cf->pool, pattern, caseless, &error);
    if (re == NULL) {
        (void) veil_conf_error_at(
            cf, arg, "pcre2_compile() failed: %s in \"%.*s\" at \"%.*s\"",
            error.text, VEIL_STR_ARG(pattern),
            VEIL_STR_ARG(veil_str_from(
                pattern, veil_min_size(error.offset, pattern.len))));
        return NULL;
    }

    names = veil_regex_names(re, &n);
    x = veil_pool_zalloc(cf->pool, sizeof(*x) + n * sizeof(x->named[0]));
    x->re = re;
    x->nnamed = n;
    for (i = 0; i < n; i++) {
        v = veil_http_var_define(cf, names[i].name, VEIL_HTTP_VAR_CHANGEABLE);
        if (v == NULL) {
            return NULL;
        }
        x->named[i].group = names[i].group;
        x->named[i].variable = v->index;
    }
    return x;
}

bool
veil_http_regex_match(veil_http_request_t *r, const veil_http_regex_t *re,
                      veil_str_t subject)
{
    int pairs[2 * REGEX_MAX_PAIRS];
    unsigned i, keep;
    char text[128];
    int n;

    n = veil_regex_match(re->re, subject, pairs, REGEX_MAX_PAIRS);
    if (n <= VEIL_REGEX_FAILED) {
        if (r != NULL) {
            (void) veil_regex_strerror(n, text, sizeof(text));
            veil_log(&r->log, VEIL_LOG_ALERT, 0,
                     "matching \"%.*s\" failed: %s",
                     VEIL_STR_ARG(veil_regex_pattern(re->re)), text);
        }
        return false;
    }
    if (n == VEIL_REGEX_NONE || r == NULL) {
        return n != VEIL_REGEX_NONE;
    }

    keep = n > REGEX_MAX_PAIRS ? REGEX_MAX_PAIRS : (unsigned) n;
    r->captured = subject;
    r->ncaptures = keep;
    r->captures = veil_pool_alloc(r->pool, 2 * keep * sizeof(int));
    memcpy(r->captures, pairs, 2 * keep * sizeof(int));

    for (i = 0; i < re->nnamed; i++) {
        if (re->named[i].group < keep) {
            veil_http_var_store(r, re->named[i].variable,
                                veil_http_capture(r, re->named[i].group));
        }
    }
    return true;
}

veil_str_t
veil_http_regex_pattern(const veil_http_regex_t *re)
{
    return veil_regex_pattern(re->re);
}

unsigned
veil_http_regex_groups(const veil_http_regex_t *re)
{
    return veil_regex_groups(re->re);
}
