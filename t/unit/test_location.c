/*
 * test_location.c -- which location and which server: random sets of prefixes,
 * exact locations, routes and names, looked up and compared with a search of
 * all of them, one by one.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "core/cycle.h"
#include "core/rand.h"
#include "http/http.h"
#include "http/location.h"
#include "http/server.h"

static veil_cycle_t *cycle;
static uint64_t seed;

/* The same sequence in each run: a failure can be repeated. */
static unsigned
next(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned) (seed >> 33) % n;
}

static veil_http_main_t *
load(const char *text)
{
    veil_str_t s = veil_str_z(text);
    veil_http_main_t *main;

    cr_assert(veil_modules_init() == VEIL_OK);
    cycle = veil_cycle_create(VEIL_STR("/nowhere"), VEIL_STR("/nowhere/f"),
                              VEIL_STR("stderr"), VEIL_STR_NULL);
    cycle->testing = true;
    cr_assert_eq(veil_cycle_load(cycle, &s), VEIL_OK, "%s", text);
    main = cycle->http;
    return main;
}

static void
done(void)
{
    veil_cycle_destroy(&cycle);
}

/* --- locations -------------------------------------------------------------
 */

typedef struct {
    char name[32];
    char kind; /* '=' exact, 'p' prefix, 'r' route */
} entry_t;

static void
random_uri(char *buf)
{
    static const char letters[] = "ab/.-";
    unsigned i, n = 1 + next(10);

    buf[0] = '/';
    for (i = 1; i < n; i++) {
        buf[i] = letters[next(5)];
    }
    buf[n] = '\0';
}

/* A route's name counts without its slash. */
static size_t
entry_len(const entry_t *e)
{
    size_t n = strlen(e->name);

    return e->kind == 'r' && e->name[n - 1] == '/' ? n - 1 : n;
}

static bool
entry_conflicts(const entry_t *a, const entry_t *b)
{
    return (a->kind == '=') == (b->kind == '=') && entry_len(a) == entry_len(b)
           && memcmp(a->name, b->name, entry_len(a)) == 0;
}

static bool
entry_matches(const entry_t *e, const char *uri)
{
    size_t n = entry_len(e);

    if (e->kind == '=') {
        return strcmp(e->name, uri) == 0;
    }
    return strncmp(e->name, uri, n) == 0
           && (e->kind == 'p' || uri[n] == '\0' || uri[n] == '/');
}

static const entry_t *
search(const entry_t *list, unsigned n, const char *uri)
{
    const entry_t *best = NULL;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (!entry_matches(&list[i], uri)) {
            continue;
        }
        if (list[i].kind == '=') {
            return &list[i];
        }
        if (best == NULL || entry_len(&list[i]) > entry_len(best)) {
            best = &list[i];
        }
    }
    return best;
}

static unsigned
random_entries(entry_t *list, unsigned want)
{
    unsigned i, j, n = 0;

    for (i = 0; i < want; i++) {
        random_uri(list[n].name);
        list[n].kind = "=ppr"[next(4)];
        for (j = 0; j < n && !entry_conflicts(&list[j], &list[n]); j++) {
        }
        n += j == n;
    }
    return n;
}

static void
check_uri(const veil_http_server_t *s, const entry_t *list, unsigned n,
          const char *uri)
{
    const entry_t *want = search(list, n, uri);
    const veil_http_location_t *got =
        veil_http_location_lookup(s, veil_str_z(uri));

    if (want == NULL || got == NULL) {
        cr_assert(want == NULL && got == NULL, "\"%s\": wanted %s, got %.*s",
                  uri, want == NULL ? "none" : want->name,
                  got == NULL ? 4 : (int) got->name.len,
                  got == NULL ? "none" : got->name.data);
        return;
    }
    cr_assert(veil_str_eq_z(got->name, want->name)
                  && got->exact == (want->kind == '=')
                  && got->is_route == (want->kind == 'r'),
              "\"%s\": wanted %c %s, got %.*s", uri, want->kind, want->name,
              VEIL_STR_ARG(got->name));
}

static void
check_round(void)
{
    static char text[65536];
    static entry_t list[200];
    unsigned i, n = random_entries(list, 1 + next(200));
    veil_http_main_t *main;
    size_t len;
    char uri[32];

    len = veil_snprintf(text, sizeof(text),
                        "http { access_log off; server { listen 127.0.0.1:1;");
    for (i = 0; i < n; i++) {
        len += veil_snprintf(text + len, sizeof(text) - len,
                             list[i].kind == 'r'   ? "route %s {}\n"
                             : list[i].kind == '=' ? "location = %s {}\n"
                                                   : "location %s {}\n",
                             list[i].name);
    }
    (void) veil_snprintf(text + len, sizeof(text) - len, "}}");
    main = load(text);
    for (i = 0; i < 2000; i++) {
        random_uri(uri);
        check_uri(*veil_array_at(&main->servers, veil_http_server_t *, 0),
                  list, n, uri);
    }
    done();
}

Test(location, as_a_search_of_all)
{
    unsigned i;

    for (i = 1; i <= 30; i++) {
        seed = i;
        check_round();
    }
}

/* --- servers ---------------------------------------------------------------
 */

static const char *
server_of(const veil_http_main_t *main, const char *host)
{
    const veil_http_port_t *port =
        *veil_array_at(&main->ports, veil_http_port_t *, 0);

    return veil_http_server_find(port, veil_str_z(host), NULL)->name.data;
}

Test(server, names)
{
    veil_http_main_t *main =
        load("http { access_log off;"
             "server { listen 127.0.0.1:1; server_name default; }"
             "server { listen 127.0.0.1:1; server_name a.b; }"
             "server { listen 127.0.0.1:1; server_name *.b; }"
             "server { listen 127.0.0.1:1; server_name *.a.b; }"
             "server { listen 127.0.0.1:1; server_name a.*; }"
             "server { listen 127.0.0.1:1; server_name a.c.*; }"
             "server { listen 127.0.0.1:1; server_name .dot; }"
             "server { listen 127.0.0.1:1; server_name \"\"; }"
             "}");

    cr_expect_str_eq(server_of(main, "default"), "default");
    cr_expect_str_eq(server_of(main, "unknown"), "default");
    cr_expect_str_eq(server_of(main, "a.b"), "a.b");
    cr_expect_str_eq(server_of(main, "c.b"), "*.b");
    cr_expect_str_eq(server_of(main, "c.c.b"), "*.b");
    cr_expect_str_eq(server_of(main, "x.a.b"), "*.a.b");
    cr_expect_str_eq(server_of(main, "x.y.a.b"), "*.a.b");
    cr_expect_str_eq(server_of(main, "b"), "default");
    cr_expect_str_eq(server_of(main, "a.x"), "a.*");
    cr_expect_str_eq(server_of(main, "a.x.y"), "a.*");
    cr_expect_str_eq(server_of(main, "a.c.x"), "a.c.*");
    cr_expect_str_eq(server_of(main, "dot"), ".dot");
    cr_expect_str_eq(server_of(main, "x.dot"), ".dot");
    cr_expect_str_eq(server_of(main, "xdot"), "default");
    cr_expect_str_eq(server_of(main, ""), "");
    done();
}

/* The nearest wildcard of many, by cutting labels one by one. */
Test(server, longest_wildcard)
{
    static char text[32768], host[64], want[64];
    static const char *const labels[] = { "a", "b", "c" };
    veil_http_main_t *main;
    unsigned i, j, k;
    size_t len;

    len = veil_snprintf(text, sizeof(text), "http { access_log off;");
    for (i = 0; i < 3; i++) {
        for (j = 0; j < 3; j++) {
            len += veil_snprintf(
                text + len, sizeof(text) - len,
                "server { listen 127.0.0.1:1; server_name *.%s.%s; }",
                labels[i], labels[j]);
        }
    }
    (void) veil_snprintf(text + len, sizeof(text) - len, "}");
    main = load(text);
    for (i = 0; i < 3; i++) {
        for (j = 0; j < 3; j++) {
            for (k = 0; k < 3; k++) {
                (void) veil_snprintf(host, sizeof(host), "%s.%s.%s", labels[k],
                                     labels[i], labels[j]);
                (void) veil_snprintf(want, sizeof(want), "*.%s.%s", labels[i],
                                     labels[j]);
                cr_expect_str_eq(server_of(main, host), want);
            }
        }
    }
    done();
}
