/*
 * test_syslog.c -- parameters, the form of datagrams, servers that go away.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "conf_fixture.h"
#include "core/inet.h"
#include "core/syslog.h"
#include "core/time.h"

/* A socket of the server; its address as a parameter is in where. */
static int
server(char *where, size_t n)
{
    veil_addr_t addr;
    struct sockaddr_storage ss;
    socklen_t len;
    char text[VEIL_ADDR_TEXT_MAX];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    cr_assert(veil_addr_parse_ip(&addr, VEIL_STR("127.0.0.1")));
    len = veil_addr_to_sockaddr(&addr, &ss);
    cr_assert_eq(bind(fd, (struct sockaddr *) &ss, len), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *) &ss, &len), 0);
    veil_addr_from_sockaddr(&addr, (struct sockaddr *) &ss, len);
    veil_addr_print(&addr, text, sizeof(text));
    veil_snprintf(where, n, "server=%s", text);
    return fd;
}

/* The argument of a directive made up for the test. */
static veil_syslog_t *
create(veil_conf_t *cf, const char *parameters)
{
    veil_str_t text =
        veil_pool_printf(cf->pool, "error_log syslog:%s;", parameters);
    veil_conf_node_t *root = veil_conf_parse(cf, VEIL_STR("f"), text);

    cr_assert_neq(root, NULL);
    cf->node = veil_list_first(&root->children, veil_conf_node_t, link);
    return veil_syslog_create(cf, 1);
}

static void
expect(int fd, const char *wanted)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char got[4096];
    ssize_t n;

    /* The kernel may deliver it later than its sender goes on. */
    if (wanted != NULL) {
        cr_assert_eq(poll(&p, 1, 30000), 1);
    }
    n = recv(fd, got, sizeof(got) - 1, 0);
    if (wanted == NULL) {
        cr_assert_lt(n, 0);
        return;
    }
    cr_assert_geq(n, 0);
    got[n] = '\0';
    cr_assert_str_eq(got, wanted);
}

Test(syslog, datagrams)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    char where[200], host[256] = "", wanted[512], text[400];
    int fd = server(where, sizeof(where));
    veil_syslog_t *s = create(&cf, where);

    cr_assert_neq(s, NULL, "%s", fixture_lines);
    setenv("TZ", "UTC", 1);
    tzset();
    /* 1 January 1970, 01:02:03. */
    veil_time_set(1, 3723, 0);
    gethostname(host, sizeof(host) - 1);
    veil_syslog_send(s, VEIL_LOG_ERR, "hello", 5);
    veil_snprintf(wanted, sizeof(wanted),
                  "<187>Jan  1 01:02:03 %s veil: "
                  "hello",
                  host);
    expect(fd, wanted);
    veil_syslog_send(s, VEIL_LOG_OFF, "x", 1);
    veil_snprintf(wanted, sizeof(wanted), "<190>Jan  1 01:02:03 %s veil: x",
                  host);
    expect(fd, wanted);

    veil_snprintf(text, sizeof(text),
                  "%s,facility=daemon,severity=warn,tag=a_1,nohostname",
                  where);
    s = create(&cf, text);
    cr_assert_neq(s, NULL, "%s", fixture_lines);
    veil_syslog_send(s, VEIL_LOG_OFF, "y", 1);
    expect(fd, "<28>Jan  1 01:02:03 a_1: y");
    veil_syslog_send(s, VEIL_LOG_TRACE, "z", 1);
    expect(fd, "<31>Jan  1 01:02:03 a_1: z");
    close(fd);
    fixture_done(&cf);
}

Test(syslog, without_its_configuration)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    char where[200], text[400];
    int fd = server(where, sizeof(where));
    veil_syslog_spec_t spec;
    veil_syslog_t *s;

    setenv("TZ", "UTC", 1);
    tzset();
    veil_time_set(1, 3723, 0);
    veil_snprintf(text, sizeof(text),
                  "%s,facility=daemon,severity=warn,tag=a_1,nohostname",
                  where);
    s = create(&cf, text);
    cr_assert_neq(s, NULL, "%s", fixture_lines);
    veil_syslog_pack(s, &spec);
    fixture_done(&cf);
    s = veil_syslog_unpack(&spec);
    veil_syslog_send(s, VEIL_LOG_OFF, "y", 1);
    expect(fd, "<28>Jan  1 01:02:03 a_1: y");
    veil_syslog_free(&s);
    cr_assert_null(s);
    veil_syslog_free(&s);
    veil_syslog_close_all();
    close(fd);
}

Test(syslog, error_log_writes_lines_without_a_line_feed)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    char where[200], text[256], got[512];
    int fd = server(where, sizeof(where));
    veil_log_sink_t *sinks = NULL;
    veil_log_t log = { .level = VEIL_LOG_OFF };
    struct pollfd p = { .fd = fd, .events = POLLIN };
    ssize_t n;

    veil_snprintf(text, sizeof(text), "%s,nohostname", where);
    cr_assert_neq(create(&cf, text), NULL);
    cf.owner =
        veil_conf_scope_create(&cf, &veil_core_layer, NULL, VEIL_CONF_MAIN, 0);
    cr_assert_eq(veil_conf_set_error_log_sinks(&cf, &sinks), VEIL_OK);
    veil_log_use_sinks(&log, sinks);
    veil_log(&log, VEIL_LOG_INFO, 0, "too quiet");
    veil_log(&log, VEIL_LOG_CRIT, 0, "a line");
    cr_assert_eq(poll(&p, 1, 30000), 1);
    n = recv(fd, got, sizeof(got) - 1, 0);
    cr_assert_gt(n, 0);
    got[n] = '\0';
    cr_assert_eq(strncmp(got, "<186>", 5), 0);
    cr_assert_str_eq(strstr(got, ": a line"), ": a line");
    expect(fd, NULL);
    close(fd);
    fixture_done(&cf);
}

Test(syslog, a_server_that_goes_and_comes)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    char path[] = "/tmp/veil-syslog-XXXXXX", text[128];
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    veil_syslog_t *s;
    int fd = mkstemp(path);

    close(fd);
    unlink(path);
    memcpy(un.sun_path, path, sizeof(path));
    veil_snprintf(text, sizeof(text), "server=unix:%s,nohostname", path);
    s = create(&cf, text);
    cr_assert_neq(s, NULL, "%s", fixture_lines);

    setenv("TZ", "UTC", 1);
    tzset();
    veil_time_set(1, 100, 0);
    veil_syslog_send(s, VEIL_LOG_ERR, "lost", 4);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *) &un, sizeof(un)), 0);
    veil_syslog_send(s, VEIL_LOG_ERR, "too early", 9);
    expect(fd, NULL);
    veil_time_set(1, 101, 0);
    veil_syslog_send(s, VEIL_LOG_ERR, "back", 4);
    expect(fd, "<187>Jan  1 00:01:41 veil: back");

    /* Closed for the end of the process; a late line is no harm. */
    veil_syslog_close_all();
    veil_syslog_send(s, VEIL_LOG_ERR, "late", 4);
    expect(fd, "<187>Jan  1 00:01:41 veil: late");
    close(fd);
    veil_syslog_send(s, VEIL_LOG_ERR, "lost", 4);
    unlink(path);
    fixture_done(&cf);
}

static void
bad(const char *parameters, const char *message)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    char wanted[256];

    cr_assert_eq(create(&cf, parameters), NULL);
    veil_snprintf(wanted, sizeof(wanted), "emerg: %s in f:1:11\n", message);
    cr_assert_eq(strncmp(fixture_lines, wanted, strlen(wanted)), 0, "%s",
                 fixture_lines);
    cr_assert_eq(cf.errors, 1);
    fixture_done(&cf);
}

Test(syslog, texts_of_errors)
{
    bad("foo", "unknown syslog parameter \"foo\"");
    bad("", "unknown syslog parameter \"\"");
    bad("foo=bar", "unknown syslog parameter \"foo=bar\"");
    bad("facility=x", "unknown syslog facility \"x\"");
    bad("severity=x", "unknown syslog severity \"x\"");
    bad("facility=cron,facility=user", "duplicate syslog \"facility\"");
    bad("tag=a,tag=b", "duplicate syslog \"tag\"");
    bad("tag=a-b", "syslog \"tag\" only allows alphanumeric characters and "
                   "underscore");
    bad("tag=a23456789012345678901234567890123",
        "syslog \"tag\" length exceeds 32");
    bad("tag=a", "no syslog server specified");
    bad("server=127.0.0.1,server=127.0.0.1", "duplicate syslog \"server\"");
    bad("server=", "invalid syslog server \"\"");
    bad("server=127.0.0.1:0", "invalid syslog server \"127.0.0.1:0\"");
}
