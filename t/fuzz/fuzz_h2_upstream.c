/*
 * fuzz_h2_upstream.c -- what a server may send over HTTP/2.
 *
 * A whole proxy on the scripted back end, clients of HTTP/1 in front of it,
 * and a server behind it, on a socket of this process.  The first byte of the
 * input chooses what clients there are and how bytes arrive; the rest is what
 * the server sends on each connection, as it is, after SETTINGS when the
 * choice says so.  What it hears is thrown away, or not read at all.
 *
 * What must always hold: all requests and connections come to their end, and
 * nothing of them is left.
 */

#include "core/platform.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "core/cycle.h"
#include "event/backend.h"
#include "event/sim.h"
#include "http/conn.h"
#include "http/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 16384
#define CLIENTS 3
#define PEERS 4
#define TURNS_MAX 100000

/* Bits of the first byte. */
#define MODE_PIECES 0x01u
#define MODE_LATE 0x02u
#define MODE_BYTEWISE 0x04u
#define MODE_BARE 0x08u /* SETTINGS are of the input, or not there */
#define MODE_DEAF 0x10u
#define MODE_MANY 0x20u
#define MODE_BODY 0x40u
#define MODE_GONE 0x80u /* clients go in the middle */

typedef struct {
    int fd; /* -1: there is none */
    size_t pos;
} peer_t;

static const char settings[] = "\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0";

static const char get[] = "GET /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n";
static const char post[] = "POST /x HTTP/1.1\r\nHost: a\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n"
                           "5\r\nabcde\r\n";
static const char post_end[] = "0\r\nx-sum: 1\r\n\r\n";

static const char conf_text[] =
    "error_log /dev/null emerg;\n"
    "events {}\n"
    "http {\n"
    "    access_log off;\n"
    "    proxy_http_version 2;\n"
    "    proxy_buffering off;\n"
    "    proxy_request_buffering off;\n"
    "    proxy_pass_trailers on;\n"
    "    proxy_buffer_size 1k;\n"
    "    lingering_close off;\n"
    "    early_hints 1;\n"
    "    upstream u { server unix:%s; keepalive 1; }\n"
    "    server {\n"
    "        listen 127.0.0.1:1;\n"
    "        location / { proxy_pass http://u; }\n"
    "    }\n"
    "}\n";

static char dir[] = "/tmp/veil-fuzz-XXXXXX";
static char path[sizeof(dir) + 8];
static veil_loop_t *loop;
static veil_acceptor_t acceptor;
static int listening = -1;
static int clients[CLIENTS];
static peer_t peers[PEERS];
static unsigned npeers; /* that were accepted, in all */

static void
clean_up(void)
{
    (void) unlink(path);
    (void) rmdir(dir);
}

static void
prepare_socket(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int rc;

    VEIL_ASSERT(mkdtemp(dir) != NULL);
    (void) snprintf(path, sizeof(path), "%s/s", dir);
    (void) atexit(clean_up);
    (void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    VEIL_ASSERT(listening >= 0);
    rc = bind(listening, (const struct sockaddr *) &addr, sizeof(addr));
    VEIL_ASSERT(rc == 0);
    rc = listen(listening, 64);
    VEIL_ASSERT(rc == 0);
}

static void
prepare(void)
{
    static char text[sizeof(conf_text) + sizeof(path)];
    veil_loop_options_t options = {
        .backend = "sim", .connections = 32, .buffer_size = 4096, .buffers = 16
    };
    veil_str_t conf;
    veil_rc_t rc;
    int n;

    prepare_socket();
    n = snprintf(text, sizeof(text), conf_text, path);
    conf = veil_str_n(text, (size_t) n);
    rc = veil_modules_init();
    VEIL_ASSERT(rc == VEIL_OK);
    veil_cycle = veil_cycle_create(VEIL_STR("/tmp/"), VEIL_STR("/tmp/c"),
                                   VEIL_STR("/dev/null"), VEIL_STR_NULL);
    veil_cycle->testing = true;
    rc = veil_cycle_load(veil_cycle, &conf);
    VEIL_ASSERT(rc == VEIL_OK);
    veil_cycle->log.level = VEIL_LOG_EMERG; /* all else is the server's */
    loop = veil_loop_create(&options);
    VEIL_ASSERT(loop != NULL);
    veil_cycle->loop = loop;
    rc = veil_module_find(VEIL_STR("http"))->core->init_worker(veil_cycle);
    VEIL_ASSERT(rc == VEIL_OK);
    acceptor.listen =
        veil_list_first(&veil_cycle->listens, veil_listen_t, link);
    acceptor.log = &veil_cycle->log;
}

static void
hear(int fd)
{
    char buf[16384];

    while (recv(fd, buf, sizeof(buf), 0) > 0) {
    }
}

/* --- the clients ----------------------------------------------------------
 */

static void
begin_clients(unsigned mode)
{
    unsigned i, n = (mode & MODE_MANY) != 0 ? CLIENTS : 1;
    static const veil_addr_t addr;
    bool body = (mode & MODE_BODY) != 0;
    int fds[2], rc;
    ssize_t sent;

    for (i = 0; i < CLIENTS; i++) {
        clients[i] = -1;
    }
    for (i = 0; i < n; i++) {
        rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                        fds);
        VEIL_ASSERT(rc == 0);
        veil_http_conn_accept(&acceptor, fds[0], &addr);
        clients[i] = fds[1];
        sent = body ? send(fds[1], post, sizeof(post) - 1, MSG_NOSIGNAL)
                    : send(fds[1], get, sizeof(get) - 1, MSG_NOSIGNAL);
        VEIL_ASSERT(sent > 0);
    }
}

static void
end_clients(void)
{
    unsigned i;

    for (i = 0; i < CLIENTS; i++) {
        if (clients[i] >= 0) {
            (void) close(clients[i]);
            clients[i] = -1;
        }
    }
}

static void
hear_clients(bool end_body)
{
    unsigned i;

    for (i = 0; i < CLIENTS; i++) {
        if (clients[i] >= 0) {
            hear(clients[i]);
            if (end_body) {
                (void) send(clients[i], post_end, sizeof(post_end) - 1,
                            MSG_NOSIGNAL);
            }
        }
    }
}

/* --- the server -----------------------------------------------------------
 */

static void
accept_peers(unsigned mode)
{
    int fd;

    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC))
           >= 0)
    {
        if (npeers == PEERS) {
            (void) close(fd);
            continue;
        }
        peers[npeers].fd = fd;
        peers[npeers].pos = 0;
        npeers++;
        if ((mode & MODE_BARE) == 0) {
            (void) send(fd, settings, sizeof(settings) - 1, MSG_NOSIGNAL);
        }
    }
}

static void
end_peer(peer_t *p)
{
    if (p->fd >= 0) {
        (void) close(p->fd);
        p->fd = -1;
    }
}

/* A frame at a time, so that what it answers may have been asked for. */
static size_t
next_step(const uint8_t *data, size_t size, unsigned mode)
{
    size_t len;

    if ((mode & MODE_BYTEWISE) != 0) {
        return 1;
    }
    if (size < 3) {
        return size;
    }
    len = 9 + ((size_t) data[0] << 16 | (size_t) data[1] << 8 | data[2]);
    return veil_min_size(len, size);
}

/* False: none has more to say. */
static bool
say(const uint8_t *data, size_t size, unsigned mode)
{
    bool more = false;
    ssize_t sent;
    size_t step;
    unsigned i;
    peer_t *p;

    for (i = 0; i < npeers; i++) {
        p = &peers[i];
        if (p->fd < 0) {
            continue;
        }
        if ((mode & MODE_DEAF) == 0) {
            hear(p->fd);
        }
        if (p->pos == size) {
            continue;
        }
        step = next_step(data + p->pos, size - p->pos, mode);
        sent = send(p->fd, data + p->pos, step, MSG_NOSIGNAL);
        if (sent < 0) {
            end_peer(p); /* closed, or not read any more */
            continue;
        }
        p->pos += (size_t) sent;
        more = true;
    }
    return more;
}

static void
run(const uint8_t *data, size_t size, unsigned mode)
{
    unsigned i, turns = 0, quiet = 0;

    begin_clients(mode);
    while (quiet < 8) {
        veil_loop_turn(loop, 0);
        accept_peers(mode);
        quiet = say(data, size, mode) ? 0 : quiet + 1;
        hear_clients((mode & MODE_BODY) != 0 && quiet == 4);
        if ((mode & MODE_GONE) != 0 && npeers != 0 && peers[0].pos >= size / 2)
        {
            end_clients();
        }
        VEIL_ASSERT(++turns < TURNS_MAX);
    }
    for (i = 0; i < npeers; i++) {
        end_peer(&peers[i]);
    }
    for (i = 0; i < 8; i++) {
        veil_loop_turn(loop, 0);
        npeers = PEERS;
        accept_peers(mode);
        hear_clients(false);
    }
    end_clients();
    while (veil_http_conns() != 0 || loop->nhandles != 0) {
        veil_loop_turn(loop, 0);
        accept_peers(mode);
        VEIL_ASSERT(++turns < TURNS_MAX);
    }
    npeers = 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    veil_sim_script_t script = { .seed = size + 1 };
    unsigned mode, i;

    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    if (veil_module_find(VEIL_STR("v2_upstream")) == NULL) {
        return 0; /* built without it */
    }
    if (loop == NULL) {
        prepare();
    }
    mode = *data++;
    size--;
    script.piece = (mode & MODE_PIECES) != 0 ? 100 : 0;
    script.late = (mode & MODE_LATE) != 0 ? 30 : 0;
    script.late_cancel = script.late;
    veil_sim_script(loop, &script);
    run(data, size, mode);
    for (i = 0; i < 8; i++) {
        veil_loop_turn(loop, 0);
    }
    VEIL_ASSERT(loop->nops == 0 && loop->nhandles == 0);
    VEIL_ASSERT(veil_block_count() == 0);
    return 0;
}
