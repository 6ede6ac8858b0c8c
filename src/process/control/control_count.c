/*
 * control_count.c -- requests of the control socket, counted by their verbs
 * and by what became of them.
 *
 * The verbs are those of all modules, which are known when the program runs:
 * so is the table of the metrics.  A request is counted when it is over, or
 * refused, as its audit record says.
 */

#include "core/platform.h"

#include "core/metric.h"
#include "core/pool.h"
#include "process/control/control_audit.h"

#define CONTROL_COUNT_NAME "veil_control_requests_total"
#define CONTROL_COUNT_LABEL 64

static veil_metric_t control_count_results[] = {
    [VEIL_AUDIT_OK] =
        VEIL_COUNTER("veil_control_results_total", "result=\"ok\"",
                     "How requests of the control socket ended."),
    [VEIL_AUDIT_REFUSED] =
        VEIL_COUNTER("veil_control_results_total", "result=\"refused\"", NULL),
    [VEIL_AUDIT_FAILED] =
        VEIL_COUNTER("veil_control_results_total", "result=\"failed\"", NULL),
    [VEIL_AUDIT_TIMEOUT] =
        VEIL_COUNTER("veil_control_results_total", "result=\"timeout\"", NULL),
    [VEIL_AUDIT_PARTIAL] =
        VEIL_COUNTER("veil_control_results_total", "result=\"partial\"", NULL),
};

static struct {
    veil_metric_table_t verbs; /* as veil_control_verb_at(), and one more */
    veil_metric_table_t results;
} control_count;

static void
control_count_declare(veil_metric_t *m, const char *verb)
{
    static const veil_metric_t counter =
        VEIL_COUNTER(CONTROL_COUNT_NAME, NULL, NULL);
    char *labels = veil_alloc(CONTROL_COUNT_LABEL);

    (void) veil_snprintf(labels, CONTROL_COUNT_LABEL, "verb=\"%s\"", verb);
    memcpy(m, &counter, sizeof(*m));
    m->labels = labels;
    m->sparse = true;
}

void
veil_control_count_init(void)
{
    const veil_control_verb_t *v;
    unsigned i, n = 0;

    while (veil_control_verb_at(n) != NULL) {
        n++;
    }
    control_count.verbs.metrics = veil_zalloc((n + 1) * sizeof(veil_metric_t));
    control_count.verbs.n = n + 1;
    for (i = 0; (v = veil_control_verb_at(i)) != NULL; i++) {
        control_count_declare(&control_count.verbs.metrics[i], v->name);
    }
    control_count_declare(&control_count.verbs.metrics[n], "unknown");
    control_count.verbs.metrics[0].help = "Requests of the control socket.";
    control_count.results.metrics = &control_count_results[VEIL_AUDIT_OK];
    control_count.results.n =
        veil_countof(control_count_results) - VEIL_AUDIT_OK;
    veil_metrics_add(&control_count.verbs);
    veil_metrics_add(&control_count.results);
}

void
veil_control_count(const veil_control_verb_t *verb, veil_audit_result_t result)
{
    const veil_control_verb_t *v;
    unsigned i;

    if (result == VEIL_AUDIT_ACCEPTED) {
        return;
    }
    for (i = 0; (v = veil_control_verb_at(i)) != NULL && v != verb; i++) {
    }
    veil_metric_inc(&control_count.verbs.metrics[i]);
    veil_metric_inc(&control_count_results[result]);
}
