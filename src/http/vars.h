/*
 * vars.h -- what variable.c and value.c share; nobody else includes it.
 */

#ifndef VEIL_HTTP_VARS_H
#define VEIL_HTTP_VARS_H

#include "core/hash.h"
#include "http/http.h"

/* main->vars: all variables of one configuration. */
struct veil_http_vars_s {
    veil_array_t list;     /* of veil_http_variable_t *, by index */
    veil_array_t nodes;    /* of veil_conf_node_t *: who mentioned it first */
    veil_array_t prefixes; /* of const veil_http_var_def_t * */
    veil_array_t defs;     /* of const veil_http_var_def_t * */
};

/* Before http {}'s content: takes the modules' tables. */
void veil_http_vars_init(veil_conf_t *cf, veil_http_main_t *main);
/* After: finds the definition of each variable that was mentioned. */
veil_rc_t veil_http_vars_check(veil_conf_t *cf);

#endif
