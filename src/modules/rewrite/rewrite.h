/*
 * rewrite.h -- what the files of the rewrite module share.
 *
 * Directives are compiled, in the order of the file, into a list of
 * operations; "if" is one with a list of its own.
 */

#ifndef VEIL_MODULES_REWRITE_H
#define VEIL_MODULES_REWRITE_H

#include "http/http.h"
#include "http/regex.h"

typedef struct rewrite_op_s rewrite_op_t;

/* Runs one operation; NEXT: go on with the following one. */
typedef veil_http_rc_t rewrite_op_fn(veil_http_request_t *r,
                                     const rewrite_op_t *op);
typedef bool rewrite_test_fn(veil_http_request_t *r, const rewrite_op_t *op);

struct rewrite_op_s {
    rewrite_op_fn *run;
    const veil_http_value_t *value; /* text, replacement, operand */
    const veil_http_value_t *args;  /* of a rewrite: after its "?" */
    veil_http_regex_t *regex;
    unsigned variable;       /* of set, of if */
    int status;              /* of return; of a rewrite: redirect, or 0 */
    bool has_text;           /* of return */
    bool keep_args;          /* of a rewrite: the request's args are added */
    bool last;               /* of a rewrite: search a location again */
    bool stop;               /* of a rewrite: no further operations */
    bool negate;             /* of if */
    rewrite_test_fn *test;   /* of if */
    const veil_array_t *ops; /* of if: of rewrite_op_t */
    void *const *loc_conf;   /* of if in a location */
    const veil_conf_node_t *node;
};

typedef struct {
    veil_array_t *ops; /* of rewrite_op_t; not inherited by locations */
    bool log;
} rewrite_conf_t;

extern veil_module_t veil_http_rewrite_module;

#define REWRITE_WHERE                                                         \
    (VEIL_CONF_SERVER | VEIL_CONF_IF_SERVER | VEIL_CONF_LOCATION              \
     | VEIL_CONF_IF_LOCATION)

veil_conf_set_fn veil_rewrite_set_if; /* rewrite_if.c */
veil_http_lint_fn veil_rewrite_lint;  /* rewrite_lint.c */

/* rewrite_run.c */
rewrite_op_fn veil_rewrite_run_return;
rewrite_op_fn veil_rewrite_run_rewrite;
rewrite_op_fn veil_rewrite_run_set;
rewrite_op_fn veil_rewrite_run_break;
rewrite_op_fn veil_rewrite_run_if;
veil_http_handler_fn veil_rewrite_server_handler;
veil_http_handler_fn veil_rewrite_location_handler;

#endif
