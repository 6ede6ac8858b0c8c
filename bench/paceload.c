/*
 * paceload.c -- requests at a constant pace, and how late their answers are.
 *
 * wrk asks again when it was answered, so a server that stops for a second is
 * asked one second less, and the stop is one late answer among thousands.
 * Here each connection has a timetable.  A request that could not be sent in
 * time, as the one before it was not answered, counts from when it should
 * have been sent: so what is measured is what a client that comes along would
 * see.
 *
 * Connections are kept; one whose answer says "Connection: close", or that is
 * closed while it is idle, is opened again without a word, as clients do.
 * Every other end is an error.
 *
 *     make -f objs/Makefile bench-paceload
 *     objs/bench/paceload PORT CONNECTIONS RATE SECONDS HOSTS PATH
 *
 * Requests go to s0.example.com ... s<HOSTS - 1>.example.com in turn.  Prints
 * one line of JSON; times are in microseconds.
 */

#include "core/platform.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS_MAX 4096
#define HEAD_MAX 4096

typedef struct {
    int fd;      /* -1: closed */
    bool waits;  /* for an answer */
    double due;  /* when its request should be, or should have been, sent */
    double next; /* the one after that */
    size_t got;
    char head[HEAD_MAX];
} conn_t;

static struct {
    struct sockaddr_in addr;
    int epoll;
    unsigned n;
    unsigned hosts;
    unsigned host;
    const char *path;
    double interval;
    double end;
    unsigned long errors;
    unsigned long reopened;
    uint32_t *times;
    size_t ntimes;
    size_t room;
} load;

static conn_t conns[CONNECTIONS_MAX];

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
    fprintf(stderr, "paceload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
conn_open(conn_t *c)
{
    struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = c };
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket");
    }
    /* On loopback this is done when it returns. */
    if (connect(c->fd, (struct sockaddr *) &load.addr, sizeof(load.addr)) != 0)
    {
        die("connect");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        die("epoll_ctl");
    }
    c->got = 0;
}

static void
conn_close(conn_t *c)
{
    close(c->fd);
    c->fd = -1;
}

static void
conn_send(conn_t *c)
{
    char request[512];
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: s%u.example.com\r\n\r\n",
                     load.path, load.host++ % load.hosts);

    if (c->fd < 0) {
        load.reopened++;
        conn_open(c);
    }
    c->due = c->next;
    c->next += load.interval;
    c->waits = true;
    c->got = 0;
    if (send(c->fd, request, (size_t) n, MSG_NOSIGNAL) != n) {
        /* What the peer did is seen when it is read. */
        return;
    }
}

static void
conn_answered(conn_t *c)
{
    double us = (now() - c->due) * 1e6;

    if (load.ntimes == load.room) {
        load.room = load.room == 0 ? 65536 : load.room * 2;
        load.times = realloc(load.times, load.room * sizeof(*load.times));
        if (load.times == NULL) {
            die("realloc");
        }
    }
    load.times[load.ntimes++] = us < 0 ? 0 : (uint32_t) us;
    c->waits = false;
    if (strstr(c->head, "Connection: close") != NULL) {
        conn_close(c);
    }
}

/* A whole answer: a head and as much as its Content-Length says. */
static bool
conn_is_complete(const conn_t *c)
{
    const char *end = strstr(c->head, "\r\n\r\n");
    const char *length = strstr(c->head, "Content-Length: ");

    return end != NULL && length != NULL
           && c->got >= (size_t) (end + 4 - c->head)
                            + strtoul(length + 16, NULL, 10);
}

static void
conn_read(conn_t *c)
{
    ssize_t n;

    if (c->fd < 0) {
        return;
    }
    n = recv(c->fd, c->head + c->got, sizeof(c->head) - 1 - c->got,
             MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        conn_close(c);
        if (c->waits) {
            load.errors++;
            c->waits = false;
        }
        return;
    }
    c->got += (size_t) n;
    c->head[c->got] = '\0';
    if (!conn_is_complete(c)) {
        return;
    }
    if (memcmp(c->head, "HTTP/1.1 200", 12) != 0) {
        load.errors++;
    }
    conn_answered(c);
}

/* Sends what is due; returns the time until the next is, at most 0.1 s. */
static double
load_send(bool *busy)
{
    double t = now();
    double wait = 0.1;
    unsigned i;

    *busy = false;
    for (i = 0; i < load.n; i++) {
        conn_t *c = &conns[i];

        *busy = *busy || c->waits;
        if (c->waits || c->next >= load.end) {
            continue;
        }
        *busy = true;
        if (c->next <= t) {
            conn_send(c);
        } else if (c->next - t < wait) {
            wait = c->next - t;
        }
    }
    return wait;
}

static int
compare(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static unsigned
percentile(double p)
{
    size_t i = (size_t) ((double) load.ntimes * p);

    return load.times[i < load.ntimes ? i : load.ntimes - 1];
}

int
main(int argc, char **argv)
{
    struct epoll_event events[256];
    struct timespec ts = { 0, 0 };
    double begin, wait;
    bool busy = true;
    unsigned i;
    int n;

    if (argc != 7) {
        fprintf(stderr, "paceload: arguments: PORT CONNECTIONS RATE SECONDS "
                        "HOSTS PATH\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    load.addr.sin_family = AF_INET;
    load.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.addr.sin_port = htons((uint16_t) atoi(argv[1]));
    load.n = (unsigned) atoi(argv[2]);
    load.interval = load.n / atof(argv[3]);
    load.hosts = (unsigned) atoi(argv[5]);
    load.path = argv[6];
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.n < 1 || load.n > CONNECTIONS_MAX || load.hosts < 1
        || load.epoll < 0) {
        die("arguments");
    }
    for (i = 0; i < load.n; i++) {
        conn_open(&conns[i]);
    }
    begin = now() + 0.01;
    load.end = begin + atof(argv[4]);
    for (i = 0; i < load.n; i++) {
        conns[i].next = begin + load.interval * i / load.n;
    }
    while (busy && now() < load.end + 5) {
        wait = load_send(&busy);
        ts.tv_nsec = (long) (wait * 1e9);
        n = epoll_pwait2(load.epoll, events, 256, &ts, NULL);
        while (n-- > 0) {
            conn_read(events[n].data.ptr);
        }
    }
    for (i = 0; i < load.n; i++) {
        load.errors += conns[i].waits;
    }
    if (load.ntimes == 0) {
        die("no answer came");
    }
    qsort(load.times, load.ntimes, sizeof(*load.times), compare);
    printf("{\"requests\": %zu, \"errors\": %lu, \"reopened\": %lu, "
           "\"p50\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u}\n",
           load.ntimes, load.errors, load.reopened, percentile(0.5),
           percentile(0.99), percentile(0.999), load.times[load.ntimes - 1]);
    return 0;
}
