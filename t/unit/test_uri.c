/*
 * test_uri.c -- normalising URIs, extensions, escapes, prefixes.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/parse/uri.h"

#define MERGE VEIL_URI_MERGE_SLASHES

typedef struct {
    const char *target;
    unsigned flags;
    const char *path; /* NULL: refused */
    const char *args;
    const char *ext;
    veil_http_parse_t error;
} uri_case_t;

#define GOOD(target, flags, path, args, ext)                                  \
    {                                                                         \
        target, flags, path, args, ext, VEIL_PARSE_OK                         \
    }
#define BAD(target, flags, error)                                             \
    {                                                                         \
        target, flags, NULL, NULL, NULL, VEIL_PARSE_##error                   \
    }

/* What nginx 1.22 makes of them, but for the empty one and "*". */
static const uri_case_t uri_cases[] = {
    GOOD("/", MERGE, "/", "", ""),
    GOOD("", MERGE, "/", "", ""),
    GOOD("*", MERGE, "*", "", ""),
    GOOD("?a", MERGE, "/", "a", ""),
    GOOD("#a?b", MERGE, "/", "", ""),
    GOOD("/a", MERGE, "/a", "", ""),
    GOOD("/a/b.html", MERGE, "/a/b.html", "", "html"),
    GOOD("/a.b/c", MERGE, "/a.b/c", "", ""),
    GOOD("/a.tar.gz", MERGE, "/a.tar.gz", "", "gz"),
    GOOD("/a.", MERGE, "/a.", "", ""),
    GOOD("/.profile", MERGE, "/.profile", "", ""),
    GOOD("/.a.b", MERGE, "/.a.b", "", "b"),
    GOOD("/..a.b", MERGE, "/..a.b", "", "b"),
    GOOD("/...", MERGE, "/...", "", ""),
    GOOD("/...a", MERGE, "/...a", "", ""),
    GOOD("/a.html?b=c", MERGE, "/a.html", "b=c", "html"),
    GOOD("/a?", MERGE, "/a", "", ""),
    GOOD("/a??b", MERGE, "/a", "?b", ""),
    GOOD("/a?b/../c", MERGE, "/a", "b/../c", ""),
    GOOD("/a?b%2", MERGE, "/a", "b%2", ""),
    GOOD("/a#b", MERGE, "/a", "", ""),
    GOOD("/a?b#c", MERGE, "/a", "b", ""),
    GOOD("/a#b?c", MERGE, "/a", "", ""),
    GOOD("/a//b", MERGE, "/a/b", "", ""),
    GOOD("//", MERGE, "/", "", ""),
    GOOD("///a//", MERGE, "/a/", "", ""),
    GOOD("/a//b", 0, "/a//b", "", ""),
    GOOD("/a//../b", 0, "/a/b", "", ""),
    GOOD("/a//../b", MERGE, "/b", "", ""),
    GOOD("/./a", MERGE, "/a", "", ""),
    GOOD("/a/.", MERGE, "/a/", "", ""),
    GOOD("/a/./", MERGE, "/a/", "", ""),
    GOOD("/a/..", MERGE, "/", "", ""),
    GOOD("/a/../", MERGE, "/", "", ""),
    GOOD("/a/b/../c.txt?d", MERGE, "/a/c.txt", "d", "txt"),
    GOOD("/a/b/../../c", MERGE, "/c", "", ""),
    GOOD("/a/..b/c", MERGE, "/a/..b/c", "", ""),
    GOOD("/a..", MERGE, "/a..", "", ""),
    GOOD("/a/.?b", MERGE, "/a/", "b", ""),
    GOOD("/a/..?b", MERGE, "/", "b", ""),
    GOOD("/a/..#b", MERGE, "/", "", ""),
    GOOD("/%61", MERGE, "/a", "", ""),
    GOOD("/a%20b", MERGE, "/a b", "", ""),
    GOOD("/a%2fb", MERGE, "/a/b", "", ""),
    GOOD("/a%2F%2fb", MERGE, "/a/b", "", ""),
    GOOD("/a/%2e%2E/b", MERGE, "/b", "", ""),
    GOOD("/a/%2e%2e%2fb", MERGE, "/b", "", ""),
    GOOD("/a/.%2e", MERGE, "/", "", ""),
    GOOD("/a%2ehtml", MERGE, "/a.html", "", "html"),
    GOOD("/a%3fb?c", MERGE, "/a?b", "c", ""),
    GOOD("/a%23b", MERGE, "/a#b", "", ""),
    GOOD("/a%252e%252e", MERGE, "/a%2e%2e", "", ""),
    GOOD("/%c3%a9", MERGE, "/\xc3\xa9", "", ""),
    GOOD("/\xc3\xa9", MERGE, "/\xc3\xa9", "", ""),
    GOOD("/a+b", MERGE, "/a+b", "", ""),
    GOOD("/a%0d%0ab", MERGE, "/a\r\nb", "", ""),
    GOOD("/a b\tc?d e", MERGE | VEIL_URI_INTERNAL, "/a b\tc", "d e", ""),
    BAD("/..", MERGE, URI_ROOT),
    BAD("/../a", MERGE, URI_ROOT),
    BAD("/a/../..", MERGE, URI_ROOT),
    BAD("/a/../../b", MERGE, URI_ROOT),
    BAD("/%2e%2e/a", MERGE, URI_ROOT),
    BAD("/%2e%2e%2fa", MERGE, URI_ROOT),
    BAD("//..", MERGE, URI_ROOT),
    GOOD("//..", 0, "/", "", ""),
    BAD("/.%2e?a", MERGE, URI_ROOT),
    BAD("/%", MERGE, URI_ESCAPE),
    BAD("/%2", MERGE, URI_ESCAPE),
    BAD("/%g0", MERGE, URI_ESCAPE),
    BAD("/%0g", MERGE, URI_ESCAPE),
    BAD("/%?0", MERGE, URI_ESCAPE),
    BAD("/%%", MERGE, URI_ESCAPE),
    BAD("/%u0041", MERGE, URI_ESCAPE),
    BAD("/a%00b", MERGE, URI_NUL),
    BAD("/a b", MERGE, TARGET),
    BAD("/a?b c", MERGE, TARGET),
    BAD("/\x7f", MERGE, TARGET),
    BAD("a", MERGE, TARGET_FORM),
    BAD("**", MERGE, TARGET_FORM),
};

/* A copy of exactly that size, for the address sanitizer. */
static veil_str_t
uri_copy(const char *z, size_t len)
{
    char *p = malloc(len);

    if (len != 0) {
        memcpy(p, z, len);
    }
    return veil_str_n(p, len);
}

static void
uri_drop(veil_str_t s)
{
    union {
        const char *from;
        char *to;
    } p = { .from = s.data };

    free(p.to);
}

static void
uri_check(const uri_case_t *c)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_str_t target = uri_copy(c->target, strlen(c->target));
    veil_http_uri_t u;
    veil_http_parse_t e;

    e = veil_http_uri_parse(pool, target, c->flags, &u);
    cr_expect_eq(e, c->error, "%s: %s", c->target, veil_http_parse_reason(e));
    if (c->path != NULL && e == VEIL_PARSE_OK) {
        cr_expect(veil_str_eq_z(u.path, c->path), "%s: %.*s", c->target,
                  VEIL_STR_ARG(u.path));
        cr_expect(veil_str_eq_z(u.args, c->args), "%s: %.*s", c->target,
                  VEIL_STR_ARG(u.args));
        cr_expect(veil_str_eq_z(u.ext, c->ext), "%s: %.*s", c->target,
                  VEIL_STR_ARG(u.ext));
        cr_expect_eq(u.changed,
                     strncmp(c->target, c->path, strlen(c->path)) != 0
                         || strchr("?#", c->target[strlen(c->path)]) == NULL,
                     "%s", c->target);
        cr_expect_eq(
            u.has_args,
            strchr(c->target, '?') != NULL
                && (strchr(c->target, '#') == NULL
                    || strchr(c->target, '#') > strchr(c->target, '?')),
            "%s", c->target);
    }
    uri_drop(target);
    veil_pool_destroy(&pool);
}

Test(uri, cases)
{
    size_t i;

    for (i = 0; i < veil_countof(uri_cases); i++) {
        uri_check(&uri_cases[i]);
    }
}

/* Whatever comes out is a path that cannot climb, with no NUL in it. */
Test(uri, flipped)
{
    static const unsigned char flips[] = { 0x01, 0x02, 0x10, 0x20, 0x80 };
    veil_http_parse_t e;
    veil_pool_t *pool;
    veil_http_uri_t u;
    veil_str_t target;
    size_t i, j, k, len;
    char bent[64];

    for (i = 0; i < veil_countof(uri_cases); i++) {
        len = strlen(uri_cases[i].target);
        for (j = 0; j < len * veil_countof(flips); j++) {
            memcpy(bent, uri_cases[i].target, len);
            k = j / veil_countof(flips);
            bent[k] = (char) (bent[k] ^ flips[j % veil_countof(flips)]);
            target = uri_copy(bent, len);
            pool = veil_pool_create("test", 1024);
            e = veil_http_uri_parse(pool, target, uri_cases[i].flags, &u);
            if (e == VEIL_PARSE_OK) {
                cr_assert(u.path.len != 0);
                cr_assert(u.path.data[0] == '/' || len == 1);
                cr_assert(!veil_http_path_is_unsafe(u.path));
            }
            veil_pool_destroy(&pool);
            uri_drop(target);
        }
    }
}

/* A NUL that is sent as such does not even get here, but in HTTP/2. */
Test(uri, raw_nul)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_http_uri_t u;

    cr_expect_eq(veil_http_uri_parse(pool, veil_str_n("/a\0b", 4), 0, &u),
                 VEIL_PARSE_URI_NUL);
    cr_expect_eq(veil_http_uri_parse(pool, veil_str_n("/a\0b", 4),
                                     VEIL_URI_INTERNAL, &u),
                 VEIL_PARSE_URI_NUL);
    cr_expect_eq(veil_http_uri_parse(pool, veil_str_n("/a?\0b", 5),
                                     VEIL_URI_INTERNAL, &u),
                 VEIL_PARSE_TARGET);
    veil_pool_destroy(&pool);
}

/* What needs nothing is not copied. */
Test(uri, views)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_str_t target = VEIL_STR("/some/file.html?with=args");
    veil_http_uri_t u;

    veil_http_uri_parse(pool, target, MERGE, &u);
    cr_expect_eq(u.path.data, target.data);
    cr_expect_eq(u.args.data, target.data + 16);
    cr_expect_eq(u.ext.data, target.data + 11);
    cr_expect(!u.changed);
    target = VEIL_STR("/plain-_.!~*'()");
    cr_expect_eq(veil_http_uri_escape(pool, target).data, target.data);
    veil_pool_destroy(&pool);
}

Test(uri, split)
{
    veil_http_uri_t u;

    veil_http_uri_split(VEIL_STR("/a b/../c.d?e?f"), &u);
    cr_expect(veil_str_eq_z(u.path, "/a b/../c.d"));
    cr_expect(veil_str_eq_z(u.args, "e?f"));
    cr_expect(veil_str_eq_z(u.ext, "d"));
    cr_expect(u.has_args);
    veil_http_uri_split(VEIL_STR(""), &u);
    cr_expect_eq(u.path.len, 0);
    cr_expect(!u.has_args);
}

Test(uri, escape)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_str_t s;

    s = veil_http_uri_escape(pool, VEIL_STR("/a b?#%\"\r\n\x7f\xc3\xa9+&"));
    cr_expect(veil_str_eq_z(s, "/a%20b%3F%23%25%22%0D%0A%7F%C3%A9+&"), "%.*s",
              VEIL_STR_ARG(s));
    veil_pool_destroy(&pool);
}

Test(uri, unsafe)
{
    cr_expect(veil_http_path_is_unsafe(VEIL_STR("..")));
    cr_expect(veil_http_path_is_unsafe(VEIL_STR("/..")));
    cr_expect(veil_http_path_is_unsafe(VEIL_STR("../a")));
    cr_expect(veil_http_path_is_unsafe(VEIL_STR("/a/../b")));
    cr_expect(veil_http_path_is_unsafe(VEIL_STR("/a/..")));
    cr_expect(veil_http_path_is_unsafe(VEIL_STR("/a\0b")));
    cr_expect(!veil_http_path_is_unsafe(VEIL_STR("")));
    cr_expect(!veil_http_path_is_unsafe(VEIL_STR("/a..b/...")));
    cr_expect(!veil_http_path_is_unsafe(VEIL_STR("/..a/a../.")));
}

Test(uri, prefixes)
{
    static const struct {
        const char *path, *prefix, *rest; /* NULL: no match */
    } cases[] = {
        { "/docs", "/docs", "" },
        { "/docs/", "/docs", "" },
        { "/docs", "/docs/", "" },
        { "/docs/", "/docs/", "" },
        { "/docs/a/b", "/docs", "a/b" },
        { "/docs/a/b", "/docs/", "a/b" },
        { "/docs//a/", "/docs/", "a/" },
        { "/docsa", "/docs", NULL },
        { "/docsa", "/docs/", NULL },
        { "/doc", "/docs", NULL },
        { "/docs../x", "/docs", NULL },
        { "/", "/", "" },
        { "/a", "/", "a" },
        { "/", "/a", NULL },
    };
    veil_str_t path, prefix;
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        path = veil_str_z(cases[i].path);
        prefix = veil_str_z(cases[i].prefix);
        cr_expect_eq(veil_http_path_is_below(path, prefix),
                     cases[i].rest != NULL, "%s %s", cases[i].path,
                     cases[i].prefix);
        if (cases[i].rest != NULL) {
            cr_expect(veil_str_eq_z(veil_http_path_rest(path, prefix),
                                    cases[i].rest),
                      "%s %s", cases[i].path, cases[i].prefix);
        }
    }
}

Test(uri, join)
{
    static const char *const cases[][3] = {
        { "/app/", "v1/users", "/app/v1/users" },
        { "/app", "v1", "/app/v1" },
        { "/app//", "//v1", "/app/v1" },
        { "/app/", "", "/app/" },
        { "/app", "", "/app/" },
        { "", "", "/" },
        { "", "users", "/users" },
        { "/", "/a/", "/a/" },
    };
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_str_t s;
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        s = veil_http_path_join(pool, veil_str_z(cases[i][0]),
                                veil_str_z(cases[i][1]));
        cr_expect(veil_str_eq_z(s, cases[i][2]), "%.*s", VEIL_STR_ARG(s));
    }
    veil_pool_destroy(&pool);
}
