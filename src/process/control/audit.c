/*
 * audit.c -- a record of an attempt, as text and as JSON.
 *
 * Both forms say the same.  The text is for grep and for people:
 *
 *   AUDIT seq=7 ts=2026-11-21T14:28:38.123Z session=01K... verb=server.set
 *   result=ok role=operate needed=operate uid=0 user=root ... arg.weight=5
 *   set.weight=1->5
 *
 * The order puts first what must not be lost when the line is cut.  Names of
 * pairs are ours, but for those after "arg." and "set.", of which anything
 * but letters, digits and what servers' names have becomes "?".
 *
 * Arguments: only what the verb's table has, and does not call secret, is
 * shown with its value.  Whoever mistypes a name must not find a password in
 * a log.
 */

#include "core/platform.h"

#include <time.h>

#include "core/assert.h"
#include "core/clean.h"
#include "core/version.h"
#include "process/control/audit.h"

#define AUDIT_HIDDEN "(hidden)"
#define AUDIT_NONE "-"
/* Arguments and changed values at most. */
#define AUDIT_PAIRS 32
/* Of the name of an argument, or of what was changed, with the server's. */
#define AUDIT_NAME 160
/* How deep values are looked into. */
#define AUDIT_DEPTH 6

static const char *const audit_results[] = {
    [VEIL_AUDIT_ACCEPTED] = "accepted", [VEIL_AUDIT_OK] = "ok",
    [VEIL_AUDIT_REFUSED] = "refused",   [VEIL_AUDIT_FAILED] = "failed",
    [VEIL_AUDIT_TIMEOUT] = "timeout",   [VEIL_AUDIT_PARTIAL] = "partial",
};

const char *
veil_audit_result_name(veil_audit_result_t result)
{
    VEIL_ASSERT((size_t) result < veil_countof(audit_results));
    return audit_results[result];
}

void
veil_audit_time(char dst[VEIL_AUDIT_TIME], int64_t sec, unsigned msec)
{
    time_t t = (time_t) sec;
    struct tm tm;

    (void) gmtime_r(&t, &tm);
    (void) veil_snprintf(dst, VEIL_AUDIT_TIME,
                         "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ",
                         tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                         tm.tm_hour, tm.tm_min, tm.tm_sec, msec % 1000);
}

/* --- what both forms need ------------------------------------------------ */

static const char *
audit_phase(const veil_audit_record_t *r)
{
    return r->result == VEIL_AUDIT_ACCEPTED ? "attempt" : "done";
}

/* NULL: nothing was sent yet, or nothing at all. */
static const char *
audit_fanout(const veil_audit_record_t *r)
{
    switch (r->result) {
    case VEIL_AUDIT_ACCEPTED:
    case VEIL_AUDIT_REFUSED:
        return NULL;
    case VEIL_AUDIT_TIMEOUT:
        return "timeout";
    default:
        break;
    }
    if (r->workers_expected == 0) {
        return "local_only";
    }
    if (r->workers_ok == r->workers_expected) {
        return "ok";
    }
    return r->workers_ok == 0 ? "failed" : "partial";
}

static const veil_control_arg_t *
audit_find_arg(const veil_audit_record_t *r, const char *name)
{
    const veil_control_arg_t *a;

    if (r->table == NULL) {
        return NULL;
    }
    for (a = r->table->args; a != NULL && a->name != NULL; a++) {
        if (strcmp(a->name, name) == 0) {
            return a;
        }
    }
    return NULL;
}

static bool
audit_may_show(const veil_audit_record_t *r, const char *name)
{
    const veil_control_arg_t *a = audit_find_arg(r, name);

    return a != NULL && (a->flags & VEIL_CONTROL_SECRET) == 0;
}

/* What the verb is about: its first positional argument, if it may be seen. */
static const char *
audit_target(const veil_audit_record_t *r)
{
    const veil_control_arg_t *a;

    if (r->target != NULL || r->table == NULL) {
        return r->target;
    }
    for (a = r->table->args; a != NULL && a->name != NULL; a++) {
        if ((a->flags & VEIL_CONTROL_POSITION) != 0) {
            return audit_may_show(r, a->name)
                       ? json_string_value(json_object_get(r->args, a->name))
                       : NULL;
        }
    }
    return NULL;
}

/* A value that was changed; NULL: there was, or is, none. */
typedef struct {
    const char *field;
    json_t *before;
    json_t *after;
} audit_change_t;

static bool
audit_is_none(const json_t *v)
{
    return v == NULL || json_is_null(v);
}

static bool
audit_is_change(const audit_change_t *c)
{
    if (audit_is_none(c->before) || audit_is_none(c->after)) {
        return audit_is_none(c->before) != audit_is_none(c->after);
    }
    return !json_equal(c->before, c->after);
}

/* Says what was changed, one by one: what is new or other, what is gone. */
static void
audit_each_change(const veil_audit_record_t *r,
                  void (*say)(void *data, const audit_change_t *c), void *data)
{
    audit_change_t c;

    json_object_foreach(r->after, c.field, c.after)
    {
        c.before = json_object_get(r->before, c.field);
        if (audit_is_change(&c)) {
            say(data, &c);
        }
    }
    c.after = NULL;
    json_object_foreach(r->before, c.field, c.before)
    {
        if (json_object_get(r->after, c.field) == NULL && audit_is_change(&c))
        {
            say(data, &c);
        }
    }
}

/* Cleaned and cut; dst has VEIL_AUDIT_VALUE + 1 bytes. */
static size_t
audit_clean(char *dst, veil_str_t s)
{
    size_t n = veil_clean(dst, veil_str_cut_utf8(s, VEIL_AUDIT_VALUE));

    dst[n] = '\0';
    return n;
}

/* --- text ---------------------------------------------------------------- */

typedef struct {
    char *buf;
    size_t n; /* room for text; a zero byte follows */
    size_t len;
    unsigned left_out;
} audit_line_t;

/* What needs no quotes; of other ASCII some is replaced, see below. */
static bool
audit_is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || strchr("_.:/@+-*%#~()>[]", c) != NULL;
}

/* The value in place: cleaned, without what separates, quoted if need be. */
static size_t
audit_quote(char *dst, veil_str_t value)
{
    char tmp[VEIL_AUDIT_VALUE + 1];
    size_t n = audit_clean(tmp, value);
    bool plain = n != 0;
    size_t i;

    for (i = 0; i < n; i++) {
        if (strchr("\"'`,=\\;", tmp[i]) != NULL) {
            tmp[i] = '?';
        }
        plain = plain && (audit_is_plain(tmp[i]) || tmp[i] == '?');
    }
    if (plain) {
        memcpy(dst, tmp, n);
        return n;
    }
    dst[0] = '"';
    memcpy(dst + 1, tmp, n);
    dst[n + 1] = '"';
    return n + 2;
}

static size_t
audit_put_name(char *dst, const char *prefix, const char *name)
{
    size_t n = 0;

    while (*prefix != '\0') {
        dst[n++] = *prefix++;
    }
    for (; *name != '\0' && n < AUDIT_NAME; name++) {
        bool good = (*name >= 'a' && *name <= 'z')
                    || (*name >= 'A' && *name <= 'Z')
                    || (*name >= '0' && *name <= '9')
                    || strchr("_.-/:[]", *name) != NULL;

        dst[n++] = *name;
        if (!good) {
            dst[n - 1] = '?';
        }
    }
    return n;
}

/* " name=value", or nothing of it. */
static void
audit_pair(audit_line_t *l, const char *prefix, const char *name,
           veil_str_t value)
{
    char tmp[AUDIT_NAME + VEIL_AUDIT_VALUE + 8];
    size_t n = 0;

    tmp[n++] = ' ';
    n += audit_put_name(tmp + n, prefix, name);
    tmp[n++] = '=';
    n += audit_quote(tmp + n, value);
    if (l->len + n > l->n || l->left_out != 0) {
        l->left_out++;
        return;
    }
    memcpy(l->buf + l->len, tmp, n);
    l->len += n;
}

static void
audit_text(audit_line_t *l, const char *name, const char *value,
           const char *absent)
{
    audit_pair(l, "", name, veil_str_z(value == NULL ? absent : value));
}

static void
audit_number(audit_line_t *l, const char *name, int64_t value)
{
    char tmp[24];
    size_t n = veil_snprintf(tmp, sizeof(tmp), "%lld", (long long) value);

    audit_pair(l, "", name, veil_str_n(tmp, n));
}

/* A value of JSON as people write it; what has parts, as JSON. */
static size_t
audit_value(char *dst, const json_t *v)
{
    char text[4 * VEIL_AUDIT_VALUE];
    veil_str_t s;

    if (v == NULL || json_is_null(v)) {
        return audit_clean(dst, VEIL_STR(AUDIT_NONE));
    }
    if (json_is_string(v)) {
        s = veil_str_n(json_string_value(v), json_string_length(v));
        return audit_clean(dst, s);
    }
    s.data = text;
    s.len = json_dumpb(v, text, sizeof(text), JSON_COMPACT | JSON_ENCODE_ANY);
    /* What did not fit has holes. */
    return audit_clean(dst, s.len > sizeof(text) ? VEIL_STR("(long)") : s);
}

static void
audit_text_args(audit_line_t *l, const veil_audit_record_t *r)
{
    char value[VEIL_AUDIT_VALUE + 1];
    unsigned count = 0;
    const char *name;
    json_t *v;
    size_t n;

    json_object_foreach(r->args, name, v)
    {
        if (++count > AUDIT_PAIRS) {
            l->left_out++;
            continue;
        }
        n = audit_may_show(r, name)
                ? audit_value(value, v)
                : audit_clean(value, VEIL_STR(AUDIT_HIDDEN));
        audit_pair(l, "arg.", name, veil_str_n(value, n));
    }
}

typedef struct {
    audit_line_t *line;
    unsigned count;
} audit_text_changes_t;

/* "set.weight=1->5" */
static void
audit_text_change(void *data, const audit_change_t *c)
{
    audit_text_changes_t *all = data;
    char value[2 * VEIL_AUDIT_VALUE + 4];
    char part[VEIL_AUDIT_VALUE + 1];
    veil_str_t s;
    size_t n, i;

    if (++all->count > AUDIT_PAIRS) {
        all->line->left_out++;
        return;
    }
    n = 0;
    for (i = 0; i < 2; i++) {
        s.data = part;
        s.len = audit_value(part, i == 0 ? c->before : c->after);
        s = veil_str_cut_utf8(s, VEIL_AUDIT_VALUE / 2 - 2);
        if (i == 1) {
            memcpy(value + n, "->", 2);
            n += 2;
        }
        memcpy(value + n, s.data, s.len);
        n += s.len;
    }
    audit_pair(all->line, "set.", c->field, veil_str_n(value, n));
}

static void
audit_text_changes(audit_line_t *l, const veil_audit_record_t *r)
{
    audit_text_changes_t all = { .line = l };

    audit_each_change(r, audit_text_change, &all);
}

static void
audit_text_actor(audit_line_t *l, const veil_audit_record_t *r)
{
    const veil_peer_id_t *a = r->actor;

    if (a == NULL || !a->known) {
        audit_text(l, "uid", NULL, VEIL_PEER_UNKNOWN);
        audit_text(l, "gid", NULL, VEIL_PEER_UNKNOWN);
    } else {
        audit_number(l, "uid", a->uid);
        audit_number(l, "gid", a->gid);
    }
    if (a == NULL || a->pid <= 0) {
        audit_text(l, "pid", NULL, VEIL_PEER_UNKNOWN);
    } else {
        audit_number(l, "pid", a->pid);
    }
    audit_text(l, "user", a == NULL ? NULL : a->user, VEIL_PEER_UNKNOWN);
    audit_text(l, "comm", a == NULL ? NULL : a->comm, VEIL_PEER_UNKNOWN);
}

static void
audit_text_time(audit_line_t *l, const char *name, int64_t sec, unsigned msec)
{
    char text[VEIL_AUDIT_TIME];

    if (sec == 0) {
        audit_text(l, name, NULL, VEIL_PEER_UNKNOWN);
        return;
    }
    veil_audit_time(text, sec, msec);
    audit_text(l, name, text, "");
}

static void
audit_text_result(audit_line_t *l, const veil_audit_record_t *r)
{
    char text[64];

    audit_text(l, "fanout", audit_fanout(r), AUDIT_NONE);
    (void) veil_snprintf(text, sizeof(text), "%u/%u/%u", r->workers_ok,
                         r->workers_err, r->workers_expected);
    audit_text(l, "workers", r->workers_expected == 0 ? NULL : text,
               AUDIT_NONE);
    if (r->elapsed_ms < 0) {
        audit_text(l, "elapsed_ms", NULL, AUDIT_NONE);
    } else {
        audit_number(l, "elapsed_ms", r->elapsed_ms);
    }
    audit_number(l, "gen_before", (int64_t) r->generation_before);
    audit_number(l, "gen_after", (int64_t) r->generation_after);
    audit_number(l, "gen_boot", (int64_t) r->generation_boot);
}

size_t
veil_audit_text(const veil_audit_record_t *r, char *buf, size_t n)
{
    /* Room for " more=4294967295" and the zero byte. */
    audit_line_t l = { .buf = buf, .n = n - 17 };

    VEIL_ASSERT(n >= 128);
    memcpy(buf, "AUDIT", 5);
    l.len = 5;
    audit_number(&l, "seq", (int64_t) r->seq);
    audit_text_time(&l, "ts", r->sec, r->msec);
    audit_number(&l, "mono_ms", (int64_t) r->mono_ms);
    audit_text(&l, "session", r->session, VEIL_PEER_UNKNOWN);
    audit_text(&l, "request", r->request, AUDIT_NONE);
    audit_text(&l, "phase", audit_phase(r), "");
    audit_text(&l, "verb", r->verb, AUDIT_NONE);
    audit_text(&l, "result", veil_audit_result_name(r->result), "");
    audit_text(&l, "error_code", r->code, AUDIT_NONE);
    audit_text(&l, "role", r->role, VEIL_PEER_UNKNOWN);
    audit_text(&l, "role_needed", r->needed, AUDIT_NONE);
    audit_text_actor(&l, r);
    audit_number(&l, "client", (int64_t) r->client);
    audit_text_time(&l, "connect_ts", r->connect_sec, r->connect_msec);
    audit_text(&l, "socket", r->socket, VEIL_PEER_UNKNOWN);
    audit_text(&l, "target", audit_target(r), AUDIT_NONE);
    audit_text(&l, "dry_run", r->dry_run ? "true" : "false", "");
    audit_text_result(&l, r);
    audit_text(&l, "version", VEIL_VERSION, "");
    audit_text(&l, "reason", r->reason, AUDIT_NONE);
    audit_text_changes(&l, r);
    audit_text_args(&l, r);
    if (l.left_out != 0) {
        l.len += veil_snprintf(buf + l.len, n - l.len, " more=%u", l.left_out);
    }
    buf[l.len] = '\0';
    return l.len;
}

/* --- JSON ---------------------------------------------------------------- */

static json_t *
audit_json_str(veil_str_t s)
{
    char tmp[VEIL_AUDIT_VALUE + 1];

    if (s.data == NULL) {
        return json_null();
    }
    return json_stringn(tmp, audit_clean(tmp, s));
}

static json_t *
audit_json_text(const char *text)
{
    return audit_json_str(veil_str_z(text));
}

static json_t *
audit_json_time(int64_t sec, unsigned msec)
{
    char text[VEIL_AUDIT_TIME];

    if (sec == 0) {
        return json_null();
    }
    veil_audit_time(text, sec, msec);
    return json_string(text);
}

static json_t *audit_json_value(json_t *v, unsigned depth);

/* An array or an object, as far as it is looked into. */
static json_t *
audit_json_parts(json_t *v, unsigned depth)
{
    json_t *copy = json_is_array(v) ? json_array() : json_object();
    char name[VEIL_AUDIT_VALUE + 1];
    const char *key;
    json_t *part;
    size_t i;

    if (json_is_array(v)) {
        for (i = 0; i < json_array_size(v) && i < AUDIT_PAIRS; i++) {
            json_array_append_new(
                copy, audit_json_value(json_array_get(v, i), depth + 1));
        }
        return copy;
    }
    i = 0;
    json_object_foreach(v, key, part)
    {
        if (i++ == AUDIT_PAIRS) {
            break;
        }
        (void) audit_clean(name, veil_str_z(key));
        json_object_set_new(copy, name, audit_json_value(part, depth + 1));
    }
    return copy;
}

/* A clean copy. */
static json_t *
audit_json_value(json_t *v, unsigned depth)
{
    if (v == NULL) {
        return json_null();
    }
    if (json_is_string(v)) {
        return audit_json_str(
            veil_str_n(json_string_value(v), json_string_length(v)));
    }
    if (!json_is_array(v) && !json_is_object(v)) {
        return json_incref(v);
    }
    return depth == AUDIT_DEPTH ? json_string("(deep)")
                                : audit_json_parts(v, depth);
}

static json_t *
audit_json_args(const veil_audit_record_t *r)
{
    char clean[VEIL_AUDIT_VALUE + 1];
    unsigned count = 0;
    const char *name;
    json_t *copy, *v;

    if (r->args == NULL) {
        return json_null();
    }
    copy = json_object();
    json_object_foreach(r->args, name, v)
    {
        if (++count > AUDIT_PAIRS) {
            break;
        }
        (void) audit_clean(clean, veil_str_z(name));
        json_object_set_new(copy, clean,
                            audit_may_show(r, name)
                                ? audit_json_value(v, 0)
                                : json_string(AUDIT_HIDDEN));
    }
    return copy;
}

/* {"field": "weight", "before": 1, "after": 5} */
static void
audit_json_change(void *data, const audit_change_t *c)
{
    json_t *list = data;

    if (json_array_size(list) < AUDIT_PAIRS) {
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:o}", "field", audit_json_text(c->field),
                      "before", audit_json_value(c->before, 0), "after",
                      audit_json_value(c->after, 0)));
    }
}

static json_t *
audit_json_changes(const veil_audit_record_t *r)
{
    json_t *list;

    if (r->before == NULL && r->after == NULL) {
        return json_null();
    }
    list = json_array();
    audit_each_change(r, audit_json_change, list);
    return list;
}

static void
audit_json_actor(json_t *o, const veil_peer_id_t *a)
{
    bool known = a != NULL && a->known;

    json_object_set_new(o, "actor_uid",
                        known ? json_integer(a->uid) : json_null());
    json_object_set_new(o, "actor_gid",
                        known ? json_integer(a->gid) : json_null());
    json_object_set_new(o, "actor_pid",
                        known && a->pid > 0 ? json_integer(a->pid)
                                            : json_null());
    json_object_set_new(o, "actor_user",
                        audit_json_text(known ? a->user : NULL));
    json_object_set_new(o, "actor_comm",
                        audit_json_text(known ? a->comm : NULL));
}

static json_t *
audit_json_count(bool has, uint64_t n)
{
    return has ? json_integer((json_int_t) n) : json_null();
}

static void
audit_json_result(json_t *o, const veil_audit_record_t *r)
{
    bool fanout = r->workers_expected != 0;

    json_object_set_new(o, "result",
                        json_string(veil_audit_result_name(r->result)));
    json_object_set_new(o, "error_code", audit_json_text(r->code));
    json_object_set_new(o, "reason", audit_json_text(r->reason));
    json_object_set_new(
        o, "elapsed_ms",
        audit_json_count(r->elapsed_ms >= 0, (uint64_t) r->elapsed_ms));
    json_object_set_new(o, "fanout", audit_json_text(audit_fanout(r)));
    json_object_set_new(o, "workers_ok",
                        audit_json_count(fanout, r->workers_ok));
    json_object_set_new(o, "workers_err",
                        audit_json_count(fanout, r->workers_err));
    json_object_set_new(o, "workers_expected",
                        audit_json_count(fanout, r->workers_expected));
    json_object_set_new(
        o, "generation_before",
        audit_json_count(r->generation_before != 0, r->generation_before));
    json_object_set_new(
        o, "generation_after",
        audit_json_count(r->generation_after != 0, r->generation_after));
    json_object_set_new(
        o, "generation_boot",
        audit_json_count(r->generation_boot != 0, r->generation_boot));
    json_object_set_new(o, "changes", audit_json_changes(r));
}

json_t *
veil_audit_json(const veil_audit_record_t *r)
{
    json_t *o = json_object();

    json_object_set_new(o, "v", json_integer(1));
    json_object_set_new(o, "type", json_string("audit"));
    json_object_set_new(o, "seq", json_integer((json_int_t) r->seq));
    json_object_set_new(o, "ts", audit_json_time(r->sec, r->msec));
    json_object_set_new(o, "mono_ms", json_integer((json_int_t) r->mono_ms));
    json_object_set_new(o, "session", audit_json_text(r->session));
    json_object_set_new(o, "request", audit_json_text(r->request));
    json_object_set_new(o, "phase", json_string(audit_phase(r)));
    json_object_set_new(o, "verb", audit_json_text(r->verb));
    json_object_set_new(o, "role", audit_json_text(r->role));
    json_object_set_new(o, "role_needed", audit_json_text(r->needed));
    audit_json_actor(o, r->actor);
    json_object_set_new(o, "client",
                        audit_json_count(r->client != 0, r->client));
    json_object_set_new(o, "connect_ts",
                        audit_json_time(r->connect_sec, r->connect_msec));
    json_object_set_new(o, "socket", audit_json_text(r->socket));
    json_object_set_new(o, "target", audit_json_text(audit_target(r)));
    json_object_set_new(o, "args", audit_json_args(r));
    json_object_set_new(o, "dry_run", json_boolean(r->dry_run));
    audit_json_result(o, r);
    json_object_set_new(o, "version", json_string(VEIL_VERSION));
    return o;
}
