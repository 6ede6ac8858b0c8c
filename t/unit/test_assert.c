/* test_assert.c -- assertions, magic numbers, the panic report. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/platform.h"

#include "core/assert.h"
#include "core/str.h"
#include "core/time.h"
#include "core/trace.h"

#define TEST_THING_MAGIC 0x12345678u

typedef struct {
    uint32_t magic;
} thing_t;

static char words[65536];  /* what a child wrote to standard error */
static char logged[65536]; /* and to the descriptor of the log */

static void
read_fd(int fd, char *buf, size_t n)
{
    size_t len = 0;
    ssize_t got;

    while ((got = read(fd, buf + len, n - 1 - len)) > 0) {
        len += (size_t) got;
    }
    buf[len] = '\0';
    (void) close(fd);
}

/* Runs fn in a child; returns the signal that ended it. */
static int
die(void (*fn)(void))
{
    int err[2], log[2], status;
    pid_t pid;

    cr_assert_eq(pipe(err), 0);
    cr_assert_eq(pipe(log), 0);
    pid = fork();
    if (pid == 0) {
        (void) signal(SIGABRT, SIG_DFL);
        (void) signal(SIGSEGV, SIG_DFL);
        (void) dup2(err[1], STDERR_FILENO);
        veil_panic_set_fd(log[1]);
        fn();
        _exit(0);
    }
    (void) close(err[1]);
    (void) close(log[1]);
    read_fd(err[0], words, sizeof(words));
    read_fd(log[0], logged, sizeof(logged));
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
has(const char *text)
{
    cr_assert_neq(strstr(words, text), NULL, "no \"%s\" in: %s", text, words);
    cr_assert_neq(strstr(logged, text), NULL, "no \"%s\" in the log", text);
}

static size_t
print_request(char *buf, size_t n)
{
    return veil_snprintf(buf, n, "GET /a, phase content");
}

static size_t
print_too_much(char *buf, size_t n)
{
    memset(buf, 'x', n);
    return n + 1000;
}

static void
fail(void)
{
    int two = 2;

    veil_trace_note("recv", (void *) 0x10, -104);
    veil_trace_note("close", NULL, 0);
    veil_panic_register("request", print_request);
    veil_panic_register("request", print_request);
    veil_panic_register("noise", print_too_much);
    VEIL_ASSERT(two == 3);
}

Test(assert, report)
{
    const char *first;

    veil_time_set(1, 784111777, 0);
    cr_assert_eq(die(fail), SIGABRT);
    has("1994/11/06");
    has(" [alert] ");
    has("panic: assertion \"two == 3\" failed in fail() at ");
    has("test_assert.c:");
    has("backtrace:\n");
    has("the last 2 events, oldest first:\n  recv 0x10 -104\n  close ");
    has("request: GET /a, phase content\n");
    has("noise: xxxx");
    first = strstr(words, "request: ");
    cr_assert_eq(strstr(first + 1, "request: "), NULL, "registered once");
}

Test(assert, true_does_nothing)
{
    int n = 0;

    VEIL_ASSERT(++n == 1);
    cr_assert_eq(n, 1, "evaluated once");
}

static void
fill_ring(void)
{
    int i;

    for (i = 0; i < 100; i++) {
        veil_trace_note("event", NULL, i);
    }
    veil_panic("code %d", 7);
}

Test(assert, only_the_last_events)
{
    cr_assert_eq(die(fill_ring), SIGABRT);
    has("panic: code 7\n");
    has("the last 64 events");
    has(" 99\n");
    has(" 36\n");
    cr_assert_eq(strstr(words, " 35\n"), NULL);
}

static size_t
print_and_fail(char *buf, size_t n)
{
    (void) buf;
    VEIL_ASSERT(n == 0);
    return 0;
}

static void
fail_in_report(void)
{
    veil_panic_register("bad", print_and_fail);
    veil_panic("first");
}

Test(assert, a_failing_printer_ends_it)
{
    cr_assert_eq(die(fail_in_report), SIGABRT);
    has("panic: first\n");
    has("panic: assertion \"n == 0\" failed");
    has("while the report above was written");
}

static void
read_nowhere(void)
{
    volatile int *volatile p = NULL;

    veil_panic_catch_signals();
    *p = 1;
}

static void
sent_signal(void)
{
    veil_panic_catch_signals();
    (void) raise(SIGSEGV);
}

Test(assert, signals_write_a_report)
{
    if (VEIL_ASAN) {
        cr_skip_test("left to the sanitizer");
    }
    cr_assert_eq(die(read_nowhere), SIGSEGV);
    has("panic: signal 11 (Segmentation fault) at address (nil)");
    has("backtrace:");
    cr_assert_eq(die(sent_signal), SIGSEGV);
    has("panic: signal 11");
}

Test(assert, cast)
{
    thing_t thing = { TEST_THING_MAGIC };

    cr_assert_eq(VEIL_CAST(thing_t, TEST_THING, (void *) &thing), &thing);
    VEIL_CHECK(&thing, TEST_THING);
}

static void
cast_null(void)
{
    (void) VEIL_CAST(thing_t, TEST_THING, NULL);
}

static void
cast_dead(void)
{
    thing_t thing = { VEIL_MAGIC_DEAD };

    (void) VEIL_CAST(thing_t, TEST_THING, (void *) &thing);
}

Test(assert, wrong_casts_say_where)
{
    cr_assert_eq(die(cast_null), SIGABRT);
    has("NULL where an object was expected at ");
    cr_assert_eq(die(cast_dead), SIGABRT);
    has("magic 0xdeadbeef instead of 0x12345678 (it has ended) at ");
}

Test(assert, check_of_null_aborts, .signal = SIGABRT)
{
    thing_t *volatile thing = NULL;

    VEIL_CHECK(thing, TEST_THING);
}
