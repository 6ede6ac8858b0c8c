/*
 * test_ctl.c -- veilctl without a server: the command line, lines, text, and
 * how answers are shown.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "ctl/command.c"
#include "ctl/completion.c"
#include "ctl/hint.c"
#include "ctl/lines.c"
#include "ctl/man.c"
#include "ctl/render.c"
#include "ctl/show.c"
#include "ctl/show_config.c"
#include "ctl/show_conns.c"
#include "ctl/show_inspect.c"
#include "ctl/show_server.c"
#include "ctl/show_upgrade.c"
#include "ctl/show_upstreams.c"
#include "ctl/table.c"
#include "ctl/text.c"
#include "ctl/units.c"
#include "ctl/verbs.c"

/* --- verbs to try with ----------------------------------------------------*/

static const veil_control_arg_t test_set_args[] = {
    { "server", VEIL_CONTROL_STRING,
      VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION, NULL, "which" },
    { "state", VEIL_CONTROL_WORD, 0, "ready|drain|down", "its state" },
    { "weight", VEIL_CONTROL_NUMBER, 0, NULL, "its weight" },
    { "max_conns", VEIL_CONTROL_NUMBER, 0, NULL, "its limit" },
    { "slow_start", VEIL_CONTROL_TIME, 0, NULL, "how slowly it begins" },
    { "force", VEIL_CONTROL_FLAG, 0, NULL, "even if it is busy" },
    { .name = NULL }
};

static const veil_control_arg_t test_list_args[] = {
    { "what", VEIL_CONTROL_STRING, VEIL_CONTROL_POSITION, NULL, "of which" },
    { "older", VEIL_CONTROL_TIME, 0, NULL, "only those" },
    { "n", VEIL_CONTROL_NUMBER, 0, NULL, "at most" },
    { .name = NULL }
};

static const veil_control_arg_t test_save_args[] = {
    { "file", VEIL_CONTROL_STRING,
      VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION | VEIL_CONTROL_FILE, NULL,
      "where to" },
    { .name = NULL }
};

static const veil_control_arg_t test_stop_args[] = {
    { "how", VEIL_CONTROL_WORD, VEIL_CONTROL_POSITION, "soft|hard", "how" },
    { "timeout", VEIL_CONTROL_TIME, 0, NULL, "its own" },
    { .name = NULL }
};

const veil_control_verb_t veil_ctl_local_verbs[] = {
    { .name = "help", .help = "Help." },
    { .name = "t_server.set",
      .role = VEIL_CONTROL_OPERATE,
      .flags = VEIL_CONTROL_CHANGES | VEIL_CONTROL_PERSISTS,
      .args = test_set_args,
      .help = "Sets a server's state." },
    { .name = "t_server.slow_set",
      .role = VEIL_CONTROL_OPERATE,
      .flags = VEIL_CONTROL_CHANGES,
      .help = "Changes nothing that lasts." },
    { .name = "t_conns.list",
      .args = test_list_args,
      .help = "Lists connections." },
    { .name = "t_tatus", .help = "Tells the state." },
    { .name = "t_follow", .flags = VEIL_CONTROL_STREAMS, .help = "Goes on." },
    { .name = "t_save", .args = test_save_args, .help = "Saves." },
    { .name = "t_stop",
      .role = VEIL_CONTROL_ADMIN,
      .args = test_stop_args,
      .help = "Stops." },
    { .name = NULL },
};

/* --- the command line -----------------------------------------------------*/

#define TEST_WORDS 12

/* Cuts a line at "|" and parses it. */
static bool
test_parse(veil_ctl_command_t *c, const char *line)
{
    static char copy[1024];
    char *argv[TEST_WORDS + 2] = { NULL };
    char *p = copy;
    int n = 0;

    (void) veil_str_copy_z(copy, sizeof(copy), veil_str_z(line));
    argv[n++] = (char *) (uintptr_t) "veilctl";
    while (p != NULL && *line != '\0' && n <= TEST_WORDS) {
        argv[n++] = p;
        p = strchr(p, '|');
        if (p != NULL) {
            *p++ = '\0';
        }
    }
    return veil_ctl_command_parse(c, argv);
}

Test(ctl, calls)
{
    static const struct {
        const char *line, *verb, *args;
    } good[] = {
        { "t_tatus", "t_tatus", "{}" },
        { "-j|t_tatus", "t_tatus", "{}" },
        { "t_tatus|--json", "t_tatus", "{}" },
        { "t-tatus", "t_tatus", "{}" },
        { "t_server|set|b/1:80", "t_server.set", "{\"server\":\"b/1:80\"}" },
        { "t_server.set|b/1:80", "t_server.set", "{\"server\":\"b/1:80\"}" },
        { "t-server|slow-set", "t_server.slow_set", "{}" },
        { "t_server|set|b|state=drain|weight=3", "t_server.set",
          "{\"server\":\"b\",\"state\":\"drain\",\"weight\":3}" },
        { "t_server|set|--weight|3|b", "t_server.set",
          "{\"weight\":3,\"server\":\"b\"}" },
        { "t_server|set|b|--max-conns=0", "t_server.set",
          "{\"server\":\"b\",\"max_conns\":0}" },
        { "t_server|set|server=b|max-conns=7", "t_server.set",
          "{\"server\":\"b\",\"max_conns\":7}" },
        { "t_server|set|b|--force", "t_server.set",
          "{\"server\":\"b\",\"force\":true}" },
        { "t_server|set|b|force=off", "t_server.set",
          "{\"server\":\"b\",\"force\":false}" },
        { "t_server|set|--force|b", "t_server.set",
          "{\"force\":true,\"server\":\"b\"}" },
        { "t_server|set|b|slow_start=1h 30m", "t_server.set",
          "{\"server\":\"b\",\"slow_start\":\"1h 30m\"}" },
        { "t_conns|list|http=debug", "t_conns.list",
          "{\"what\":\"http=debug\"}" },
        { "t_conns|list|--|--older", "t_conns.list",
          "{\"what\":\"--older\"}" },
        { "t_conns|list|--|older=3", "t_conns.list",
          "{\"what\":\"older=3\"}" },
        { "t_conns|list|-n|5", "t_conns.list", "{\"n\":5}" },
        { "t_conns|list|-n5", "t_conns.list", "{\"n\":5}" },
        { "t_conns|list|--older|10m", "t_conns.list", "{\"older\":\"10m\"}" },
        { "t_conns|list|-", "t_conns.list", "{\"what\":\"-\"}" },
        { "t_stop|hard", "t_stop", "{\"how\":\"hard\"}" },
        { "t_stop|--timeout|3s", "t_stop", "{\"timeout\":\"3s\"}" },
        { "t_save|/tmp/x", "t_save", "{\"file\":\"/tmp/x\"}" },
    };
    veil_ctl_command_t c;
    char *args;
    size_t i;

    for (i = 0; i < veil_countof(good); i++) {
        cr_expect(test_parse(&c, good[i].line), "%s: %.*s", good[i].line,
                  (int) c.error.len, c.error.data);
        if (c.error.len == 0) {
            args = json_dumps(c.args, JSON_COMPACT);
            cr_expect_eq(c.action, VEIL_CTL_CALL);
            cr_expect_str_eq(c.verb->name, good[i].verb);
            cr_expect_str_eq(args, good[i].args);
            veil_free(args);
        }
        veil_ctl_command_done(&c);
    }
}

Test(ctl, options)
{
    veil_ctl_command_t c;
    char path[8192];

    cr_assert(test_parse(&c, "-s|/x|-t5s|-p/pre|t_server|set|b|--dry-run|"
                             "--if_gen=12|--persist|-j"));
    cr_expect_str_eq(c.socket, "/x");
    cr_expect_str_eq(c.prefix, "/pre");
    cr_expect_eq(c.timeout_ms, 5000);
    cr_expect_eq(c.if_gen, 12);
    cr_expect(c.dry_run && c.persist && c.json);
    veil_ctl_command_done(&c);

    cr_assert(test_parse(&c, "t_tatus|--watch|500ms|--config=/c"));
    cr_expect_eq(c.watch_ms, 500);
    cr_expect_eq(c.timeout_ms, -1);
    cr_expect_eq(c.if_gen, -1);
    cr_expect_str_eq(c.conf, "/c");
    veil_ctl_command_done(&c);

    /* Of the verb, not of the client. */
    cr_assert(test_parse(&c, "-t|9s|t_stop|--timeout=3s"));
    cr_expect_eq(c.timeout_ms, 9000);
    veil_ctl_command_done(&c);

    cr_assert(test_parse(&c, "t_save|here"));
    cr_assert_not_null(getcwd(path, sizeof(path) - 8));
    (void) veil_snprintf(path + strlen(path), 8, "/here");
    cr_expect_str_eq(json_string_value(json_object_get(c.args, "file")), path);
    veil_ctl_command_done(&c);
}

Test(ctl, actions)
{
    static const struct {
        const char *line;
        veil_ctl_action_t action;
        const char *verb, *noun;
    } good[] = {
        { "help", VEIL_CTL_HELP, NULL, NULL },
        { "--help", VEIL_CTL_HELP, NULL, NULL },
        { "help|t_tatus", VEIL_CTL_HELP, "t_tatus", NULL },
        { "help|t_server|set", VEIL_CTL_HELP, "t_server.set", NULL },
        { "help|t_server", VEIL_CTL_HELP, NULL, "t_server" },
        { "t_server|set|-h", VEIL_CTL_HELP, "t_server.set", NULL },
        { "-V", VEIL_CTL_VERSION, NULL, NULL },
        { "--man", VEIL_CTL_MAN, NULL, NULL },
        { "--completion|bash", VEIL_CTL_COMPLETION, NULL, NULL },
    };
    veil_ctl_command_t c;
    size_t i;

    for (i = 0; i < veil_countof(good); i++) {
        cr_expect(test_parse(&c, good[i].line), "%s", good[i].line);
        cr_expect_eq(c.action, good[i].action, "%s", good[i].line);
        cr_expect_eq(c.verb == NULL, good[i].verb == NULL, "%s", good[i].line);
        if (c.verb != NULL && good[i].verb != NULL) {
            cr_expect_str_eq(c.verb->name, good[i].verb);
        }
        cr_expect(
            veil_str_eq_z(c.noun, good[i].noun == NULL ? "" : good[i].noun));
        veil_ctl_command_done(&c);
    }
}

Test(ctl, mistakes)
{
    static const struct {
        const char *line, *error;
    } bad[] = {
        { "", "what shall be done?" },
        { "--nonsense", "unknown option \"--nonsense\"" },
        { "--jsn|t_tatus", "did you mean \"--json\"?" },
        { "-X", "unknown option \"-X\"" },
        { "-s", "\"-s\" needs a value" },
        { "--json=1|t_tatus", "\"--json\" takes no value" },
        { "-t|soon|t_tatus", "takes a time, as 30s or 500ms, not \"soon\"" },
        { "--completion|zsh", "there is a completion for bash" },
        { "t_tatu", "did you mean \"t_tatus\"?" },
        { "t_servr|set", "did you mean \"t_server set\"?" },
        { "t_servr", "did you mean \"t_server ...\"?" },
        { "qqqqqqqq", "there is no verb \"qqqqqqqq\"" },
        { "t_server", "\"t_server\" needs one of its verbs:" },
        { "t_server|se", "did you mean \"t_server set\"?" },
        { "t_server|qqqqqqqq", "has no verb \"qqqqqqqq\"; it has:" },
        { "help|t_server|qqqqqqqq", "has no verb" },
        { "help|qqqqqqqq", "there is no verb" },
        { "t_server|set", "\"t_server set\" needs SERVER: which" },
        { "t_server|set|b|c", "\"t_server set\" takes no \"c\"" },
        { "t_server|set|b|wieght=3", "did you mean \"weight\"?" },
        { "t_server|set|wieght=3", "did you mean \"weight\"?" },
        { "t_server|set|b|--wieght|3", "did you mean \"weight\"?" },
        { "t_server|set|b|qqqqq=3", "has no argument \"qqqqq\"" },
        { "t_server|set|b|weight=x", "\"weight\" takes a whole number" },
        { "t_server|set|b|weight=-1", "\"weight\" takes a whole number" },
        { "t_server|set|b|weight=", "\"weight\" takes a whole number" },
        { "t_server|set|b|state=up",
          "\"state\" takes one of ready|drain|down, not \"up\"" },
        { "t_server|set|b|slow_start=x", "\"slow_start\" takes a time" },
        { "t_server|set|b|force=maybe", "\"force\" takes true or false" },
        { "t_server|set|\xff\xfe", "takes text in UTF-8, not \"\\xff\\xfe\"" },
        { "t_server|set|b|weight=1|weight=2", "\"weight\" is given twice" },
        { "t_server|set|b|server=c", "\"server\" is given twice" },
        { "t_server|set|b|--weight", "\"weight\" needs a value" },
        { "t_server|set|b|--weight|--force", "\"weight\" needs a value" },
        { "t_server|set|b|--if-gen|x", "takes a generation's number" },
        { "t_server|set|b|--dry-run=1", "takes no value" },
        { "t_tatus|--dry-run", "it changes nothing" },
        { "t_tatus|--if-gen=3", "it changes nothing" },
        { "t_server|slow_set|--persist", "there is nothing to be kept" },
        { "t_server|set|b|--watch=1s", "it is no question" },
        { "t_follow|--watch=1s", "it goes on by itself" },
        { "t_tatus|\033[31m", "takes no \"\\x1b[31m\"" },
    };
    veil_ctl_command_t c;
    char text[4096];
    size_t i;

    for (i = 0; i < veil_countof(bad); i++) {
        cr_expect(!test_parse(&c, bad[i].line), "%s", bad[i].line);
        (void) veil_str_copy_z(text, sizeof(text),
                               veil_ctl_text_str(&c.error));
        cr_expect(strstr(text, bad[i].error) != NULL, "%s: %s", bad[i].line,
                  text);
        veil_ctl_command_done(&c);
    }
}

Test(ctl, usage)
{
    veil_ctl_text_t t = { 0 };

    veil_ctl_verb_usage(&t, veil_ctl_verb_find(VEIL_STR("t_server.set")));
    cr_expect(veil_str_eq_z(
        veil_ctl_text_str(&t),
        "veilctl t_server set SERVER [state=ready|drain|down] [weight=N] "
        "[max_conns=N] [slow_start=TIME] [--force] [--dry-run] [--if-gen=N] "
        "[--persist]\n"));
    t.len = 0;
    veil_ctl_verb_usage(&t, veil_ctl_verb_find(VEIL_STR("t_save")));
    veil_ctl_verb_usage(&t, veil_ctl_verb_find(VEIL_STR("t_stop")));
    cr_expect(veil_str_eq_z(veil_ctl_text_str(&t),
                            "veilctl t_save FILE\n"
                            "veilctl t_stop [soft|hard] [timeout=TIME]\n"));
    veil_ctl_text_done(&t);
}

/* --- text -----------------------------------------------------------------*/

static void
expect_text(veil_ctl_text_t *t, const char *z)
{
    cr_expect(veil_str_eq_z(veil_ctl_text_str(t), z), "\"%.*s\" is not \"%s\"",
              (int) t->len, t->data, z);
    t->len = 0;
}

Test(ctl, safe)
{
    static const struct {
        const char *in, *out;
    } texts[] = {
        { "plain", "plain" },
        { "Gr\xc3\xbc\xc3\x9f"
          "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x90\x98",
          "Gr\xc3\xbc\xc3\x9f"
          "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x90\x98" },
        { "a\033[31mb", "a\\x1b[31mb" },
        { "a\nb\tc\rd", "a\\nb\\tc\\rd" },
        { "\x7f\x01", "\\x7f\\x01" },
        { "\xc2\x9b"
          "31m",
          "\\x9b31m" }, /* CSI of Unicode */
        { "\x9b"
          "31m",
          "\\x9b31m" }, /* as a bare byte */
        { "\xe2\x80\xae"
          "abc",
          "\\u202eabc" }, /* from right to left */
        { "\xef\xbb\xbf", "\\ufeff" },
        { "\xc0\x80", "\\xc0\\x80" },          /* too long */
        { "\xed\xa0\x80", "\\xed\\xa0\\x80" }, /* half of a pair */
        { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
        { "\xe2\x82", "\\xe2\\x82" },       /* cut */
        { "\xf3\xa0\x80\x81", "\\ue0001" }, /* a tag */
    };
    veil_ctl_text_t t = { 0 };
    size_t i;

    for (i = 0; i < veil_countof(texts); i++) {
        veil_ctl_text_safe(&t, veil_str_z(texts[i].in), false);
        expect_text(&t, texts[i].out);
    }
    veil_ctl_text_safe(&t, VEIL_STR("a\n\tb\033"), true);
    expect_text(&t, "a\n\tb\\x1b");
    veil_ctl_text_safe(&t, VEIL_STR("a\0b"), false);
    expect_text(&t, "a\\x00b");
    veil_ctl_text_done(&t);
}

Test(ctl, widths)
{
    veil_ctl_text_t t = { .color = true };

    veil_ctl_text_styled(&t, VEIL_CTL_RED, "r\xc3\xb6t");
    veil_ctl_text_z(&t, " und mehr");
    cr_expect_eq(veil_ctl_text_width(veil_ctl_text_str(&t)), 12);
    cr_expect(veil_str_eq_z(veil_ctl_text_clip(veil_ctl_text_str(&t), 2),
                            "\033[31mr\xc3\xb6"));
    cr_expect(veil_str_eq_z(veil_ctl_text_clip(veil_ctl_text_str(&t), 4),
                            "\033[31mr\xc3\xb6t\033[0m "));
    cr_expect_eq(veil_ctl_text_clip(veil_ctl_text_str(&t), 99).len, t.len);
    veil_ctl_text_done(&t);
}

/* --- units ----------------------------------------------------------------*/

Test(ctl, units)
{
    static const struct {
        const char *name;
        double n;
        const char *text;
    } numbers[] = {
        { "requests", 0, "0" },
        { "requests", 99999, "99999" },
        { "requests", 100000, "100K" },
        { "requests", 1234567, "1.2M" },
        { "requests", 999999999, "1.0G" },
        { "requests", 1e30, "1000000000000E" },
        { "rate", 0.5, "0.50" },
        { "rate", 12.25, "12.2" },
        { "pid", 1234567, "1234567" },
        { "old_pid", 1234567, "1234567" },
        { "body_bytes", 100, "100" },
        { "body_bytes", 1023, "1023" },
        { "body_bytes", 1024, "1.0K" },
        { "memory", 1048575, "1.0M" },
        { "memory", 300e6, "286M" },
        { "bytes_in", 2048, "2.0K" },
        { "time_ms", 1800000000123, "2027-01-15 08:00:00" },
        { "at", 1800000000, "2027-01-15 08:00:00" },
        { "idle_ms", 0, "0s" },
        { "idle_ms", 2, "2.0ms" },
        { "idle_ms", 250, "250ms" },
        { "idle_ms", 999.9, "1.0s" },
        { "idle_ms", 12000, "12s" },
        { "idle_ms", 59990, "1m00s" },
        { "idle_ms", 200000, "3m20s" },
        { "uptime", 7500, "2h05m" },
        { "uptime", 4 * 86400 + 3 * 3600, "4d03h" },
        { "ewma_us", 250, "0.250ms" },
        { "ewma_us", 1500, "1.5ms" },
    };
    char buf[VEIL_CTL_UNIT];
    json_t *v;
    size_t i;

    setenv("TZ", "UTC", 1);
    tzset();
    for (i = 0; i < veil_countof(numbers); i++) {
        v = json_real(numbers[i].n);
        cr_expect_str_eq(veil_ctl_unit_number(buf, numbers[i].name, v),
                         numbers[i].text);
        json_decref(v);
    }
    cr_expect_str_eq(veil_ctl_unit_date(buf, 784111777),
                     "1994-11-06 08:49:37");
    v = json_integer(1800000000123);
    cr_expect_str_eq(veil_ctl_unit_number(buf, "started_at", v),
                     "2027-01-15 08:00:00");
    json_decref(v);
}

/* --- answers --------------------------------------------------------------*/

static void
expect_shown(const char *json, const char *expected)
{
    json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
    veil_ctl_text_t t = { 0 };

    cr_assert_not_null(v, "%s", json);
    veil_ctl_show(&t, veil_ctl_local_verbs, NULL, v);
    expect_text(&t, expected);
    veil_ctl_text_done(&t);
    json_decref(v);
}

Test(ctl, generic)
{
    expect_shown("{}", "ok\n");
    expect_shown("null", "ok\n");
    expect_shown("[]", "none\n");
    expect_shown("\"two\\nlines\"", "two\nlines\n");
    expect_shown("3", "3\n");
    expect_shown("[\"a\",\"b\"]", "a\nb\n");
    expect_shown("{\"pid\":123456,\"idle_ms\":1500,\"on\":true,\"x\":null}",
                 "pid:  123456\n"
                 "idle: 1.5s\n"
                 "on:   yes\n"
                 "x:    -\n");
    expect_shown("[{\"name\":\"a\",\"max_conns\":1},"
                 "{\"name\":\"longer\",\"max_conns\":1000,\"up\":false}]",
                 "NAME    MAX CONNS  UP\n"
                 "a               1  -\n"
                 "longer       1000  no\n");
    expect_shown("{\"name\":\"u\",\"servers\":[{\"a\":1}],\"keys\":[1,2],"
                 "\"in\":{\"deep\":\"x\"},\"none\":[]}",
                 "name: u\n"
                 "servers:\n"
                 "  A\n"
                 "  1\n"
                 "keys: 1, 2\n"
                 "in:\n"
                 "  deep: x\n"
                 "none: none\n");
    expect_shown("{\"total\":2,\"conns\":[{\"id\":1},{\"id\":2}]}",
                 "total: 2\n"
                 "\n"
                 "ID\n"
                 " 1\n"
                 " 2\n");
    expect_shown("{\"errors\":[]}", "errors: none\n");
    expect_shown("[{\"worker\":0,\"data\":{\"pid\":7},\"tls\":{\"v\":1}}]",
                 "WORKER  PID  TLS V\n"
                 "     0    7      1\n");
    /* What a table has no room for: one row is told in full. */
    expect_shown("[{\"a\":1,\"b\":[{\"c\":2},{\"c\":3}]}]", "a: 1\n"
                                                            "b:\n"
                                                            "  C\n"
                                                            "  2\n"
                                                            "  3\n");
    expect_shown("[{\"a_bytes\":1,\"b\":[{}]},{\"a_bytes\":2048,"
                 "\"b\":{\"c\":[{}]}}]",
                 "   A  B\n"
                 "   1  [1]\n"
                 "2.0K  {1}\n");
    /* Nothing that a terminal obeys, in keys nor in values. */
    expect_shown("{\"a\\u001b\":\"\\u001b[2J\\u009b\"}",
                 "a\\x1b: \\x1b[2J\\x9b\n");
    expect_shown("[{\"k\\n\":\"v\\n\"}]", "K\\N\nv\\n\n");
    expect_shown("\"a\\u001bb\"", "a\\x1bb\n");
}

static void
expect_shown_by(veil_ctl_show_fn *show, const char *json, const char *expected)
{
    json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
    veil_ctl_text_t t = { 0 };

    cr_assert_not_null(v, "%s", json);
    cr_expect(show(&t, NULL, v));
    expect_text(&t, expected);
    veil_ctl_text_done(&t);
    json_decref(v);
}

Test(ctl, connections)
{
    expect_shown_by(
        veil_ctl_show_conn_list,
        "{\"total\":7,\"matched\":3,\"connections\":["
        "{\"id\":\"10-1\",\"client\":\"127.0.0.1:4711\",\"tls\":null,"
        "\"state\":\"idle\",\"age_ms\":200000,\"bytes_out\":1234567},"
        "{\"id\":\"10-22\",\"client\":\"::1\",\"state\":\"writing\","
        "\"age_ms\":5,\"request\":\"GET /\\u001b[2J\"}]}",
        "ID     CLIENT          STATE      AGE   OUT  REQUEST\n"
        "10-1   127.0.0.1:4711  idle     3m20s  1.2M  -\n"
        "10-22  ::1             writing  5.0ms     -  GET /\\x1b[2J\n"
        "and 1 more; 3 of 7 connections\n");
    expect_shown_by(veil_ctl_show_conn_list,
                    "{\"total\":1,\"matched\":0,\"connections\":[]}",
                    "none\n0 of 1 connection\n");
}

Test(ctl, rejected)
{
    setenv("TZ", "UTC", 1);
    tzset();
    expect_shown_by(
        veil_ctl_show_errors,
        "{\"errors\":[{\"time_ms\":1800000000123,\"client\":\"::1\","
        "\"listener\":\"*:80\",\"status\":400,\"reason\":\"a bad "
        "name\",\"offset\":18,\"first\":10,"
        "\"excerpt\":\"/ \\\\x00\\\\\\\\..x(y\"}]}",
        "2027-01-15 08:00:00  ::1 > *:80  400 a bad name at byte 18\n"
        "    / \\x00\\\\..x(y\n"
        "                ^\n");
    expect_shown_by(veil_ctl_show_errors, "{\"errors\":[]}", "none\n");
}

Test(ctl, loads)
{
    expect_shown_by(
        veil_ctl_show_reload,
        "{\"ok\":true,\"generation\":3,\"elapsed_ms\":120,\"diagnostics\":["
        "{\"level\":\"warn\",\"message\":\"odd\",\"file\":\"/v.conf\","
        "\"line\":3,\"column\":5,\"hint\":\"do it\","
        "\"excerpt\":[\"lisen 80;\",\"^\"]}],"
        "\"diff\":{\"summary\":\"2 directives\",\"more\":1,\"changes\":["
        "{\"op\":\"changed\",\"path\":\"http > server\","
        "\"from\":\"listen 80\",\"to\":\"listen 81\"},"
        "{\"op\":\"added\",\"path\":\"http > server\",\"to\":\"gzip on\"},"
        "{\"op\":\"removed\",\"path\":\"\",\"from\":\"user x\"}],"
        "\"upstreams\":{\"added\":[{\"upstream\":\"u\",\"server\":\"a:1\"}],"
        "\"removed\":[]},"
        "\"listeners\":{\"changed\":[{\"address\":\"*:80\",\"from\":1,"
        "\"to\":2}]},\"workers\":[1,2]}}",
        "/v.conf:3:5: warning: odd (do it)\n"
        "    lisen 80;\n"
        "    ^\n"
        "@ http > server\n"
        "- listen 80\n"
        "+ listen 81\n"
        "+ gzip on\n"
        "@ main\n"
        "- user x\n"
        "and 1 more\n"
        "+ server u/a:1\n"
        "~ listener *:80: 2 sockets, 1 before\n"
        "~ 2 workers, 1 before\n"
        "2 directives\n"
        "generation 3 after 120ms\n");
}

Test(ctl, status)
{
    setenv("TZ", "UTC", 1);
    tzset();
    expect_shown_by(
        veil_ctl_show_status,
        "{\"state\":\"serving\",\"version\":\"1.2.3\",\"pid\":7,"
        "\"uptime_ms\":90000,\"config\":\"/v.conf\",\"generation\":2,"
        "\"generations\":[{\"generation\":2,\"state\":\"serving\","
        "\"keeper\":123456,\"uptime_ms\":1000,\"workers\":2}],"
        "\"reload\":{\"ok\":true,\"generation\":2,\"at\":1800000000,"
        "\"cause\":\"verb\",\"elapsed_ms\":120}}",
        "veil 1.2.3, serving for 1m30s, process 7, configuration /v.conf\n"
        "\n"
        "GENERATION  STATE    WORKERS  AGE  KEEPER\n"
        "         2  serving        2   1s  123456\n"
        "\n"
        "last load: generation 2, 2027-01-15 08:00:00, by verb, took "
        "120ms\n");
}

Test(ctl, status_that_is_special)
{
    expect_shown_by(
        veil_ctl_show_status,
        "{\"state\":\"stopping\",\"uptime_ms\":90000,\"stopping_ms\":2000,"
        "\"drained_listeners\":2,\"old_master\":{\"pid\":7,\"state\":"
        "\"kept\"},\"generations\":[{\"generation\":2}]}",
        "veil, stopping for 2s\n"
        "drained listeners: 2\n"
        "old master: process 7, kept\n"
        "\n"
        "GENERATION\n"
        "         2\n");
}

Test(ctl, status_workers)
{
    expect_shown_by(
        veil_ctl_show_status,
        "{\"state\":\"serving\",\"generations\":[{\"generation\":2,"
        "\"workers\":[{\"worker\":0,\"pid\":7},{\"worker\":1,\"pid\":8}]}]}",
        "veil, serving\n"
        "\n"
        "GENERATION  WORKERS\n"
        "         2        2\n"
        "\n"
        "WORKER  GENERATION  PID\n"
        "     0           2    7\n"
        "     1           2    8\n");
}

Test(ctl, certs)
{
    expect_shown_by(
        veil_ctl_show_certs,
        "[{\"names\":[\"a.example\",\"b.example\"],\"issuer\":\"CN=ca\","
        "\"not_after\":\"2027-01-15T08:00:00Z\",\"days_left\":-3,"
        "\"key\":\"EC 256\",\"sha256\":\"abc\",\"servers\":[],"
        "\"from\":\"add\"},{}]",
        "DAYS LEFT  NAMES                 KEY     NOT AFTER             "
        "ISSUER  FROM  SERVERS  SHA-256\n"
        "-3         a.example, b.example  EC 256  2027-01-15T08:00:00Z  "
        "CN=ca   add   -        abc\n"
        "0          -                     -       -                     "
        "-       -     -        -\n");
}

Test(ctl, changes)
{
    expect_shown_by(veil_ctl_show_change,
                    "{\"before\":{\"weight\":1,\"state\":\"ready\"},"
                    "\"after\":{\"weight\":3,\"state\":\"ready\","
                    "\"addr\":\"a\"},\"server\":\"u/s\"}",
                    "server: u/s\n"
                    "weight: 1 -> 3\n"
                    "addr: - -> a\n");
    expect_shown_by(veil_ctl_show_change,
                    "{\"before\":{\"weight\":1},\"after\":{\"weight\":1}}",
                    "nothing is different\n");
}

Test(ctl, streams)
{
    expect_shown_by(veil_ctl_show_event,
                    "{\"seq\":1,\"ts\":\"T\",\"kind\":\"server.down\","
                    "\"generation\":3,\"worker\":null,"
                    "\"data\":{\"a\":\"b\\u001b\",\"n\":7}}",
                    "T server.down generation 3: a=b\\x1b n=7");
    expect_shown_by(veil_ctl_show_event, "{\"lost\":4}", "4 events were lost");
    expect_shown_by(veil_ctl_show_audit,
                    "{\"ts\":\"T\",\"result\":\"refused\",\"verb\":\"stop\","
                    "\"target\":null,\"actor_user\":\"x\",\"actor_uid\":7,"
                    "\"actor_pid\":8,\"error_code\":\"E_ROLE\","
                    "\"reason\":\"no\",\"dry_run\":true}",
                    "T refused stop (dry run) by x uid 7 pid 8: E_ROLE, no");
}

Test(ctl, deep)
{
    veil_ctl_text_t t = { 0 };
    char deep[2048];
    json_t *v;
    size_t n = 0;
    int i;

    for (i = 0; i < 300; i++) {
        n += veil_snprintf(deep + n, sizeof(deep) - n, "{\"a\":");
    }
    n += veil_snprintf(deep + n, sizeof(deep) - n, "1");
    memset(deep + n, '}', 300);
    deep[n + 300] = '\0';
    v = json_loads(deep, 0, NULL);
    cr_assert_not_null(v);
    veil_ctl_render(&t, v);
    cr_expect_gt(t.len, 1000);
    veil_ctl_text_done(&t);
    json_decref(v);
}

Test(ctl, json)
{
    json_t *v =
        json_loads("{\"a\":\"\\u007f\\u009b\\u001b\",\"b\":1}", 0, NULL);
    veil_ctl_text_t t = { 0 };

    veil_ctl_render_json(&t, v);
    expect_text(&t, "{\"a\":\"\\u007f\\u009B\\u001B\",\"b\":1}");
    veil_ctl_text_done(&t);
    json_decref(v);
}

Test(ctl, errors)
{
    json_t *err = json_loads("{\"code\":\"E_X\",\"msg\":\"one\\ntwo\\u001b\","
                             "\"hint\":\"do it\"}",
                             0, NULL);
    json_t *workers =
        json_loads("[{\"worker\":2,\"generation\":12,\"ok\":false,"
                   "\"err\":{\"code\":\"E_TIMEOUT\",\"msg\":\"late\"}}]",
                   0, NULL);
    veil_ctl_text_t t = { 0 };

    veil_ctl_show_error(&t, NULL, err, workers);
    expect_text(&t, "veilctl: one (E_X)\n"
                    "two\\x1b\n"
                    "veilctl: do it\n"
                    "  worker 2 of generation 12: late (E_TIMEOUT)\n");
    json_decref(err);
    err = json_loads("{\"msg\":7}", 0, NULL);
    veil_ctl_show_error(&t, NULL, err, NULL);
    expect_text(&t, "veilctl: the server says no more than \"no\"\n");
    json_decref(err);
    json_decref(workers);
    veil_ctl_text_done(&t);
}

/* --- lines ----------------------------------------------------------------*/

static void
test_feed(veil_ctl_lines_t *l, const char *z)
{
    size_t n;
    char *p = veil_ctl_lines_room(l, &n);

    cr_assert_geq(n, strlen(z));
    memcpy(p, z, strlen(z));
    veil_ctl_lines_fed(l, strlen(z));
}

Test(ctl, lines)
{
    veil_ctl_lines_t l = { 0 };
    veil_str_t line;

    cr_expect(!veil_ctl_lines_next(&l, &line));
    test_feed(&l, "o");
    cr_expect(!veil_ctl_lines_next(&l, &line));
    cr_expect(veil_ctl_lines_is_midline(&l));
    test_feed(&l, "ne\ntwo\n\nfo");
    cr_assert(veil_ctl_lines_next(&l, &line));
    cr_expect(veil_str_eq_z(line, "one"));
    cr_assert(veil_ctl_lines_next(&l, &line));
    cr_expect(veil_str_eq_z(line, "two"));
    cr_assert(veil_ctl_lines_next(&l, &line));
    cr_expect_eq(line.len, 0);
    cr_expect(!veil_ctl_lines_next(&l, &line));
    test_feed(&l, "ur\n");
    cr_assert(veil_ctl_lines_next(&l, &line));
    cr_expect(veil_str_eq_z(line, "four"));
    cr_expect(!veil_ctl_lines_is_midline(&l));
    veil_ctl_lines_done(&l);
}

Test(ctl, long_line)
{
    veil_ctl_lines_t l = { 0 };
    size_t n, total = 0;
    veil_str_t line;
    char *p;

    while ((p = veil_ctl_lines_room(&l, &n)) != NULL) {
        memset(p, 'x', n);
        veil_ctl_lines_fed(&l, n);
        total += n;
        cr_assert(!veil_ctl_lines_next(&l, &line));
    }
    cr_expect_eq(total, VEIL_CTL_LINE_MAX);
    veil_ctl_lines_done(&l);
}

/* --- what is made of the tables -------------------------------------------*/

Test(ctl, made)
{
    veil_ctl_text_t t = { 0 };
    veil_str_t s, line;

    veil_ctl_man(&t);
    s = veil_ctl_text_str(&t);
    cr_expect_geq(veil_str_find(s, VEIL_STR("\n.SS \"t_server set\"\n")), 0);
    while (s.data != NULL) {
        line = veil_str_cut(&s, '\n');
        cr_expect(line.len == 0 || line.data[0] != '\'');
    }
    t.len = 0;
    veil_ctl_completion(&t);
    s = veil_ctl_text_str(&t);
    cr_expect_geq(veil_str_find(s, VEIL_STR("'state word ready drain down'")),
                  0);
    cr_expect_geq(veil_str_find(s, VEIL_STR("'- file'")), 0);
    t.len = 0;
    veil_ctl_help(&t);
    cr_expect_geq(
        veil_str_find(veil_ctl_text_str(&t), VEIL_STR("  t_server set ")), 0);
    veil_ctl_text_done(&t);
}
