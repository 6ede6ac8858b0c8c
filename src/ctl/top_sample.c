/*
 * top_sample.c -- what the server says, and numbers from two such answers.
 *
 * Counters only grow, also when a process ends, as the server keeps what it
 * had counted; so the difference of two sums is what happened in between,
 * whoever did it.  Of one process by itself the difference may be negative,
 * when another one has its number: that counts as nothing.
 *
 * The processors' time of a process is this machine's to know: a control
 * socket is on the same one, so /proc is read here.  In another namespace
 * there is nothing to be read, and nothing is shown.
 */

#include "core/platform.h"

#include <time.h>

#include "ctl/top.h"

/* What the server gets to collect answers when no time is asked for. */
#define TOP_CALL_MS 1000

/* --- taking ---------------------------------------------------------------*/

static bool
top_sample_is_timeout(const json_t *o)
{
    const char *code =
        json_string_value(json_object_get(json_object_get(o, "err"), "code"));

    return code != NULL && strcmp(code, VEIL_E_TIMEOUT) == 0;
}

/* Whether the answer, or a part of it, is missing as the time was up. */
static bool
top_sample_is_late(const json_t *answer)
{
    const json_t *workers = json_object_get(answer, "workers");
    bool late = top_sample_is_timeout(answer);
    size_t i;

    for (i = 0; i < json_array_size(workers); i++) {
        late = late || top_sample_is_timeout(json_array_get(workers, i));
    }
    return late;
}

/* The data of a verb; NULL if it is refused or not there. */
static veil_ctl_got_t
top_sample_ask(veil_ctl_link_t *link, veil_ctl_sample_t *s, int64_t ms,
               const char *verb, const char *args, json_t **data)
{
    veil_ctl_request_t r = { .verb = verb, .if_gen = -1, .timeout_ms = ms };
    veil_ctl_got_t got;
    json_t *answer;

    *data = NULL;
    r.args = json_loads(args, 0, NULL);
    got = veil_ctl_link_call(
        link, &r, veil_ctl_link_now() + ms + VEIL_CTL_GRACE_MS, &answer);
    json_decref(r.args);
    if (got == VEIL_CTL_GOT_ANSWER
        && json_is_true(json_object_get(answer, "ok"))) {
        *data = json_incref(json_object_get(answer, "data"));
    }
    s->late = s->late || top_sample_is_late(answer);
    json_decref(answer);
    return got;
}

/* utime and stime, in ticks; -1: there is no such process here. */
static json_int_t
top_sample_ticks(int64_t pid)
{
    unsigned long long user, system;
    char path[64], text[1024];
    const char *p;
    size_t n;
    FILE *f;

    (void) veil_snprintf(path, sizeof(path), "/proc/%lld/stat",
                         (long long) pid);
    f = fopen(path, "re");
    if (f == NULL) {
        return -1;
    }
    n = fread(text, 1, sizeof(text) - 1, f);
    (void) fclose(f);
    text[n] = '\0';
    /* The name may have blanks and parentheses: proc(5). */
    p = strrchr(text, ')');
    if (p == NULL
        || sscanf(p + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                  &user, &system)
               != 2)
    {
        return -1;
    }
    return (json_int_t) (user + system);
}

/* Of all processes that the metrics name. */
static json_t *
top_sample_cpu(const json_t *metrics)
{
    json_t *cpu = json_object(), *metric, *row, *values;
    const char *name, *pid;
    size_t i;

    json_object_foreach((json_t *) (uintptr_t) metrics, name, metric)
    {
        values = json_object_get(metric, "values");
        json_array_foreach(values, i, row)
        {
            pid = json_string_value(
                json_object_get(json_object_get(row, "labels"), "pid"));
            if (pid != NULL && json_object_get(cpu, pid) == NULL) {
                json_object_set_new(
                    cpu, pid,
                    json_integer(top_sample_ticks(strtoll(pid, NULL, 10))));
            }
        }
    }
    return cpu;
}

veil_ctl_got_t
veil_ctl_sample_take(veil_ctl_link_t *link, int64_t timeout_ms,
                     veil_ctl_sample_t *s)
{
    int64_t ms = timeout_ms >= 0 ? timeout_ms : TOP_CALL_MS;
    veil_ctl_got_t got;

    memset(s, 0, sizeof(*s));
    got = top_sample_ask(link, s, ms, "status", "{}", &s->status);
    if (got == VEIL_CTL_GOT_ANSWER) {
        got = top_sample_ask(link, s, ms, "metrics", "{\"workers\":true}",
                             &s->metrics);
        s->at_ms = veil_ctl_link_now();
        s->cpu = top_sample_cpu(s->metrics);
    }
    if (got == VEIL_CTL_GOT_ANSWER) {
        got = top_sample_ask(link, s, ms, "worker.list", "{}", &s->workers);
    }
    if (got == VEIL_CTL_GOT_ANSWER) {
        got = top_sample_ask(link, s, ms, "upstream.show", "{}", &s->groups);
    }
    if (got != VEIL_CTL_GOT_ANSWER) {
        veil_ctl_sample_done(s);
    }
    return got;
}

void
veil_ctl_sample_done(veil_ctl_sample_t *s)
{
    json_decref(s->status);
    json_decref(s->metrics);
    json_decref(s->groups);
    json_decref(s->workers);
    json_decref(s->cpu);
    memset(s, 0, sizeof(*s));
}

/* --- reading --------------------------------------------------------------*/

static bool
top_sample_matches(const json_t *row, const char *label, const char *value,
                   int64_t pid)
{
    const json_t *labels = json_object_get(row, "labels");
    const char *z;

    if (value != NULL) {
        z = json_string_value(json_object_get(labels, label));
        if (z == NULL || strcmp(z, value) != 0) {
            return false;
        }
    }
    if (pid == 0) {
        return true;
    }
    z = json_string_value(json_object_get(labels, "pid"));
    return z != NULL && strtoll(z, NULL, 10) == pid;
}

double
veil_ctl_sample_sum(const veil_ctl_sample_t *s, const char *metric,
                    const char *label, const char *value, int64_t pid)
{
    const json_t *values =
        json_object_get(json_object_get(s->metrics, metric), "values");
    const json_t *row;
    double sum = 0;
    size_t i;

    for (i = 0; i < json_array_size(values); i++) {
        row = json_array_get(values, i);
        if (top_sample_matches(row, label, value, pid)) {
            sum += json_number_value(json_object_get(row, "value"));
            sum += json_number_value(json_object_get(row, "count"));
        }
    }
    return sum;
}

static double
top_sample_seconds(const veil_ctl_sample_t *now, const veil_ctl_sample_t *then)
{
    return then->at_ms == 0 || now->at_ms <= then->at_ms
               ? 0
               : (double) (now->at_ms - then->at_ms) / 1000;
}

double
veil_ctl_sample_rate(const veil_ctl_sample_t *now,
                     const veil_ctl_sample_t *then, const char *metric,
                     const char *label, const char *value, int64_t pid)
{
    double s = top_sample_seconds(now, then), n;

    if (s == 0) {
        return 0;
    }
    n = veil_ctl_sample_sum(now, metric, label, value, pid)
        - veil_ctl_sample_sum(then, metric, label, value, pid);
    return n > 0 ? n / s : 0;
}

/* --- histograms -----------------------------------------------------------*/

#define TOP_BUCKETS 64

typedef struct {
    double bound[TOP_BUCKETS];
    double count[TOP_BUCKETS];
    size_t n; /* the last has no bound */
} top_buckets_t;

/* Adds the buckets of all rows, or takes them away. */
static void
top_sample_buckets(const veil_ctl_sample_t *s, const char *metric, double sign,
                   top_buckets_t *b)
{
    const json_t *values =
        json_object_get(json_object_get(s->metrics, metric), "values");
    const json_t *buckets, *bucket;
    size_t i, k;

    for (i = 0; i < json_array_size(values); i++) {
        buckets = json_object_get(json_array_get(values, i), "buckets");
        for (k = 0; k < json_array_size(buckets) && k < TOP_BUCKETS; k++) {
            bucket = json_array_get(buckets, k);
            b->bound[k] = json_number_value(json_object_get(bucket, "le"));
            b->count[k] +=
                sign * json_number_value(json_object_get(bucket, "count"));
            b->n = k + 1 > b->n ? k + 1 : b->n;
        }
    }
}

double
veil_ctl_sample_quantile(const veil_ctl_sample_t *now,
                         const veil_ctl_sample_t *then, const char *metric,
                         double share)
{
    top_buckets_t b = { .n = 0 };
    double total = 0, want, low;
    size_t i;

    top_sample_buckets(now, metric, 1, &b);
    if (then->at_ms != 0) {
        top_sample_buckets(then, metric, -1, &b);
    }
    for (i = 0; i < b.n; i++) {
        total += b.count[i] > 0 ? b.count[i] : 0;
    }
    if (total <= 0) {
        return -1;
    }
    want = total * share;
    for (i = 0; i + 1 < b.n; i++) {
        if (b.count[i] > 0 && want <= b.count[i]) {
            low = i == 0 ? 0 : b.bound[i - 1];
            return low + (b.bound[i] - low) * want / b.count[i];
        }
        want -= b.count[i] > 0 ? b.count[i] : 0;
    }
    /* Beyond the last bound nothing is known but that. */
    return b.n >= 2 ? b.bound[b.n - 2] : -1;
}

/* --- processors -----------------------------------------------------------*/

double
veil_ctl_sample_cpu(const veil_ctl_sample_t *now,
                    const veil_ctl_sample_t *then, int64_t pid)
{
    double s = top_sample_seconds(now, then);
    const json_t *a, *b;
    char name[32];

    (void) veil_snprintf(name, sizeof(name), "%lld", (long long) pid);
    a = json_object_get(now->cpu, name);
    b = json_object_get(then->cpu, name);
    if (s == 0 || a == NULL || b == NULL || json_integer_value(a) < 0
        || json_integer_value(b) < 0
        || json_integer_value(a) < json_integer_value(b))
    {
        return -1;
    }
    return (double) (json_integer_value(a) - json_integer_value(b)) * 100
           / (double) sysconf(_SC_CLK_TCK) / s;
}

const json_t *
veil_ctl_sample_member(const json_t *o, const char *const *names)
{
    const json_t *v = NULL;

    for (; v == NULL && *names != NULL; names++) {
        v = json_object_get(o, *names);
    }
    return v;
}
