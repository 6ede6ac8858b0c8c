/*
 * syslog.c -- lines of logs as datagrams to a syslog server (RFC 3164).
 *
 *     <PRI>Nov 21 05:46:01 host tag: line
 *
 * The socket is connected when the first line is sent, so that a server that
 * is not there yet does no harm, and processes started later have their own.
 * After a failure it is closed; the next attempt is made a second later at
 * the earliest.  There is no report of failures: it would have to be logged.
 *
 * Datagrams are sent with MSG_DONTWAIT and past the event loop: one system
 * call that cannot block needs no operation.
 */

#include "core/platform.h"

#include <ctype.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "core/assert.h"
#include "core/inet.h"
#include "core/list.h"
#include "core/syslog.h"
#include "core/time.h"

#define SYSLOG_PORT 514
#define SYSLOG_TAG_MAX 32
#define SYSLOG_LINE_MAX 2048

struct veil_syslog_s {
    veil_pool_t *pool;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    unsigned facility;
    unsigned severity;
    veil_str_t tag;
    veil_str_t host; /* empty: nohostname */
    bool has_facility;
    bool has_severity;
    int fd;
    int64_t retry_sec; /* wall clock */
    veil_list_t all;   /* in syslog_all */
};

/* Of this process, whatever configuration they belong to. */
static veil_list_t syslog_all = { &syslog_all, &syslog_all };

static const char *const syslog_facilities[] = {
    "kern",   "user",   "mail",   "daemon",   "auth",   "intern", "lpr",
    "news",   "uucp",   "clock",  "authpriv", "ftp",    "ntp",    "audit",
    "alert",  "cron",   "local0", "local1",   "local2", "local3", "local4",
    "local5", "local6", "local7", NULL
};

static const char *const syslog_severities[] = { "emerg", "alert", "crit",
                                                 "error", "warn",  "notice",
                                                 "info",  "debug", NULL };

static void
syslog_close(void *data)
{
    veil_syslog_t *s = data;

    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

static void
syslog_done(void *data)
{
    veil_syslog_t *s = data;

    syslog_close(s);
    veil_list_remove(&s->all);
}

void
veil_syslog_close_all(void)
{
    veil_list_t *node;

    veil_list_foreach (node, &syslog_all) {
        syslog_close(veil_list_entry(node, veil_syslog_t, all));
    }
}

static int
syslog_index(const char *const *words, veil_str_t word)
{
    int i;

    for (i = 0; words[i] != NULL; i++) {
        if (veil_str_eq_z(word, words[i])) {
            return i;
        }
    }
    return -1;
}

/* --- parameters -----------------------------------------------------------
 */

static veil_rc_t
syslog_unix(veil_conf_t *cf, veil_syslog_t *s, unsigned arg, veil_str_t path)
{
    veil_addr_t addr = { .family = AF_UNIX };

    if (path.len >= sizeof(((struct sockaddr_un *) 0)->sun_path)) {
        return veil_conf_error_at(cf, arg, "too long path \"%.*s\"",
                                  VEIL_STR_ARG(path));
    }
    addr.u.path = veil_pool_strz(cf->pool, path);
    s->addr_len = veil_addr_to_sockaddr(&addr, &s->addr);
    return VEIL_OK;
}

static veil_rc_t
syslog_server(veil_conf_t *cf, veil_syslog_t *s, unsigned arg,
              veil_str_t value)
{
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM,
                              .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found;
    veil_hostport_t hp;
    char port[8];

    if (s->addr_len != 0) {
        return veil_conf_error_at(cf, arg, "duplicate syslog \"server\"");
    }
    if (!veil_hostport_parse(&hp, value) || (!hp.is_unix && hp.host.len == 0))
    {
        return veil_conf_error_at(cf, arg, "invalid syslog server \"%.*s\"",
                                  VEIL_STR_ARG(value));
    }
    if (hp.is_unix) {
        return syslog_unix(cf, s, arg, hp.path);
    }
    veil_snprintf(port, sizeof(port), "%u",
                  hp.has_port ? hp.port : SYSLOG_PORT);
    if (getaddrinfo(veil_pool_strz(cf->temp_pool, hp.host), port, &hints,
                    &found)
        != 0)
    {
        return veil_conf_error_at(cf, arg,
                                  "host not found in syslog server \"%.*s\"",
                                  VEIL_STR_ARG(value));
    }
    memcpy(&s->addr, found->ai_addr, found->ai_addrlen);
    s->addr_len = found->ai_addrlen;
    freeaddrinfo(found);
    return VEIL_OK;
}

static veil_rc_t
syslog_tag(veil_conf_t *cf, veil_syslog_t *s, unsigned arg, veil_str_t value)
{
    size_t i;

    if (s->tag.data != NULL) {
        return veil_conf_error_at(cf, arg, "duplicate syslog \"tag\"");
    }
    if (value.len > SYSLOG_TAG_MAX) {
        return veil_conf_error_at(cf, arg, "syslog \"tag\" length exceeds %d",
                                  SYSLOG_TAG_MAX);
    }
    for (i = 0; i < value.len; i++) {
        if (!isalnum((unsigned char) value.data[i]) && value.data[i] != '_') {
            return veil_conf_error_at(
                cf, arg,
                "syslog \"tag\" only allows alphanumeric characters and "
                "underscore");
        }
    }
    s->tag = value;
    return VEIL_OK;
}

static veil_rc_t
syslog_word(veil_conf_t *cf, unsigned arg, const char *name,
            const char *const *words, veil_str_t value, bool *has,
            unsigned *result)
{
    int i = syslog_index(words, value);

    if (*has) {
        return veil_conf_error_at(cf, arg, "duplicate syslog \"%s\"", name);
    }
    if (i < 0) {
        return veil_conf_error_at(cf, arg, "unknown syslog %s \"%.*s\"", name,
                                  VEIL_STR_ARG(value));
    }
    *has = true;
    *result = (unsigned) i;
    return VEIL_OK;
}

static veil_rc_t
syslog_parameter(veil_conf_t *cf, veil_syslog_t *s, unsigned arg,
                 veil_str_t text)
{
    veil_str_t value = text;
    veil_str_t name = veil_str_cut(&value, '=');

    if (value.data == NULL) {
        if (veil_str_eq(text, VEIL_STR("nohostname"))) {
            s->host = VEIL_STR_NULL;
            return VEIL_OK;
        }
    } else if (veil_str_eq(name, VEIL_STR("server"))) {
        return syslog_server(cf, s, arg, value);
    } else if (veil_str_eq(name, VEIL_STR("facility"))) {
        return syslog_word(cf, arg, "facility", syslog_facilities, value,
                           &s->has_facility, &s->facility);
    } else if (veil_str_eq(name, VEIL_STR("severity"))) {
        return syslog_word(cf, arg, "severity", syslog_severities, value,
                           &s->has_severity, &s->severity);
    } else if (veil_str_eq(name, VEIL_STR("tag"))) {
        return syslog_tag(cf, s, arg, value);
    }
    return veil_conf_error_at(cf, arg, "unknown syslog parameter \"%.*s\"",
                              VEIL_STR_ARG(text));
}

veil_syslog_t *
veil_syslog_create(veil_conf_t *cf, unsigned arg)
{
    veil_syslog_t *s = VEIL_POOL_NEW(cf->pool, veil_syslog_t);
    veil_str_t rest = veil_str_from(veil_conf_arg(cf, arg), 7);
    char host[256] = "";

    s->fd = -1;
    s->facility = 23; /* local7 */
    s->severity = 6;  /* info */
    (void) gethostname(host, sizeof(host) - 1);
    s->host = veil_pool_str(cf->pool, veil_str_z(host));
    while (rest.data != NULL) {
        if (syslog_parameter(cf, s, arg, veil_str_cut(&rest, ',')) != VEIL_OK)
        {
            return NULL;
        }
    }
    if (s->addr_len == 0) {
        veil_conf_error_at(cf, arg, "no syslog server specified");
        return NULL;
    }
    if (s->tag.data == NULL) {
        s->tag = VEIL_STR("veil");
    }
    veil_list_append(&syslog_all, &s->all);
    veil_pool_on_destroy(cf->pool, syslog_done, s);
    return s;
}

/* --- without a configuration ----------------------------------------------
 */

void
veil_syslog_pack(const veil_syslog_t *s, veil_syslog_spec_t *spec)
{
    memset(spec, 0, sizeof(*spec));
    spec->addr = s->addr;
    spec->addr_len = s->addr_len;
    spec->facility = s->facility;
    spec->severity = s->severity;
    (void) veil_str_copy_z(spec->host, sizeof(spec->host), s->host);
    (void) veil_str_copy_z(spec->tag, sizeof(spec->tag), s->tag);
}

veil_syslog_t *
veil_syslog_unpack(const veil_syslog_spec_t *spec)
{
    veil_pool_t *pool = veil_pool_create("syslog", 1024);
    veil_syslog_t *s = VEIL_POOL_NEW(pool, veil_syslog_t);

    s->pool = pool;
    s->fd = -1;
    s->addr = spec->addr;
    s->addr_len = spec->addr_len;
    s->facility = spec->facility;
    s->severity = spec->severity;
    s->host = veil_pool_str(pool, veil_str_z(spec->host));
    s->tag = veil_pool_str(pool, veil_str_z(spec->tag));
    veil_list_append(&syslog_all, &s->all);
    veil_pool_on_destroy(pool, syslog_done, s);
    return s;
}

void
veil_syslog_free(veil_syslog_t **s)
{
    veil_pool_t *pool;

    if (*s != NULL) {
        pool = (*s)->pool;
        *s = NULL;
        veil_pool_destroy(&pool);
    }
}

/* --- sending --------------------------------------------------------------
 */

static bool
syslog_open(veil_syslog_t *s)
{
    if (s->fd >= 0) {
        return true;
    }
    if (veil_clock.sec < s->retry_sec) {
        return false;
    }
    s->fd = socket(s->addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd >= 0
        && connect(s->fd, (struct sockaddr *) &s->addr, s->addr_len) != 0)
    {
        syslog_close(s);
    }
    if (s->fd < 0) {
        s->retry_sec = veil_clock.sec + 1;
        return false;
    }
    return true;
}

static size_t
syslog_head(const veil_syslog_t *s, unsigned severity, char *buf, size_t n)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t sec = (time_t) veil_clock.sec + veil_clock.gmtoff_min * 60;
    struct tm tm;

    gmtime_r(&sec, &tm);
    return veil_snprintf(buf, n, "<%u>%.3s %2d %02d:%02d:%02d %.*s%s%.*s: ",
                         s->facility * 8 + severity, &months[tm.tm_mon * 3],
                         tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                         VEIL_STR_ARG(s->host), s->host.len == 0 ? "" : " ",
                         VEIL_STR_ARG(s->tag));
}

void
veil_syslog_send(veil_syslog_t *s, veil_log_level_t level, const char *line,
                 size_t len)
{
    unsigned severity = s->severity;
    char head[512];
    struct iovec iov[2];
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    if (!syslog_open(s)) {
        return;
    }
    if (level != VEIL_LOG_OFF) {
        severity = level >= VEIL_LOG_DEBUG ? 7 : (unsigned) level - 1;
    }
    iov[0].iov_base = head;
    iov[0].iov_len = syslog_head(s, severity, head, sizeof(head));
    iov[1].iov_base = (void *) (uintptr_t) line; /* only read */
    iov[1].iov_len = veil_min_size(len, SYSLOG_LINE_MAX);
    if (sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
        && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS
        && errno != EMSGSIZE)
    {
        syslog_close(s);
        s->retry_sec = veil_clock.sec + 1;
    }
}
