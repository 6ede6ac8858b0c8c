/*
 * metric.c -- the metrics of this program, in order.
 *
 * The tables of all files are found in a section of the program (see
 * VEIL_METRICS) and put into one array, sorted by name, which is the order in
 * which cells lie in a block and in which metrics are shown.  Within a name
 * it is that of the declarations.  This happens at the first question, which
 * is before the first fork, so that all processes have the same order.
 *
 * A cell has a key that another program with the same metric computes as
 * well.  With it, numbers survive an upgrade although cells move.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/metric.h"
#include "core/pool.h"

/* FNV-1a, 64 bits: these are few and nobody else chooses them. */
#define METRIC_FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define METRIC_FNV_PRIME UINT64_C(0x100000001b3)

/* Made by the linker; without a single table there is no such section. */
extern const veil_metric_table_t *const __start_veil_metrics[]
    __attribute__((weak, visibility("hidden")));
extern const veil_metric_table_t *const __stop_veil_metrics[]
    __attribute__((weak, visibility("hidden")));

#define METRIC_ADDED 4

uint64_t veil_metric_nowhere[VEIL_METRIC_MAX_BOUNDS + 2];

typedef struct {
    veil_metric_t *m;
    unsigned order; /* of declaration */
    unsigned cell;
} metric_entry_t;

typedef struct {
    uint64_t key;
    bool kept;
} metric_cell_t;

static struct {
    bool made;
    const veil_metric_table_t *added[METRIC_ADDED];
    unsigned nadded;
    metric_entry_t *entries;
    unsigned n;
    metric_cell_t *cells;
    unsigned ncells;
    uint64_t schema;
} metric_all;

static uint64_t
metric_hash(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *p = data;

    while (n-- > 0) {
        hash = (hash ^ *p++) * METRIC_FNV_PRIME;
    }
    return hash;
}

static int
metric_compare(const void *a, const void *b)
{
    const metric_entry_t *x = a, *y = b;
    int rc = strcmp(x->m->name, y->m->name);

    if (rc != 0) {
        return rc;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The i-th cell of a metric: a bucket is known by its bound. */
static uint64_t
metric_cell_key(const veil_metric_t *m, unsigned i)
{
    uint64_t hash = metric_hash(METRIC_FNV_BASIS, m->name, strlen(m->name));
    uint64_t bound = i;

    if (m->labels != NULL) {
        hash = metric_hash(hash, "{", 1);
        hash = metric_hash(hash, m->labels, strlen(m->labels));
    }
    if (m->type == VEIL_METRIC_HISTOGRAM) {
        /* Without the sum and the last bucket, which are not bounds. */
        bound = i < m->nbounds ? m->bounds[i] : UINT64_MAX - (i - m->nbounds);
        hash = metric_hash(hash, "#", 1);
        hash = metric_hash(hash, &bound, sizeof(bound));
    }
    return hash != 0 ? hash : 1;
}

void
veil_metrics_add(const veil_metric_table_t *table)
{
    VEIL_ASSERT(!metric_all.made && metric_all.nadded < METRIC_ADDED);
    metric_all.added[metric_all.nadded++] = table;
}

static void
metric_collect_table(const veil_metric_table_t *t)
{
    unsigned i;

    for (i = 0; i < t->n; i++) {
        metric_entry_t *e = &metric_all.entries[metric_all.n];

        e->m = &t->metrics[i];
        e->order = metric_all.n++;
        VEIL_ASSERT(e->m->nbounds <= VEIL_METRIC_MAX_BOUNDS);
    }
}

static void
metric_collect(void)
{
    const veil_metric_table_t *const *t;
    unsigned i, n = 0;

    for (t = __start_veil_metrics; t < __stop_veil_metrics; t++) {
        n += (*t)->n;
    }
    for (i = 0; i < metric_all.nadded; i++) {
        n += metric_all.added[i]->n;
    }
    metric_all.entries = veil_zalloc((n + 1) * sizeof(*metric_all.entries));
    for (t = __start_veil_metrics; t < __stop_veil_metrics; t++) {
        metric_collect_table(*t);
    }
    for (i = 0; i < metric_all.nadded; i++) {
        metric_collect_table(metric_all.added[i]);
    }
    qsort(metric_all.entries, metric_all.n, sizeof(*metric_all.entries),
          metric_compare);
}

static void
metric_number(void)
{
    unsigned i, k, cell = 0;
    metric_cell_t *c;
    uint64_t key;

    for (i = 0; i < metric_all.n; i++) {
        metric_all.entries[i].cell = cell;
        cell += veil_metric_cells(metric_all.entries[i].m);
    }
    metric_all.ncells = cell;
    metric_all.cells = veil_zalloc((cell + 1) * sizeof(*metric_all.cells));
    metric_all.schema = METRIC_FNV_BASIS;
    for (i = 0; i < metric_all.n; i++) {
        const veil_metric_t *m = metric_all.entries[i].m;

        for (k = 0; k < veil_metric_cells(m); k++) {
            c = &metric_all.cells[metric_all.entries[i].cell + k];
            key = metric_cell_key(m, k);
            /* Two declarations of one metric are a mistake. */
            VEIL_ASSERT(veil_metric_find(key) == -1);
            c->key = key;
            c->kept = m->type != VEIL_METRIC_GAUGE;
            metric_all.schema = metric_hash(metric_all.schema, &c->key, 8);
            metric_all.schema = metric_hash(metric_all.schema, &c->kept, 1);
        }
    }
}

static void
metric_make(void)
{
    if (veil_unlikely(!metric_all.made)) {
        metric_all.made = true;
        metric_collect();
        metric_number();
    }
}

uint64_t
veil_metrics_schema(void)
{
    metric_make();
    return metric_all.schema;
}

unsigned
veil_metrics_count(void)
{
    metric_make();
    return metric_all.ncells;
}

veil_metric_t *
veil_metric_at(unsigned i, unsigned *cell)
{
    metric_make();
    if (i >= metric_all.n) {
        return NULL;
    }
    *cell = metric_all.entries[i].cell;
    return metric_all.entries[i].m;
}

uint64_t
veil_metric_key(unsigned cell, bool *kept)
{
    metric_make();
    VEIL_ASSERT(cell < metric_all.ncells);
    *kept = metric_all.cells[cell].kept;
    return metric_all.cells[cell].key;
}

int
veil_metric_find(uint64_t key)
{
    unsigned i;

    metric_make();
    for (i = 0; i < metric_all.ncells; i++) {
        if (metric_all.cells[i].key == key) {
            return (int) i;
        }
    }
    return -1;
}

void
veil_metrics_attach(uint64_t *cells)
{
    metric_entry_t *e;
    unsigned i;

    metric_make();
    for (i = 0; i < metric_all.n; i++) {
        e = &metric_all.entries[i];
        e->m->cell = cells == NULL ? veil_metric_nowhere : &cells[e->cell];
    }
}
