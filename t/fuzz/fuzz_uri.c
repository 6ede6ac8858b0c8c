/*
 * fuzz_uri.c -- normalising of URIs, hosts, prefixes.
 *
 * Of a path that comes out it must hold that it begins with a slash, cannot
 * climb, and that escaping it and parsing again gives it back.  The last byte
 * holds the flags.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "http/parse/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
uri_check(veil_pool_t *pool, const veil_http_uri_t *u, unsigned flags)
{
    veil_http_uri_t again;
    veil_str_t escaped, joined;

    VEIL_ASSERT(u->path.len != 0);
    if (u->path.data[0] != '/') {
        VEIL_ASSERT(veil_str_eq(u->path, VEIL_STR("*")));
        return;
    }
    VEIL_ASSERT(!veil_http_path_is_unsafe(u->path));
    VEIL_ASSERT((flags & VEIL_URI_MERGE_SLASHES) == 0 || u->path.len < 2
                || memmem(u->path.data, u->path.len, "//", 2) == NULL);
    VEIL_ASSERT(u->ext.len == 0 || veil_str_ends(u->path, u->ext));

    escaped = veil_http_uri_escape(pool, u->path);
    VEIL_ASSERT(veil_http_uri_parse(pool, escaped, flags, &again)
                == VEIL_PARSE_OK);
    VEIL_ASSERT(veil_str_eq(again.path, u->path));
    VEIL_ASSERT(again.args.len == 0 && veil_str_eq(again.ext, u->ext));

    VEIL_ASSERT(veil_http_path_is_below(u->path, u->path));
    VEIL_ASSERT(veil_http_path_is_below(u->path, VEIL_STR("/")));
    joined = veil_http_path_join(pool, VEIL_STR("/base/"),
                                 veil_http_path_rest(u->path, VEIL_STR("/")));
    VEIL_ASSERT(!veil_http_path_is_unsafe(joined));
    VEIL_ASSERT(veil_http_path_is_below(joined, VEIL_STR("/base")));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    veil_http_host_t host;
    veil_http_uri_t uri;
    veil_pool_t *pool;
    veil_str_t target;
    unsigned flags;
    char *copy;

    if (size == 0 || size > 2048) {
        return 0;
    }
    flags = data[--size] & 3u;
    copy = malloc(size);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    target = veil_str_n(copy, size);
    pool = veil_pool_create("fuzz", 1024);
    if (veil_http_uri_parse(pool, target, flags, &uri) == VEIL_PARSE_OK) {
        uri_check(pool, &uri, flags);
    }
    veil_http_uri_split(target, &uri);
    if (veil_http_host_parse(target, &host) == VEIL_PARSE_OK) {
        VEIL_ASSERT(host.name.len != 0 && host.name.len <= size);
        VEIL_ASSERT(!veil_http_path_is_unsafe(host.name));
        VEIL_ASSERT(memchr(host.name.data, '/', host.name.len) == NULL);
    }
    veil_pool_destroy(&pool);
    free(copy);
    return 0;
}
