/*
 * fuzz_h2.c -- what a client may send over HTTP/2.
 *
 * A connection as it is accepted, with a whole configuration behind it, on
 * the scripted back end.  The first byte of the input chooses how bytes
 * arrive; the rest is what the client sends, as it is, after a preface and
 * SETTINGS when the choice says so.  What the server answers is thrown away,
 * or not read at all.  Time passes when the choice says so.
 *
 * What must always hold: the connection comes to its end, and nothing of it
 * is left.
 */

#include "core/platform.h"

#include <sys/socket.h>

#include "core/cycle.h"
#include "core/time.h"
#include "event/backend.h"
#include "event/sim.h"
#include "http/conn.h"
#include "http/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 16384

/* Bits of the first byte. */
#define MODE_PIECES 0x01u
#define MODE_LATE 0x02u
#define MODE_BYTEWISE 0x04u
#define MODE_BARE 0x08u /* the preface is of the input, or not there */
#define MODE_DEAF 0x10u
#define MODE_WAITS 0x20u /* in the middle, and at the end */

/* Longer than any timeout of the configuration. */
#define LONG_MS 120000u

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                              "\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0";

/* An answer that windows stop.  Not a file: what opens one is a thread, whose
   operation would stay. */
#define LINE "0123456789012345678901234567890123456789012345678901234567890123"
#define LINES LINE LINE LINE LINE LINE LINE LINE LINE
#define LONG LINES LINES LINES LINES

static const char conf_text[] =
    "error_log /dev/null emerg;\n"
    "events {}\n"
    "http {\n"
    "    access_log off;\n"
    "    server {\n"
    "        listen 127.0.0.1:1;\n"
    "        http2 on;\n"
    "        http2_ping_rate 20;\n"
    "        http2_max_stream_errors 20;\n"
    "        keepalive_requests 20;\n"
    "        location / {\n"
    "            return 200 \"$request_method $host $http2 $http_cookie\";\n"
    "        }\n"
    "        location /none { return 444; }\n"
    "        location /r { return 301 /x; }\n"
    "        location /head { return 200 $http_a; }\n"
    "        location /file { return 200 \"" LONG "\"; }\n"
    "        location /slow { limit_rate 100; return 200 \"" LONG "\"; }\n"
    "        location /up { proxy_pass http://unix:/nonexistent/s:/; }\n"
    "        location /gated {\n"
    "            proxy_request_buffering off;\n"
    "            proxy_pass http://unix:/nonexistent/s:/;\n"
    "        }\n"
    "    }\n"
    "}\n";

static veil_loop_t *loop;
static veil_acceptor_t acceptor;

static void
wait_for(unsigned ms)
{
    static uint64_t now = 1000000;
    unsigned i;

    now += ms;
    veil_time_set(now, (int64_t) (1700000000 + now / 1000), 0);
    for (i = 0; i < 4; i++) {
        veil_loop_turn(loop, 0);
    }
}

static void
prepare(void)
{
    veil_loop_options_t options = {
        .backend = "sim", .connections = 8, .buffer_size = 4096, .buffers = 8
    };
    veil_str_t text = veil_str_n(conf_text, sizeof(conf_text) - 1);
    veil_rc_t rc;

    rc = veil_modules_init();
    VEIL_ASSERT(rc == VEIL_OK);
    veil_cycle = veil_cycle_create(VEIL_STR("/tmp/"), VEIL_STR("/tmp/c"),
                                   VEIL_STR("/dev/null"), VEIL_STR_NULL);
    veil_cycle->testing = true;
    rc = veil_cycle_load(veil_cycle, &text);
    VEIL_ASSERT(rc == VEIL_OK);
    loop = veil_loop_create(&options);
    VEIL_ASSERT(loop != NULL);
    wait_for(0); /* the clock is ours from here on */
    veil_cycle->loop = loop;
    rc = veil_module_find(VEIL_STR("http"))->core->init_worker(veil_cycle);
    VEIL_ASSERT(rc == VEIL_OK);
    acceptor.listen =
        veil_list_first(&veil_cycle->listens, veil_listen_t, link);
    acceptor.log = &veil_cycle->log;
}

static void
hear(int fd, unsigned mode)
{
    char buf[16384];

    if ((mode & MODE_DEAF) == 0) {
        while (recv(fd, buf, sizeof(buf), 0) > 0) {
        }
    }
}

static void
say(int fd, const void *data, size_t n, unsigned mode)
{
    const uint8_t *p = data, *end = p + n;
    ssize_t sent;
    size_t step;

    while (p < end) {
        step = (mode & MODE_BYTEWISE) != 0 ? 1 : (size_t) (end - p);
        sent = send(fd, p, step, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            return;
        }
        p += sent > 0 ? sent : 0;
        veil_loop_turn(loop, 0);
        hear(fd, mode);
        if (sent < 0 && veil_http_conns() == 0) {
            return;
        }
        if (sent < 0 && (mode & MODE_DEAF) != 0) {
            return; /* both wait for each other */
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    veil_sim_script_t script = { .seed = size + 1 };
    static const veil_addr_t peer;
    unsigned mode, i;
    int fds[2], rc;

    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    if (veil_module_find(VEIL_STR("v2")) == NULL) {
        return 0; /* built without it */
    }
    if (loop == NULL) {
        prepare();
    }
    mode = *data++;
    size--;
    rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                    fds);
    VEIL_ASSERT(rc == 0);
    script.piece = (mode & MODE_PIECES) != 0 ? 100 : 0;
    script.late = (mode & MODE_LATE) != 0 ? 30 : 0;
    script.late_cancel = script.late;
    veil_sim_script(loop, &script);
    veil_http_conn_accept(&acceptor, fds[0], &peer);
    if ((mode & MODE_BARE) == 0) {
        say(fds[1], preface, sizeof(preface) - 1, 0);
    }
    if ((mode & MODE_WAITS) != 0) {
        say(fds[1], data, size / 2, mode);
        for (i = 0; i < 8; i++) {
            wait_for(5000);
            hear(fds[1], mode);
        }
        data += size / 2;
        size -= size / 2;
    }
    say(fds[1], data, size, mode);
    for (i = 0; (mode & MODE_WAITS) != 0 && i < 8; i++) {
        wait_for(i == 7 ? LONG_MS : 500);
        hear(fds[1], mode);
    }
    for (i = 0; i < 8; i++) {
        veil_loop_turn(loop, 0);
        hear(fds[1], mode);
    }
    (void) close(fds[1]);
    while (veil_http_conns() != 0) {
        veil_loop_turn(loop, 0);
    }
    for (i = 0; i < 8; i++) {
        veil_loop_turn(loop, 0);
    }
    VEIL_ASSERT(loop->nops == 0 && loop->nhandles == 0);
    VEIL_ASSERT(veil_block_count() == 0);
    return 0;
}
