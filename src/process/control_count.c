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
#include "process/control_audit.h"

#define COUNT_NAME "veil_control_requests_total"
#define COUNT_LABEL 64

static veil_metric_t count_results[] = {
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
} count;

static void
count_declare(veil_metric_t *m, const char *verb)
{
    static const veil_metric_t counter = VEIL_COUNTER(COUNT_NAME, NULL, NULL);
    char *labels = veil_alloc(COUNT_LABEL);

    (void) veil_snprintf(labels, COUNT_LABEL, "verb=\"%s\"", verb);
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
    count.verbs.metrics = veil_zalloc((n + 1) * sizeof(veil_metric_t));
    count.verbs.n = n + 1;
    for (i = 0; (v = veil_control_verb_at(i)) != NULL; i++) {
        count_declare(&count.verbs.metrics[i], v->name);
    }
    count_declare(&count.verbs.metrics[n], "unknown");
    count.verbs.metrics[0].help = "Requests of the control socket.";
    count.results.metrics = &count_results[VEIL_AUDIT_OK];
    count.results.n = veil_countof(count_results) - VEIL_AUDIT_OK;
    veil_metrics_add(&count.verbs);
    veil_metrics_add(&count.results);
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
    veil_metric_inc(&count.verbs.metrics[i]);
    veil_metric_inc(&count_results[result]);
}
