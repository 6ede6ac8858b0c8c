/*
 * signal.c -- signals as descriptors.
 *
 * The set is the same in all processes; what a process does with each is its
 * own affair.  Signals that break the process (SEGV, BUS, ABRT ...) are left
 * to core/assert.h and are not here.
 */

#include "core/platform.h"

#include <signal.h>

#include "process/signal.h"

static const int signal_list[] = { SIGTERM, SIGINT,   SIGQUIT, SIGHUP, SIGUSR1,
                                   SIGUSR2, SIGWINCH, SIGCHLD, SIGALRM };

int
veil_signals_open(void)
{
    struct sigaction sa;
    sigset_t set;
    size_t i;
    int fd;

    memset(&sa, 0, sizeof(sa));
    sigemptyset(&sa.sa_mask);
    sigemptyset(&set);

    /* An ignored signal is dropped before a signalfd could see it. */
    sa.sa_handler = SIG_DFL;
    for (i = 0; i < veil_countof(signal_list); i++) {
        sigaction(signal_list[i], &sa, NULL);
        sigaddset(&set, signal_list[i]);
    }
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);

    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -errno;
    }
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int
veil_signals_read(int fd, struct signalfd_siginfo *info)
{
    ssize_t n;

    do {
        n = read(fd, info, sizeof(*info));
    } while (n < 0 && errno == EINTR);

    return n == (ssize_t) sizeof(*info);
}

const char *
veil_signal_name(int signo)
{
    const char *name = sigabbrev_np(signo);

    return name == NULL ? "?" : name;
}

int
veil_signal_of_word(const char *word)
{
    static const struct {
        const char *word;
        int signo;
    } table[] = {
        { "stop", SIGTERM },
        { "quit", SIGQUIT },
        { "reload", SIGHUP },
        { "reopen", SIGUSR1 },
    };
    size_t i;

    for (i = 0; i < veil_countof(table); i++) {
        if (strcmp(word, table[i].word) == 0) {
            return table[i].signo;
        }
    }
    return 0;
}
