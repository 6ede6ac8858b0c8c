/*
 * fetch.c -- main() of veil-fetch, a client that fetches URLs over the
 * connections, the TLS and the HTTP parsers of veil.
 *
 * It exists to use these from the other side: every byte goes through the
 * same operations as the server's, on io_uring or epoll, and TLS is handed to
 * the kernel where the kernel takes it.  It speaks HTTP/1.1, follows no
 * redirects, stores no cookies and undoes no compression: what the server
 * said is what is printed.
 *
 * The order of things: options.c reads the command line, run.c goes through
 * the URLs, link.c connects, send.c and body.c send, exchange.c knows the
 * protocol without any I/O, output.c prints.
 */

#include "core/platform.h"

#include <fcntl.h>

#include "core/time.h"
#include "core/version.h"
#include "event/offload.h"
#include "event/resolver.h"
#include "fetch/link.h"
#include "fetch/run.h"

/* Receive blocks hold a TLS record. */
#define FETCH_BLOCK 32768
/* For the goodbyes of connections. */
#define FETCH_LEAVE_MS 4000

/*
 * A standard descriptor that is closed must not become that of a connection:
 * what is opened in its place fails whoever uses it.
 */
static void
fetch_occupy_standard_fds(void)
{
    int fd, opened;

    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            opened =
                open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
            VEIL_ASSERT(opened < 0 || opened == fd);
        }
    }
}

static void
fetch_version(void)
{
    printf("veil-fetch/" VEIL_VERSION "%s%s\n",
           veil_tls_is_built() ? ", " : "",
           veil_tls_is_built() ? veil_tls_library() : "");
}

/* What was printed by stdio has to get out, too. */
static veil_fetch_code_t
fetch_printed(void)
{
    if (fflush(stdout) == 0) {
        return VEIL_FETCH_OK;
    }
    veil_fetch_say("cannot write to standard output");
    return VEIL_FETCH_FILE;
}

/* What the loop has to say: why it is epoll, for instance. */
static void
fetch_log_write(const veil_log_sink_t *sink VEIL_UNUSED,
                veil_log_level_t level, const char *line, size_t len)
{
    veil_str_t text = veil_fetch_log_text(line, len);

    if (level <= VEIL_LOG_ERR) {
        veil_fetch_say("%.*s", VEIL_STR_ARG(text));
    } else {
        veil_fetch_note("%.*s", VEIL_STR_ARG(text));
    }
}

static veil_loop_t *
fetch_loop(const veil_fetch_options_t *o, const veil_log_t *log)
{
    veil_loop_options_t options = { .backend = o->epoll ? "epoll" : "auto",
                                    .connections = 8,
                                    .buffer_size = FETCH_BLOCK,
                                    .buffers = 16,
                                    .log = log };

    return veil_loop_create(&options);
}

static bool
fetch_needs_tls(const veil_fetch_options_t *o)
{
    unsigned i;

    for (i = 0; i < o->urls.n; i++) {
        if (veil_array_at(&o->urls, veil_fetch_url_t, i)->tls) {
            return true;
        }
    }
    return false;
}

/* Ends what still goes on; false: something does not end. */
static bool
fetch_leave(veil_loop_t **loop)
{
    uint64_t until;

    if (veil_offload_busy() != 0) {
        return false; /* a look-up that was given up is in libc's hands */
    }
    veil_resolvers_stop(*loop);
    veil_offload_stop(*loop);
    veil_time_update();
    until = veil_now_ms() + FETCH_LEAVE_MS;
    while (((*loop)->nops != 0 || (*loop)->nhandles != 0)
           && veil_now_ms() < until) {
        veil_loop_turn(*loop, 50);
    }
    if ((*loop)->nops != 0 || (*loop)->nhandles != 0) {
        return false;
    }
    veil_loop_turn(*loop, 0); /* reaps pools that were retired last */
    veil_loop_destroy(loop);
    return true;
}

static veil_fetch_code_t
fetch_all(const veil_fetch_options_t *o, veil_tls_ctx_t *ctx,
          veil_fetch_output_t *out)
{
    veil_log_level_t level = o->verbose ? VEIL_LOG_NOTICE : VEIL_LOG_ERR;
    veil_log_sink_t sink = { .level = level, .write = fetch_log_write };
    veil_log_t log = { .level = level, .sinks = &sink };
    veil_fetch_code_t code;
    veil_loop_t *loop;

    loop = fetch_loop(o, &log);
    if (loop == NULL) {
        veil_fetch_say("there is no event loop to be had");
        return VEIL_FETCH_CONNECT;
    }
    code = veil_fetch_run(loop, o, ctx, out);
    if (veil_fetch_output_close(out) < 0 && code == VEIL_FETCH_OK) {
        code = VEIL_FETCH_FILE;
    }
    if (!fetch_leave(&loop)) {
        _exit((int) code);
    }
    return code;
}

static veil_fetch_code_t
fetch_main(veil_pool_t *pool, const veil_fetch_options_t *o)
{
    veil_tls_ctx_t *ctx = NULL;
    veil_fetch_output_t out;

    if (fetch_needs_tls(o)) {
        ctx = veil_fetch_link_ctx(pool, o);
        if (ctx == NULL) {
            return VEIL_FETCH_TLS;
        }
    }
    if (veil_fetch_output_open(&out, o->output, o->summary) < 0) {
        return VEIL_FETCH_FILE;
    }
    return fetch_all(o, ctx, &out);
}

int
main(int argc VEIL_UNUSED, char **argv)
{
    veil_pool_t *pool;
    veil_fetch_options_t o;
    veil_fetch_code_t code = VEIL_FETCH_USAGE;

    fetch_occupy_standard_fds();
    veil_log_set_pid();
    veil_time_update();
    pool = veil_pool_create("fetch", 4096);
    if (!veil_fetch_options_parse(pool, argv, &o)) {
        code = VEIL_FETCH_USAGE;
    } else if (o.help) {
        veil_fetch_options_help();
        code = fetch_printed();
    } else if (o.version) {
        fetch_version();
        code = fetch_printed();
    } else {
        code = fetch_main(pool, &o);
    }
    veil_pool_destroy(&pool);
    veil_conn_trim();
    veil_tls_trim();
    veil_pool_trim();
    return (int) code;
}
