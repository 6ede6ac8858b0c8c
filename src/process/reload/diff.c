/*
 * diff.c -- what tells one configuration from another, for people.
 *
 * Which directives differ is found in diff_tree.c.  Here is what a tree does
 * not show, or not at a glance: servers of upstreams, which are collected on
 * both sides and compared; and sockets, zones and the content of files, which
 * are in the facts.  A line at the end says it all in numbers.
 *
 * This file reads nothing and asks nobody.
 */

#include "core/platform.h"

#include "core/control.h"
#include "core/pool.h"
#include "process/reload/diff.h"

_Static_assert(offsetof(veil_conf_node_t, link) == 0,
               "a node's link is its beginning");

static const veil_conf_node_t *
diff_node(const veil_list_t *link)
{
    return (const veil_conf_node_t *) (const void *) link;
}

static bool
diff_is(const veil_conf_node_t *node, const char *name)
{
    return node->nargs != 0 && veil_str_eq_z(node->args[0].str, name);
}

/* --- servers of upstreams ------------------------------------------------ */

typedef struct {
    veil_str_t upstream;
    veil_str_t server;
} diff_server_t;

typedef struct {
    diff_server_t *servers;
    unsigned n;
    unsigned cap;
} diff_servers_t;

static void
diff_add_servers(diff_servers_t *s, const veil_conf_node_t *upstream)
{
    const veil_conf_node_t *node;
    const veil_list_t *l;

    veil_list_foreach (l, &upstream->children) {
        node = diff_node(l);
        if (!diff_is(node, "server") || node->nargs < 2) {
            continue;
        }
        if (s->n == s->cap) {
            s->cap = s->cap == 0 ? 64 : s->cap * 2;
            s->servers =
                veil_realloc(s->servers, s->cap * sizeof(*s->servers));
        }
        s->servers[s->n].upstream = upstream->args[1].str;
        s->servers[s->n].server = node->args[1].str;
        s->n++;
    }
}

static int
diff_compare_servers(const void *x, const void *y)
{
    const diff_server_t *a = x;
    const diff_server_t *b = y;
    int rc = veil_str_cmp(a->upstream, b->upstream);

    return rc != 0 ? rc : veil_str_cmp(a->server, b->server);
}

/* Upstreams stand one block below the top: in http, in stream. */
static void
diff_find_servers(diff_servers_t *s, const veil_conf_node_t *tree)
{
    const veil_list_t *l, *m;

    memset(s, 0, sizeof(*s));
    veil_list_foreach (l, &tree->children) {
        veil_list_foreach (m, &diff_node(l)->children) {
            if (diff_node(m)->is_block && diff_node(m)->nargs > 1
                && diff_is(diff_node(m), "upstream"))
            {
                diff_add_servers(s, diff_node(m));
            }
        }
    }
    if (s->n != 0) {
        qsort(s->servers, s->n, sizeof(*s->servers), diff_compare_servers);
    }
}

static void
diff_append(json_t *list, json_t *item)
{
    if (json_array_size(list) < VEIL_DIFF_LIST) {
        json_array_append_new(list, item);
    } else {
        json_decref(item);
    }
}

static void
diff_append_server(json_t *list, const diff_server_t *s)
{
    json_t *o = json_object();

    json_object_set_new(o, "upstream", veil_control_string(s->upstream));
    json_object_set_new(o, "server", veil_control_string(s->server));
    diff_append(list, o);
}

/* {"added": [], "removed": []}, to be filled. */
static json_t *
diff_lists(json_t **added, json_t **removed)
{
    json_t *o = json_object();

    *added = json_array();
    *removed = json_array();
    json_object_set_new(o, "added", *added);
    json_object_set_new(o, "removed", *removed);
    return o;
}

static json_t *
diff_upstreams(const veil_conf_node_t *from, const veil_conf_node_t *to)
{
    json_t *added, *removed;
    json_t *o = diff_lists(&added, &removed);
    diff_servers_t a, b;
    unsigned i = 0, j = 0;
    int rc;

    diff_find_servers(&a, from);
    diff_find_servers(&b, to);
    while (i < a.n || j < b.n) {
        if (i == a.n) {
            rc = 1;
        } else if (j == b.n) {
            rc = -1;
        } else {
            rc = diff_compare_servers(&a.servers[i], &b.servers[j]);
        }
        if (rc < 0) {
            diff_append_server(removed, &a.servers[i]);
        } else if (rc > 0) {
            diff_append_server(added, &b.servers[j]);
        }
        i += rc <= 0;
        j += rc >= 0;
    }
    veil_free(a.servers);
    veil_free(b.servers);
    return o;
}

/* --- facts --------------------------------------------------------------- */

/* Names that one of the objects has and the other has not. */
static void
diff_names(json_t *list, const json_t *has, const json_t *lacks)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *) (uintptr_t) has, name, value)
    {
        if (json_object_get(lacks, name) == NULL) {
            diff_append(list, json_string(name));
        }
    }
}

/* What is to be told of a thing that both sides have; NULL: nothing. */
typedef json_t *diff_tell_fn(const char *name, const json_t *before,
                             const json_t *now);

static json_t *
diff_listener(const char *name, const json_t *before, const json_t *now)
{
    return json_equal(before, now)
               ? NULL
               : json_pack("{s:s, s:O, s:O}", "address", name, "from", before,
                           "to", now);
}

static json_t *
diff_zone(const char *name, const json_t *before, const json_t *now)
{
    return json_equal(json_object_get(before, "size"),
                      json_object_get(now, "size"))
               ? NULL
               : json_string(name);
}

static json_t *
diff_file(const char *name, const json_t *before, const json_t *now)
{
    return json_equal(before, now) ? NULL : json_string(name);
}

static json_t *
diff_both(const json_t *from, const json_t *to, diff_tell_fn *tell)
{
    json_t *list = json_array();
    const json_t *before;
    const char *name;
    json_t *now, *told;

    json_object_foreach((json_t *) (uintptr_t) to, name, now)
    {
        before = json_object_get(from, name);
        told = before == NULL ? NULL : tell(name, before, now);
        if (told != NULL) {
            diff_append(list, told);
        }
    }
    return list;
}

/* What is new, what is gone, and under that name what is another. */
static json_t *
diff_things(const json_t *from, const json_t *to, const char *other,
            diff_tell_fn *tell)
{
    json_t *added, *removed;
    json_t *o = diff_lists(&added, &removed);

    diff_names(added, to, from);
    diff_names(removed, from, to);
    json_object_set_new(o, other, diff_both(from, to, tell));
    return o;
}

static void
diff_add_facts(json_t *o, const json_t *from, const json_t *to)
{
    if (from == NULL || to == NULL) {
        return;
    }
    json_object_set_new(o, "workers",
                        json_pack("[O, O]", json_object_get(from, "workers"),
                                  json_object_get(to, "workers")));
    json_object_set_new(o, "listeners",
                        diff_things(json_object_get(from, "listeners"),
                                    json_object_get(to, "listeners"),
                                    "changed", diff_listener));
    json_object_set_new(o, "zones",
                        diff_things(json_object_get(from, "zones"),
                                    json_object_get(to, "zones"), "renewed",
                                    diff_zone));
    json_object_set_new(o, "certificates",
                        diff_both(json_object_get(from, "files"),
                                  json_object_get(to, "files"), diff_file));
}

/* --- the summary --------------------------------------------------------- */

typedef struct {
    char data[512];
    size_t len;
} diff_summary_t;

static void diff_say(diff_summary_t *s, const char *fmt, ...)
    VEIL_PRINTF(2, 3);

static void
diff_say(diff_summary_t *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    s->len +=
        veil_vsnprintf(s->data + s->len, sizeof(s->data) - s->len, fmt, ap);
    va_end(ap);
}

/* "; listeners: 1 added, 2 removed"; nothing when there is nothing. */
static void
diff_say_lists(diff_summary_t *s, const char *what, const json_t *lists)
{
    const char *sep = ": ";
    bool begun = false;
    const char *name;
    json_t *list;

    json_object_foreach((json_t *) (uintptr_t) lists, name, list)
    {
        if (json_array_size(list) == 0) {
            continue;
        }
        if (!begun) {
            diff_say(s, "%s%s", s->len == 0 ? "" : "; ", what);
            begun = true;
        }
        diff_say(s, "%s%zu %s", sep, json_array_size(list), name);
        sep = ", ";
    }
}

static void
diff_say_directives(diff_summary_t *s, const veil_diff_tree_t *d)
{
    const struct {
        unsigned n;
        const char *what;
    } parts[] = { { d->added, "added" },
                  { d->removed, "removed" },
                  { d->changed, "changed" } };
    const char *sep = "directives: ";
    size_t i;

    for (i = 0; i < veil_countof(parts); i++) {
        if (parts[i].n != 0) {
            diff_say(s, "%s%u %s", sep, parts[i].n, parts[i].what);
            sep = ", ";
        }
    }
}

static void
diff_add_summary(json_t *o, const veil_diff_tree_t *d)
{
    const json_t *workers = json_object_get(o, "workers");
    const json_t *from = json_array_get(workers, 0);
    const json_t *to = json_array_get(workers, 1);
    size_t n = json_array_size(json_object_get(o, "certificates"));
    diff_summary_t s = { .len = 0 };
    bool same;

    s.data[0] = '\0';
    diff_say_directives(&s, d);
    diff_say_lists(&s, "upstream servers", json_object_get(o, "upstreams"));
    diff_say_lists(&s, "listeners", json_object_get(o, "listeners"));
    if (workers != NULL && !json_equal(from, to)) {
        diff_say(&s, "%sworkers: %lld, were %lld", s.len == 0 ? "" : "; ",
                 (long long) json_integer_value(to),
                 (long long) json_integer_value(from));
    }
    diff_say_lists(&s, "zones", json_object_get(o, "zones"));
    if (n != 0) {
        diff_say(&s, "%scertificates: %zu renewed", s.len == 0 ? "" : "; ", n);
    }
    same = s.len == 0;
    if (same) {
        diff_say(&s, "nothing has changed");
    }
    json_object_set_new(o, "same", json_boolean(same));
    json_object_set_new(o, "summary", json_string(s.data));
}

json_t *
veil_diff_make(const veil_diff_side_t *from, const veil_diff_side_t *to)
{
    json_t *o = json_object();
    veil_diff_tree_t d;

    veil_diff_tree(from->tree, to->tree, &d);
    json_object_set_new(o, "directives",
                        json_pack("{s:i, s:i, s:i}", "added", (int) d.added,
                                  "removed", (int) d.removed, "changed",
                                  (int) d.changed));
    json_object_set_new(o, "changes", d.changes);
    json_object_set_new(o, "more", json_integer(d.more));
    json_object_set_new(o, "upstreams", diff_upstreams(from->tree, to->tree));
    diff_add_facts(o, from->facts, to->facts);
    diff_add_summary(o, &d);
    return o;
}
