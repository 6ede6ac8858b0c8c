/*
 * metric_text.h -- metrics as Prometheus, people and programs read them.
 */

#ifndef VEIL_CORE_METRIC_TEXT_H
#define VEIL_CORE_METRIC_TEXT_H

#include <jansson.h>

#include "core/types.h"

/* Numbers by cell, of all processes or of some. */
typedef struct {
    const uint64_t *cells;
    const char *labels; /* added to each metric's: "worker=\"0\""; or NULL */
    const char *only;   /* the one metric that it is for, which is shown of
                           such rows alone ("apart"); NULL: all others */
} veil_metric_row_t;

/*
 * Of metrics whose names match the pattern (fnmatch(3); NULL: all), one line
 * for each row.  The text is the caller's to free with free().
 *
 * veil_metrics_prom: text format 0.0.4 of Prometheus.
 * veil_metrics_table: names and numbers in columns; of histograms the count,
 * the mean, and bounds that a half and 99 of 100 values do not exceed.
 */
char *veil_metrics_prom(const veil_metric_row_t *rows, unsigned n,
                        const char *match);
char *veil_metrics_table(const veil_metric_row_t *rows, unsigned n,
                         const char *match);
/*
 * {"NAME": {"type": ..., "help": ..., "values": [{"labels": {...},
 * "value": 1}, ...]}, ...}; of histograms "count", "sum" and
 * "buckets": [{"le": 0.005, "count": 3}, ...], which do not add up.
 */
json_t *veil_metrics_json(const veil_metric_row_t *rows, unsigned n,
                          const char *match);

#endif
