/*
 * test_metric.c -- metrics: order, keys, counting, and the three forms.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "core/metric.c"
#include "core/metric_text.c"

static const uint64_t times[] = { 1, 10, 100 };

/* Not in the order of their names, and with other files' beside them. */
static veil_metric_t test_metrics[] = {
    VEIL_COUNTER("test_b_total", "status=\"2xx\",kind=\"a\"",
                 "Back\\slash\nand line."),
    VEIL_COUNTER("test_b_total", "status=\"3xx\"", NULL),
    VEIL_GAUGE("test_a", NULL, "A gauge."),
    VEIL_HISTOGRAM("test_c_seconds", "side=\"x\"", "Times.", times, 0.001),
};
VEIL_METRICS(test_metrics);

static veil_metric_t added_metrics[] = {
    VEIL_COUNTER("test_b_added_total", "verb=\"x\"", "Added."),
    VEIL_GAUGE("test_d_apart", NULL, "Of rows of its own."),
};

static uint64_t *
attach(void)
{
    uint64_t *cells = calloc(veil_metrics_count() + 1, sizeof(uint64_t));

    veil_metrics_attach(cells);
    return cells;
}

static unsigned
cell_of(const char *name)
{
    unsigned i, cell;
    const veil_metric_t *m;

    for (i = 0; (m = veil_metric_at(i, &cell)) != NULL; i++) {
        if (strcmp(m->name, name) == 0) {
            return cell;
        }
    }
    cr_assert_fail("there is no %s", name);
    return 0;
}

Test(metric, sorted_by_name_then_as_declared)
{
    unsigned a = cell_of("test_a"), b = cell_of("test_b_total");
    unsigned c = cell_of("test_c_seconds");

    cr_assert_eq(b, a + 1);
    cr_assert_eq(c, b + 2);
    cr_assert_geq(veil_metrics_count(), c + 5);
}

Test(metric, counts_nowhere_before_and_in_cells_after)
{
    uint64_t *cells;

    veil_metric_inc(&test_metrics[0]);
    veil_metric_observe(&test_metrics[3], 5);
    cells = attach();
    cr_assert_eq(cells[cell_of("test_b_total")], 0);
    veil_metric_inc(&test_metrics[0]);
    veil_metric_add(&test_metrics[1], 7);
    veil_metric_set(&test_metrics[2], 3);
    veil_metric_dec(&test_metrics[2]);
    cr_assert_eq(cells[cell_of("test_b_total")], 1);
    cr_assert_eq(cells[cell_of("test_b_total") + 1], 7);
    cr_assert_eq(cells[cell_of("test_a")], 2);
    veil_metrics_attach(NULL);
    veil_metric_inc(&test_metrics[0]);
    cr_assert_eq(cells[cell_of("test_b_total")], 1);
    free(cells);
}

Test(metric, histogram)
{
    uint64_t *cells = attach();
    unsigned c = cell_of("test_c_seconds");
    unsigned i;
    const uint64_t seen[] = { 0, 1, 2, 10, 100, 101, 5000 };
    const uint64_t want[] = { 2, 2, 1, 2, 5214 };

    for (i = 0; i < veil_countof(seen); i++) {
        veil_metric_observe(&test_metrics[3], seen[i]);
    }
    for (i = 0; i < veil_countof(want); i++) {
        cr_assert_eq(cells[c + i], want[i], "cell %u is %lu", i,
                     (unsigned long) cells[c + i]);
    }
    free(cells);
}

Test(metric, keys_tell_cells_apart_and_find_them)
{
    unsigned i;
    bool kept;

    for (i = 0; i < veil_metrics_count(); i++) {
        cr_assert_eq(veil_metric_find(veil_metric_key(i, &kept)), (int) i);
    }
    (void) veil_metric_key(cell_of("test_a"), &kept);
    cr_assert_not(kept);
    (void) veil_metric_key(cell_of("test_c_seconds"), &kept);
    cr_assert(kept);
    cr_assert_eq(veil_metric_find(12345), -1);
    cr_assert_neq(veil_metrics_schema(), 0);
}

Test(metric, prometheus)
{
    uint64_t *cells = attach();
    veil_metric_row_t row = { .cells = cells };
    char *text;

    veil_metric_add(&test_metrics[0], 12);
    veil_metric_set(&test_metrics[2], (uint64_t) -1);
    veil_metric_observe(&test_metrics[3], 7);
    veil_metric_observe(&test_metrics[3], 1000);
    text = veil_metrics_prom(&row, 1, "test_*");
    cr_assert_str_eq(text, "# HELP test_a A gauge.\n"
                           "# TYPE test_a gauge\n"
                           "test_a -1\n"
                           "# HELP test_b_total Back\\\\slash\\nand line.\n"
                           "# TYPE test_b_total counter\n"
                           "test_b_total{status=\"2xx\",kind=\"a\"} 12\n"
                           "test_b_total{status=\"3xx\"} 0\n"
                           "# HELP test_c_seconds Times.\n"
                           "# TYPE test_c_seconds histogram\n"
                           "test_c_seconds_bucket{side=\"x\",le=\"0.001\"} 0\n"
                           "test_c_seconds_bucket{side=\"x\",le=\"0.01\"} 1\n"
                           "test_c_seconds_bucket{side=\"x\",le=\"0.1\"} 1\n"
                           "test_c_seconds_bucket{side=\"x\",le=\"+Inf\"} 2\n"
                           "test_c_seconds_sum{side=\"x\"} 1.007\n"
                           "test_c_seconds_count{side=\"x\"} 2\n");
    free(text);
    free(cells);
}

Test(metric, prometheus_by_process)
{
    uint64_t *cells = attach();
    uint64_t *others = calloc(veil_metrics_count(), sizeof(uint64_t));
    veil_metric_row_t rows[] = { { cells, "worker=\"0\"", NULL },
                                 { others, "worker=\"1\"", NULL } };
    char *text;

    veil_metric_inc(&test_metrics[0]);
    text = veil_metrics_prom(rows, 2, "test_[ab]*");
    cr_assert_str_eq(text,
                     "# HELP test_a A gauge.\n"
                     "# TYPE test_a gauge\n"
                     "test_a{worker=\"0\"} 0\n"
                     "test_a{worker=\"1\"} 0\n"
                     "# HELP test_b_total Back\\\\slash\\nand line.\n"
                     "# TYPE test_b_total counter\n"
                     "test_b_total{worker=\"0\",status=\"2xx\",kind=\"a\"} 1\n"
                     "test_b_total{worker=\"1\",status=\"2xx\",kind=\"a\"} 0\n"
                     "test_b_total{worker=\"0\",status=\"3xx\"} 0\n"
                     "test_b_total{worker=\"1\",status=\"3xx\"} 0\n");
    free(text);
    free(cells);
    free(others);
}

Test(metric, table)
{
    uint64_t *cells = attach();
    veil_metric_row_t row = { .cells = cells };
    char *text;

    veil_metric_observe(&test_metrics[3], 7);
    text = veil_metrics_table(&row, 1, "test_[ac]*");
    cr_assert_str_eq(
        text, "test_a                                                   0\n"
              "test_c_seconds{side=\"x\"}                                 "
              "1 mean=0.007 p50<=0.01 p99<=0.01\n");
    free(text);
    free(cells);
}

Test(metric, json)
{
    uint64_t *cells = attach();
    veil_metric_row_t row = { .cells = cells };
    json_t *all, *want;
    json_error_t error;

    veil_metric_add(&test_metrics[0], 12);
    veil_metric_observe(&test_metrics[3], 200);
    all = veil_metrics_json(&row, 1, "test_[bc]*");
    want = json_loads(
        "{\"test_b_total\":{\"type\":\"counter\",\"help\":\"Back\\\\slash\\n"
        "and line.\",\"values\":[{\"labels\":{\"status\":\"2xx\",\"kind\":"
        "\"a\"},\"value\":12},{\"labels\":{\"status\":\"3xx\"},\"value\":0}]},"
        "\"test_c_seconds\":{\"type\":\"histogram\",\"help\":\"Times.\","
        "\"values\":[{\"labels\":{\"side\":\"x\"},\"count\":1,\"sum\":0.2,"
        "\"buckets\":[{\"le\":0.001,\"count\":0},{\"le\":0.01,\"count\":0},"
        "{\"le\":0.1,\"count\":0},{\"le\":\"+Inf\",\"count\":1}]}]}}",
        0, &error);
    cr_assert_not_null(want, "%s at %d", error.text, error.position);
    cr_assert(json_equal(all, want), "%s", json_dumps(all, 0));
    json_decref(all);
    json_decref(want);
    free(cells);
}

/* --- tables of the run time, rows of one metric -------------------------- */

Test(metric, a_table_that_is_added)
{
    static const veil_metric_table_t table = { added_metrics, 2 };
    veil_metric_row_t rows[3] = { { .labels = "p=\"1\"" },
                                  { .labels = "p=\"2\"" },
                                  { .labels = "g=\"7\"",
                                    .only = "test_d_apart" } };
    uint64_t *cells, *none;
    char *text;
    unsigned i;

    added_metrics[0].sparse = true;
    added_metrics[1].apart = true;
    veil_metrics_add(&table);
    cr_assert_eq(cell_of("test_b_added_total"), cell_of("test_a") + 1);
    cells = attach();
    veil_metric_inc(&added_metrics[0]);
    veil_metric_set(&added_metrics[1], 5);
    none = calloc(veil_metrics_count() + 1, sizeof(uint64_t));
    for (i = 0; i < 3; i++) {
        rows[i].cells = i == 1 ? none : cells;
    }
    text = veil_metrics_prom(rows, 3, "test_[bd]_a*");
    cr_assert_str_eq(text, "# HELP test_b_added_total Added.\n"
                           "# TYPE test_b_added_total counter\n"
                           "test_b_added_total{p=\"1\",verb=\"x\"} 1\n"
                           "# HELP test_d_apart Of rows of its own.\n"
                           "# TYPE test_d_apart gauge\n"
                           "test_d_apart{g=\"7\"} 5\n");
    free(text);
    free(cells);
    free(none);
}
