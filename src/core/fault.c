/*
 * fault.c -- places where a test has a process die.
 *
 * The plan lies in a shared mapping, so that a test arms one point after the
 * other without starting a server for each, and so that the fault happens
 * once: who takes the last of the passes that are left dies, and whoever
 * takes its place finds nothing to do.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/fault.h"

_Static_assert(sizeof(veil_fault_plan_t) == 64, "tests write it as bytes");

#if VEIL_DEBUG

static veil_fault_plan_t *fault_plan; /* NULL: none */
static char fault_role = VEIL_FAULT_MASTER;

void
veil_fault_init(void)
{
    const char *path = getenv("VEIL_FAULT");
    struct stat st;
    void *addr;
    int fd;

    if (path == NULL) {
        return;
    }
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) == 0 && st.st_size >= (off_t) sizeof(*fault_plan)) {
        addr = mmap(NULL, sizeof(*fault_plan), PROT_READ | PROT_WRITE,
                    MAP_SHARED, fd, 0);
        fault_plan = addr == MAP_FAILED ? NULL : addr;
    }
    close(fd);
}

void
veil_fault_role(char role)
{
    fault_role = role;
}

static bool
fault_is_meant(const char *point)
{
    const veil_fault_plan_t *p = fault_plan;
    size_t n = strnlen(p->point, sizeof(p->point));

    if (p->role != 0 && p->role != fault_role) {
        return false;
    }
    if (n != 0 && p->point[n - 1] == '*') {
        return strncmp(p->point, point, n - 1) == 0;
    }
    return strlen(point) == n && memcmp(p->point, point, n) == 0;
}

void
veil_fault_pass(const char *point)
{
    uint32_t left;

    if (fault_plan == NULL) {
        return;
    }
    /* Written last by the test: what it goes with is there. */
    left = __atomic_load_n(&fault_plan->left, __ATOMIC_ACQUIRE);
    if (left == 0 || !fault_is_meant(point)) {
        return;
    }
    while (!__atomic_compare_exchange_n(&fault_plan->left, &left, left - 1,
                                        false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
    {
        if (left == 0) {
            return;
        }
    }
    if (left != 1) {
        return;
    }
    __atomic_store_n(&fault_plan->pid, (uint32_t) getpid(), __ATOMIC_RELEASE);
    (void) kill(getpid(),
                fault_plan->action == VEIL_FAULT_STOP ? SIGSTOP : SIGKILL);
}

#else

void
veil_fault_init(void)
{
}

void
veil_fault_role(char role)
{
    (void) role;
}

#endif
