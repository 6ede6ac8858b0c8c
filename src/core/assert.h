/*
 * assert.h -- broken invariants, magic numbers and the crash report.
 *
 * Asserts are never compiled out: a broken invariant stops the worker with a
 * report that can be read, and its keeper starts another.  VEIL_DCHECK is for
 * the costly ones (checksums, list walks) and exists in debug builds only.
 *
 * Every object that crosses a void pointer or a file's border begins with
 * "uint32_t magic".  VEIL_CHECK(c, VEIL_CONN) compares it with
 * VEIL_CONN_MAGIC; an object that ends gets VEIL_MAGIC_DEAD.
 */

#ifndef VEIL_CORE_ASSERT_H
#define VEIL_CORE_ASSERT_H

#include "core/platform.h"
#include "core/types.h"

#define VEIL_MAGIC_DEAD 0xdeadbeefu

#define VEIL_ASSERT(cond)                                                     \
    ((void) (veil_likely(cond)                                                \
             || (veil_assert_failed(#cond, __FILE__, __LINE__, __func__),     \
                 0)))

#define VEIL_CHECK(p, T) VEIL_ASSERT((p) != NULL && (p)->magic == T##_MAGIC)

/* A void pointer back to its type: VEIL_CAST(veil_conn_t, VEIL_CONN, data). */
#define VEIL_CAST(type, T, p)                                                 \
    ((type *) veil_cast((p), T##_MAGIC, __FILE__, __LINE__))

#if VEIL_DEBUG
#define VEIL_DCHECK(cond) VEIL_ASSERT(cond)
#else
#define VEIL_DCHECK(cond) ((void) sizeof(cond))
#endif

/* Writes the panic report to the error log and standard error; aborts. */
void veil_assert_failed(const char *expr, const char *file, int line,
                        const char *func) VEIL_NORETURN;

/* Same, with a message of one's own; for "cannot happen" branches. */
void veil_panic(const char *fmt, ...) VEIL_PRINTF(1, 2) VEIL_NORETURN;

/*
 * Returns p after checking that the uint32_t at its start is the magic.
 * Aborts with a report that names the place otherwise.
 */
void *veil_cast(void *p, uint32_t magic, const char *file, int line);

/*
 * Panic report.  Each layer registers, once per process, a printer for the
 * object it is working on ("current request", "current operation"); the
 * printer writes at most n bytes of text to buf and returns how many.  It is
 * called after the invariant broke: it must trust nothing, take no lock and
 * allocate nothing.
 */
typedef size_t veil_panic_print_fn(char *buf, size_t n);
void veil_panic_register(const char *title, veil_panic_print_fn *print);

/* Where the report goes beside standard error; -1 for nowhere. */
void veil_panic_set_fd(int fd);

/* Installs handlers for SIGSEGV, SIGBUS, SIGILL, SIGFPE that write a report.
 */
void veil_panic_catch_signals(void);

#endif
