/*
 * test_fault.c -- who passes a fault point as the plan says dies, once.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <sys/wait.h>

#undef VEIL_DEBUG
#define VEIL_DEBUG 1
#include "core/fault.c"

static veil_fault_plan_t plan;

static void
arm(const char *point, char role, unsigned left)
{
    memset(&plan, 0, sizeof(plan));
    memcpy(plan.point, point, strlen(point));
    plan.role = role;
    plan.action = VEIL_FAULT_KILL;
    plan.left = left;
    fault_plan = &plan;
}

/* Passes left when a worker has passed both points; 0 when it died. */
static unsigned
pass(const char *one, const char *two)
{
    int status;
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        veil_fault_role(VEIL_FAULT_WORKER);
        veil_fault_pass(one);
        veil_fault_pass(two);
        _exit((int) plan.left);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        cr_assert_eq(WTERMSIG(status), SIGKILL);
        return 0;
    }
    return (unsigned) WEXITSTATUS(status);
}

Test(fault, names_and_counts)
{
    arm("slab.push", VEIL_FAULT_WORKER, 2);
    cr_assert_eq(pass("slab.pus", "slab.push2"), 2);
    cr_assert_eq(pass("slab.push", "slab.join"), 1);
    cr_assert_eq(pass("slab.push", "slab.push"), 0);
    arm("slab.*", 0, 2);
    cr_assert_eq(pass("slab.push", "tls_cache.push"), 1);
    cr_assert_eq(pass("slab.push", "slab.join"), 0);
}

Test(fault, roles)
{
    arm("slab.push", VEIL_FAULT_KEEPER, 1);
    cr_assert_eq(pass("slab.push", "slab.push"), 1);
    arm("slab.push", 0, 1);
    cr_assert_eq(pass("slab.push", "slab.push"), 0);
}

Test(fault, once)
{
    arm("slab.push", VEIL_FAULT_WORKER, 0);
    cr_assert_eq(pass("slab.push", "slab.push"), 0);
    fault_plan = NULL;
    veil_fault_pass("slab.push");
}

Test(fault, plan_is_mapped_from_a_file)
{
    char path[] = "/tmp/veil-fault-XXXXXX";
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    arm("x", VEIL_FAULT_KEEPER, 7);
    fault_plan = NULL;
    cr_assert_eq(write(fd, &plan, sizeof(plan)), (ssize_t) sizeof(plan));
    setenv("VEIL_FAULT", path, 1);
    veil_fault_init();
    cr_assert_not_null(fault_plan);
    cr_assert_eq(fault_plan->left, 7);
    close(fd);
    unlink(path);
}
