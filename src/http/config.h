/*
 * config.h -- blocks of http {} as setters, for the core module's table, and
 * the layer's description for blocks made elsewhere (if, upstream).
 */

#ifndef VEIL_HTTP_CONFIG_H
#define VEIL_HTTP_CONFIG_H

#include "core/conf.h"

extern const veil_conf_layer_t veil_http_layer;

/*
 * Temporary files will be made in this directory: it is created, for the
 * workers' user, before the first worker starts.
 */
void veil_http_use_temp_path(veil_conf_t *cf, veil_str_t path);

veil_conf_set_fn veil_http_set_server;
veil_conf_set_fn veil_http_set_location;
veil_conf_set_fn veil_http_set_route;
veil_conf_set_fn veil_http_set_limit_except;

#endif
