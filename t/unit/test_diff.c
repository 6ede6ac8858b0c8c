/* test_diff.c -- what tells one configuration from another. */

#include <criterion/criterion.h>

#include "../../src/process/reload/diff.c"
#include "../../src/process/reload/diff_tree.c"

#include "core/cycle.h"

static veil_cycle_t *cycle;
static veil_conf_t cf;
static json_t *diff;
static json_t *facts[2];

static void
setup(void)
{
    cycle = veil_cycle_create(VEIL_STR("/tmp"), VEIL_STR("/tmp/veil.conf"),
                              VEIL_STR("stderr"), VEIL_STR_NULL);
    cf = (veil_conf_t){ .cycle = cycle,
                        .pool = cycle->pool,
                        .temp_pool = cycle->pool,
                        .log = &cycle->log };
}

static void
teardown(void)
{
    json_decref(diff);
    json_decref(facts[0]);
    json_decref(facts[1]);
    veil_cycle_destroy(&cycle);
}

TestSuite(diff, .init = setup, .fini = teardown);

static void
make(const char *from, const char *to)
{
    veil_diff_side_t a = { .facts = facts[0] };
    veil_diff_side_t b = { .facts = facts[1] };

    a.tree = veil_conf_parse(&cf, VEIL_STR("old"), veil_str_z(from));
    b.tree = veil_conf_parse(&cf, VEIL_STR("new"), veil_str_z(to));
    cr_assert_not_null(a.tree);
    cr_assert_not_null(b.tree);
    json_decref(diff);
    diff = veil_diff_make(&a, &b);
}

static const char *
summary(void)
{
    return json_string_value(json_object_get(diff, "summary"));
}

static const char *
of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s == NULL ? "-" : s;
}

/* All changes as "op|path|from|to". */
static const char *
changes(void)
{
    static char buf[4096];
    const json_t *list = json_object_get(diff, "changes");
    size_t i, n = 0;

    buf[0] = '\0';
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);

        n += veil_snprintf(buf + n, sizeof(buf) - n, "%s|%s|%s|%s\n",
                           of(c, "op"), of(c, "path"), of(c, "from"),
                           of(c, "to"));
    }
    return buf;
}

#define CHANGES(text) cr_assert_str_eq(changes(), text)

Test(diff, the_same)
{
    make("a 1; http { server { listen 80; } }",
         "a   1;\nhttp {\n server { listen \"80\"; } # x\n}");
    cr_assert(json_is_true(json_object_get(diff, "same")));
    cr_assert_str_eq(summary(), "nothing has changed");
    CHANGES("");
}

Test(diff, simple_directives)
{
    make("worker_processes 2; pid x; user a;",
         "worker_processes 4; user a; daemon off;");
    CHANGES("changed||worker_processes 2|worker_processes 4\n"
            "removed||pid x|-\n"
            "added||-|daemon off\n");
    cr_assert_str_eq(summary(), "directives: 1 added, 1 removed, 1 changed");
    cr_assert_not(json_is_true(json_object_get(diff, "same")));
}

Test(diff, a_change_has_its_place)
{
    const json_t *c;

    make("a 1;", "\n\n  a 2;");
    c = json_array_get(json_object_get(diff, "changes"), 0);
    cr_assert_str_eq(of(c, "file"), "new");
    cr_assert_eq(json_integer_value(json_object_get(c, "line")), 3);
}

Test(diff, paths_name_the_blocks)
{
    make("http { server { server_name a.example b; listen 80;"
         " location /x { root /1; } } }",
         "http { server { server_name a.example b; listen 80; listen 81;"
         " location /x { root /2; } } }");
    CHANGES("changed|http > server a.example > location /x|root /1|root /2\n"
            "added|http > server a.example|-|listen 81\n");
}

Test(diff, servers_are_known_by_their_names)
{
    make("http { server { server_name a; root /1; }"
         " server { server_name b; root /1; } }",
         "http { server { server_name c; root /1; }"
         " server { server_name b; root /2; }"
         " server { server_name a; root /1; } }");
    CHANGES("changed|http > server b|root /1|root /2\n"
            "added|http|-|server c { 2 directives }\n");
}

Test(diff, of_servers_with_one_name_the_listen_decides)
{
    make("http { server { listen 80; server_name a; x 1; }"
         " server { listen 443; server_name a; x 2; } }",
         "http { server { listen 443; server_name a; x 3; }"
         " server { listen 80; server_name a; x 1; } }");
    CHANGES("changed|http > server a|x 2|x 3\n");
}

Test(diff, the_only_server_may_change_its_name)
{
    make("http { server { server_name a; listen 80; } }",
         "http { server { server_name b; listen 80; } }");
    CHANGES("changed|http > server b|server_name a|server_name b\n");
}

Test(diff, a_server_without_a_name_is_known_by_its_address)
{
    make("http { server { listen 80; root /1; } server { listen 81; } }",
         "http { server { listen 80; root /2; } server { listen 81; } }");
    CHANGES("changed|http > server 80|root /1|root /2\n");
}

Test(diff, locations)
{
    make("location /a { x 1; } location ~ \\.php$ { x 1; }",
         "location /b { x 1; } location ~ \\.php$ { x 2; }");
    CHANGES("changed|location ~ \"\\.php$\"|x 1|x 2\n"
            "removed||location /a { 1 directive }|-\n"
            "added||-|location /b { 1 directive }\n");
}

Test(diff, directives_that_repeat)
{
    make("add_header A 1; add_header B 1; add_header B 1; allow x;",
         "add_header A 2; add_header B 1; add_header C 1; allow y; deny z;");
    CHANGES("changed||add_header A 1|add_header A 2\n"
            "changed||add_header B 1|add_header C 1\n"
            "changed||allow x|allow y\n"
            "added||-|deny z\n");
}

Test(diff, order)
{
    make("http { rewrite a b; rewrite c d; }",
         "http { rewrite c d; rewrite a b; }");
    CHANGES("reordered|http|-|-\n");
    cr_assert_str_eq(summary(), "directives: 1 changed");
}

Test(diff, a_block_and_a_directive_of_one_name)
{
    make("server a;", "server { x 1; }");
    CHANGES("removed||server a|-\n"
            "added||-|server { 1 directive }\n");
}

Test(diff, words_are_quoted_where_they_need_it)
{
    make("a 'b c' '';", "");
    CHANGES("removed||a \"b c\" \"\"|-\n");
}

Test(diff, long_directives_are_cut)
{
    char text[1024];
    const json_t *c;

    memset(text, 'x', sizeof(text));
    veil_snprintf(text + 1000, sizeof(text) - 1000, " 1;");
    make(text, "");
    c = json_array_get(json_object_get(diff, "changes"), 0);
    cr_assert_eq(strlen(of(c, "from")), VEIL_DIFF_TEXT + 3);
    cr_assert_str_eq(of(c, "from") + VEIL_DIFF_TEXT - 1, "x...");
}

Test(diff, what_is_no_utf8)
{
    make("a \xff;", "a b;");
    CHANGES("changed||a ?|a b\n");
}

Test(diff, lists_are_bounded)
{
    char *text = veil_alloc(100000);
    size_t n = 0;
    unsigned i;

    for (i = 0; i < 1000; i++) {
        n += veil_snprintf(text + n, 100000 - n, "allow %u;", i);
    }
    make("", text);
    veil_free(text);
    cr_assert_eq(json_array_size(json_object_get(diff, "changes")),
                 VEIL_DIFF_LIST);
    cr_assert_eq(json_integer_value(json_object_get(diff, "more")), 800);
    cr_assert_str_eq(summary(), "directives: 1000 added");
}

Test(diff, servers_of_upstreams)
{
    const json_t *u;

    make("http { upstream u { server a; server b weight=1; } }",
         "http { upstream u { server b weight=2; server c; }"
         " upstream v { server a; keepalive 3; } }");
    u = json_object_get(diff, "upstreams");
    cr_assert_eq(json_array_size(json_object_get(u, "added")), 2);
    cr_assert_str_eq(
        of(json_array_get(json_object_get(u, "added"), 0), "server"), "c");
    cr_assert_str_eq(
        of(json_array_get(json_object_get(u, "added"), 1), "upstream"), "v");
    cr_assert_eq(json_array_size(json_object_get(u, "removed")), 1);
    cr_assert_not_null(
        strstr(summary(), "; upstream servers: 2 added, 1 removed"), "%s",
        summary());
}

Test(diff, facts)
{
    const json_t *o;

    facts[0] =
        json_pack("{s:i, s:{s:i, s:i, s:i}, s:{s:{s:i}, s:{s:i}, s:{s:i}}, "
                  "s:{s:s, s:s, s:s}}",
                  "workers", 2, "listeners", "a:80", 1, "b:80", 2, "c:80", 1,
                  "zones", "one", "size", 1, "two", "size", 2, "three", "size",
                  3, "files", "/a.pem", "aa", "/b.pem", "bb", "/c.pem", "cc");
    facts[1] = json_pack(
        "{s:i, s:{s:i, s:i, s:i}, s:{s:{s:i}, s:{s:i}}, s:{s:s, s:s}}",
        "workers", 4, "listeners", "a:80", 1, "b:80", 4, "d:80", 1, "zones",
        "one", "size", 1, "two", "size", 4, "files", "/a.pem", "aa", "/b.pem",
        "b2");
    make("a 1;", "a 1;");
    cr_assert_str_eq(summary(),
                     "listeners: 1 added, 1 removed, 1 changed; workers: 4, "
                     "were 2; zones: 1 removed, 1 renewed; certificates: 1 "
                     "renewed");
    cr_assert_not(json_is_true(json_object_get(diff, "same")));
    o = json_array_get(
        json_object_get(json_object_get(diff, "listeners"), "changed"), 0);
    cr_assert_str_eq(of(o, "address"), "b:80");
    cr_assert_eq(json_integer_value(json_object_get(o, "from")), 2);
    cr_assert_eq(json_integer_value(json_object_get(o, "to")), 4);
    o = json_object_get(diff, "certificates");
    cr_assert_eq(json_array_size(o), 1);
    cr_assert_str_eq(json_string_value(json_array_get(o, 0)), "/b.pem");
}

Test(diff, facts_of_one_side_only)
{
    facts[1] = json_pack("{s:i}", "workers", 4);
    make("a 1;", "a 1;");
    cr_assert_str_eq(summary(), "nothing has changed");
    cr_assert_null(json_object_get(diff, "workers"));
}

/* n * n would take minutes. */
Test(diff, a_large_configuration, .timeout = 240)
{
    size_t size = 8 * 1024 * 1024, n = 0;
    char *from = veil_alloc(size);
    char *to = veil_alloc(size);
    unsigned i;

    n = veil_snprintf(from, size, "http { server {");
    for (i = 0; i < 50000; i++) {
        n += veil_snprintf(from + n, size - n, "location /%u { root /%u; }", i,
                           i % 7);
    }
    veil_snprintf(from + n, size - n, "} }");
    n = veil_snprintf(to, size, "http { server {");
    for (i = 50000; i-- > 0;) {
        n += veil_snprintf(to + n, size - n, "location /%u { root /%u; }", i,
                           i == 777 ? 8 : i % 7);
    }
    veil_snprintf(to + n, size - n, "} }");
    make(from, to);
    veil_free(from);
    veil_free(to);
    cr_assert_str_eq(summary(), "directives: 1 changed");
}
