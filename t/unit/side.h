/*
 * side.h -- one connection under test: what its callbacks brought, and what
 * they shall do.
 */

#ifndef VEIL_T_UNIT_SIDE_H
#define VEIL_T_UNIT_SIDE_H

#include <netinet/tcp.h>
#include <sys/un.h>

#include "bed.h"
#include "event/conn.h"

typedef struct side_s side_t;

struct side_s {
    veil_conn_t conn;
    veil_pool_t *pool;
    char *data; /* heap: received */
    size_t len;
    size_t cap;
    unsigned calls; /* of on_data */
    unsigned eofs;
    int eof_err;
    unsigned sents;
    ssize_t sent;
    unsigned connects;
    int connect_err;
    unsigned read_timeouts;
    unsigned write_timeouts;
    /* What to do in on_data: take at most so much, then ... */
    size_t take; /* 0: all */
    bool reread; /* ask again at once */
    bool hold;
    bool close;
    /* ... or in the others. */
    bool close_at_eof;
    bool close_at_sent;
    bool close_at_timeout;
    bool echo; /* what came is sent back */
    bool *closed;
};

static inline side_t *
side_of(veil_conn_t *c)
{
    return veil_container_of(c, side_t, conn);
}

static inline void
side_on_data(veil_conn_t *c, veil_buf_t *b)
{
    side_t *s = side_of(c);
    size_t n = veil_buf_len(b);

    cr_assert_gt(n, 0);
    cr_assert(c->reading);
    if (s->take != 0 && n > s->take) {
        n = s->take;
    }
    if (s->len + n > s->cap) {
        s->cap = 2 * (s->len + n);
        s->data = veil_realloc(s->data, s->cap);
    }
    memcpy(s->data + s->len, b->pos, n);
    s->len += n;
    b->pos += n;
    s->calls++;
    if (s->hold) {
        veil_conn_hold(c);
    }
    if (s->reread) {
        veil_conn_read(c);
    }
    if (s->close) {
        veil_conn_close(c);
    }
}

static inline void
side_on_eof(veil_conn_t *c, int err)
{
    side_t *s = side_of(c);

    s->eofs++;
    s->eof_err = err;
    if (s->close_at_eof) {
        veil_conn_close(c);
    }
}

static inline void
side_on_sent(veil_conn_t *c, ssize_t res)
{
    side_t *s = side_of(c);

    s->sents++;
    s->sent = res;
    if (s->close_at_sent) {
        veil_conn_close(c);
    }
}

static inline void
side_on_read_timeout(veil_conn_t *c)
{
    side_of(c)->read_timeouts++;
    if (side_of(c)->close_at_timeout) {
        veil_conn_close(c);
    }
}

static inline void
side_on_write_timeout(veil_conn_t *c)
{
    side_of(c)->write_timeouts++;
    if (side_of(c)->close_at_timeout) {
        veil_conn_abort(c);
    }
}

static inline void
side_on_closed(veil_conn_t *c)
{
    side_t *s = side_of(c);
    veil_pool_t *pool = s->pool;

    cr_assert_not(*s->closed, "closed twice");
    *s->closed = true;
    veil_free(s->data);
    veil_pool_retire(&pool);
}

static const veil_conn_ops_t side_ops = {
    .name = "side",
    .on_data = side_on_data,
    .on_eof = side_on_eof,
    .on_sent = side_on_sent,
    .on_read_timeout = side_on_read_timeout,
    .on_write_timeout = side_on_write_timeout,
    .on_closed = side_on_closed,
};

static inline side_t *
side_alloc(bool *closed)
{
    veil_pool_t *pool = veil_pool_create("side", 1024);
    side_t *s = veil_pool_zalloc(pool, sizeof(*s));

    s->pool = pool;
    s->closed = closed;
    *closed = false;
    return s;
}

static inline side_t *
side_open(bed_t *b, int fd, bool *closed)
{
    side_t *s = side_alloc(closed);

    veil_conn_init(&s->conn, b->loop, s->pool, fd, NULL, &side_ops,
                   &veil_log_stderr);
    return s;
}

/* Closes and waits for it. */
static inline void
side_close(bed_t *b, side_t *s)
{
    bool *closed = s->closed;

    veil_conn_close(&s->conn);
    UNTIL(b, *closed);
}

static inline void
side_write(side_t *s, const char *text)
{
    veil_slice_t v = veil_slice_mem(text, strlen(text));

    veil_conn_write(&s->conn, &v, 1);
}

/* A stream pair: one end to be a connection's, the other a plain one. */
static inline void
side_pair(int fds[2])
{
    cr_assert_eq(socketpair(AF_UNIX,
                            SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                            fds),
                 0);
}

/* A connection on one end of such a pair; the other is *peer. */
static inline side_t *
side_open_pair(bed_t *b, int *peer, bool *closed)
{
    int fds[2];

    side_pair(fds);
    *peer = fds[1];
    return side_open(b, fds[0], closed);
}

/* A listener on loopback, on a port of the kernel's choice. */
static inline int
side_listener(struct sockaddr_in *sin, int backlog)
{
    socklen_t len = sizeof(*sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(sin, 0, sizeof(*sin));
    sin->sin_family = AF_INET;
    sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *) sin, len), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *) sin, &len), 0);
    return fd;
}

/* The same over TCP. */
static inline void
side_tcp_pair(int fds[2])
{
    struct sockaddr_in sin;
    int listener = side_listener(&sin, 1);

    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fds[1], (struct sockaddr *) &sin, sizeof(sin)), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert_geq(fds[0], 0);
    cr_assert_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    close(listener);
}

static inline void
side_send(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL),
                 (ssize_t) strlen(text));
}

static inline bool
side_has(const side_t *s, const char *text)
{
    return s->len == strlen(text) && memcmp(s->data, text, s->len) == 0;
}

/* The i-th byte of a long stream, in which nothing can be moved unseen. */
static inline char
side_pattern(size_t i)
{
    return (char) (i * 7 + (i >> 8) + (i >> 16));
}

/* Whether exactly the first len bytes of it came. */
static inline bool
side_has_pattern(const side_t *s, size_t len)
{
    size_t i;

    for (i = 0; s->len == len && i < len; i++) {
        if (s->data[i] != side_pattern(i)) {
            return false;
        }
    }
    return s->len == len;
}

/* A file that is open and has no name. */
static inline int
side_file(const char *data, size_t len)
{
    char path[] = "/tmp/veil-unit-XXXXXX";
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    unlink(path);
    cr_assert_eq(write(fd, data, len), (ssize_t) len);
    return fd;
}

/* Turns the loop n times without waiting. */
static inline void
side_turn(bed_t *b, int n)
{
    while (n-- > 0) {
        veil_loop_turn(b->loop, 0);
    }
}

#endif
