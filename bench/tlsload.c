/*
 * tlsload.c -- makes TLS handshakes, as many as it can.
 *
 * Keeps some connections to 127.0.0.1 under way: each shakes hands, makes one
 * request with "Connection: close", reads to the end and is followed by the
 * next.  With "resumed" a connection brings the session of the one before it
 * in the same place.  One thread and one epoll; the library has the socket,
 * since a client that is pinned to a core of its own may be simple.
 *
 *     make -f objs/Makefile bench-tlsload
 *     objs/bench/tlsload PORT full|resumed 1.2|1.3 CONNECTIONS SECONDS PATH
 *
 * Prints one line: how many handshakes, how many of them resumed a session,
 * seconds, errors, and what the last one agreed on.  Certificates are not
 * verified, but their signature in the handshake is: that is the library's.
 */

#include "core/platform.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS_MAX 1024

typedef struct {
    int fd;
    SSL *ssl;
    SSL_SESSION *session; /* of the last connection in this place */
    bool is_shaken;
    size_t got;
    char begin[16]; /* of the response */
} conn_t;

static struct {
    SSL_CTX *ctx;
    struct sockaddr_in addr;
    int epoll;
    bool resume;
    char request[512];
    int request_len;
    double end;
    unsigned open;
    unsigned long handshakes;
    unsigned long resumed;
    unsigned long errors;
    char agreed[128];
} load;

static conn_t conns[CONNECTIONS_MAX];

static void conn_open(conn_t *c);

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
    fprintf(stderr, "tlsload: %s\n", what);
    exit(1);
}

/* The library gives its reference away. */
static int
new_session(SSL *ssl, SSL_SESSION *session)
{
    conn_t *c = SSL_get_app_data(ssl);

    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

static void
conn_close(conn_t *c, bool failed)
{
    if (failed) {
        load.errors++;
        SSL_SESSION_free(c->session);
        c->session = NULL;
    }
    SSL_free(c->ssl);
    close(c->fd);
    c->ssl = NULL;
    load.open--;
    /* A server that is not there must not be asked for ever. */
    if (now() < load.end && load.errors < 1000) {
        conn_open(c);
    }
}

/* Whether to wait; else the connection is over. */
static bool
conn_must_wait(conn_t *c, int rc)
{
    int e = SSL_get_error(c->ssl, rc);

    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

static void
conn_shaken(conn_t *c)
{
    c->is_shaken = true;
    load.handshakes++;
    load.resumed += SSL_session_reused(c->ssl) != 0;
    snprintf(load.agreed, sizeof(load.agreed), "%s %s %s",
             SSL_get_version(c->ssl), SSL_get_cipher(c->ssl),
             SSL_get_curve_id(c->ssl) != 0
                 ? SSL_get_curve_name(SSL_get_curve_id(c->ssl))
                 : "none");
}

static void
conn_step(conn_t *c)
{
    char buf[16384];
    int n;

    if (!c->is_shaken) {
        n = SSL_do_handshake(c->ssl);
        if (n != 1) {
            if (!conn_must_wait(c, n)) {
                conn_close(c, true);
            }
            return;
        }
        conn_shaken(c);
        /* Fits into any socket buffer. */
        if (SSL_write(c->ssl, load.request, load.request_len)
            != load.request_len) {
            conn_close(c, true);
            return;
        }
    }
    while ((n = SSL_read(c->ssl, buf, sizeof(buf))) > 0) {
        if (c->got < sizeof(c->begin)) {
            size_t room = sizeof(c->begin) - c->got;

            memcpy(c->begin + c->got, buf,
                   (size_t) n < room ? (size_t) n : room);
        }
        c->got += (size_t) n;
    }
    if (!conn_must_wait(c, n)) {
        conn_close(c, c->got < sizeof(c->begin)
                          || memcmp(c->begin, "HTTP/1.1 200", 12) != 0);
    }
}

static void
conn_open(conn_t *c)
{
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
                             .data.ptr = c };
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("no socket");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(c->fd, (struct sockaddr *) &load.addr, sizeof(load.addr)) != 0
        && errno != EINPROGRESS)
    {
        die("cannot connect");
    }
    c->ssl = SSL_new(load.ctx);
    c->is_shaken = false;
    c->got = 0;
    SSL_set_app_data(c->ssl, c);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_tlsext_host_name(c->ssl, "localhost");
    SSL_set_connect_state(c->ssl);
    if (load.resume && c->session != NULL) {
        SSL_set_session(c->ssl, c->session);
    }
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        die("epoll_ctl");
    }
    load.open++;
}

static void
load_prepare(char **argv)
{
    bool is_12 = strcmp(argv[3], "1.2") == 0;
    uint16_t version = is_12 ? TLS1_2_VERSION : TLS1_3_VERSION;

    load.addr.sin_family = AF_INET;
    load.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.addr.sin_port = htons((uint16_t) atoi(argv[1]));
    load.resume = strcmp(argv[2], "resumed") == 0;
    load.request_len = snprintf(load.request, sizeof(load.request),
                                "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                                "Connection: close\r\n\r\n",
                                argv[6]);
    load.ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_min_proto_version(load.ctx, version);
    SSL_CTX_set_max_proto_version(load.ctx, version);
    /*
     * TLS 1.3 has AES-128-GCM first by itself, where there is AES hardware.
     * P-256 is for the certificate of TLS 1.2.
     */
    if (!SSL_CTX_set_cipher_list(
            load.ctx,
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")
        || !SSL_CTX_set1_curves_list(load.ctx, "X25519:P-256"))
    {
        die("no such ciphers");
    }
    SSL_CTX_set_session_cache_mode(load.ctx, SSL_SESS_CACHE_CLIENT
                                                 | SSL_SESS_CACHE_NO_INTERNAL);
    if (load.resume) {
        SSL_CTX_sess_set_new_cb(load.ctx, new_session);
    }
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll < 0) {
        die("epoll_create1");
    }
}

int
main(int argc, char **argv)
{
    struct epoll_event events[64];
    double begin, hard;
    int i, n;

    if (argc != 7) {
        die("arguments: PORT full|resumed 1.2|1.3 CONNECTIONS SECONDS PATH");
    }
    signal(SIGPIPE, SIG_IGN);
    load_prepare(argv);
    n = atoi(argv[4]);
    if (n < 1 || n > CONNECTIONS_MAX) {
        die("too many connections");
    }
    begin = now();
    load.end = begin + atof(argv[5]);
    hard = load.end + 5;
    for (i = 0; i < n; i++) {
        conn_open(&conns[i]);
    }
    while (load.open != 0 && now() < hard) {
        n = epoll_wait(load.epoll, events, 64, 1000);
        for (i = 0; i < n; i++) {
            conn_step(events[i].data.ptr);
        }
    }
    load.errors += load.open;
    printf("handshakes %lu resumed %lu seconds %.3f errors %lu agreed %s\n",
           load.handshakes, load.resumed, now() - begin, load.errors,
           load.agreed);
    return load.handshakes == 0;
}
