/*
 * diff_tree.c -- which directives tell one configuration from another.
 *
 * Two trees are compared block by block.  Within a block, directives are
 * matched in three rounds: those that are the same, with all that is in them;
 * then those of the same identity (a location of the same prefix, a server of
 * the same name, "add_header X" with another value), which have changed; then
 * those of the same name, when there is one on each side.  What is left was
 * added or removed.  A block that has changed is compared in turn.
 *
 * Each round sorts by a hash, so the whole takes n log n: the next generation
 * of a hundred thousand locations must not wait for it.  A hash of 64 bits
 * with a secret seed is taken as equality; the worst that could follow from
 * an accident is a line that is missing in a report.
 */

#include "core/platform.h"

#include "core/control.h"
#include "core/hash.h"
#include "core/pool.h"
#include "process/reload/diff.h"

#define DIFF_TREE_PATH 512

_Static_assert(offsetof(veil_conf_node_t, link) == 0,
               "a node's link is its beginning");

/* A directive of one of the blocks that are compared. */
typedef struct {
    const veil_conf_node_t *node;
    uint64_t same;     /* of all that is in it */
    uint64_t identity; /* of what makes it that directive and no other */
    uint64_t key;      /* the one of this round */
    unsigned at;       /* its place in the block */
    bool matched;
    const veil_conf_node_t *was; /* of the new side: what it was, changed */
} diff_tree_item_t;

typedef struct {
    diff_tree_item_t *items;
    unsigned n;
} diff_tree_block_t;

typedef struct {
    veil_diff_tree_t *out;
    char path[DIFF_TREE_PATH];
    size_t path_len;
} diff_tree_t;

static const veil_conf_node_t *
diff_tree_node(const veil_list_t *link)
{
    return (const veil_conf_node_t *) (const void *) link;
}

static bool
diff_tree_is(const veil_conf_node_t *node, const char *name)
{
    return node->nargs != 0 && veil_str_eq_z(node->args[0].str, name);
}

/* --- words --------------------------------------------------------------- */

typedef struct {
    char *data;
    size_t n; /* there is room for */
    size_t len;
} diff_tree_text_t;

static void
diff_tree_put(diff_tree_text_t *t, veil_str_t s)
{
    size_t n = veil_min_size(s.len, t->n - t->len);

    memcpy(t->data + t->len, s.data, n);
    t->len += n;
}

static void
diff_tree_put_word(diff_tree_text_t *t, veil_str_t word)
{
    size_t i;
    bool quote = word.len == 0;

    for (i = 0; i < word.len && !quote; i++) {
        quote = strchr(" \t\r\n;{}\"'\\#", word.data[i]) != NULL;
    }
    if (quote) {
        diff_tree_put(t, VEIL_STR("\""));
    }
    diff_tree_put(t, word);
    if (quote) {
        diff_tree_put(t, VEIL_STR("\""));
    }
}

/* The first directive of that name in the block; NULL: there is none. */
static const veil_conf_node_t *
diff_tree_child(const veil_conf_node_t *block, const char *name)
{
    const veil_list_t *l;

    veil_list_foreach (l, &block->children) {
        if (diff_tree_is(diff_tree_node(l), name)) {
            return diff_tree_node(l);
        }
    }
    return NULL;
}

/* A server of http has no words of its own: its name is in it. */
static bool
diff_tree_is_server(const veil_conf_node_t *node)
{
    return node->is_block && node->nargs == 1 && diff_tree_is(node, "server");
}

/* "server a.example", "location /x", "listen 80 ssl". */
static void
diff_tree_put_node(diff_tree_text_t *t, const veil_conf_node_t *node)
{
    const veil_conf_node_t *name = NULL;
    unsigned i;

    for (i = 0; i < node->nargs; i++) {
        if (i > 0) {
            diff_tree_put(t, VEIL_STR(" "));
        }
        diff_tree_put_word(t, node->args[i].str);
    }
    if (!diff_tree_is_server(node)) {
        return;
    }
    name = diff_tree_child(node, "server_name");
    if (name == NULL || name->nargs < 2 || name->args[1].str.len == 0) {
        name = diff_tree_child(node, "listen");
    }
    if (name != NULL && name->nargs > 1) {
        diff_tree_put(t, VEIL_STR(" "));
        diff_tree_put_word(t, name->args[1].str);
    }
}

static unsigned
diff_tree_count(const veil_conf_node_t *block)
{
    const veil_list_t *l;
    unsigned n = 0;

    veil_list_foreach (l, &block->children) {
        n += 1 + diff_tree_count(diff_tree_node(l));
    }
    return n;
}

/* A directive as one text of JSON, cut; of a block, how much is in it. */
static json_t *
diff_tree_text(const veil_conf_node_t *node)
{
    char buf[VEIL_DIFF_TEXT + 64];
    diff_tree_text_t t = { .data = buf, .n = VEIL_DIFF_TEXT };
    unsigned n;

    diff_tree_put_node(&t, node);
    if (t.len == t.n) {
        t.n = sizeof(buf);
        diff_tree_put(&t, VEIL_STR("..."));
    }
    if (node->is_block) {
        n = diff_tree_count(node);
        t.len += veil_snprintf(buf + t.len, sizeof(buf) - t.len,
                               " { %u directive%s }", n, n == 1 ? "" : "s");
    }
    return veil_control_string(veil_str_n(buf, t.len));
}

/* --- hashes -------------------------------------------------------------- */

static uint64_t
diff_tree_mix(uint64_t h, uint64_t with)
{
    h = (h ^ with) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t
diff_tree_mix_words(uint64_t h, const veil_conf_node_t *node, unsigned n)
{
    unsigned i;

    for (i = 0; i < node->nargs && i < n; i++) {
        h = diff_tree_mix(h, veil_hash_str(VEIL_HASH_CASE, node->args[i].str));
    }
    return h;
}

/* The stack is as deep as the configuration's blocks, which are limited. */
static uint64_t
diff_tree_same(const veil_conf_node_t *node)
{
    uint64_t h = diff_tree_mix_words(node->nargs, node, node->nargs);
    const veil_list_t *l;

    if (node->is_block) {
        h = diff_tree_mix(h, 1);
        veil_list_foreach (l, &node->children) {
            h = diff_tree_mix(h, diff_tree_same(diff_tree_node(l)));
        }
        h = diff_tree_mix(h, 2);
    }
    return h;
}

static uint64_t
diff_tree_identity(const veil_conf_node_t *node)
{
    const veil_conf_node_t *child;
    uint64_t h;

    if (!node->is_block) {
        return diff_tree_mix_words(3, node, 2);
    }
    h = diff_tree_mix_words(4, node, node->nargs);
    if (diff_tree_is_server(node)) {
        child = diff_tree_child(node, "server_name");
        h = child == NULL ? h : diff_tree_mix_words(h, child, child->nargs);
        child = diff_tree_child(node, "listen");
        h = child == NULL ? h : diff_tree_mix_words(h, child, 2);
    }
    return h;
}

static void
diff_tree_block(diff_tree_block_t *b, const veil_conf_node_t *node)
{
    const veil_list_t *l;
    diff_tree_item_t *item;
    unsigned n = 0;

    veil_list_foreach (l, &node->children) {
        n++;
    }
    b->n = n;
    b->items = veil_zalloc((n + 1) * sizeof(*b->items));
    n = 0;
    veil_list_foreach (l, &node->children) {
        item = &b->items[n];
        item->node = diff_tree_node(l);
        item->same = diff_tree_same(item->node);
        item->identity = diff_tree_identity(item->node);
        item->at = n++;
    }
}

/* --- reporting ----------------------------------------------------------- */

static void
diff_tree_report(diff_tree_t *d, const char *op, const veil_conf_node_t *from,
                 const veil_conf_node_t *to)
{
    json_t *o;

    if (json_array_size(d->out->changes) == VEIL_DIFF_LIST) {
        d->out->more++;
        return;
    }
    o = json_object();
    json_object_set_new(o, "op", json_string(op));
    json_object_set_new(o, "path",
                        veil_control_string(veil_str_n(d->path, d->path_len)));
    if (from != NULL) {
        json_object_set_new(o, "from", diff_tree_text(from));
    }
    if (to != NULL) {
        json_object_set_new(o, "to", diff_tree_text(to));
        if (to->nargs != 0) {
            json_object_set_new(o, "file",
                                veil_control_string(to->file->name));
            json_object_set_new(o, "line", json_integer(to->args[0].line));
        }
    }
    json_array_append_new(d->out->changes, o);
}

static void diff_tree_blocks(diff_tree_t *d, const veil_conf_node_t *a,
                             const veil_conf_node_t *b);

/* The path with the block behind it, while what is in it is compared. */
static void
diff_tree_into(diff_tree_t *d, const veil_conf_node_t *a,
               const veil_conf_node_t *b)
{
    diff_tree_text_t t = { .data = d->path,
                           .n = DIFF_TREE_PATH,
                           .len = d->path_len };
    size_t before = d->path_len;

    if (before != 0) {
        diff_tree_put(&t, VEIL_STR(" > "));
    }
    diff_tree_put_node(&t, b);
    d->path_len = t.len;
    diff_tree_blocks(d, a, b);
    d->path_len = before;
}

static void
diff_tree_matched(diff_tree_item_t *a, diff_tree_item_t *b)
{
    a->matched = true;
    b->matched = true;
    b->was = a->same == b->same ? NULL : a->node;
}

/* What has changed, in the order of the new file and not of hashes. */
static void
diff_tree_changed(diff_tree_t *d, const diff_tree_block_t *b)
{
    const diff_tree_item_t *item;
    unsigned i;

    for (i = 0; i < b->n; i++) {
        item = &b->items[i];
        if (item->was == NULL) {
            continue;
        }
        if (item->was->is_block && item->node->is_block) {
            diff_tree_into(d, item->was, item->node);
        } else {
            d->out->changed++;
            diff_tree_report(d, "changed", item->was, item->node);
        }
    }
}

/* --- matching ------------------------------------------------------------ */

static int
diff_tree_by_key(const void *x, const void *y)
{
    const diff_tree_item_t *a = x;
    const diff_tree_item_t *b = y;

    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

static int
diff_tree_by_place(const void *x, const void *y)
{
    const diff_tree_item_t *a = x;
    const diff_tree_item_t *b = y;

    return a->at < b->at ? -1 : a->at > b->at;
}

typedef enum {
    DIFF_TREE_SAME,
    DIFF_TREE_IDENTITY,
    DIFF_TREE_NAME
} diff_tree_round_t;

/* Sorts by the round's key; matched ones, and those that cannot be, go last */
static void
diff_tree_sort(diff_tree_block_t *block, diff_tree_round_t round)
{
    diff_tree_item_t *item;
    unsigned i;

    for (i = 0; i < block->n; i++) {
        item = &block->items[i];
        switch (round) {
        case DIFF_TREE_SAME:
            item->key = item->same;
            break;
        case DIFF_TREE_IDENTITY:
            item->key = item->identity;
            break;
        case DIFF_TREE_NAME:
            /* A block of other words is another block. */
            item->key =
                diff_tree_mix_words(item->node->is_block ? 6 : 5, item->node,
                                    item->node->is_block ? 255 : 1);
            break;
        }
        if (item->matched) {
            item->key = UINT64_MAX;
        }
    }
    qsort(block->items, block->n, sizeof(*block->items), diff_tree_by_key);
}

/* How many from here on have the key of the first. */
static unsigned
diff_tree_run(const diff_tree_block_t *block, unsigned from)
{
    unsigned n = 1;

    while (from + n < block->n
           && block->items[from + n].key == block->items[from].key)
    {
        n++;
    }
    return n;
}

/* One round; that of names takes pairs only where there is no choice. */
static void
diff_tree_match(diff_tree_block_t *a, diff_tree_block_t *b,
                diff_tree_round_t round)
{
    unsigned i = 0, j = 0, na, nb, k;

    diff_tree_sort(a, round);
    diff_tree_sort(b, round);
    while (i < a->n && j < b->n && !a->items[i].matched
           && !b->items[j].matched) {
        if (a->items[i].key != b->items[j].key) {
            if (a->items[i].key < b->items[j].key) {
                i++;
            } else {
                j++;
            }
            continue;
        }
        na = diff_tree_run(a, i);
        nb = diff_tree_run(b, j);
        for (k = 0; k < na && k < nb; k++) {
            if (round == DIFF_TREE_NAME && (na > 1 || nb > 1)) {
                break;
            }
            diff_tree_matched(&a->items[i + k], &b->items[j + k]);
        }
        i += na;
        j += nb;
    }
}

static bool
diff_tree_all_matched(const diff_tree_block_t *block)
{
    unsigned i;

    for (i = 0; i < block->n; i++) {
        if (!block->items[i].matched) {
            return false;
        }
    }
    return true;
}

/* The same directives in another order: that may mean something else. */
static bool
diff_tree_is_reordered(diff_tree_block_t *a, diff_tree_block_t *b)
{
    unsigned i;

    if (a->n != b->n || !diff_tree_all_matched(a) || !diff_tree_all_matched(b))
    {
        return false;
    }
    qsort(a->items, a->n, sizeof(*a->items), diff_tree_by_place);
    qsort(b->items, b->n, sizeof(*b->items), diff_tree_by_place);
    for (i = 0; i < a->n; i++) {
        if (a->items[i].same != b->items[i].same) {
            return true;
        }
    }
    return false;
}

static void
diff_tree_left(diff_tree_t *d, diff_tree_block_t *a, diff_tree_block_t *b)
{
    unsigned i;

    qsort(a->items, a->n, sizeof(*a->items), diff_tree_by_place);
    qsort(b->items, b->n, sizeof(*b->items), diff_tree_by_place);
    diff_tree_changed(d, b);
    for (i = 0; i < a->n; i++) {
        if (!a->items[i].matched) {
            d->out->removed++;
            diff_tree_report(d, "removed", a->items[i].node, NULL);
        }
    }
    for (i = 0; i < b->n; i++) {
        if (!b->items[i].matched) {
            d->out->added++;
            diff_tree_report(d, "added", NULL, b->items[i].node);
        }
    }
}

static void
diff_tree_blocks(diff_tree_t *d, const veil_conf_node_t *from,
                 const veil_conf_node_t *to)
{
    diff_tree_block_t a;
    diff_tree_block_t b;

    diff_tree_block(&a, from);
    diff_tree_block(&b, to);
    diff_tree_match(&a, &b, DIFF_TREE_SAME);
    if (diff_tree_is_reordered(&a, &b)) {
        d->out->changed++;
        diff_tree_report(d, "reordered", NULL, NULL);
    } else {
        diff_tree_match(&a, &b, DIFF_TREE_IDENTITY);
        diff_tree_match(&a, &b, DIFF_TREE_NAME);
        diff_tree_left(d, &a, &b);
    }
    veil_free(a.items);
    veil_free(b.items);
}

void
veil_diff_tree(const veil_conf_node_t *from, const veil_conf_node_t *to,
               veil_diff_tree_t *out)
{
    diff_tree_t d = { .out = out };

    memset(out, 0, sizeof(*out));
    out->changes = json_array();
    diff_tree_blocks(&d, from, to);
}
