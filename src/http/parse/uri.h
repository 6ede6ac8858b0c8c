/*
 * uri.h -- URIs as routing sees them: normalised, decoded, split.
 *
 * Rules are nginx's: escapes are decoded once, "." and ".." segments are
 * resolved (escaped ones too), slashes merged if wanted, the query is cut off
 * at the first "?" and never touched, a fragment is dropped.  Pure functions;
 * results are views of the input or live in the pool.
 */

#ifndef VEIL_HTTP_URI_H
#define VEIL_HTTP_URI_H

#include "http/parse/parse.h"

enum {
    VEIL_URI_MERGE_SLASHES = 1, /* merge_slashes on */
    /* Blanks and controls but NUL may stand in it: not from a client. */
    VEIL_URI_INTERNAL = 2
};

typedef struct {
    veil_str_t path; /* begins with "/", or is "*" */
    veil_str_t args; /* as received; empty also when there is no "?" */
    veil_str_t ext;  /* behind the last dot of the last segment; a view of
                        path; dots at the start of a segment do not count */
    bool has_args;   /* there was a "?" */
    bool changed;    /* path is not what was received */
} veil_http_uri_t;

/*
 * Takes the uri of a request line (or :path).  "?..." and an empty one mean
 * the path "/"; "*" stays.  Allocates only where the path changes.
 *
 * TARGET: a blank or control, URI_ESCAPE, URI_NUL, URI_ROOT: ".." above the
 * root, TARGET_FORM: no path.
 */
veil_http_parse_t veil_http_uri_parse(veil_pool_t *pool, veil_str_t target,
                                      unsigned flags, veil_http_uri_t *uri);

/*
 * Splits what is normalised already (the result of a rewrite): path, args and
 * extension, all views; nothing is decoded or refused.
 */
void veil_http_uri_split(veil_str_t text, veil_http_uri_t *uri);

/* The extension of a path, without the dot; empty: none. */
veil_str_t veil_http_path_ext(veil_str_t path);

/*
 * Escapes a decoded path for the wire; the path itself when there is nothing
 * to escape.
 */
veil_str_t veil_http_uri_escape(veil_pool_t *pool, veil_str_t path);

/* Whether it has a segment ".." or a NUL: must not become a file name. */
bool veil_http_path_is_unsafe(veil_str_t path);

/* --- prefixes by segment (route) ------------------------------------------*/

/*
 * Whether path is prefix or lies below it.  A slash at the end of prefix says
 * nothing: "/docs" and "/docs/" both match /docs, /docs/ and /docs/a, and
 * neither matches /docsa.
 */
bool veil_http_path_is_below(veil_str_t path, veil_str_t prefix);

/*
 * The rest of such a path, without slashes in front: "" for the prefix
 * itself.
 */
veil_str_t veil_http_path_rest(veil_str_t path, veil_str_t prefix);

/*
 * base and rest with exactly one slash between them, also when rest is empty
 * or either brings slashes of its own.
 */
veil_str_t veil_http_path_join(veil_pool_t *pool, veil_str_t base,
                               veil_str_t rest);

#endif
