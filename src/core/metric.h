/*
 * metric.h -- numbers for operators: counters, gauges, histograms.
 *
 * Whoever counts declares a table, in its own file:
 *
 *     enum { ACCEPTED, ACTIVE };
 *     static veil_metric_t conn_metrics[] = {
 *         [ACCEPTED] = VEIL_COUNTER("veil_connections_accepted_total", NULL,
 *                                   "Connections accepted."),
 *         [ACTIVE] = VEIL_GAUGE("veil_connections_active", NULL, "..."),
 *     };
 *     VEIL_METRICS(conn_metrics);
 *
 *     veil_metric_inc(&conn_metrics[ACCEPTED]);
 *
 * Names are those of Prometheus.  Labels are part of the declaration
 * ("status=\"2xx\""): a metric is one number, and there are as many as were
 * declared, whatever clients do.  Those of one name have one type and stand
 * one behind the other; the first one's help is the name's.
 *
 * What is only known when the program runs (the verbs of all modules) is a
 * table that veil_metrics_add() makes known before anybody asks.
 *
 * A cell is written by one process, with plain stores: it lies in the block
 * of the board (core/board.h) that this process has, or, before and without,
 * where nobody looks.  Threads other than the loop's must not count.
 */

#ifndef VEIL_CORE_METRIC_H
#define VEIL_CORE_METRIC_H

#include "core/types.h"

typedef enum {
    VEIL_METRIC_COUNTER,  /* only grows; a dead process's is kept */
    VEIL_METRIC_GAUGE,    /* goes with its process */
    VEIL_METRIC_HISTOGRAM /* as counters */
} veil_metric_type_t;

typedef struct {
    uint64_t *cell;     /* the first one; first here, as all need it */
    const char *name;   /* "veil_http_requests_total" */
    const char *labels; /* "a=\"b\",c=\"d\"" or NULL */
    const char *help;   /* NULL: said before */
    veil_metric_type_t type;
    unsigned nbounds;       /* histograms: upper bounds, growing */
    const uint64_t *bounds; /* a value equal to one belongs to it */
    double unit; /* what is shown for 1; 0.001: milliseconds as seconds */
    bool sparse; /* of rows with labels only those are shown that are not 0 */
    bool apart;  /* shown of rows that are this metric's own */
} veil_metric_t;

/* Cells of a metric: a histogram has its buckets, +Inf, and the sum. */
static inline unsigned
veil_metric_cells(const veil_metric_t *m)
{
    return m->type == VEIL_METRIC_HISTOGRAM ? m->nbounds + 2 : 1;
}

#define VEIL_METRIC_MAX_BOUNDS 24

/* Where cells lie before there is a board; nobody reads it. */
extern uint64_t veil_metric_nowhere[VEIL_METRIC_MAX_BOUNDS + 2];

#define VEIL_COUNTER(metric_name, metric_labels, metric_help)                 \
    {                                                                         \
        .cell = veil_metric_nowhere, .name = (metric_name),                   \
        .labels = (metric_labels), .help = (metric_help),                     \
        .type = VEIL_METRIC_COUNTER, .unit = 1                                \
    }
#define VEIL_GAUGE(metric_name, metric_labels, metric_help)                   \
    {                                                                         \
        .cell = veil_metric_nowhere, .name = (metric_name),                   \
        .labels = (metric_labels), .help = (metric_help),                     \
        .type = VEIL_METRIC_GAUGE, .unit = 1                                  \
    }
/* metric_bounds is an array; values are counted in units of metric_unit. */
#define VEIL_HISTOGRAM(metric_name, metric_labels, metric_help,               \
                       metric_bounds, metric_unit)                            \
    {                                                                         \
        .cell = veil_metric_nowhere, .name = (metric_name),                   \
        .labels = (metric_labels), .help = (metric_help),                     \
        .type = VEIL_METRIC_HISTOGRAM,                                        \
        .nbounds = (unsigned) veil_countof(metric_bounds),                    \
        .bounds = (metric_bounds), .unit = (metric_unit)                      \
    }

typedef struct {
    veil_metric_t *metrics;
    unsigned n;
} veil_metric_table_t;

/*
 * Makes the table known.  Pointers to all tables of a program lie in one
 * section, whose borders the linker names: so a file that counts says so
 * itself, and no list of such files has to be kept.
 */
#define VEIL_METRICS(table)                                                   \
    static const veil_metric_table_t table##_table = { table,                 \
                                                       veil_countof(table) }; \
    static const veil_metric_table_t *const table##_entry                     \
        __attribute__((section("veil_metrics"), used)) = &table##_table

/* Makes a table known as well, before the first of the questions below. */
void veil_metrics_add(const veil_metric_table_t *table);

static inline void
veil_metric_add(veil_metric_t *m, uint64_t n)
{
    /* Others read it at any time: whole, but nothing more. */
    __atomic_store_n(m->cell, *m->cell + n, __ATOMIC_RELAXED);
}

static inline void
veil_metric_inc(veil_metric_t *m)
{
    veil_metric_add(m, 1);
}

/* Of a gauge. */
static inline void
veil_metric_dec(veil_metric_t *m)
{
    veil_metric_add(m, (uint64_t) -1);
}

static inline void
veil_metric_set(veil_metric_t *m, uint64_t value)
{
    __atomic_store_n(m->cell, value, __ATOMIC_RELAXED);
}

/* A value seen, in the histogram's unit. */
static inline void
veil_metric_observe(veil_metric_t *m, uint64_t value)
{
    uint64_t *cell = m->cell;
    unsigned i = 0;

    /* Most values are small, and small bounds come first. */
    while (i < m->nbounds && value > m->bounds[i]) {
        i++;
    }
    __atomic_store_n(&cell[i], cell[i] + 1, __ATOMIC_RELAXED);
    cell += m->nbounds + 1;
    __atomic_store_n(cell, *cell + value, __ATOMIC_RELAXED);
}

/* --- for those who carry, keep and show them ------------------------------
 */

/* A program with other metrics has another one. */
uint64_t veil_metrics_schema(void);
/* Cells of all metrics together. */
unsigned veil_metrics_count(void);
/* The i-th metric, sorted by name, and where its cells begin; NULL: the end */
veil_metric_t *veil_metric_at(unsigned i, unsigned *cell);
/*
 * What a cell is called in all programs: a hash of the metric's name, labels
 * and bound.  *kept: not a gauge.
 */
uint64_t veil_metric_key(unsigned cell, bool *kept);
/* The cell of this key; -1: this program has none. */
int veil_metric_find(uint64_t key);
/* All cells lie there from now on; NULL: nowhere. */
void veil_metrics_attach(uint64_t *cells);

#endif
