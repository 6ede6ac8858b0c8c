/*
 * panic.c -- the report of a process that cannot go on.
 *
 * Whatever broke may have taken the heap, the log and the locks with it, so
 * the report uses none of them: text is formatted into a buffer on the stack
 * and goes out by write(2), line by line, to standard error and to the
 * descriptor of the error log.  In this order: what broke, the backtrace, the
 * last trace events, and what the registered printers say (the current
 * operation, connection, request).  Printers come last because they look at
 * what may be broken: one that fails itself ends the report there, and the
 * process still dies.
 *
 * The first line looks like one of the error log, at level "alert", so that
 * whoever watches the log sees it.
 *
 * It does not unwind, clean up or tell anyone: the keeper sees the process
 * die and starts another.
 */

#include "core/platform.h"

#include <execinfo.h>
#include <signal.h>

#include "core/panic.h"
#include "core/str.h"
#include "core/time.h"
#include "core/trace.h"

#define PANIC_FRAMES 48
#define PANIC_LINE 2048
#define PANIC_STACK 32768

veil_trace_event_t veil_trace_ring[VEIL_TRACE_EVENTS];
uint32_t veil_trace_next;

static int panic_fd = -1;
static volatile sig_atomic_t panic_running;
static char panic_stack[PANIC_STACK] __attribute__((aligned(16)));

void
veil_panic_set_fd(int fd)
{
    void *frame;

    /* The first call may load a library: not when memory is broken. */
    (void) backtrace(&frame, 1);
    panic_fd = fd;
}

static void
panic_write_fd(int fd, const char *data, size_t len)
{
    ssize_t n;

    while (len != 0) {
        n = write(fd, data, len);
        if (n <= 0) {
            return;
        }
        data += n;
        len -= (size_t) n;
    }
}

static void
panic_write(const char *data, size_t len)
{
    panic_write_fd(STDERR_FILENO, data, len);
    if (panic_fd >= 0 && panic_fd != STDERR_FILENO) {
        panic_write_fd(panic_fd, data, len);
    }
}

static void panic_line(const char *fmt, ...) VEIL_PRINTF(1, 2);

static void
panic_line(const char *fmt, ...)
{
    char buf[PANIC_LINE];
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = veil_vsnprintf(buf, sizeof(buf) - 1, fmt, ap);
    va_end(ap);
    buf[n++] = '\n';
    panic_write(buf, n);
}

static void
panic_head(const char *what)
{
    /* The clock's cached text: no time zone data is read here. */
    panic_line("%.*s [alert] %d#%d: panic: %s", VEIL_STR_ARG(veil_clock.log),
               (int) getpid(), (int) gettid(), what);
}

static void
panic_backtrace(void)
{
    void *frames[PANIC_FRAMES];
    int n;

    panic_line("backtrace:");
    n = backtrace(frames, PANIC_FRAMES);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    if (panic_fd >= 0 && panic_fd != STDERR_FILENO) {
        backtrace_symbols_fd(frames, n, panic_fd);
    }
}

static void
panic_printers(void)
{
    char buf[PANIC_LINE / 2];
    unsigned i;
    size_t n;

    for (i = 0; i < veil_panic_nprinters; i++) {
        n = veil_panic_printers[i].print(buf, sizeof(buf));
        n = veil_min_size(n, sizeof(buf));
        if (n != 0) {
            panic_line("%s: %.*s", veil_panic_printers[i].title, (int) n, buf);
        }
    }
}

static void
panic_trace(void)
{
    const veil_trace_event_t *e;
    uint32_t i, n;

    n = veil_trace_next < VEIL_TRACE_EVENTS ? veil_trace_next
                                            : VEIL_TRACE_EVENTS;
    if (n != 0) {
        panic_line("the last %u events, oldest first:", n);
    }
    for (i = veil_trace_next - n; i != veil_trace_next; i++) {
        e = &veil_trace_ring[i & (VEIL_TRACE_EVENTS - 1)];
        panic_line("  %s %p %lld", e->what, e->object, (long long) e->value);
    }
}

/* A second failure while reporting the first: say so, and no more. */
static bool
panic_begin(const char *what)
{
    if (panic_running) {
        panic_head(what);
        panic_line("this happened while the report above was written");
        return false;
    }
    panic_running = 1;
    panic_head(what);
    return true;
}

static void
panic_report(const char *what)
{
    if (panic_begin(what)) {
        panic_backtrace();
        panic_trace();
        panic_printers();
    }
}

void
veil_panic(const char *fmt, ...)
{
    char what[PANIC_LINE / 2];
    va_list ap;

    va_start(ap, fmt);
    (void) veil_vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    panic_report(what);
    abort();
}

static void
panic_signal(int sig, siginfo_t *info, void *context)
{
    char what[128];

    (void) context;
    (void) veil_snprintf(what, sizeof(what), "signal %d (%s) at address %p",
                         sig, sigdescr_np(sig), info->si_addr);
    panic_report(what);

    /*
     * The handler was reset on entry and the signal unblocked by returning,
     * so the instruction runs again and kills the process, with a core dump
     * of the right place; a signal that was sent has to be sent again.
     */
    if (info->si_code <= 0) {
        (void) raise(sig);
    }
}

void
veil_panic_catch_signals(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
    struct sigaction sa;
    stack_t stack;
    void *frame;
    size_t i;

    if (VEIL_ASAN) {
        return; /* the sanitizer's own report says more */
    }
    (void) backtrace(&frame, 1);

    /* An overrun stack is one of the reasons: use another. */
    memset(&stack, 0, sizeof(stack));
    stack.ss_sp = panic_stack;
    stack.ss_size = sizeof(panic_stack);
    VEIL_ASSERT(sigaltstack(&stack, NULL) == 0);

    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = panic_signal;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK | (int) SA_RESETHAND;
    (void) sigemptyset(&sa.sa_mask);
    for (i = 0; i < veil_countof(signals); i++) {
        VEIL_ASSERT(sigaction(signals[i], &sa, NULL) == 0);
    }
}
