/*
 * top_json.c -- what "top" shows, for programs.
 *
 * One object: what a frame has at its head under names that say the unit,
 * and below it the rows as the server told them, as their members have names
 * already.  What is not known is null, not 0.
 */

#include "core/platform.h"

#include "ctl/top.h"

#define TOP_DURATION "veil_http_request_duration_seconds"

/* Of all rates: the metric, and the value of a label that is asked for. */
static const struct {
    const char *name;
    const char *metric;
    const char *label;
    const char *value;
} top_json_rates[] = {
    { "requests_per_s", "veil_http_requests_total", NULL, NULL },
    { "responses_2xx_per_s", "veil_http_responses_total", "status", "2xx" },
    { "responses_3xx_per_s", "veil_http_responses_total", "status", "3xx" },
    { "responses_4xx_per_s", "veil_http_responses_total", "status", "4xx" },
    { "responses_5xx_per_s", "veil_http_responses_total", "status", "5xx" },
    { "received_bytes_per_s", "veil_received_bytes_total", "side", "client" },
    { "sent_bytes_per_s", "veil_sent_bytes_total", "side", "client" },
};

static const struct {
    const char *name;
    double share;
} top_json_shares[] = {
    { "latency_p50_s", 0.5 },
    { "latency_p90_s", 0.9 },
    { "latency_p99_s", 0.99 },
    { "latency_p999_s", 0.999 },
};

static json_t *
top_json_rows(const json_t *rows)
{
    return rows == NULL ? json_null()
                        : json_incref((json_t *) (uintptr_t) rows);
}

json_t *
veil_ctl_sample_json(const veil_ctl_sample_t *now,
                     const veil_ctl_sample_t *then)
{
    json_t *o = json_object();
    double v;
    size_t i;

    json_object_set_new(o, "elapsed_ms",
                        json_integer(now->at_ms - then->at_ms));
    json_object_set_new(o, "late", json_boolean(now->late));
    for (i = 0; i < veil_countof(top_json_rates); i++) {
        json_object_set_new(
            o, top_json_rates[i].name,
            json_real(veil_ctl_sample_rate(now, then, top_json_rates[i].metric,
                                           top_json_rates[i].label,
                                           top_json_rates[i].value, 0)));
    }
    for (i = 0; i < veil_countof(top_json_shares); i++) {
        v = veil_ctl_sample_quantile(now, then, TOP_DURATION,
                                     top_json_shares[i].share);
        json_object_set_new(o, top_json_shares[i].name,
                            v < 0 ? json_null() : json_real(v));
    }
    json_object_set_new(o, "connections",
                        json_integer((json_int_t) veil_ctl_sample_sum(
                            now, "veil_connections_active", NULL, NULL, 0)));
    json_object_set_new(o, "status", top_json_rows(now->status));
    json_object_set_new(o, "workers", top_json_rows(now->workers));
    json_object_set_new(o, "upstreams", top_json_rows(now->groups));
    return o;
}
