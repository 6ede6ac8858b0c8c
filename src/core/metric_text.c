/*
 * metric_text.c -- metrics as Prometheus, people and programs read them.
 *
 * The format of Prometheus wants all lines of one name together, after one
 * HELP and one TYPE; buckets of histograms include the smaller ones, and
 * there is a last one, +Inf, which is the count.  Cells hold each bucket by
 * itself, as that is one store when counting.
 */

#include "core/platform.h"

#include <fnmatch.h>
#include <inttypes.h>

#include "core/assert.h"
#include "core/metric.h"
#include "core/metric_text.h"

static const char *const metric_types[] = {
    [VEIL_METRIC_COUNTER] = "counter",
    [VEIL_METRIC_GAUGE] = "gauge",
    [VEIL_METRIC_HISTOGRAM] = "histogram",
};

static bool
metric_matches(const veil_metric_t *m, const char *match)
{
    return match == NULL || fnmatch(match, m->name, 0) == 0;
}

/* Whether it is the first of its name. */
static bool
metric_is_first(const veil_metric_t *m, const veil_metric_t *before)
{
    return before == NULL || strcmp(m->name, before->name) != 0;
}

static const char *
metric_help(const veil_metric_t *m)
{
    return m->help != NULL ? m->help : "";
}

static void
metric_print_number(char *buf, size_t n, const veil_metric_t *m,
                    uint64_t value)
{
    if (m->unit != 1) {
        (void) snprintf(buf, n, "%.15g", (double) value * m->unit);
    } else if (m->type == VEIL_METRIC_GAUGE) {
        (void) snprintf(buf, n, "%" PRId64, (int64_t) value);
    } else {
        (void) snprintf(buf, n, "%" PRIu64, value);
    }
}

static void
metric_bound(char *buf, size_t n, const veil_metric_t *m, unsigned i)
{
    if (i == m->nbounds) {
        (void) snprintf(buf, n, "+Inf");
    } else {
        (void) snprintf(buf, n, "%.15g", (double) m->bounds[i] * m->unit);
    }
}

static uint64_t
metric_count(const veil_metric_t *m, const uint64_t *cells)
{
    uint64_t count = 0;
    unsigned i;

    for (i = 0; i <= m->nbounds; i++) {
        count += cells[i];
    }
    return count;
}

/* --- Prometheus -----------------------------------------------------------
 */

/* Help texts: backslashes and line feeds are escaped, nothing else. */
static void
metric_prom_head(FILE *out, const veil_metric_t *m)
{
    const char *p;

    fprintf(out, "# HELP %s ", m->name);
    for (p = metric_help(m); *p != '\0'; p++) {
        if (*p == '\n') {
            fputs("\\n", out);
        } else if (*p == '\\') {
            fputs("\\\\", out);
        } else {
            fputc(*p, out);
        }
    }
    fprintf(out, "\n# TYPE %s %s\n", m->name, metric_types[m->type]);
}

static void
metric_prom_name(FILE *out, const veil_metric_t *m, const char *suffix,
                 const char *extra, const char *le)
{
    const char *const parts[] = { extra, m->labels };
    const char *comma = "";
    unsigned i;

    fprintf(out, "%s%s", m->name, suffix);
    if (extra == NULL && m->labels == NULL && le == NULL) {
        fputc(' ', out);
        return;
    }
    fputc('{', out);
    for (i = 0; i < veil_countof(parts); i++) {
        if (parts[i] != NULL) {
            fprintf(out, "%s%s", comma, parts[i]);
            comma = ",";
        }
    }
    if (le != NULL) {
        fprintf(out, "%sle=\"%s\"", comma, le);
    }
    fputs("} ", out);
}

static void
metric_prom_histogram(FILE *out, const veil_metric_t *m, const uint64_t *cells,
                      const char *extra)
{
    uint64_t count = 0;
    char text[32];
    unsigned i;

    for (i = 0; i <= m->nbounds; i++) {
        count += cells[i];
        metric_bound(text, sizeof(text), m, i);
        metric_prom_name(out, m, "_bucket", extra, text);
        fprintf(out, "%" PRIu64 "\n", count);
    }
    metric_print_number(text, sizeof(text), m, cells[m->nbounds + 1]);
    metric_prom_name(out, m, "_sum", extra, NULL);
    fprintf(out, "%s\n", text);
    metric_prom_name(out, m, "_count", extra, NULL);
    fprintf(out, "%" PRIu64 "\n", count);
}

static void
metric_prom(FILE *out, const veil_metric_t *m, const uint64_t *cells,
            const char *extra)
{
    char text[32];

    if (m->type == VEIL_METRIC_HISTOGRAM) {
        metric_prom_histogram(out, m, cells, extra);
        return;
    }
    metric_print_number(text, sizeof(text), m, cells[0]);
    metric_prom_name(out, m, "", extra, NULL);
    fprintf(out, "%s\n", text);
}

/* --- a table --------------------------------------------------------------
 */

static void
metric_table_name(char *buf, size_t n, const veil_metric_t *m,
                  const char *extra)
{
    bool both = extra != NULL && m->labels != NULL;

    if (extra == NULL && m->labels == NULL) {
        (void) snprintf(buf, n, "%s", m->name);
        return;
    }
    (void) snprintf(buf, n, "%s{%s%s%s}", m->name, extra != NULL ? extra : "",
                    both ? "," : "", m->labels != NULL ? m->labels : "");
}

/* The bound that this part of the values does not exceed. */
static void
metric_quantile(char *buf, size_t n, const veil_metric_t *m,
                const uint64_t *cells, double part)
{
    double want = part * (double) metric_count(m, cells);
    uint64_t count = 0;
    unsigned i;

    for (i = 0; i < m->nbounds; i++) {
        count += cells[i];
        if ((double) count >= want) {
            break;
        }
    }
    metric_bound(buf, n, m, i);
}

static void
metric_table(FILE *out, const veil_metric_t *m, const uint64_t *cells,
             const char *extra)
{
    char name[256], text[32], half[32], most[32];
    uint64_t count;

    metric_table_name(name, sizeof(name), m, extra);
    if (m->type != VEIL_METRIC_HISTOGRAM) {
        metric_print_number(text, sizeof(text), m, cells[0]);
        fprintf(out, "%-56s %s\n", name, text);
        return;
    }
    count = metric_count(m, cells);
    if (count == 0) {
        fprintf(out, "%-56s 0\n", name);
        return;
    }
    metric_quantile(half, sizeof(half), m, cells, 0.5);
    metric_quantile(most, sizeof(most), m, cells, 0.99);
    fprintf(out, "%-56s %" PRIu64 " mean=%.6g p50<=%s p99<=%s\n", name, count,
            (double) cells[m->nbounds + 1] * m->unit / (double) count, half,
            most);
}

/* Whether the row is one of the metric's. */
static bool
metric_has_row(const veil_metric_t *m, const uint64_t *cells,
               const veil_metric_row_t *row)
{
    if (row->only != NULL) {
        return strcmp(row->only, m->name) == 0;
    }
    return !m->apart && !(m->sparse && row->labels != NULL && *cells == 0);
}

/* --- all of them ----------------------------------------------------------
 */

typedef void metric_print_fn(FILE *out, const veil_metric_t *m,
                             const uint64_t *cells, const char *extra);

static char *
metric_print_all(const veil_metric_row_t *rows, unsigned n, const char *match,
                 metric_print_fn *print, bool heads)
{
    const veil_metric_t *m, *before = NULL;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    unsigned i, k, cell;

    VEIL_ASSERT(out != NULL);
    for (i = 0; (m = veil_metric_at(i, &cell)) != NULL; i++) {
        if (metric_matches(m, match)) {
            if (heads && metric_is_first(m, before)) {
                metric_prom_head(out, m);
            }
            for (k = 0; k < n; k++) {
                if (metric_has_row(m, rows[k].cells + cell, &rows[k])) {
                    print(out, m, rows[k].cells + cell, rows[k].labels);
                }
            }
        }
        before = m;
    }
    VEIL_ASSERT(fclose(out) == 0);
    return text;
}

char *
veil_metrics_prom(const veil_metric_row_t *rows, unsigned n, const char *match)
{
    return metric_print_all(rows, n, match, metric_prom, true);
}

char *
veil_metrics_table(const veil_metric_row_t *rows, unsigned n,
                   const char *match)
{
    return metric_print_all(rows, n, match, metric_table, false);
}

/* --- JSON -----------------------------------------------------------------
 */

/* Labels as they are declared: a="b",c="d". */
static void
metric_json_labels(json_t *to, const char *labels)
{
    const char *p = labels, *eq, *end;
    char name[64];

    while (p != NULL && *p != '\0') {
        eq = strchr(p, '=');
        end = eq == NULL || eq[1] != '"' ? NULL : strchr(eq + 2, '"');
        VEIL_ASSERT(end != NULL && (size_t) (eq - p) < sizeof(name));
        memcpy(name, p, (size_t) (eq - p));
        name[eq - p] = '\0';
        json_object_set_new(to, name,
                            json_stringn(eq + 2, (size_t) (end - eq - 2)));
        p = end[1] == ',' ? end + 2 : end + 1;
    }
}

static json_t *
metric_json_value(const veil_metric_t *m, uint64_t value)
{
    return m->unit != 1 ? json_real((double) value * m->unit)
                        : json_integer((json_int_t) value);
}

static void
metric_json_histogram(json_t *to, const veil_metric_t *m,
                      const uint64_t *cells)
{
    json_t *buckets = json_array();
    json_t *bucket;
    unsigned i;

    for (i = 0; i <= m->nbounds; i++) {
        bucket = json_object();
        json_object_set_new(bucket, "le",
                            i < m->nbounds ? metric_json_value(m, m->bounds[i])
                                           : json_string("+Inf"));
        json_object_set_new(bucket, "count",
                            json_integer((json_int_t) cells[i]));
        json_array_append_new(buckets, bucket);
    }
    json_object_set_new(to, "count",
                        json_integer((json_int_t) metric_count(m, cells)));
    json_object_set_new(to, "sum", metric_json_value(m, cells[i]));
    json_object_set_new(to, "buckets", buckets);
}

static json_t *
metric_json(const veil_metric_t *m, const veil_metric_row_t *row,
            const uint64_t *cells)
{
    json_t *value = json_object();
    json_t *labels = json_object();

    metric_json_labels(labels, row->labels);
    metric_json_labels(labels, m->labels);
    json_object_set_new(value, "labels", labels);
    if (m->type == VEIL_METRIC_HISTOGRAM) {
        metric_json_histogram(value, m, cells);
    } else {
        json_object_set_new(value, "value", metric_json_value(m, cells[0]));
    }
    return value;
}

json_t *
veil_metrics_json(const veil_metric_row_t *rows, unsigned n, const char *match)
{
    json_t *all = json_object();
    json_t *of_name = NULL, *values = NULL;
    const veil_metric_t *m, *before = NULL;
    unsigned i, k, cell;

    for (i = 0; (m = veil_metric_at(i, &cell)) != NULL; before = m, i++) {
        if (!metric_matches(m, match)) {
            continue;
        }
        if (metric_is_first(m, before)) {
            of_name = json_object();
            values = json_array();
            json_object_set_new(of_name, "type",
                                json_string(metric_types[m->type]));
            json_object_set_new(of_name, "help", json_string(metric_help(m)));
            json_object_set_new(of_name, "values", values);
            json_object_set_new(all, m->name, of_name);
        }
        for (k = 0; k < n; k++) {
            if (metric_has_row(m, rows[k].cells + cell, &rows[k])) {
                json_array_append_new(
                    values, metric_json(m, &rows[k], rows[k].cells + cell));
            }
        }
    }
    return all;
}
