/*
 * types.h -- the words every file uses: forward declarations, return codes,
 * and the handful of macros that have no better home.
 *
 * Structs are declared here so that headers can point at each other without
 * including each other.  Nothing here has a body that could change often.
 */

#ifndef VEIL_CORE_TYPES_H
#define VEIL_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct veil_pool_s veil_pool_t;
typedef struct veil_pin_s veil_pin_t;
typedef struct veil_block_s veil_block_t;
typedef struct veil_buf_s veil_buf_t;
typedef struct veil_slice_s veil_slice_t;
typedef struct veil_str_s veil_str_t;
typedef struct veil_list_s veil_list_t;
typedef struct veil_array_s veil_array_t;
typedef struct veil_addr_s veil_addr_t;
typedef struct veil_log_s veil_log_t;
typedef struct veil_log_file_s veil_log_file_t;
typedef struct veil_conf_s veil_conf_t;
typedef struct veil_conf_node_s veil_conf_node_t;
typedef struct veil_conf_scope_s veil_conf_scope_t;
typedef struct veil_lint_s veil_lint_t;                       /* core/lint.h */
typedef struct veil_explain_options_s veil_explain_options_t; /* explain.h */
typedef struct veil_command_s veil_command_t;
typedef struct veil_module_s veil_module_t;
typedef struct veil_cycle_s veil_cycle_t;
typedef struct veil_regex_s veil_regex_t;
typedef struct veil_shm_zone_s veil_shm_zone_t;
typedef struct veil_slab_s veil_slab_t;

/*
 * The result of a step that can fail for a reason already reported.  I/O
 * results are not this: they are >= 0 or -errno.  Questions are bool.
 */
typedef enum { VEIL_OK = 0, VEIL_ERROR = -1 } veil_rc_t;

#define veil_container_of(ptr, type, member)                                  \
    ((type *) (void *) ((char *) (ptr) -offsetof(type, member)))

#define veil_countof(a) (sizeof(a) / sizeof((a)[0]))

#define veil_align(n, a) (((n) + ((a) -1)) & ~((size_t) (a) -1))

static inline size_t
veil_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t
veil_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

#define VEIL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define VEIL_NORETURN __attribute__((noreturn))
#define VEIL_UNUSED __attribute__((unused))
#define VEIL_WUR __attribute__((warn_unused_result))
#define veil_likely(x) __builtin_expect(!!(x), 1)
#define veil_unlikely(x) __builtin_expect(!!(x), 0)

#endif
