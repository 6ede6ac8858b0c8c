/*
 * top_view.c -- a frame of "top", as text.
 *
 * The frame is a list of lines, cut to the width of the terminal; what it
 * does with them is top.c's.  The head is always there.  Workers and servers
 * of upstreams share what is left of the height: servers get a third of it at
 * least, and what does not fit is counted.
 *
 * What the server is called on to say has grown over versions and will go on
 * to: each number is looked for by its names, and what is not there is left
 * out rather than shown as 0.
 */

#include "core/platform.h"

#include <time.h>

#include "ctl/render.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/top.h"
#include "ctl/units.h"

#define TOP_REQUESTS "veil_http_requests_total"
#define TOP_RESPONSES "veil_http_responses_total"
#define TOP_DURATION "veil_http_request_duration_seconds"

typedef struct {
    veil_ctl_text_t *out;
    const veil_ctl_top_view_t *view;
    const veil_ctl_sample_t *now;
    const veil_ctl_sample_t *then;
    unsigned lines; /* written */
    unsigned limit; /* that may be written now; 0: any number */
    veil_pool_t *pool;
} top_frame_t;

/* --- lines ----------------------------------------------------------------*/

/* Ends a line begun in t: cuts it to the width and writes it. */
static void
top_view_line(top_frame_t *f, veil_ctl_text_t *t)
{
    veil_str_t s;

    while (t->len != 0 && t->data[t->len - 1] == ' ') {
        t->len--;
    }
    s = veil_ctl_text_clip(veil_ctl_text_str(t), f->view->columns);
    if (f->limit == 0 || f->lines < f->limit) {
        veil_ctl_text_add(f->out, s);
        if (s.len < t->len) {
            veil_ctl_text_style(f->out, VEIL_CTL_PLAIN);
        }
        veil_ctl_text_z(f->out, "\n");
        f->lines++;
    }
    t->len = 0;
}

/* A label and its value, the value padded. */
static void
top_view_item(veil_ctl_text_t *t, const char *label, const char *value,
              size_t width)
{
    size_t n = strlen(value);

    if (*label != '\0') {
        veil_ctl_text_styled(t, VEIL_CTL_DIM, label);
        veil_ctl_text_z(t, " ");
    }
    veil_ctl_text_z(t, value);
    veil_ctl_text_fill(t, ' ', (n < width ? width - n : 0) + 2);
}

static void
top_view_title(veil_ctl_text_t *t, const char *title)
{
    veil_ctl_text_styled(t, VEIL_CTL_BOLD, title);
    veil_ctl_text_fill(t, ' ', strlen(title) < 10 ? 10 - strlen(title) : 1);
}

static const char *
top_view_rate(char *buf, double n)
{
    char text[VEIL_CTL_UNIT];
    bool whole = n >= 99.95 || (double) (int64_t) (n + 0.05) > n - 0.05;

    if (whole) {
        (void) veil_ctl_unit_count(text, (double) (int64_t) (n + 0.5));
    } else {
        (void) veil_snprintf(text, sizeof(text), "%.1f", n);
    }
    (void) veil_snprintf(buf, VEIL_CTL_UNIT, "%s/s", text);
    return buf;
}

static double
top_view_of(const top_frame_t *f, const char *metric, const char *label,
            const char *value)
{
    return veil_ctl_sample_rate(f->now, f->then, metric, label, value, 0);
}

/* --- the head -------------------------------------------------------------*/

static void
top_view_first(top_frame_t *f)
{
    static const char *const versions[] = { "version", NULL };
    static const char *const generations[] = { "generation", "gen", NULL };
    static const char *const uptimes[] = { "uptime_ms", "uptime_s", "uptime",
                                           NULL };
    const json_t *v = veil_ctl_sample_member(f->now->status, versions);
    veil_ctl_text_t t = { .color = f->out->color };
    char buf[VEIL_CTL_UNIT];
    const char *name = "uptime";

    veil_ctl_text_style(&t, VEIL_CTL_BOLD);
    veil_ctl_text_z(&t, "veil");
    veil_ctl_text_style(&t, VEIL_CTL_PLAIN);
    if (json_is_string(v)) {
        veil_ctl_text_z(&t, " ");
        veil_ctl_text_safe(
            &t, veil_str_n(json_string_value(v), json_string_length(v)),
            false);
    }
    veil_ctl_text_z(&t, "  ");
    v = veil_ctl_sample_member(f->now->status, generations);
    if (json_is_number(v)) {
        (void) veil_ctl_unit_number(buf, NULL, v);
        top_view_item(&t, "generation", buf, 0);
    }
    v = veil_ctl_sample_member(f->now->status, uptimes);
    if (json_is_number(v)) {
        name = json_object_get(f->now->status, "uptime_ms") == v ? "uptime_ms"
                                                                 : "uptime";
        (void) veil_ctl_unit_number(buf, name, v);
        top_view_item(&t, "up", buf, 0);
    }
    veil_ctl_text_z(&t, veil_ctl_unit_date(buf, (double) time(NULL)) + 11);
    if (f->view->paused) {
        veil_ctl_text_styled(&t, VEIL_CTL_YELLOW, "  paused");
    }
    if (f->now->late) {
        veil_ctl_text_styled(&t, VEIL_CTL_YELLOW,
                             "  not every worker answered in time");
    }
    if (f->view->error != NULL) {
        veil_ctl_text_style(&t, VEIL_CTL_RED);
        veil_ctl_text_z(&t, "  ");
        veil_ctl_text_safe(&t, veil_str_z(f->view->error), false);
        veil_ctl_text_style(&t, VEIL_CTL_PLAIN);
    }
    top_view_line(f, &t);
    veil_ctl_text_done(&t);
}

static void
top_view_requests(top_frame_t *f)
{
    static const char *const classes[] = { "2xx", "3xx", "4xx", "5xx" };
    veil_ctl_text_t t = { .color = f->out->color };
    char buf[VEIL_CTL_UNIT];
    double n;
    size_t i;

    top_view_title(&t, "requests");
    top_view_item(&t, "",
                  top_view_rate(buf, top_view_of(f, TOP_REQUESTS, NULL, NULL)),
                  8);
    for (i = 0; i < veil_countof(classes); i++) {
        n = top_view_of(f, TOP_RESPONSES, "status", classes[i]);
        if (n > 0 && i >= 2) {
            veil_ctl_text_style(&t, i == 2 ? VEIL_CTL_YELLOW : VEIL_CTL_RED);
            veil_ctl_text_z(&t, classes[i]);
            veil_ctl_text_style(&t, VEIL_CTL_PLAIN);
            veil_ctl_text_z(&t, " ");
            top_view_item(&t, "", top_view_rate(buf, n), 8);
        } else {
            top_view_item(&t, classes[i], top_view_rate(buf, n), 8);
        }
    }
    top_view_line(f, &t);
    veil_ctl_text_done(&t);
}

static void
top_view_latency(top_frame_t *f)
{
    static const struct {
        const char *label;
        double share;
    } shares[] = {
        { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }
    };
    veil_ctl_text_t t = { .color = f->out->color };
    char buf[VEIL_CTL_UNIT];
    double s;
    size_t i;

    top_view_title(&t, "latency");
    for (i = 0; i < veil_countof(shares); i++) {
        s = veil_ctl_sample_quantile(f->now, f->then, TOP_DURATION,
                                     shares[i].share);
        top_view_item(&t, shares[i].label,
                      s < 0 ? "-" : veil_ctl_unit_duration(buf, s), 7);
    }
    top_view_line(f, &t);
    veil_ctl_text_done(&t);
}

static void
top_view_connections(top_frame_t *f)
{
    static const char *const states[] = { "idle", "reading", "writing" };
    veil_ctl_text_t t = { .color = f->out->color };
    char buf[VEIL_CTL_UNIT];
    size_t i;

    top_view_title(&t, "clients");
    top_view_item(
        &t, "",
        veil_ctl_unit_count(buf, veil_ctl_sample_sum(f->now,
                                                     "veil_connections_active",
                                                     NULL, NULL, 0)),
        8);
    for (i = 0; i < veil_countof(states); i++) {
        top_view_item(
            &t, states[i],
            veil_ctl_unit_count(
                buf, veil_ctl_sample_sum(f->now, "veil_http_connections",
                                         "state", states[i], 0)),
            4);
    }
    top_view_item(
        &t, "new",
        top_view_rate(buf, top_view_of(f, "veil_connections_accepted_total",
                                       NULL, NULL)),
        6);
    top_view_item(
        &t, "TLS",
        top_view_rate(buf, top_view_of(f, "veil_tls_handshakes_total", "side",
                                       "client")),
        6);
    top_view_line(f, &t);
    veil_ctl_text_done(&t);
}

static void
top_view_bytes(top_frame_t *f)
{
    veil_ctl_text_t t = { .color = f->out->color };
    char buf[VEIL_CTL_UNIT], rate[VEIL_CTL_UNIT];
    const struct {
        const char *label, *metric;
    } ways[] = { { "in", "veil_received_bytes_total" },
                 { "out", "veil_sent_bytes_total" } };
    size_t i;

    top_view_title(&t, "traffic");
    for (i = 0; i < veil_countof(ways); i++) {
        (void) veil_snprintf(
            rate, sizeof(rate), "%sB/s",
            veil_ctl_unit_bytes(
                buf, top_view_of(f, ways[i].metric, "side", "client")));
        top_view_item(&t, ways[i].label, rate, 8);
    }
    top_view_item(
        &t, "upstream",
        top_view_rate(
            buf, top_view_of(f, "veil_upstream_requests_total", NULL, NULL)),
        5);
    top_view_item(
        &t, "failed",
        top_view_rate(
            buf, top_view_of(f, "veil_upstream_failures_total", NULL, NULL)),
        5);
    top_view_item(
        &t, "retried",
        top_view_rate(
            buf, top_view_of(f, "veil_upstream_retries_total", NULL, NULL)),
        0);
    top_view_line(f, &t);
    veil_ctl_text_done(&t);
}

/* The requests of the last minutes, as many as fit. */
static void
top_view_history(top_frame_t *f)
{
    static const char *const bars[] = { " ",
                                        "\xe2\x96\x81",
                                        "\xe2\x96\x82",
                                        "\xe2\x96\x83",
                                        "\xe2\x96\x84",
                                        "\xe2\x96\x85",
                                        "\xe2\x96\x86",
                                        "\xe2\x96\x87",
                                        "\xe2\x96\x88" };
    const veil_ctl_top_view_t *v = f->view;
    veil_ctl_text_t t = { .color = f->out->color };
    unsigned room = v->columns > 24 ? v->columns - 22 : 1, i, first;
    char buf[VEIL_CTL_UNIT];
    double max = 1;

    if (!v->bars || v->nhistory < 2) {
        return;
    }
    first = v->nhistory > room ? v->nhistory - room : 0;
    for (i = first; i < v->nhistory; i++) {
        max = v->history[i] > max ? v->history[i] : max;
    }
    veil_ctl_text_fill(&t, ' ', 10);
    veil_ctl_text_style(&t, VEIL_CTL_CYAN);
    for (i = first; i < v->nhistory; i++) {
        veil_ctl_text_z(&t, bars[(unsigned) (v->history[i] / max * 8 + 0.5)]);
    }
    veil_ctl_text_style(&t, VEIL_CTL_PLAIN);
    veil_ctl_text_z(&t, " ");
    veil_ctl_text_styled(&t, VEIL_CTL_DIM, top_view_rate(buf, max));
    top_view_line(f, &t);
    veil_ctl_text_done(&t);
}

/* --- rows -----------------------------------------------------------------*/

/* What rows are sorted by, and printed from. */
typedef struct {
    const json_t *row;
    const char *name; /* of an upstream's server: its group */
    int64_t pid;
    double rate;
    double conns;
    unsigned at; /* as the server told them */
} top_row_t;

static veil_ctl_top_sort_t top_view_sort;

static int
top_view_compare(const void *a, const void *b)
{
    const top_row_t *x = a, *y = b;
    double m = 0, n = 0;

    if (top_view_sort == VEIL_CTL_TOP_BY_RATE) {
        m = x->rate;
        n = y->rate;
    } else if (top_view_sort == VEIL_CTL_TOP_BY_CONNS) {
        m = x->conns;
        n = y->conns;
    }
    return m < n ? 1 : m > n ? -1 : x->at < y->at ? -1 : x->at > y->at;
}

/* A table's lines, so many of its rows, and how many are left. */
static void
top_view_table(top_frame_t *f, const veil_ctl_table_t *table, unsigned room)
{
    veil_ctl_text_t text = { .color = f->out->color };
    veil_ctl_text_t line = { .color = f->out->color };
    unsigned rows = veil_ctl_table_rows(table), i;
    veil_str_t rest;

    veil_ctl_table_print(table, &text, 0);
    rest = veil_ctl_text_str(&text);
    for (i = 0; i <= rows && (room == 0 || i + 1 < room || rows + 1 <= room);
         i++) {
        veil_ctl_text_add(&line, veil_str_cut(&rest, '\n'));
        top_view_line(f, &line);
    }
    if (i <= rows) {
        veil_ctl_text_printf(&line, "and %u more", rows + 1 - i);
        top_view_line(f, &line);
    }
    veil_ctl_text_done(&text);
    veil_ctl_text_done(&line);
}

static void
top_view_cell_rate(veil_ctl_table_t *t, double n)
{
    char buf[VEIL_CTL_UNIT];

    top_view_rate(buf, n);
    buf[strlen(buf) - 2] = '\0'; /* the head says what it is */
    veil_ctl_table_number(t, buf);
}

/* --- workers --------------------------------------------------------------*/

static const json_t *
top_view_worker_rows(const veil_ctl_sample_t *s)
{
    const json_t *rows = s->workers;

    if (json_is_object(rows)) {
        rows = json_object_get(rows, "workers");
    }
    if (!json_is_array(rows)) {
        rows = json_object_get(s->status, "workers");
    }
    return rows;
}

static void
top_view_worker(veil_ctl_table_t *t, const top_frame_t *f, const top_row_t *r)
{
    static const char *const slots[] = { "worker", "slot", NULL };
    static const char *const generations[] = { "generation", "gen", NULL };
    double cpu = veil_ctl_sample_cpu(f->now, f->then, r->pid);
    char buf[VEIL_CTL_UNIT];
    json_t *state;

    veil_ctl_render_cell(t, "worker", veil_ctl_sample_member(r->row, slots));
    veil_ctl_render_cell(t, "generation",
                         veil_ctl_sample_member(r->row, generations));
    veil_ctl_render_cell(t, "pid", json_object_get(r->row, "pid"));
    state = veil_ctl_show_worker_state(r->row);
    veil_ctl_render_cell(t, "state", state);
    json_decref(state);
    if (cpu < 0) {
        veil_ctl_table_none(t);
    } else {
        (void) veil_snprintf(buf, sizeof(buf), "%.1f", cpu);
        veil_ctl_table_number(t, buf);
    }
    veil_ctl_table_number(t, veil_ctl_unit_count(buf, r->conns));
    top_view_cell_rate(t, r->rate);
    veil_ctl_table_number(
        t, veil_ctl_unit_count(
               buf, veil_ctl_sample_sum(f->now, "veil_http_requests_active",
                                        NULL, NULL, r->pid)));
    veil_ctl_table_number(
        t,
        veil_ctl_unit_bytes(
            buf, veil_ctl_sample_rate(f->now, f->then, "veil_sent_bytes_total",
                                      "side", "client", r->pid)));
}

static void
top_view_workers(top_frame_t *f, unsigned room)
{
    static const char *const heads[] = { "WORKER", "GEN",    "PID",
                                         "STATE",  "CPU%",   "CONNS",
                                         "REQ/S",  "ACTIVE", "OUT B/S" };
    const json_t *list = top_view_worker_rows(f->now);
    size_t n = json_array_size(list), i;
    top_row_t *rows = veil_pool_zalloc(f->pool, n * sizeof(*rows) + 1);
    veil_ctl_table_t t;

    veil_ctl_table_init(&t, f->pool);
    for (i = 0; i < veil_countof(heads); i++) {
        veil_ctl_table_head(&t, heads[i]);
    }
    for (i = 0; i < n; i++) {
        rows[i].row = json_array_get(list, i);
        rows[i].at = (unsigned) i;
        rows[i].pid = json_integer_value(json_object_get(rows[i].row, "pid"));
        rows[i].rate = veil_ctl_sample_rate(f->now, f->then, TOP_REQUESTS,
                                            NULL, NULL, rows[i].pid);
        rows[i].conns = veil_ctl_sample_sum(f->now, "veil_connections_active",
                                            NULL, NULL, rows[i].pid);
    }
    top_view_sort = f->view->sort;
    qsort(rows, n, sizeof(*rows), top_view_compare);
    for (i = 0; i < n; i++) {
        top_view_worker(&t, f, &rows[i]);
    }
    top_view_table(f, &t, room);
}

/* --- upstreams ------------------------------------------------------------*/

/* The same address of the same upstream in another sample. */
static const json_t *
top_view_peer(const json_t *groups, const char *group, const char *address)
{
    const json_t *peers, *peer;
    const char *z;
    size_t i, k;

    for (i = 0; i < json_array_size(groups); i++) {
        z = json_string_value(
            json_object_get(json_array_get(groups, i), "upstream"));
        if (z == NULL || strcmp(z, group) != 0) {
            continue;
        }
        peers = json_object_get(json_array_get(groups, i), "peers");
        for (k = 0; k < json_array_size(peers); k++) {
            peer = json_array_get(peers, k);
            z = json_string_value(json_object_get(peer, "address"));
            if (z != NULL && strcmp(z, address) == 0) {
                return peer;
            }
        }
    }
    return NULL;
}

static double
top_view_growth(const top_frame_t *f, const top_row_t *r, const char *member)
{
    const char *address =
        json_string_value(json_object_get(r->row, "address"));
    const json_t *before =
        address == NULL || r->name == NULL
            ? NULL
            : top_view_peer(f->then->groups, r->name, address);
    double n = json_number_value(json_object_get(r->row, member))
               - json_number_value(json_object_get(before, member));
    int64_t ms = f->now->at_ms - f->then->at_ms;

    return before == NULL || n <= 0 || ms <= 0 ? 0 : n * 1000 / (double) ms;
}

static void
top_view_server(veil_ctl_table_t *t, const top_frame_t *f, const top_row_t *r)
{
    const json_t *state = json_object_get(r->row, "state");

    if (json_is_false(json_object_get(r->row, "healthy"))
        && strcmp(json_is_string(state) ? json_string_value(state) : "",
                  "ready")
               == 0)
    {
        veil_ctl_table_cell(t, VEIL_STR("failed"), VEIL_CTL_RED);
    } else {
        veil_ctl_render_cell(t, "state", state);
    }
    veil_ctl_table_cell(t, veil_str_z(r->name == NULL ? "-" : r->name),
                        VEIL_CTL_PLAIN);
    veil_ctl_render_cell(t, "address", json_object_get(r->row, "address"));
    veil_ctl_render_cell(t, "weight", json_object_get(r->row, "weight"));
    veil_ctl_render_cell(t, "in_flight", json_object_get(r->row, "in_flight"));
    top_view_cell_rate(t, r->rate);
    top_view_cell_rate(t, top_view_growth(f, r, "failures"));
    veil_ctl_render_cell(t, "response_ms",
                         json_object_get(r->row, "response_ms"));
    veil_ctl_render_cell(t, "last_status",
                         json_object_get(r->row, "last_status"));
}

static size_t
top_view_count_servers(const veil_ctl_sample_t *s)
{
    size_t i, n = 0;

    for (i = 0; i < json_array_size(s->groups); i++) {
        n += json_array_size(
            json_object_get(json_array_get(s->groups, i), "peers"));
    }
    return n;
}

static void
top_view_servers(top_frame_t *f, unsigned room)
{
    static const char *const heads[] = { "STATE",  "UPSTREAM", "SERVER",
                                         "WEIGHT", "ACTIVE",   "REQ/S",
                                         "FAIL/S", "RESPONSE", "LAST" };
    size_t n = top_view_count_servers(f->now), i, k, at = 0;
    top_row_t *rows = veil_pool_zalloc(f->pool, n * sizeof(*rows) + 1);
    const json_t *group, *peers;
    veil_ctl_table_t t;

    veil_ctl_table_init(&t, f->pool);
    for (i = 0; i < veil_countof(heads); i++) {
        veil_ctl_table_head(&t, heads[i]);
    }
    for (i = 0; i < json_array_size(f->now->groups); i++) {
        group = json_array_get(f->now->groups, i);
        peers = json_object_get(group, "peers");
        for (k = 0; k < json_array_size(peers); k++, at++) {
            rows[at].row = json_array_get(peers, k);
            rows[at].at = (unsigned) at;
            rows[at].name =
                json_string_value(json_object_get(group, "upstream"));
            rows[at].conns =
                json_number_value(json_object_get(rows[at].row, "in_flight"));
            rows[at].rate = top_view_growth(f, &rows[at], "requests");
        }
    }
    top_view_sort = f->view->sort;
    qsort(rows, n, sizeof(*rows), top_view_compare);
    for (i = 0; i < n; i++) {
        top_view_server(&t, f, &rows[i]);
    }
    top_view_table(f, &t, room);
}

/* --- the frame ------------------------------------------------------------*/

static void
top_view_blank(top_frame_t *f)
{
    veil_ctl_text_t t = { 0 };

    top_view_line(f, &t);
}

/*
 * Lines of the two tables together; 0: as many as there are.  Servers have a
 * third of them, and what workers leave.
 */
static unsigned
top_view_share(const top_frame_t *f, size_t workers, size_t servers)
{
    unsigned left, most;

    if (f->view->rows == 0) {
        return 0;
    }
    left = f->view->rows > f->lines + 1 ? f->view->rows - f->lines - 1 : 1;
    if (servers == 0) {
        return left;
    }
    left = left > 1 ? left - 1 : 1; /* the blank between them */
    if (workers + 1 + servers + 1 <= left) {
        return (unsigned) workers + 1;
    }
    most = left * 2 / 3;
    if (servers + 1 < left - most) {
        most = left - (unsigned) servers - 1;
    }
    if (most > workers + 1) {
        most = (unsigned) workers + 1;
    }
    return most == 0 ? 1 : most;
}

static void
top_view_foot(top_frame_t *f)
{
    static const char *const sorts[] = { "name", "rate", "connections" };
    veil_ctl_text_t t = { .color = f->out->color };
    char buf[VEIL_CTL_UNIT];

    while (f->lines + 1 < f->view->rows) {
        top_view_blank(f);
    }
    f->limit = f->view->rows;
    veil_ctl_text_style(&t, VEIL_CTL_DIM);
    veil_ctl_text_printf(
        &t, "q quit   p %s   s sort: %s   +/- every %s",
        f->view->paused ? "go on" : "pause", sorts[f->view->sort],
        veil_ctl_unit_duration(buf, (double) f->view->every_ms / 1000));
    veil_ctl_text_style(&t, VEIL_CTL_PLAIN);
    top_view_line(f, &t);
    veil_ctl_text_done(&t);
}

void
veil_ctl_top_frame(veil_ctl_text_t *out, const veil_ctl_top_view_t *view,
                   const veil_ctl_sample_t *now, const veil_ctl_sample_t *then)
{
    top_frame_t f = { .out = out, .view = view, .now = now, .then = then };
    size_t workers = json_array_size(top_view_worker_rows(now));
    size_t servers = top_view_count_servers(now);
    unsigned room;

    /* The last line is the keys'. */
    f.limit = view->rows > 1 ? view->rows - 1 : view->rows;
    f.pool = veil_pool_create("top", 4096);
    top_view_first(&f);
    top_view_requests(&f);
    top_view_history(&f);
    top_view_latency(&f);
    top_view_connections(&f);
    top_view_bytes(&f);
    if (workers != 0) {
        top_view_blank(&f);
        room = top_view_share(&f, workers, servers);
        top_view_workers(&f, room);
    }
    if (servers != 0) {
        top_view_blank(&f);
        room = view->rows == 0            ? 0
               : view->rows > f.lines + 1 ? view->rows - f.lines - 1
                                          : 1;
        top_view_servers(&f, room);
    }
    if (view->rows != 0) {
        top_view_foot(&f);
    }
    veil_pool_destroy(&f.pool);
}
