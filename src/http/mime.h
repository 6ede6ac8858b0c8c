/*
 * mime.h -- tables from file extensions to media types ("types { }").
 */

#ifndef VEIL_HTTP_MIME_H
#define VEIL_HTTP_MIME_H

#include "core/pool.h"
#include "core/str.h"

typedef struct veil_mime_table_s veil_mime_table_t;

/* An empty table in the pool; it lives as long. */
veil_mime_table_t *veil_mime_table_create(veil_pool_t *pool);

/*
 * Files with this extension (no dot; case does not count) are of this type.
 * The last one given counts; false: there was one before.  ext is copied,
 * type is not.
 */
bool veil_mime_table_add(veil_mime_table_t *t, veil_str_t ext,
                         veil_str_t type);

/* What nginx has without a types block: html, gif, jpg. */
void veil_mime_table_add_defaults(veil_mime_table_t *t);

/* The type, or an empty string with NULL data. */
veil_str_t veil_mime_table_find(const veil_mime_table_t *t, veil_str_t ext);

#endif
