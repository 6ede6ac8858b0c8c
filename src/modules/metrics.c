/*
 * metrics.c -- the verb "metrics": what all processes have counted.
 *
 * The keeper reads the board (core/board.h), so a worker is neither asked nor
 * waited for: one that is stuck shows what it had counted until then.  The
 * dead that nobody has noticed are folded first, or their gauges would stay.
 *
 * What this does not do: count anything, or serve HTTP.
 */

#include "core/core.h"

#include <inttypes.h>

#include "core/board.h"
#include "core/control.h"
#include "core/metric_text.h"

typedef struct {
    veil_metric_row_t *rows;
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
    r->rows[r->n].cells = cells;
    r->rows[r->n].labels = r->labels[r->n];
    r->n++;
}

/* A row for each process, and one for those that have ended. */
static void
metrics_by_process(metrics_rows_t *r)
{
    const veil_board_block_t *b;
    unsigned i;

    r->rows = veil_zalloc((VEIL_BOARD_BLOCKS + 1) * sizeof(*r->rows));
    r->labels = veil_zalloc((VEIL_BOARD_BLOCKS + 1) * sizeof(*r->labels));
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
    r->rows = veil_zalloc(sizeof(*r->rows));
    r->rows[0].cells = veil_board_read();
    r->n = 1;
}

static void
metrics_free(metrics_rows_t *r)
{
    unsigned i;

    for (i = 0; i < r->n; i++) {
        union {
            const uint64_t *read;
            void *own;
        } cells = { .read = r->rows[i].cells };

        veil_free(cells.own);
    }
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
    if (veil_control_flag(call, "workers")) {
        metrics_by_process(&r);
    } else {
        metrics_in_all(&r);
    }
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
