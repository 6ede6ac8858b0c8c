/*
 * core_module.h -- setters of the core module, for its table.
 */

#ifndef VEIL_HTTP_CORE_MODULE_H
#define VEIL_HTTP_CORE_MODULE_H

#include "http/config.h"
#include "http/core_conf.h"

#define VEIL_KEEPALIVE_DISABLE_NONE 1u
#define VEIL_KEEPALIVE_DISABLE_MSIE6 2u
#define VEIL_KEEPALIVE_DISABLE_SAFARI 4u

void veil_http_core_server_default(void *conf);
void veil_http_core_loc_default(void *conf);
veil_rc_t veil_http_core_loc_finish(veil_conf_t *cf, void *conf,
                                    const void *parent);

veil_conf_set_fn veil_http_core_set_root;
veil_conf_set_fn veil_http_core_set_alias;
veil_conf_set_fn veil_http_core_set_types;
veil_conf_set_fn veil_http_core_set_symlinks;
veil_conf_set_fn veil_http_core_set_file_cache;
veil_conf_set_fn veil_http_core_set_index;
veil_conf_set_fn veil_http_core_set_min_uses;
veil_conf_set_fn veil_http_core_set_keepalive_timeout;
veil_conf_set_fn veil_http_core_set_large_buffers;
veil_conf_set_fn veil_http_core_set_server_tokens;
veil_conf_set_fn veil_http_core_set_error_log;
veil_conf_set_fn veil_http_core_set_resolver;
veil_conf_set_fn veil_http_core_set_error_page;
veil_conf_set_fn veil_http_core_set_temp_path;

/* The arguments of a "resolver" directive; NULL after reporting. */
veil_resolver_options_t *veil_http_resolver_options(veil_conf_t *cf);

#endif
