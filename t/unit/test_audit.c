/* test_audit.c -- a record of an attempt, as text and as JSON. */

#include <criterion/criterion.h>

#include "../../src/process/control/audit.c"

static const veil_control_arg_t args[] = {
    { "server", VEIL_CONTROL_STRING,
      VEIL_CONTROL_POSITION | VEIL_CONTROL_REQUIRED, NULL, "" },
    { "weight", VEIL_CONTROL_NUMBER, 0, NULL, "" },
    { "state", VEIL_CONTROL_WORD, 0, "ready|drain", "" },
    { "password", VEIL_CONTROL_STRING, VEIL_CONTROL_SECRET, NULL, "" },
    { NULL, VEIL_CONTROL_STRING, 0, NULL, NULL },
};

static const veil_control_verb_t verb = {
    .name = "server.set",
    .role = VEIL_CONTROL_OPERATE,
    .flags = VEIL_CONTROL_CHANGES,
    .args = args,
};

static veil_peer_id_t actor;
static veil_audit_record_t r;
static char line[VEIL_AUDIT_LINE];

static void
setup(void)
{
    actor.known = true;
    actor.uid = 1000;
    actor.gid = 100;
    actor.pid = 4711;
    (void) veil_str_copy_z(actor.user, sizeof(actor.user), VEIL_STR("ann"));
    (void) veil_str_copy_z(actor.comm, sizeof(actor.comm),
                           VEIL_STR("veilctl"));
    memset(&r, 0, sizeof(r));
    r.seq = 7;
    r.sec = 1763735318;
    r.msec = 42;
    r.mono_ms = 123456;
    r.session = "01ARYZ6S41TSV4RRFFQ69G5FAV";
    r.client = 3;
    r.connect_sec = 1763735317;
    r.connect_msec = 999;
    r.actor = &actor;
    r.socket = "/run/veil.sock";
    r.role = "admin";
    r.needed = "operate";
    r.request = "9";
    r.verb = "server.set";
    r.table = &verb;
    r.result = VEIL_AUDIT_OK;
    r.elapsed_ms = 12;
    r.generation_before = 4;
    r.generation_after = 4;
    r.generation_boot = 2;
}

/* Those before are given back. */
static void
use(json_t **place, json_t *value)
{
    json_decref(*place);
    *place = value;
}

static json_t *audit_object;

static void
teardown(void)
{
    use(&audit_object, NULL);
    use(&r.args, NULL);
    use(&r.before, NULL);
    use(&r.after, NULL);
}

TestSuite(audit, .init = setup, .fini = teardown);

static const char *
text(void)
{
    size_t n = veil_audit_text(&r, line, sizeof(line));

    cr_assert_eq(n, strlen(line));
    cr_assert(veil_is_clean(veil_str_n(line, n)), "%s", line);
    return line;
}

/* The line has this pair, and no other of its name. */
static void
has(const char *name, const char *value)
{
    char want[400];
    const char *t = text();
    const char *p;

    (void) snprintf(want, sizeof(want), " %s=", name);
    p = strstr(t, want);
    cr_assert_not_null(p, "%s is not in %s", want, t);
    cr_assert_null(strstr(p + 1, want), "%s is twice in %s", want, t);
    (void) snprintf(want, sizeof(want), " %s=%s ", name, value);
    if (strncmp(p, want, strlen(want)) != 0) {
        /* The last one ends with the line. */
        want[strlen(want) - 1] = '\0';
        cr_assert_str_eq(p, want, "%s", t);
    }
}

static void
has_not(const char *part)
{
    cr_assert_null(strstr(text(), part), "%s is in %s", part, line);
}

static json_t *
json(void)
{
    char *dump;

    use(&audit_object, veil_audit_json(&r));
    dump = json_dumps(audit_object, JSON_COMPACT);
    cr_assert_not_null(dump, "it can be written");
    cr_assert(veil_is_clean(veil_str_z(dump)), "%s", dump);
    free(dump);
    return audit_object;
}

static const char *
json_text(const char *name)
{
    return json_string_value(json_object_get(json(), name));
}

/* --- the form ------------------------------------------------------------ */

Test(audit, the_whole_line)
{
    use(&r.args,
        json_pack("{s:s, s:i}", "server", "app/10.0.0.1:80", "weight", 5));
    use(&r.before, json_pack("{s:i, s:s}", "weight", 1, "state", "ready"));
    use(&r.after, json_pack("{s:i, s:s}", "weight", 5, "state", "ready"));
    r.workers_expected = r.workers_ok = 2;
    cr_assert_str_eq(
        text(),
        "AUDIT seq=7 ts=2025-11-21T14:28:38.042Z mono_ms=123456 "
        "session=01ARYZ6S41TSV4RRFFQ69G5FAV request=9 phase=done "
        "verb=server.set result=ok error_code=- role=admin "
        "role_needed=operate uid=1000 gid=100 pid=4711 user=ann comm=veilctl "
        "client=3 connect_ts=2025-11-21T14:28:37.999Z socket=/run/veil.sock "
        "target=app/10.0.0.1:80 dry_run=false fanout=ok workers=2/0/2 "
        "elapsed_ms=12 gen_before=4 gen_after=4 gen_boot=2 "
        "version=" VEIL_VERSION
        " reason=- set.weight=1->5 arg.server=app/10.0.0.1:80 arg.weight=5");
}

Test(audit, the_whole_object)
{
    static const char *const names[] = {
        "v",
        "type",
        "seq",
        "ts",
        "mono_ms",
        "session",
        "request",
        "phase",
        "verb",
        "role",
        "role_needed",
        "actor_uid",
        "actor_gid",
        "actor_pid",
        "actor_user",
        "actor_comm",
        "client",
        "connect_ts",
        "socket",
        "target",
        "args",
        "dry_run",
        "result",
        "error_code",
        "reason",
        "elapsed_ms",
        "fanout",
        "workers_ok",
        "workers_err",
        "workers_expected",
        "generation_before",
        "generation_after",
        "generation_boot",
        "changes",
        "version",
    };
    json_t *o = json();
    const char *name;
    size_t i = 0;
    json_t *v;

    json_object_foreach(o, name, v)
    {
        cr_assert_lt(i, veil_countof(names));
        cr_assert_str_eq(name, names[i++]);
    }
    cr_assert_eq(i, veil_countof(names));
    cr_assert_eq(json_integer_value(json_object_get(json(), "actor_uid")),
                 1000);
    cr_assert_str_eq(json_text("ts"), "2025-11-21T14:28:38.042Z");
    cr_assert_str_eq(json_text("type"), "audit");
}

Test(audit, an_empty_record_has_all_names)
{
    size_t n = json_object_size(json());
    const char *name;
    json_t *o, *v;
    unsigned nulls = 0;

    memset(&r, 0, sizeof(r));
    r.elapsed_ms = -1;
    r.result = VEIL_AUDIT_REFUSED;
    o = json();
    cr_assert_eq(json_object_size(o), n);
    json_object_foreach(o, name, v)
    {
        nulls += json_is_null(v);
    }
    cr_assert_eq(nulls, 27);
    has("uid", "unknown");
    has("gid", "unknown");
    has("pid", "unknown");
    has("user", "unknown");
    has("comm", "unknown");
    has("session", "unknown");
    has("socket", "unknown");
    has("role", "unknown");
    has("connect_ts", "unknown");
    has("verb", "-");
    has("target", "-");
    has("elapsed_ms", "-");
    has("workers", "-");
    has("fanout", "-");
    has("error_code", "-");
    has("reason", "-");
}

Test(audit, who_is_not_known)
{
    actor.known = false;
    actor.uid = (uid_t) -1;
    has("uid", "unknown");
    cr_assert(json_is_null(json_object_get(json(), "actor_uid")));
    cr_assert(json_is_null(json_object_get(json(), "actor_pid")));
    actor.known = true;
    actor.uid = 0;
    actor.pid = 0;
    has("uid", "0");
    has("pid", "unknown");
    cr_assert(json_is_null(json_object_get(json(), "actor_pid")));
    cr_assert_eq(json_integer_value(json_object_get(json(), "actor_uid")), 0);
}

Test(audit, times)
{
    char t[VEIL_AUDIT_TIME];

    veil_audit_time(t, 0, 0);
    cr_assert_str_eq(t, "1970-01-01T00:00:00.000Z");
    veil_audit_time(t, 951782399, 7);
    cr_assert_str_eq(t, "2000-02-28T23:59:59.007Z");
    veil_audit_time(t, 4102444800, 999);
    cr_assert_str_eq(t, "2100-01-01T00:00:00.999Z");
}

/* --- results ------------------------------------------------------------- */

Test(audit, results_have_names)
{
    static const char *const names[] = { "accepted", "ok",      "refused",
                                         "failed",   "timeout", "partial" };
    unsigned i;

    for (i = 0; i < veil_countof(names); i++) {
        r.result = (veil_audit_result_t) i;
        has("result", names[i]);
        cr_assert_str_eq(json_text("result"), names[i]);
        has("phase", i == 0 ? "attempt" : "done");
    }
}

Test(audit, fan_out)
{
    has("fanout", "local_only");
    has("workers", "-");
    cr_assert(json_is_null(json_object_get(json(), "workers_ok")));
    r.workers_expected = 3;
    r.workers_ok = 3;
    has("fanout", "ok");
    r.workers_ok = 2;
    r.workers_err = 1;
    r.result = VEIL_AUDIT_PARTIAL;
    has("fanout", "partial");
    has("workers", "2/1/3");
    cr_assert_eq(json_integer_value(json_object_get(json(), "workers_err")),
                 1);
    r.workers_ok = 0;
    r.workers_err = 3;
    r.result = VEIL_AUDIT_FAILED;
    has("fanout", "failed");
    r.result = VEIL_AUDIT_TIMEOUT;
    has("fanout", "timeout");
    r.result = VEIL_AUDIT_ACCEPTED;
    has("fanout", "-");
    r.result = VEIL_AUDIT_REFUSED;
    has("fanout", "-");
    cr_assert_null(json_text("fanout"));
}

Test(audit, a_refusal_says_why)
{
    r.result = VEIL_AUDIT_REFUSED;
    r.code = "E_ROLE";
    r.reason = "\"server.set\" needs the role operate";
    r.elapsed_ms = 0;
    has("error_code", "E_ROLE");
    has("reason", "\"?server.set? needs the role operate\"");
    cr_assert_str_eq(json_text("reason"),
                     "\"server.set\" needs the role operate");
}

Test(audit, a_reason_has_256_bytes)
{
    char reason[600];

    memset(reason, 'x', sizeof(reason));
    reason[599] = '\0';
    r.reason = reason;
    cr_assert_eq(strlen(json_text("reason")), 256);
    /* Characters are not cut. */
    memcpy(reason + 254, "\xe2\x82\xac", 3);
    cr_assert_eq(strlen(json_text("reason")), 254);
    (void) text();
}

Test(audit, a_dry_run)
{
    has("dry_run", "false");
    r.dry_run = true;
    has("dry_run", "true");
    cr_assert(json_is_true(json_object_get(json(), "dry_run")));
}

/* --- arguments ----------------------------------------------------------- */

Test(audit, secrets_are_hidden)
{
    use(&r.args,
        json_pack("{s:s, s:s}", "server", "a", "password", "hunter2"));
    has("arg.password", "(hidden)");
    has_not("hunter2");
    cr_assert_str_eq(json_string_value(json_object_get(
                         json_object_get(json(), "args"), "password")),
                     "(hidden)");
}

Test(audit, what_the_verb_does_not_know_is_hidden)
{
    use(&r.args, json_pack("{s:s}", "pasword", "hunter2"));
    has("arg.pasword", "(hidden)");
    has_not("hunter2");
    r.table = NULL;
    r.verb = "server.sett";
    use(&r.args, json_pack("{s:s}", "server", "hunter2"));
    has("arg.server", "(hidden)");
    has("verb", "server.sett");
    has_not("hunter2");
    cr_assert_str_eq(json_string_value(json_object_get(
                         json_object_get(json(), "args"), "server")),
                     "(hidden)");
}

Test(audit, the_target_is_the_first_positional_argument)
{
    use(&r.args, json_pack("{s:s}", "server", "app/b"));
    has("target", "app/b");
    r.target = "other";
    has("target", "other");
    r.target = NULL;
    use(&r.args, json_pack("{s:i}", "server", 3));
    has("target", "-");
    use(&r.args, NULL);
    has("target", "-");
    cr_assert(json_is_null(json_object_get(json(), "args")));
}

Test(audit, values_of_other_types)
{
    use(&r.args, json_pack("{s:b, s:n, s:[i,s]}", "server", 1, "weight",
                           "state", 1, "a b"));
    has("arg.server", "true");
    has("arg.weight", "-");
    has("arg.state", "\"[1??a b?]\"");
}

Test(audit, names_of_arguments)
{
    char name[200] = "arg.";

    use(&r.args, json_pack("{s:i}", "a=b c\nd\"", 1));
    has("arg.a?b?c?d?", "(hidden)");
    memset(name + 4, 'a', 190);
    use(&r.args, json_pack("{s:i}", name + 4, 1));
    name[AUDIT_NAME] = '\0';
    has(name, "(hidden)");
}

Test(audit, too_many_arguments)
{
    char name[16];
    unsigned i;

    use(&r.args, json_object());
    for (i = 0; i < 100; i++) {
        (void) snprintf(name, sizeof(name), "n%u", i);
        json_object_set_new(r.args, name, json_integer(1));
    }
    has("more", "68");
    cr_assert_eq(json_object_size(json_object_get(json(), "args")), 32);
}

Test(audit, deep_values)
{
    json_t *v = json_string("x");
    unsigned i;

    for (i = 0; i < 50; i++) {
        v = json_pack("[o]", v);
    }
    use(&r.args, json_pack("{s:o}", "server", v));
    (void) text();
    v = json_object_get(json_object_get(json(), "args"), "server");
    for (i = 0; i < 6; i++) {
        v = json_array_get(v, 0);
    }
    cr_assert_str_eq(json_string_value(v), "(deep)");
}

Test(audit, a_long_value_with_parts)
{
    json_t *v = json_array();
    unsigned i;

    for (i = 0; i < 1000; i++) {
        json_array_append_new(v, json_string("0123456789"));
    }
    use(&r.args, json_pack("{s:o}", "server", v));
    has("arg.server", "(long)");
    v = json_object_get(json_object_get(json(), "args"), "server");
    cr_assert_eq(json_array_size(v), 32);
}

/* --- changes ------------------------------------------------------------- */

Test(audit, changes)
{
    json_t *list;

    use(&r.before,
        json_pack("{s:i, s:s, s:s}", "weight", 1, "a", "x", "gone", ""));
    use(&r.after,
        json_pack("{s:i, s:s, s:b}", "weight", 2, "a", "x", "new", 1));
    has("set.weight", "1->2");
    has("set.new", "-->true");
    has("set.gone", "->-");
    has_not("set.a=");
    list = json_object_get(json(), "changes");
    cr_assert_eq(json_array_size(list), 3);
    cr_assert_str_eq(
        json_string_value(json_object_get(json_array_get(list, 2), "field")),
        "gone");
    cr_assert(json_is_null(json_object_get(json_array_get(list, 2), "after")));
    cr_assert_str_eq(
        json_string_value(json_object_get(json_array_get(list, 0), "field")),
        "weight");
    cr_assert_eq(
        json_integer_value(json_object_get(json_array_get(list, 0), "after")),
        2);
    cr_assert(
        json_is_null(json_object_get(json_array_get(list, 1), "before")));
}

Test(audit, what_is_no_change)
{
    use(&r.before, json_pack("{s:n, s:i}", "addr", "weight", 1));
    use(&r.after, json_pack("{s:i, s:n}", "weight", 1, "zone"));
    has_not("set.");
    cr_assert_eq(json_array_size(json_object_get(json(), "changes")), 0);
}

/* What was added or deleted as a whole. */
Test(audit, one_side_only)
{
    use(&r.before, json_pack("{s:i}", "app/[::1]:80.weight", 3));
    has("set.app/[::1]:80.weight", "3->-");
    cr_assert_eq(json_array_size(json_object_get(json(), "changes")), 1);
    use(&r.before, NULL);
    use(&r.after, json_pack("{s:i}", "weight", 3));
    has("set.weight", "-->3");
    use(&r.after, NULL);
    cr_assert(json_is_null(json_object_get(json(), "changes")));
}

Test(audit, long_changes)
{
    char a[400];

    memset(a, 'a', sizeof(a));
    a[399] = '\0';
    use(&r.before, json_pack("{s:s}", "x", a));
    a[0] = 'b';
    use(&r.after, json_pack("{s:s}", "x", a));
    a[126] = '\0';
    cr_assert_not_null(strstr(text(), "->baaa"));
    (void) json();
}

/* --- what does not belong there ------------------------------------------ */

/* A value from outside in each place that can have one. */
static void
put_everywhere(const char *value)
{
    r.session = r.socket = r.role = r.needed = r.request = r.verb = value;
    r.target = r.code = r.reason = value;
    (void) veil_str_copy_z(actor.user, sizeof(actor.user), veil_str_z(value));
    (void) veil_str_copy_z(actor.comm, sizeof(actor.comm), veil_str_z(value));
    use(&r.args, json_object());
    json_object_set_new(r.args, "server",
                        json_stringn_nocheck(value, strlen(value)));
    json_object_set_new_nocheck(r.args, value, json_integer(1));
    use(&r.before, json_object());
    use(&r.after, json_object());
    json_object_set_new_nocheck(r.after, "state",
                                json_stringn_nocheck(value, strlen(value)));
    json_object_set_new_nocheck(r.after, value, json_integer(1));
}

/* Splits as the simplest reader would: at blanks, then at the first "=". */
static unsigned
pairs_named(const char *t, const char *name)
{
    size_t n = strlen(name);
    unsigned count = 0;

    for (; t != NULL; t = strchr(t, ' ')) {
        t += *t == ' ';
        count += strncmp(t, name, n) == 0 && t[n] == '=';
    }
    return count;
}

static void
smuggles_nothing(const char *value)
{
    static const char *const names[] = { "result", "verb", "uid",  "user",
                                         "role",   "seq",  "more", "reason" };
    size_t i;

    put_everywhere(value);
    (void) text();
    for (i = 0; i < veil_countof(names); i++) {
        cr_assert_leq(pairs_named(line, names[i]), 1, "%s in %s", names[i],
                      line);
    }
    cr_assert_null(strchr(line, '\n'));
    cr_assert_eq(strncmp(line, "AUDIT seq=7 ts=", 15), 0);
    (void) json();
}

Test(audit, pairs_cannot_be_smuggled)
{
    smuggles_nothing("x result=ok uid=0");
    smuggles_nothing("x\" result=ok uid=\"0");
    smuggles_nothing("x\\\" result=ok");
    smuggles_nothing("x' result=ok");
    smuggles_nothing("x,result=ok");
    smuggles_nothing("x;result=ok");
    smuggles_nothing("x\tresult=ok");
    smuggles_nothing("x\nAUDIT seq=8 result=ok");
    smuggles_nothing("x\r\nresult=ok");
    smuggles_nothing("x\xc2\x85result=ok");
    smuggles_nothing("x\xe2\x80\xa8result=ok");
    smuggles_nothing(" ");
    smuggles_nothing("=");
    smuggles_nothing("\"");
    smuggles_nothing("");
}

Test(audit, controls_are_replaced)
{
    actor.comm[0] = '\x1b';
    has("comm", "?eilctl");
    cr_assert_str_eq(json_text("actor_comm"), "?eilctl");
    r.socket = "/run/\xc2\x9b"
               "31m";
    has("socket", "/run/?31m");
    cr_assert_str_eq(json_text("socket"), "/run/?31m");
}

Test(audit, directions_are_replaced)
{
    r.verb = "stop\xe2\x80\xae"
             "xyz";
    has("verb", "stop?xyz");
    cr_assert_str_eq(json_text("verb"), "stop?xyz");
    r.verb = "\xe2\x81\xa6stop\xe2\x81\xa9";
    has("verb", "?stop?");
    r.verb = "\xef\xbb\xbfstop";
    has("verb", "?stop");
    r.verb = "a\xe2\x80\xa8"
             "b\xe2\x80\xa9"
             "c";
    has("verb", "a?b?c");
}

Test(audit, bad_utf_8_is_replaced)
{
    r.verb = "st\xc3op";
    has("verb", "st?op");
    cr_assert_str_eq(json_text("verb"), "st?op");
    put_everywhere("\xff\xfe\xc0\x80");
    (void) text();
    (void) json();
}

Test(audit, letters_of_the_world_are_quoted)
{
    r.target = "f\xc3\xbc"
               "r";
    has("target", "\"f\xc3\xbcr\"");
    r.target = "";
    has("target", "\"\"");
    r.target = "a b";
    has("target", "\"a b\"");
    r.target = "a=b,c\"d\\e;f";
    has("target", "a?b?c?d?e?f");
    cr_assert_str_eq(json_text("target"), "a=b,c\"d\\e;f");
}

/* --- length -------------------------------------------------------------- */

Test(audit, a_line_that_is_too_long)
{
    char value[300], tiny[128];
    size_t n;

    memset(value, 'v', sizeof(value));
    value[299] = '\0';
    put_everywhere(value);
    n = veil_audit_text(&r, line, 1900);
    cr_assert_lt(n, 1900);
    cr_assert_not_null(strstr(line, " more="));
    cr_assert_not_null(strstr(line, " result=ok "), "what matters is there");
    n = veil_audit_text(&r, tiny, sizeof(tiny));
    cr_assert_lt(n, sizeof(tiny));
    cr_assert_not_null(strstr(tiny, " more="));
    (void) json();
}

Test(audit, any_length_ends_well)
{
    char value[300], buf[VEIL_AUDIT_LINE];
    size_t n, size;

    memset(value, ' ', sizeof(value));
    value[299] = '\0';
    put_everywhere(value);
    for (size = 128; size <= sizeof(buf); size++) {
        memset(buf, 'x', sizeof(buf));
        n = veil_audit_text(&r, buf, size);
        cr_assert_lt(n, size);
        cr_assert_eq(buf[n], '\0');
        cr_assert(size == sizeof(buf) || buf[size] == 'x');
    }
}
