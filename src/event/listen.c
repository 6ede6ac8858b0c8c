/*
 * listen.c -- listening sockets and accepting from them.
 *
 * Binding is done once, before there is a loop, by whoever holds the sockets;
 * it may sleep for a moment.  Options that accepted sockets inherit on Linux
 * (TCP_NODELAY, SO_KEEPALIVE, buffer sizes) are set on the listener, so that
 * a new connection costs no system call for them.
 *
 * An acceptor is a worker's end of one slot: a duplicate of the descriptor
 * and one multishot accept.  Any worker may open one on any slot, also on
 * that of a sibling that died, whose queue would hang otherwise.
 *
 * Accepting stops for three reasons, which are kept apart: for good
 * (stopped), because the worker has enough connections (paused), and for half
 * a second after an error that trying again at once would only repeat
 * (descriptors or memory used up).  Connections that arrive between a cancel
 * and its last completion are clients and are served.
 *
 * Of all that wait on a socket the kernel wakes one per connection (an accept
 * waits with EPOLLEXCLUSIVE).  Where that one is just being cancelled, it ends
 * without the connection (io_poll_check_events() looks for the cancel first),
 * and nobody else is told.  So whoever ceases to wait looks once more.
 *
 * The steering program picks the socket of a reuseport group by the client's
 * address, so that one client stays with one worker.
 *
 * Not here: which addresses to listen on, passing descriptors between
 * processes, datagrams' reading.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "core/assert.h"
#include "core/metric.h"
#include "core/time.h"
#include "event/listen.h"

/* A socket of a killed ring process lingers for 4 to 16 ms, measured. */
#define LISTEN_BIND_RETRIES 100
#define LISTEN_BIND_PAUSE_MS 5
/* After EMFILE and the like. */
#define LISTEN_RETRY_MS 500
/* Clients that a last look takes, at most: as many as a queue has usually. */
#define LISTEN_LAST SOMAXCONN
/* At most one line about the limit in so long. */
#define LISTEN_WARN_MS 60000

enum { LISTEN_ACCEPTED, LISTEN_ACTIVE };

static veil_metric_t listen_metrics[] = {
    [LISTEN_ACCEPTED] = VEIL_COUNTER("veil_connections_accepted_total", NULL,
                                     "Connections accepted."),
    [LISTEN_ACTIVE] = VEIL_GAUGE("veil_connections_active", NULL,
                                 "Connections that count towards "
                                 "worker_connections."),
};
VEIL_METRICS(listen_metrics);

static void listen_accepted(veil_op_t *op);
static void listen_retry(veil_timer_t *t);

static veil_list_t listen_acceptors = { &listen_acceptors, &listen_acceptors };
static unsigned listen_limit; /* worker_connections; 0: none */
static unsigned listen_connections;
static unsigned listen_open; /* acceptors, also those that are closing */
static bool listen_paused;
static uint64_t listen_warned_ms;

bool
veil_listen_is_same(const veil_listen_t *a, const veil_listen_t *b)
{
    return a->type == b->type && veil_addr_eq(&a->addr, &b->addr);
}

/* --- binding ------------------------------------------------------------ */

static void
listen_set(int fd, int level, int name, int value, const char *what,
           const veil_log_t *log)
{
    if (setsockopt(fd, level, name, &value, sizeof(value)) < 0) {
        veil_log(log, VEIL_LOG_ALERT, errno,
                 "setsockopt(%s, %d) on a listening socket failed, ignored",
                 what, value);
    }
}

static void
listen_configure_tcp(const veil_listen_t *l, int fd, const veil_log_t *log)
{
    listen_set(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY", log);
    if (l->keepalive >= 0) {
        listen_set(fd, SOL_SOCKET, SO_KEEPALIVE, l->keepalive, "SO_KEEPALIVE",
                   log);
    }
    if (l->keepidle > 0) {
        listen_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, l->keepidle, "TCP_KEEPIDLE",
                   log);
    }
    if (l->keepintvl > 0) {
        listen_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, l->keepintvl,
                   "TCP_KEEPINTVL", log);
    }
    if (l->keepcnt > 0) {
        listen_set(fd, IPPROTO_TCP, TCP_KEEPCNT, l->keepcnt, "TCP_KEEPCNT",
                   log);
    }
    if (l->fastopen > 0) {
        listen_set(fd, IPPROTO_TCP, TCP_FASTOPEN, l->fastopen, "TCP_FASTOPEN",
                   log);
    }
    /* Its 0 matters: a reload may have taken "deferred" away. */
    listen_set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, l->deferred ? 1 : 0,
               "TCP_DEFER_ACCEPT", log);
}

void
veil_listen_configure(const veil_listen_t *l, int fd, const veil_log_t *log)
{
    if (l->rcvbuf > 0) {
        listen_set(fd, SOL_SOCKET, SO_RCVBUF, l->rcvbuf, "SO_RCVBUF", log);
    }
    if (l->sndbuf > 0) {
        listen_set(fd, SOL_SOCKET, SO_SNDBUF, l->sndbuf, "SO_SNDBUF", log);
    }
    if (l->type == SOCK_STREAM && l->addr.family != AF_UNIX) {
        listen_configure_tcp(l, fd, log);
    }
}

/* Whether somebody accepts on this unix socket. */
static bool
listen_unix_is_alive(const struct sockaddr *sa, socklen_t len, int type)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err;

    if (fd < 0) {
        return true;
    }
    err = connect(fd, sa, len) < 0 ? errno : 0;
    (void) close(fd);
    /* EAGAIN: its queue is full, so it has an owner. */
    return err != ECONNREFUSED && err != ENOENT;
}

/* A socket file that its owner left behind; anything else stays. */
static bool
listen_remove_stale(const veil_listen_t *l, const struct sockaddr *sa,
                    socklen_t len, const veil_log_t *log)
{
    struct stat st;

    if (l->addr.u.path == NULL || lstat(l->addr.u.path, &st) < 0
        || !S_ISSOCK(st.st_mode) || listen_unix_is_alive(sa, len, l->type))
    {
        return false;
    }
    if (unlink(l->addr.u.path) < 0) {
        return false;
    }
    veil_log(log, VEIL_LOG_NOTICE, 0,
             "removed the stale socket \"%s\", nobody answered on it",
             l->addr.u.path);
    return true;
}

/* bind(2) until it works, or for half a second.  0 or -errno. */
static int
listen_bind_retry(const veil_listen_t *l, int fd, const veil_log_t *log)
{
    struct timespec pause = { 0, LISTEN_BIND_PAUSE_MS * 1000000L };
    struct sockaddr_storage ss;
    const struct sockaddr *sa = (const struct sockaddr *) &ss;
    socklen_t len = veil_addr_to_sockaddr(&l->addr, &ss);
    unsigned i;
    int err = 0;

    for (i = 0; i < LISTEN_BIND_RETRIES; i++) {
        if (bind(fd, sa, len) == 0) {
            return 0;
        }
        err = -errno;
        if (err != -EADDRINUSE) {
            return err;
        }
        if (l->addr.family == AF_UNIX) {
            /* Asking again would only fill the queue of its owner. */
            if (!listen_remove_stale(l, sa, len, log)) {
                return err;
            }
            continue;
        }
        (void) nanosleep(&pause, NULL);
    }
    return err;
}

static int
listen_fail(const veil_listen_t *l, int fd, const char *what, int err,
            const veil_log_t *log)
{
    char text[VEIL_ADDR_TEXT_MAX];
    size_t n = veil_addr_print(&l->addr, text, sizeof(text));

    if (fd >= 0) {
        (void) close(fd);
    }
    veil_log(log, VEIL_LOG_EMERG, -err, "%s %.*s failed", what, (int) n, text);
    return err;
}

/* A socket with what bind(2) asks for; -errno after logging. */
static int
listen_socket(const veil_listen_t *l, const veil_log_t *log)
{
    bool is_unix = l->addr.family == AF_UNIX;
    int fd;

    fd = socket(l->addr.family, l->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return listen_fail(l, fd, "socket() for", -errno, log);
    }
    if (!is_unix) {
        listen_set(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", log);
    }
    if (l->reuseport && !is_unix) {
        listen_set(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", log);
    }
    if (l->addr.family == AF_INET6) {
        listen_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, l->ipv6only != 0,
                   "IPV6_V6ONLY", log);
    }
    return fd;
}

int
veil_listen_bind(const veil_listen_t *l, const veil_log_t *log)
{
    bool is_unix = l->addr.family == AF_UNIX;
    int fd, err;

    fd = listen_socket(l, log);
    if (fd < 0) {
        return fd;
    }
    veil_listen_configure(l, fd, log);

    err = listen_bind_retry(l, fd, log);
    if (err < 0) {
        return listen_fail(l, fd, "bind() to", err, log);
    }
    /* As nginx: who may connect is decided by the directory. */
    if (is_unix && l->addr.u.path != NULL && chmod(l->addr.u.path, 0666) < 0) {
        return listen_fail(l, fd, "chmod() of", -errno, log);
    }
    if (l->type == SOCK_STREAM
        && listen(fd, l->backlog > 0 ? l->backlog : SOMAXCONN) < 0)
    {
        return listen_fail(l, fd, "listen() on", -errno, log);
    }
    return fd;
}

/* Whether a socket file could be made there; 0 or -errno. */
static int
listen_try_unix(const veil_listen_t *l)
{
    struct sockaddr_storage ss;
    socklen_t len = veil_addr_to_sockaddr(&l->addr, &ss);
    char dir[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
    struct stat st;
    char *slash;

    if (l->addr.u.path == NULL) {
        return 0;
    }
    if (lstat(l->addr.u.path, &st) == 0
        && (!S_ISSOCK(st.st_mode)
            || listen_unix_is_alive((const struct sockaddr *) &ss, len,
                                    l->type)))
    {
        return -EADDRINUSE;
    }
    (void) veil_str_copy_z(dir, sizeof(dir), veil_str_z(l->addr.u.path));
    slash = strrchr(dir, '/');
    if (slash == NULL) {
        return 0;
    }
    slash[slash == dir ? 1 : 0] = '\0';
    return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

int
veil_listen_try(const veil_listen_t *l, const veil_log_t *log)
{
    int fd, err;

    if (l->addr.family == AF_UNIX) {
        err = listen_try_unix(l);
        return err == 0 ? 0 : listen_fail(l, -1, "bind() to", err, log);
    }
    fd = listen_socket(l, log);
    if (fd < 0) {
        return fd;
    }
    err = listen_bind_retry(l, fd, log);
    if (err < 0) {
        return listen_fail(l, fd, "bind() to", err, log);
    }
    (void) close(fd);
    return 0;
}

int
veil_listen_steer(int fd, unsigned n)
{
    /*
     * The program sees the packet from its payload on, hence SKF_NET_OFF for
     * the IP header.  The multiplication (Knuth's, 2^32 / phi) and the shift
     * are needed because addresses differ in few bits: a plain modulo sent 40
     * addresses 256 apart to one socket in four.
     */
    struct sock_filter code[] = {
        /* The version of IP: the first nibble. */
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t) SKF_NET_OFF),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 2, 0),
        /* IPv4: the source. */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_NET_OFF + 12)),
        BPF_JUMP(BPF_JMP | BPF_JA, 10, 0, 0),
        /* IPv6: the source's four words folded into one. */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_NET_OFF + 8)),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_NET_OFF + 12)),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_NET_OFF + 16)),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_NET_OFF + 20)),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        /* Both. */
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 2654435761u),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = { .len = veil_countof(code), .filter = code };

    VEIL_ASSERT(n > 0);
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                      sizeof(program))
                   < 0
               ? -errno
               : 0;
}

int
veil_listen_unsteer(int fd)
{
    int unused = 0; /* the kernel wants an int and does not look at it */

    return setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused,
                      sizeof(unused))
                   < 0
               ? -errno
               : 0;
}

/* --- accepting ---------------------------------------------------------- */

static void
listen_acceptor_closed(veil_handle_t *h)
{
    veil_acceptor_t *a = veil_container_of(h, veil_acceptor_t, handle);

    listen_open--;
    veil_free(a);
}

/* Brings the operation in line with the flags; called when any changes. */
static void
listen_update(veil_acceptor_t *a)
{
    if (a->stopped) {
        /* Closing cancels, and the clients that arrive are served. */
        if (!veil_handle_is_closing(&a->handle)) {
            veil_timer_cancel(&a->retry);
            veil_list_remove(&a->link);
            veil_handle_close(&a->handle, listen_acceptor_closed);
        }
        return;
    }
    if (a->paused) {
        veil_op_cancel(&a->accept);
        return;
    }
    if (veil_op_is_idle(&a->accept) && !veil_timer_is_set(&a->retry)) {
        veil_op_accept(&a->accept);
    }
}

/* The kernel has the peer's address; a multishot accept has no room for it. */
static bool
listen_peer(const veil_listen_t *l, int fd, veil_addr_t *peer)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    memset(peer, 0, sizeof(*peer));
    peer->family = l->addr.family;
    if (l->addr.family == AF_UNIX) {
        return true;
    }
    if (getpeername(fd, (struct sockaddr *) &ss, &len) < 0) {
        return false;
    }
    veil_addr_from_sockaddr(peer, (struct sockaddr *) &ss, len);
    return true;
}

static void
listen_accept_failed(veil_acceptor_t *a, int err)
{
    switch (err) {
    case -ECANCELED:
        break;
    case -ECONNABORTED:
    case -EPROTO:
    case -EPERM: /* a firewall's verdict */
    case -ENETDOWN:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
        /* The error of one connection, not of the socket (accept(2)). */
        veil_log(a->log, VEIL_LOG_INFO, -err, "accept() failed");
        break;
    default:
        veil_log(
            a->log,
            err == -EMFILE || err == -ENFILE ? VEIL_LOG_CRIT : VEIL_LOG_ALERT,
            -err, "accept() failed, trying again in %d ms", LISTEN_RETRY_MS);
        veil_timer_set(a->handle.loop, &a->retry, LISTEN_RETRY_MS);
        break;
    }
}

static void
listen_take(veil_acceptor_t *a, int fd)
{
    veil_addr_t peer;

    veil_metric_inc(&listen_metrics[LISTEN_ACCEPTED]);
    if (listen_peer(a->listen, fd, &peer)) {
        a->listen->accept(a, fd, &peer);
    } else {
        /* Reset while it waited in the queue: nobody is there. */
        (void) close(fd);
    }
}

/* Takes one of those that wait, if any does. */
static bool
listen_look(veil_acceptor_t *a)
{
    int fd = accept4(a->handle.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        return errno == ECONNABORTED || errno == EINTR;
    }
    listen_take(a, fd);
    return true;
}

/*
 * The client that the acceptor may have been woken for when it was cancelled.
 * One that stops for good serves all that wait: it may have missed several,
 * and a limit does not concern it any more.
 */
static void
listen_look_again(veil_acceptor_t *a)
{
    unsigned most = a->stopped ? LISTEN_LAST : 1;

    while (most-- > 0 && listen_look(a)) {
        /* The next one. */
    }
}

void
veil_acceptors_look(void)
{
    veil_acceptor_t *a;
    veil_list_t *n;
    unsigned most;

    veil_list_foreach (n, &listen_acceptors) {
        a = veil_list_entry(n, veil_acceptor_t, link);
        most = LISTEN_LAST;
        while (!a->paused && most-- > 0 && listen_look(a)) {
            /* The next one. */
        }
    }
}

static void
listen_accepted(veil_op_t *op)
{
    veil_acceptor_t *a = veil_container_of(op, veil_acceptor_t, accept);

    if (op->res >= 0) {
        listen_take(a, op->res);
    } else if (!a->stopped) {
        listen_accept_failed(a, op->res);
    }
    if (op->more) {
        return;
    }
    if (a->stopped || a->paused) {
        listen_look_again(a);
    }
    listen_update(a);
}

static void
listen_retry(veil_timer_t *t)
{
    listen_update(veil_container_of(t, veil_acceptor_t, retry));
}

veil_acceptor_t *
veil_acceptor_open(veil_loop_t *loop, veil_listen_t *l, unsigned slot,
                   const veil_log_t *log)
{
    veil_acceptor_t *a;
    int fd;

    VEIL_ASSERT(slot < l->nslots);
    fd = fcntl(l->fds[slot], F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        veil_log(log, VEIL_LOG_ALERT, errno,
                 "duplicating a listening socket failed");
        return NULL;
    }
    a = veil_zalloc(sizeof(*a));
    listen_open++;
    a->listen = l;
    a->log = log;
    a->paused = listen_paused;
    veil_handle_init(&a->handle, loop, NULL, fd);
    veil_op_init(&a->accept, &a->handle, listen_accepted);
    veil_timer_init(&a->retry, listen_retry);
    veil_list_append(&listen_acceptors, &a->link);
    listen_update(a);
    return a;
}

void
veil_acceptor_pause(veil_acceptor_t *a)
{
    a->paused = true;
    listen_update(a);
}

void
veil_acceptor_resume(veil_acceptor_t *a)
{
    a->paused = false;
    listen_update(a);
}

void
veil_acceptor_stop(veil_acceptor_t *a)
{
    a->stopped = true;
    listen_update(a);
}

void
veil_acceptors_stop_all(void)
{
    veil_list_t *n, *tmp;

    veil_list_foreach_safe (n, tmp, &listen_acceptors) {
        veil_acceptor_stop(veil_list_entry(n, veil_acceptor_t, link));
    }
}

/* --- worker_connections ------------------------------------------------- */

static void
listen_set_paused(bool paused)
{
    veil_acceptor_t *a = NULL;
    veil_list_t *n;

    listen_paused = paused;
    veil_list_foreach (n, &listen_acceptors) {
        a = veil_list_entry(n, veil_acceptor_t, link);
        a->paused = paused;
        listen_update(a);
    }
    if (paused && a != NULL
        && (listen_warned_ms == 0
            || veil_now_ms() - listen_warned_ms >= LISTEN_WARN_MS))
    {
        listen_warned_ms = veil_now_ms();
        veil_log(a->log, VEIL_LOG_WARN, 0,
                 "%u of %u worker_connections are in use, new ones wait",
                 listen_connections, listen_limit);
    }
}

static void
listen_check_limit(void)
{
    /* At 7/8, so that those accepted may still reach their upstreams. */
    unsigned high = listen_limit - listen_limit / 8;
    /* A little lower, so that a busy worker does not cancel all the time. */
    unsigned low = high - listen_limit / 64;

    if (listen_paused) {
        if (listen_limit == 0 || listen_connections < low) {
            listen_set_paused(false);
        }
    } else if (listen_limit != 0 && listen_connections >= high) {
        listen_set_paused(true);
    }
}

void
veil_acceptors_limit(unsigned worker_connections)
{
    listen_limit = worker_connections;
    listen_check_limit();
}

void
veil_acceptors_count(int delta)
{
    VEIL_ASSERT(delta >= 0 || listen_connections >= (unsigned) -delta);
    listen_connections += (unsigned) delta;
    veil_metric_set(&listen_metrics[LISTEN_ACTIVE], listen_connections);
    listen_check_limit();
}

unsigned
veil_acceptors_connections(void)
{
    return listen_connections;
}

unsigned
veil_acceptors_open(void)
{
    return listen_open;
}
