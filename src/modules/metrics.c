/*
 * metrics.c -- the verb "metrics": what all processes have counted.
 *
 * The keeper reads the board (core/board.h), so a worker is neither asked nor
 * waited for: one that is stuck shows what it had counted until then.  The
 * dead that nobody has noticed are folded first, or their gauges would stay.
 *
 * Connections are shown by generation as well: as if each generation were one
 * process, whose only metric that is.
 *
 * What this does not do: count anything, or serve HTTP.
 */

#include "core/core.h"

#include <inttypes.h>

#include "core/board.h"
#include "core/control.h"
#include "core/metric.h"
#include "core/metric_text.h"

#define METRICS_BY_GENERATION "veil_generation_connections"
#define METRICS_CONNECTIONS "veil_connections_active"

/* Of no process. */
static veil_metric_t metrics_own[] = {
    { .cell = veil_metric_nowhere,
      .name = METRICS_BY_GENERATION,
      .help = "Connections of a configuration's workers: a draining one's "
              "become fewer.",
      .type = VEIL_METRIC_GAUGE,
      .unit = 1,
      .apart = true },
};
VEIL_METRICS(metrics_own);

typedef struct {
    veil_metric_row_t *rows;
    uint64_t **cells; /* the rows' */
    char (*labels)[160];
    unsigned n;
} metrics_rows_t;

static const char *const metrics_roles[] = {
    [VEIL_BOARD_MASTER] = "master",
    [VEIL_BOARD_KEEPER] = "keeper",
    [VEIL_BOARD_WORKER] = "worker",
};

static void
metrics_add(metrics_rows_t *r, uint64_t *cells)
{
    r->cells[r->n] = cells;
    r->rows[r->n].cells = cells;
    r->rows[r->n].labels = r->labels[r->n];
    r->n++;
}

static void
metrics_make(metrics_rows_t *r)
{
    /* One for each process, and for each generation, and for the dead. */
    r->rows = veil_zalloc((2 * VEIL_BOARD_BLOCKS + 1) * sizeof(*r->rows));
    r->cells = veil_zalloc((2 * VEIL_BOARD_BLOCKS + 1) * sizeof(*r->cells));
    r->labels = veil_zalloc((2 * VEIL_BOARD_BLOCKS + 1) * sizeof(*r->labels));
}

static unsigned
metrics_cell(const char *name)
{
    const veil_metric_t *m;
    unsigned i, cell;

    for (i = 0; (m = veil_metric_at(i, &cell)) != NULL; i++) {
        if (strcmp(m->name, name) == 0) {
            return cell;
        }
    }
    VEIL_ASSERT(0);
    return 0;
}

/* The row of a generation, among those from first on; made when missing. */
static veil_metric_row_t *
metrics_generation(metrics_rows_t *r, unsigned first, uint64_t number)
{
    char labels[sizeof(r->labels[0])];
    unsigned i;

    veil_snprintf(labels, sizeof(labels), "generation=\"%" PRIu64 "\"",
                  number);
    for (i = first; i < r->n; i++) {
        if (strcmp(r->labels[i], labels) == 0) {
            return &r->rows[i];
        }
    }
    memcpy(r->labels[i], labels, sizeof(labels));
    metrics_add(r, veil_zalloc((veil_metrics_count() + 1) * sizeof(uint64_t)));
    r->rows[i].only = METRICS_BY_GENERATION;
    return &r->rows[i];
}

static void
metrics_by_generation(metrics_rows_t *r)
{
    unsigned from = metrics_cell(METRICS_CONNECTIONS);
    unsigned to = metrics_cell(METRICS_BY_GENERATION);
    const veil_board_block_t *b;
    unsigned i, first = r->n;
    veil_metric_row_t *row;
    uint64_t *cells, *sum;

    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        b = veil_board_block(i);
        if (b == NULL || b->role != VEIL_BOARD_WORKER) {
            continue;
        }
        row = metrics_generation(r, first, b->generation);
        sum = r->cells[row - r->rows];
        cells = veil_board_read_block(b);
        sum[to] += cells[from];
        veil_free(cells);
    }
}

/* A row for each process, and one for those that have ended. */
static void
metrics_by_process(metrics_rows_t *r)
{
    const veil_board_block_t *b;
    unsigned i;

    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        b = veil_board_block(i);
        if (b != NULL && b->role < veil_countof(metrics_roles)) {
            veil_snprintf(r->labels[r->n], sizeof(r->labels[0]),
                          "process=\"%s\",slot=\"%u\",generation=\"%" PRIu64
                          "\",pid=\"%d\"",
                          metrics_roles[b->role], b->slot, b->generation,
                          (int) veil_board_pid(b));
            metrics_add(r, veil_board_read_block(b));
        }
    }
    veil_snprintf(r->labels[r->n], sizeof(r->labels[0]), "process=\"ended\"");
    metrics_add(r, veil_board_read_dead());
}

static void
metrics_in_all(metrics_rows_t *r)
{
    metrics_add(r, veil_board_read());
    r->rows[0].labels = NULL;
}

static void
metrics_free(metrics_rows_t *r)
{
    unsigned i;

    for (i = 0; i < r->n; i++) {
        veil_free(r->cells[i]);
    }
    veil_free(r->cells);
    veil_free(r->rows);
    veil_free(r->labels);
}

static json_t *
metrics_text(char *text)
{
    json_t *string = json_string(text);

    free(text);
    return string;
}

static veil_control_rc_t
metrics_run(veil_control_call_t *call)
{
    const char *format = veil_control_text(call, "format");
    const char *match = veil_control_text(call, "match");
    metrics_rows_t r = { .n = 0 };

    if (!veil_board_is_open()) {
        return veil_control_fail(call, VEIL_E_FAILED,
                                 "this server has no memory for metrics");
    }
    veil_board_sweep();
    metrics_make(&r);
    if (veil_control_flag(call, "workers")) {
        metrics_by_process(&r);
    } else {
        metrics_in_all(&r);
    }
    metrics_by_generation(&r);
    if (format != NULL && strcmp(format, "prom") == 0) {
        call->data = metrics_text(veil_metrics_prom(r.rows, r.n, match));
    } else if (format != NULL && strcmp(format, "table") == 0) {
        call->data = metrics_text(veil_metrics_table(r.rows, r.n, match));
    } else {
        call->data = veil_metrics_json(r.rows, r.n, match);
    }
    metrics_free(&r);
    return VEIL_CONTROL_DONE;
}

static const veil_control_arg_t metrics_args[] = {
    { "format", VEIL_CONTROL_WORD, 0, "json|prom|table",
      "how to show them: as an object, as Prometheus reads them, as a table" },
    { "match", VEIL_CONTROL_STRING, VEIL_CONTROL_POSITION, NULL,
      "only metrics whose names match this pattern, as \"veil_http_*\"" },
    { "workers", VEIL_CONTROL_FLAG, 0, NULL,
      "each process by itself, and those that have ended" },
    { NULL, VEIL_CONTROL_STRING, 0, NULL, NULL },
};

static const veil_control_verb_t metrics_verbs[] = {
    { .name = "metrics",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_KEEPER,
      .args = metrics_args,
      .run = metrics_run,
      .help = "What all processes have counted, without asking them." },
    { .name = NULL },
};

veil_module_t veil_core_metrics_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "metrics",
    .control = metrics_verbs,
};
