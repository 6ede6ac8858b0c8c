/*
 * location.c -- builds the location tree and finds a request's location.
 *
 * Prefixes of one level are a sorted array.  All prefixes of a URI stand on
 * one chain: take the last entry that is not greater than the URI; every
 * prefix of the URI is also a prefix of that entry.  So each entry knows the
 * longest other entry that is its prefix, and the walk along that chain ends
 * at the longest match: a binary search and a few steps, however many
 * locations there are.
 *
 * Exact locations are a second sorted array, regexes a list in the order of
 * the file, named ones a list.  A route's name has no slash at its end and
 * matches on path segments only; where it does not, the chain goes on.
 */

#include "core/platform.h"

#include "http/location.h"

#include "http/explain.h"
#include "http/http.h"
#include "http/regex.h"

typedef struct {
    veil_str_t name;
    int parent; /* the longest entry that is a prefix of this one; -1 */
    const veil_http_location_t *location;
} location_prefix_t;

struct veil_http_loctree_s {
    location_prefix_t *prefixes;
    unsigned nprefixes;
    location_prefix_t *exact;
    unsigned nexact;
    const veil_http_location_t **regex;
    unsigned nregex;
    const veil_http_location_t **named;
    unsigned nnamed;
    bool redirects; /* one of them has auto_redirect */
};

typedef struct veil_http_loctree_s location_tree_t;

/* --- building
 * ---------------------------------------------------------------------- */

static int
location_cmp(const void *a, const void *b)
{
    const location_prefix_t *x = a;
    const location_prefix_t *y = b;

    return veil_str_cmp(x->name, y->name);
}

static veil_rc_t
location_sort(veil_conf_t *cf, location_prefix_t *list, unsigned n)
{
    unsigned i;

    qsort(list, n, sizeof(*list), location_cmp);
    for (i = 1; i < n; i++) {
        if (veil_str_eq(list[i].name, list[i - 1].name)) {
            return veil_conf_error_node(cf, list[i].location->node, 1,
                                        "duplicate location \"%.*s\"",
                                        VEIL_STR_ARG(list[i].location->name));
        }
    }
    return VEIL_OK;
}

/* Fills in the parents: the sorted order is a walk of the prefix tree. */
static void
location_link(location_prefix_t *list, unsigned n)
{
    int parent;
    unsigned i;

    for (i = 0; i < n; i++) {
        parent = (int) i - 1;
        while (parent >= 0
               && !veil_str_starts(list[i].name, list[parent].name)) {
            parent = list[parent].parent;
        }
        list[i].parent = parent;
    }
}

/* Named ones are few: each is compared with those before it. */
static veil_rc_t
location_check_named(veil_conf_t *cf, const location_tree_t *t)
{
    unsigned i, j;

    for (i = 1; i < t->nnamed; i++) {
        for (j = 0; j < i; j++) {
            if (veil_str_eq(t->named[i]->name, t->named[j]->name)) {
                return veil_conf_error_node(cf, t->named[i]->node, 1,
                                            "duplicate location \"%.*s\"",
                                            VEIL_STR_ARG(t->named[i]->name));
            }
        }
    }
    return VEIL_OK;
}

static void
location_add(location_tree_t *t, const veil_http_location_t *l)
{
    location_prefix_t *p;

    if (l->regex) {
        t->regex[t->nregex++] = l;
        return;
    }
    if (l->named) {
        t->named[t->nnamed++] = l;
        return;
    }
    p = l->exact ? &t->exact[t->nexact++] : &t->prefixes[t->nprefixes++];
    p->name = l->name;
    p->location = l;
    if (l->is_route && p->name.len != 0
        && p->name.data[p->name.len - 1] == '/') {
        p->name.len--;
    }
    t->redirects |= l->auto_redirect;
}

static veil_rc_t
location_build(veil_conf_t *cf, veil_http_location_t *parent)
{
    unsigned i, n = parent->children == NULL ? 0 : parent->children->n;
    veil_http_location_t *l;
    location_tree_t *t;

    if (n == 0) {
        return VEIL_OK;
    }
    t = VEIL_POOL_NEW(cf->pool, location_tree_t);
    t->prefixes = veil_pool_alloc(cf->pool, n * sizeof(*t->prefixes));
    t->exact = veil_pool_alloc(cf->pool, n * sizeof(*t->exact));
    t->regex = veil_pool_alloc(cf->pool, n * sizeof(*t->regex));
    t->named = veil_pool_alloc(cf->pool, n * sizeof(*t->named));
    for (i = 0; i < n; i++) {
        l = *veil_array_at(parent->children, veil_http_location_t *, i);
        location_add(t, l);
        if (location_build(cf, l) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    if (location_check_named(cf, t) != VEIL_OK
        || location_sort(cf, t->prefixes, t->nprefixes) != VEIL_OK
        || location_sort(cf, t->exact, t->nexact) != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    location_link(t->prefixes, t->nprefixes);
    parent->tree = t;
    return VEIL_OK;
}

veil_rc_t
veil_http_locations_build(veil_conf_t *cf, veil_http_server_t *s)
{
    return location_build(cf, s->root);
}

/* --- finding
 * ------------------------------------------------------------------------ */

/* The last entry not greater than s; -1: all are. */
static int
location_floor(const location_prefix_t *list, unsigned n, veil_str_t s)
{
    unsigned low = 0, high = n, mid;

    while (low < high) {
        mid = low + (high - low) / 2;
        if (veil_str_cmp(list[mid].name, s) <= 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return (int) low - 1;
}

static bool
location_is_prefix(const location_prefix_t *p, veil_str_t uri)
{
    if (!veil_str_starts(uri, p->name)) {
        return false;
    }
    return !p->location->is_route || uri.len == p->name.len
           || uri.data[p->name.len] == '/';
}

static const veil_http_location_t *
location_longest(const location_tree_t *t, veil_str_t uri)
{
    int i = location_floor(t->prefixes, t->nprefixes, uri);

    while (i >= 0 && !location_is_prefix(&t->prefixes[i], uri)) {
        i = t->prefixes[i].parent;
    }
    return i < 0 ? NULL : t->prefixes[i].location;
}

static const veil_http_location_t *
location_exact(const location_tree_t *t, veil_str_t uri)
{
    int i = location_floor(t->exact, t->nexact, uri);

    if (i < 0 || !veil_str_eq(t->exact[i].name, uri)) {
        return NULL;
    }
    return t->exact[i].location;
}

/* "/x" when there is a "/x/" that wants to be asked with its slash. */
static const veil_http_location_t *
location_redirect(const location_tree_t *t, veil_str_t uri)
{
    const location_prefix_t *p;
    unsigned low =
        (unsigned) (location_floor(t->prefixes, t->nprefixes, uri) + 1);

    /* Entries between "/x" and "/x/" begin with "/x" and a smaller byte. */
    for (; low < t->nprefixes; low++) {
        p = &t->prefixes[low];
        if (!veil_str_starts(p->name, uri) || p->name.data[uri.len] > '/') {
            return NULL;
        }
        if (p->name.len == uri.len + 1 && p->name.data[uri.len] == '/') {
            return p->location->auto_redirect ? p->location : NULL;
        }
    }
    return NULL;
}

typedef struct {
    const veil_http_location_t *location;
    bool redirect;
    bool final; /* exact or by regex: no regex of outer levels */
} location_match_t;

static bool
location_matches(veil_http_request_t *r, const veil_http_location_t *l,
                 veil_str_t uri)
{
    bool matches = veil_http_regex_match(r, l->re, uri);

    veil_http_explain("location", l->node, "\"~ %.*s\" %s",
                      VEIL_STR_ARG(veil_http_regex_pattern(l->re)),
                      matches ? "matches, and is the first that does"
                              : "does not match");
    return matches;
}

static void
location_search(veil_http_request_t *r, const location_tree_t *t,
                veil_str_t uri, location_match_t *m)
{
    const veil_http_location_t *l;
    bool no_regex = false; /* of this level: "^~" was the longest */
    unsigned i;

    if (t == NULL) {
        return;
    }
    l = location_exact(t, uri);
    if (l != NULL) {
        veil_http_explain("location", l->node, "\"= %.*s\" is this path",
                          VEIL_STR_ARG(l->name));
        m->location = l;
        m->final = true;
        return;
    }
    if (t->redirects) {
        l = location_redirect(t, uri);
        if (l != NULL) {
            veil_http_explain("location", l->node,
                              "\"%.*s\" is asked for without its slash",
                              VEIL_STR_ARG(l->name));
            m->location = l;
            m->redirect = true;
            m->final = true;
            return;
        }
    }
    l = location_longest(t, uri);
    if (l != NULL) {
        m->location = l;
        no_regex = l->no_regex || l->is_route;
        veil_http_explain(
            "location", l->node, "\"%.*s\" is the longest prefix%s",
            VEIL_STR_ARG(l->name),
            no_regex ? ", and no regular expression is asked" : "");
        location_search(r, l->tree, uri, m);
        if (m->final) {
            return;
        }
    }
    for (i = 0; !no_regex && i < t->nregex; i++) {
        if (location_matches(r, t->regex[i], uri)) {
            m->location = t->regex[i];
            m->final = true;
            location_search(r, t->regex[i]->tree, uri, m);
            m->final = true;
            return;
        }
    }
}

veil_location_rc_t
veil_http_location_find(veil_http_request_t *r,
                        const veil_http_location_t **out)
{
    location_match_t m = { .location = NULL };

    location_search(r, r->server->root->tree, r->uri, &m);
    *out = m.location;
    if (m.location == NULL) {
        return VEIL_LOCATION_NONE;
    }
    return m.redirect ? VEIL_LOCATION_REDIRECT : VEIL_LOCATION_FOUND;
}

const veil_http_location_t *
veil_http_location_lookup(const veil_http_server_t *s, veil_str_t uri)
{
    location_match_t m = { .location = NULL };

    location_search(NULL, s->root->tree, uri, &m);
    return m.location;
}

const veil_http_location_t *
veil_http_location_named(veil_http_request_t *r, veil_str_t name)
{
    const location_tree_t *t = r->server->root->tree;
    unsigned i;

    for (i = 0; t != NULL && i < t->nnamed; i++) {
        if (veil_str_eq(t->named[i]->name, name)) {
            return t->named[i];
        }
    }
    return NULL;
}

/* --- entering
 * ----------------------------------------------------------------------- */

void
veil_http_location_confs(veil_http_request_t *r, void *const *loc_conf)
{
    const veil_http_core_loc_t *conf;

    r->loc_conf = loc_conf;
    conf = veil_http_core_loc(r);
    if (conf->error_log != NULL) {
        r->log.sinks = conf->error_log;
        r->log.level = r->log.all ? VEIL_LOG_DEBUG : conf->error_log_level;
    }
}

void
veil_http_location_enter(veil_http_request_t *r, const veil_http_location_t *l)
{
    r->location = l;
    r->matched_uri = r->uri;
    veil_http_location_confs(r, l->loc_conf);
    if (r->in.method != 0 && l->limit_except != NULL
        && (veil_http_core_loc(r)->limit_except_methods & r->in.method) == 0)
    {
        veil_http_location_confs(r, l->limit_except);
    }
}

veil_str_t
veil_http_location_rest(const veil_http_request_t *r)
{
    const veil_http_location_t *l = r->location;
    veil_str_t rest = r->uri;

    if (l != NULL && l->parent != NULL && !l->regex && !l->named) {
        if (!veil_str_starts(rest, l->name)) {
            return VEIL_STR_NULL; /* "/p" of the route "/p/" */
        }
        rest = veil_str_from(rest, l->name.len);
    }
    while (rest.len != 0 && rest.data[0] == '/') {
        rest = veil_str_from(rest, 1);
    }
    return rest;
}
