/*
 * variable.h -- variables, and texts with variables compiled beforehand.
 *
 * Names are resolved while the configuration is read: each variable that is
 * mentioned gets an index.  At run time a request's values are an array,
 * made on first use, filled in lazily.  A name that nobody defines is an
 * error of the configuration (checked at its end, so that order does not
 * matter).
 */

#ifndef VEIL_HTTP_VARIABLE_H
#define VEIL_HTTP_VARIABLE_H

#include "core/conf.h"
#include "core/inet.h"
#include "core/str.h"
#include "http/headers.h"

typedef struct veil_http_request_s veil_http_request_t;
typedef struct veil_http_variable_s veil_http_variable_t;
typedef struct veil_http_value_s veil_http_value_t;

/*
 * Computes the value into *out (memory of the request's pool or longer).
 * False: not found (an empty string in texts, "-" in logs).
 */
typedef bool veil_http_var_get_fn(veil_http_request_t *r,
                                  const veil_http_variable_t *v,
                                  veil_str_t *out);
/* "set $args ..." and the like; value is copied by the callee if kept. */
typedef void veil_http_var_set_fn(veil_http_request_t *r,
                                  const veil_http_variable_t *v,
                                  veil_str_t value);

#define VEIL_HTTP_VAR_CHANGEABLE 1u /* may be defined again (set) */
#define VEIL_HTTP_VAR_VOLATILE 2u   /* computed anew each time */
#define VEIL_HTTP_VAR_PREFIX 4u     /* the name is a prefix: "http_" */
#define VEIL_HTTP_VAR_DEFINED 8u    /* by a directive; set by variable.c */

struct veil_http_variable_s {
    veil_str_t name; /* for a prefix variable: the full name in use */
    veil_http_var_get_fn *get;
    veil_http_var_set_fn *set;
    const void *data;  /* the definer's */
    veil_str_t suffix; /* of a prefix variable: "user_agent" */
    unsigned flags;
    unsigned index;
};

/* A table entry of a module; ends with get == NULL && set == NULL. */
typedef struct {
    const char *name;
    veil_http_var_get_fn *get;
    veil_http_var_set_fn *set;
    const void *data;
    unsigned flags;
} veil_http_var_def_t;

/* While the configuration is read. */

/* The index of a variable that a directive mentions; name without "$". */
unsigned veil_http_var_index(veil_conf_t *cf, veil_str_t name);
/* Whether anything does, when all was read: for values that cost something. */
bool veil_http_var_is_mentioned(const veil_conf_t *cf, veil_str_t name);
/*
 * Defines a variable by a directive (set, map).  NULL after reporting that
 * the name is taken by one that is not changeable.
 */
veil_http_variable_t *veil_http_var_define(veil_conf_t *cf, veil_str_t name,
                                           unsigned flags);

/* At run time. */

/* The value; false: not found (*out is then empty). */
bool veil_http_var(veil_http_request_t *r, unsigned index, veil_str_t *out);
/* Stores a value for an index (set, captures by name). */
void veil_http_var_store(veil_http_request_t *r, unsigned index,
                         veil_str_t value);
/*
 * "set" of a variable that has a setter of its own ($args, $limit_rate):
 * calls it.  False: it has none.
 */
bool veil_http_var_assign(veil_http_request_t *r, unsigned index,
                          veil_str_t value);
/* Forgets computed values that a change of URI makes untrue. */
void veil_http_var_flush(veil_http_request_t *r);

/* What getters have in common; true, so that they can end with the call. */

bool veil_http_var_number(veil_http_request_t *r, uint64_t n, veil_str_t *out);
/* Milliseconds as seconds with three decimals. */
bool veil_http_var_seconds(veil_http_request_t *r, uint64_t ms,
                           veil_str_t *out);
/* An address without its port. */
bool veil_http_var_ip(veil_http_request_t *r, const veil_addr_t *addr,
                      veil_str_t *out);
/*
 * All fields of a name, with the glue in between: "user_agent" are those of
 * User-Agent.  hidden: those that were taken out, too.  False: none.
 */
bool veil_http_var_field(veil_http_request_t *r, const veil_http_headers_t *hs,
                         veil_str_t name, const char *glue, bool hidden,
                         veil_str_t *out);

/*
 * Compiles argument i of the directive, "text $var ${var} $1": NULL after
 * reporting.  A text without variables evaluates to itself at no cost.
 */
const veil_http_value_t *veil_http_value_compile(veil_conf_t *cf,
                                                 veil_str_t text);
bool veil_http_value_is_constant(const veil_http_value_t *v);
/* Of a constant one. */
veil_str_t veil_http_value_text(const veil_http_value_t *v);
/* The highest $N in it; 0: none. */
unsigned veil_http_value_max_capture(const veil_http_value_t *v);

/* The text now; NULL evaluates to an empty string.  Request's pool. */
veil_str_t veil_http_eval(veil_http_request_t *r, const veil_http_value_t *v);
/* The same for a query: what captures hold is escaped. */
veil_str_t veil_http_eval_args(veil_http_request_t *r,
                               const veil_http_value_t *v);
/* The same, followed by a zero byte that len does not count. */
veil_str_t veil_http_eval_z(veil_http_request_t *r,
                            const veil_http_value_t *v);

/* Setters: a compiled value; an array of them. */
veil_conf_set_fn veil_http_set_value;  /* -> const veil_http_value_t * */
veil_conf_set_fn veil_http_set_values; /* adds -> veil_array_t * of those */
/* $N of the last match; empty when it has none. */
veil_str_t veil_http_capture(const veil_http_request_t *r, unsigned n);
/* A predicate list: true when one is neither empty nor "0". */
bool veil_http_eval_any(veil_http_request_t *r, const veil_array_t *values);

#endif
