/*
 * fault.h -- places where a test has a process die.
 *
 * A fault point is a name in the code: VEIL_FAULT("slab.push").  It is
 * nothing in a release build.  In a debug build it asks a plan, 64 bytes in a
 * file that the environment variable VEIL_FAULT names when the server starts
 * and that a test writes to while it runs (Test::Veil::Fault).  The process
 * that passes the point for the n-th time kills or stops itself.
 *
 * Names are "file.what" or "role.what"; a plan that ends with "*" means all
 * that begin so.
 */

#ifndef VEIL_CORE_FAULT_H
#define VEIL_CORE_FAULT_H

#include "core/platform.h" /* VEIL_DEBUG */
#include "core/types.h"

/* Who a plan is for. */
#define VEIL_FAULT_MASTER 'm'
#define VEIL_FAULT_KEEPER 'k'
#define VEIL_FAULT_WORKER 'w'

/* What is to be done. */
#define VEIL_FAULT_KILL 'k' /* SIGKILL to itself */
#define VEIL_FAULT_STOP 's' /* SIGSTOP to itself; it goes on after SIGCONT */

/* The file. */
typedef struct {
    char point[48]; /* zero-padded */
    char role;      /* VEIL_FAULT_MASTER ...; 0: any */
    char action;
    char reserved[2];
    uint32_t left; /* passes until it happens; 0: not (any more) */
    uint32_t pid;  /* to whom it happened */
    uint32_t reserved_too;
} veil_fault_plan_t;

/* Maps the plan if there is one; first thing in main, before any fork. */
void veil_fault_init(void);
/* After fork: what this process is. */
void veil_fault_role(char role);

#if VEIL_DEBUG
void veil_fault_pass(const char *point);
#define VEIL_FAULT(point) veil_fault_pass(point)
#else
#define VEIL_FAULT(point) ((void) 0)
#endif

#endif
