/*
 * test_conf.c -- the tree becomes confs: passes, copy on write, what is
 * inherited and what is not, duplicates, the typed setters, and the texts of
 * all errors.
 *
 * The modules here are the test's own: the list that configure makes is
 * replaced by the one below.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "conf_fixture.h"
#include "core/main_conf.h"

typedef struct {
    bool flag;
    int64_t num;
    int64_t size;
    uint64_t msec;
    int64_t sec;
    veil_str_t str;
    veil_str_t path;
    veil_array_t *strs;
    veil_array_t *kv;
    int choice;
    unsigned mask;
    veil_conf_cache_t cache;
    int64_t own;
    bool own_flag;
    veil_log_sink_t *sinks;
    char trace[256]; /* what setters saw, in their order */
    unsigned finished;
    const void *parent;
} loc_t;

typedef struct {
    int64_t value;
    unsigned finished;
} server_t;

/* The blocks in the order of their creation, for the tests to look at. */
static veil_conf_scope_t *scopes[64];
static unsigned nscopes;

extern veil_module_t test_module;
extern veil_module_t test_other_module;

static void
loc_init(void *conf)
{
    loc_t *l = conf;

    l->num = 7;
    l->own = 5;
}

static veil_rc_t
loc_finish(veil_conf_t *cf VEIL_UNUSED, void *conf, const void *parent)
{
    loc_t *l = conf;

    l->finished++;
    l->parent = parent;
    if (l->num == 666) {
        return veil_conf_error(cf, "num must not be 666");
    }
    return VEIL_OK;
}

static veil_rc_t
server_finish(veil_conf_t *cf VEIL_UNUSED, void *conf,
              const void *parent VEIL_UNUSED)
{
    ((server_t *) conf)->finished++;
    return VEIL_OK;
}

static veil_conf_type_t
test_type(const veil_module_t *m, veil_conf_kind_t kind)
{
    if (m == &test_module && kind == VEIL_CONF_OF_LOC) {
        return (veil_conf_type_t){ sizeof(loc_t), loc_init, loc_finish };
    }
    if (m == &test_module && kind == VEIL_CONF_OF_SERVER) {
        return (veil_conf_type_t){ sizeof(server_t), NULL, server_finish };
    }
    return (veil_conf_type_t){ .size = 0 };
}

static const veil_conf_layer_t test_layer = { .name = "test",
                                              .type = test_type };

static veil_rc_t
enter(veil_conf_t *cf, veil_conf_scope_t *parent, unsigned where,
      unsigned owns)
{
    veil_conf_scope_t *s =
        veil_conf_scope_create(cf, &test_layer, parent, where, owns);

    cr_assert(nscopes < veil_countof(scopes));
    scopes[nscopes++] = s;
    if (where == VEIL_CONF_LOCATION) {
        veil_conf_scope_reset_own(cf, s);
    }
    return veil_conf_apply(cf, s);
}

static veil_rc_t
set_http(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
         void *conf VEIL_UNUSED)
{
    return enter(cf, NULL, VEIL_CONF_HTTP, 0);
}

static veil_rc_t
set_server(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
           void *conf VEIL_UNUSED)
{
    return enter(cf, cf->scope, VEIL_CONF_SERVER,
                 1u << VEIL_CONF_OF_LOC | 1u << VEIL_CONF_OF_SERVER);
}

static veil_rc_t
set_location(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
             void *conf VEIL_UNUSED)
{
    return enter(cf, cf->scope, VEIL_CONF_LOCATION, 1u << VEIL_CONF_OF_LOC);
}

static veil_rc_t
set_if(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
       void *conf VEIL_UNUSED)
{
    return enter(cf, cf->scope, VEIL_CONF_IF_LOCATION, 1u << VEIL_CONF_OF_LOC);
}

/* Appends the directive's name and arguments to the trace. */
static veil_rc_t
set_trace(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    loc_t *l = conf;
    size_t n = strlen(l->trace);

    veil_snprintf(l->trace + n, sizeof(l->trace) - n, "%s%.*s ", cmd->name,
                  veil_conf_nargs(cf) > 1 ? (int) veil_conf_arg(cf, 1).len : 0,
                  veil_conf_nargs(cf) > 1 ? veil_conf_arg(cf, 1).data : "");
    return VEIL_OK;
}

static veil_rc_t
set_pair(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    cr_assert_str_eq(cmd->name, "types");
    if (veil_conf_nargs(cf) != 2) {
        return VEIL_ERROR;
    }
    return set_trace(cf, cmd, conf);
}

static veil_rc_t
set_types(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    return veil_conf_each(cf, set_pair, conf);
}

static veil_rc_t
set_sinks(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    return veil_conf_set_error_log_sinks(cf, &((loc_t *) conf)->sinks);
}

static veil_rc_t
set_fails(veil_conf_t *cf VEIL_UNUSED, const veil_command_t *cmd VEIL_UNUSED,
          void *conf VEIL_UNUSED)
{
    return VEIL_ERROR;
}

static veil_rc_t
set_warns(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
          void *conf VEIL_UNUSED)
{
    veil_conf_warn(cf, "take care");
    return VEIL_OK;
}

static const veil_conf_limits_t num_limits = { 1, 1000 };
static const veil_conf_limits_t size_limits = { 16, INT64_MAX };
static const veil_conf_enum_t choices[] = {
    { "red", 1 }, { "green", 2 }, { "blue", 4 }, { NULL, 0 }
};

#define ANY VEIL_CONF_HTTP_ANY | VEIL_CONF_IF_LOCATION
#define F(f) .offset = offsetof(loc_t, f)

static veil_rc_t
set_cache(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    loc_t *l = conf;

    l->cache.inactive_ms = 10;
    l->cache.valid_ms = 20;
    return veil_conf_arg_cache(cf, &l->cache);
}

static const veil_command_t commands[] = {
    { .name = "http",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_0,
      .flags = VEIL_CONF_BLOCK,
      .set = set_http },
    { .name = "server",
      .where = VEIL_CONF_HTTP,
      .args = VEIL_ARGS_0,
      .flags = VEIL_CONF_BLOCK | VEIL_CONF_MULTI,
      .set = set_server },
    { .name = "location",
      .where = VEIL_CONF_SERVER | VEIL_CONF_LOCATION,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_BLOCK | VEIL_CONF_MULTI,
      .set = set_location,
      .syntax = "prefix" },
    { .name = "if",
      .where = VEIL_CONF_LOCATION,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_BLOCK | VEIL_CONF_ORDERED,
      .set = set_if },
    { .name = "flag",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      F(flag),
      .syntax = "on | off" },
    { .name = "num",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_num,
      F(num),
      .data = &num_limits },
    { .name = "size",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_size,
      F(size),
      .data = &size_limits },
    { .name = "msec",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_msec,
      F(msec) },
    { .name = "sec",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_sec,
      F(sec) },
    { .name = "str",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_str,
      F(str) },
    { .name = "path",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_path,
      F(path) },
    { .name = "strs",
      .where = ANY,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_MULTI,
      .set = veil_conf_set_strs,
      F(strs) },
    { .name = "kv",
      .where = ANY,
      .args = VEIL_ARGS_2,
      .flags = VEIL_CONF_MULTI,
      .set = veil_conf_set_keyval,
      F(kv),
      .syntax = "key value" },
    { .name = "choice",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_enum,
      F(choice),
      .data = choices },
    { .name = "mask",
      .where = ANY,
      .args = VEIL_ARGS_1MORE,
      .set = veil_conf_set_bitmask,
      F(mask),
      .data = choices },
    { .name = "cache",
      .where = ANY,
      .args = VEIL_ARGS_1MORE,
      .set = set_cache,
      F(cache) },
    { .name = "own",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_OWN,
      .set = veil_conf_set_num,
      F(own),
      .size = sizeof(int64_t) },
    { .name = "own_flag",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_OWN,
      .set = veil_conf_set_flag,
      F(own_flag),
      .size = sizeof(bool) },
    { .name = "define",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_DEFINITION,
      .set = set_trace },
    { .name = "plain",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = set_trace },
    { .name = "step",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_ORDERED,
      .set = set_trace },
    { .name = "types",
      .where = ANY,
      .args = VEIL_ARGS_0,
      .flags = VEIL_CONF_BLOCK | VEIL_CONF_DEFINITION,
      .set = set_types },
    { .name = "value",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_num,
      .kind = VEIL_CONF_OF_SERVER,
      .offset = offsetof(server_t, value) },
    { .name = "log",
      .where = ANY,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_MULTI,
      .set = set_sinks },
    { .name = "fails", .where = ANY, .args = VEIL_ARGS_0, .set = set_fails },
    { .name = "warns", .where = ANY, .args = VEIL_ARGS_0, .set = set_warns },
    { .name = "noop",
      .where = ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP | VEIL_CONF_MULTI,
      .data = "it is a test" },
    { .name = NULL },
};

/* The same name in another module and another context. */
static const veil_command_t other_commands[] = {
    { .name = "flag",
      .where = VEIL_CONF_STREAM,
      .args = VEIL_ARGS_0,
      .set = set_fails },
    { .name = NULL },
};

veil_module_t test_module = { .abi = VEIL_MODULE_ABI,
                              .name = "test",
                              .commands = commands };
veil_module_t test_other_module = { .abi = VEIL_MODULE_ABI,
                                    .name = "other",
                                    .commands = other_commands };
veil_module_t *const veil_modules[] = { &veil_core_main_module, &test_module,
                                        &test_other_module, NULL };

/* Applies the text; what was logged must be this. */
static void
load(veil_conf_t *cf, veil_str_t text, const char *logged)
{
    nscopes = 0;
    *cf = fixture_conf("/prefix");
    cf->cycle->tree = veil_conf_parse_main(cf, VEIL_STR("f"), text);
    if (cf->cycle->tree != NULL) {
        cf->node = cf->cycle->tree;
        cf->cycle->scope = veil_conf_scope_create(cf, &veil_core_layer, NULL,
                                                  VEIL_CONF_MAIN, 0);
        cr_assert_eq(veil_conf_apply(cf, cf->cycle->scope),
                     cf->errors == 0 ? VEIL_OK : VEIL_ERROR);
    }
    cr_assert_str_eq(fixture_lines, logged, "got:\n%s\nwanted:\n%s",
                     fixture_lines, logged);
}

static const loc_t *
loc(unsigned i)
{
    return veil_conf_read_of(scopes[i], &test_module, VEIL_CONF_OF_LOC);
}

static void
expect(veil_str_t text, const char *logged)
{
    veil_conf_t cf;

    load(&cf, text, logged);
    cr_assert_neq(cf.errors, 0);
    fixture_done(&cf);
}

#define ERRORS(text, logged) expect(VEIL_STR(text), logged)

Test(conf, defaults_and_typed_setters)
{
    veil_conf_t cf;
    const loc_t *l;
    veil_conf_keyval_t *kv;

    load(&cf,
         VEIL_STR("http { flag on; size 2k; msec 1500ms; sec 2m; str 'a b'; "
                  "path x/y; strs a b; strs c; kv k v; choice GREEN; "
                  "mask red blue; }"),
         "");
    l = loc(0);
    cr_assert(l->flag);
    cr_assert_eq(l->num, 7);
    cr_assert_eq(l->size, 2048);
    cr_assert_eq(l->msec, 1500);
    cr_assert_eq(l->sec, 120);
    cr_assert_str_eq(l->str.data, "a b");
    cr_assert_str_eq(l->path.data, "/prefix/x/y");
    cr_assert_eq(l->strs->n, 3);
    cr_assert_str_eq(veil_array_at(l->strs, veil_str_t, 2)->data, "c");
    kv = veil_array_at(l->kv, veil_conf_keyval_t, 0);
    cr_assert_str_eq(kv->key.data, "k");
    cr_assert_str_eq(kv->value.data, "v");
    cr_assert_eq(l->choice, 2);
    cr_assert_eq(l->mask, 5);
    fixture_done(&cf);
}

static veil_conf_cache_t
cache_of(const char *text)
{
    veil_conf_cache_t cache;
    veil_conf_t cf;

    load(&cf, veil_str_z(text), "");
    cache = loc(0)->cache;
    fixture_done(&cf);
    return cache;
}

Test(conf, caches)
{
    veil_conf_cache_t c = cache_of("http { cache off; }");

    cr_assert_eq(c.max, 0);
    c = cache_of("http { cache max=3; }");
    cr_assert_eq(c.max, 3);
    cr_assert_eq(c.inactive_ms, 10);
    cr_assert_eq(c.valid_ms, 20);
    c = cache_of("http { cache valid=2s inactive=0 max=4; }");
    cr_assert_eq(c.max, 4);
    cr_assert_eq(c.inactive_ms, 0);
    cr_assert_eq(c.valid_ms, 2000);

    ERRORS("http { cache valid=1s; }",
           "emerg: \"cache\" must have the \"max\" parameter in f:1:8\n"
           "emerg:     http { cache valid=1s; }\n"
           "emerg:            ^\n");
    ERRORS("http { cache max=0; }",
           "emerg: invalid parameter \"max=0\" in f:1:14\n"
           "emerg:     http { cache max=0; }\n"
           "emerg:                  ^\n");
    ERRORS("http { cache max=1 inactive=x; }",
           "emerg: invalid parameter \"inactive=x\" in f:1:20\n"
           "emerg:     http { cache max=1 inactive=x; }\n"
           "emerg:                        ^\n");
    ERRORS("http { cache of; }",
           "emerg: invalid value \"of\" in \"cache\" directive, it must be "
           "\"off\", \"max=\", \"inactive=\" or \"valid=\" in f:1:14 "
           "(did you mean \"off\"?)\n"
           "emerg:     http { cache of; }\n"
           "emerg:                  ^\n");
}

Test(conf, children_see_what_stands_behind_them)
{
    veil_conf_t cf;

    load(&cf,
         VEIL_STR("http { server { location / { num 3; } num 2; flag on; } "
                  "str x; }"),
         "");
    cr_assert_eq(nscopes, 3);
    cr_assert_eq(loc(2)->num, 3);
    cr_assert(loc(2)->flag);
    cr_assert_str_eq(loc(2)->str.data, "x");
    cr_assert_eq(loc(1)->num, 2);
    cr_assert_eq(loc(0)->num, 7);
    cr_assert_not(loc(0)->flag);
    fixture_done(&cf);
}

Test(conf, confs_are_shared_until_written)
{
    veil_conf_t cf;

    load(&cf,
         VEIL_STR("http { server { location /a { } location /b { num 1; } "
                  "location /c { location /d { } } } }"),
         "");
    /* Child blocks write to nothing of this module but "location" itself. */
    cr_assert_eq(loc(2), loc(1));
    cr_assert_neq(loc(3), loc(1));
    cr_assert_eq(loc(5), loc(4));
    /* Each distinct one is finished once. */
    cr_assert_eq(loc(0)->finished, 1);
    cr_assert_eq(loc(1)->finished, 1);
    cr_assert_eq(loc(3)->finished, 1);
    cr_assert_eq(loc(3)->parent, loc(1));
    cr_assert_eq(loc(0)->parent, NULL);
    fixture_done(&cf);
}

Test(conf, other_kinds_write_through_to_their_owner)
{
    veil_conf_t cf;
    const server_t *s;

    load(&cf,
         VEIL_STR("http { value 1; server { location / { value 3; } } "
                  "server { } }"),
         "");
    s = veil_conf_read_of(scopes[1], &test_module, VEIL_CONF_OF_SERVER);
    cr_assert_eq(s->value, 3);
    cr_assert_eq(s->finished, 1);
    s = veil_conf_read_of(scopes[2], &test_module, VEIL_CONF_OF_SERVER);
    cr_assert_eq(s->value, 3, "the location has its server's");
    s = veil_conf_read_of(scopes[3], &test_module, VEIL_CONF_OF_SERVER);
    cr_assert_eq(s->value, 1);
    fixture_done(&cf);
}

Test(conf, passes)
{
    veil_conf_t cf;

    load(&cf,
         VEIL_STR("http { server { step 1; plain 1; types { t; u 2; } "
                  "location / { } step 2; define 1; plain 2; } }"),
         "emerg: invalid parameter \"t\" in f:1:42\n"
         "emerg:     http { server { step 1; plain 1; types { t; u 2; } "
         "location / { } step 2; define 1; plain 2; } }\n"
         "emerg:                                              ^\n");
    cr_assert_str_eq(loc(1)->trace,
                     "types2 define1 plain1 plain2 step1 step2 ");
    fixture_done(&cf);
}

Test(conf, locations_do_not_inherit_what_is_their_own)
{
    veil_conf_t cf;

    load(&cf,
         VEIL_STR("http { server { own 9; own_flag on; num 2; "
                  "location /a { if x { } if y { num 4; } } "
                  "location /b { own 8; location /c { } } } }"),
         "");
    cr_assert_eq(loc(1)->own, 9);
    cr_assert_eq(loc(2)->own, 5, "the default");
    cr_assert_not(loc(2)->own_flag);
    cr_assert_eq(loc(2)->num, 2);
    cr_assert_eq(loc(3), loc(2));
    cr_assert_eq(loc(4)->own, 5);
    cr_assert_eq(loc(5)->own, 8);
    cr_assert_eq(loc(6)->own, 5);
    fixture_done(&cf);
}

Test(conf, if_keeps_the_content_handler)
{
    veil_conf_t cf;

    load(&cf,
         VEIL_STR("http { server { location / { if x { num 2; } own 8; "
                  "} } }"),
         "");
    cr_assert_eq(loc(3)->own, 8);
    cr_assert_eq(loc(3)->num, 2);
    fixture_done(&cf);
}

Test(conf, lists_replace_the_inherited_one)
{
    veil_conf_t cf;

    load(&cf,
         VEIL_STR("http { strs a; strs b; server { location /x { } "
                  "location /y { strs c; strs d e; } flag on; } "
                  "server { strs f; } }"),
         "");
    cr_assert_eq(loc(0)->strs->n, 2);
    cr_assert_eq(loc(2)->strs, loc(0)->strs);
    cr_assert_eq(loc(3)->strs->n, 3);
    cr_assert_eq(loc(4)->strs->n, 1);
    fixture_done(&cf);
}

Test(conf, error_log_lists)
{
    veil_conf_t cf;

    load(&cf,
         VEIL_STR("http { log a; log b warn; server { flag on; } "
                  "server { log a debug_http; } }"),
         "");
    cr_assert_eq(loc(0)->sinks->level, VEIL_LOG_ERR);
    cr_assert_str_eq(loc(0)->sinks->file->path.data, "/prefix/a");
    cr_assert_eq(loc(0)->sinks->next->level, VEIL_LOG_WARN);
    cr_assert_eq(loc(0)->sinks->next->next, NULL);
    cr_assert_eq(loc(1)->sinks, loc(0)->sinks);
    cr_assert_eq(loc(2)->sinks->level, VEIL_LOG_DEBUG);
    cr_assert_eq(loc(2)->sinks->file, loc(0)->sinks->file, "one file");
    cr_assert_eq(loc(2)->sinks->next, NULL);
    fixture_done(&cf);
    ERRORS("http { log a wran; }",
           "emerg: invalid log level \"wran\" in f:1:14 "
           "(did you mean \"warn\"?)\n"
           "emerg:     http { log a wran; }\n"
           "emerg:                  ^\n");
}

Test(conf, unknown_directives)
{
    ERRORS("http {\n\tflga on;\n}",
           "emerg: unknown directive \"flga\" in f:2:2 "
           "(did you mean \"flag\"?)\n"
           "emerg:      flga on;\n"
           "emerg:      ^\n");
    ERRORS("foobar;", "emerg: unknown directive \"foobar\" in f:1:1\n"
                      "emerg:     foobar;\n"
                      "emerg:     ^\n");
    /* What is allowed here goes first, then what is allowed elsewhere. */
    ERRORS("flga on;",
           "emerg: unknown directive \"flga\" in f:1:1 (did you mean "
           "\"flag\"? it is allowed in: http, server, location, if in "
           "location)\n"
           "emerg:     flga on;\n"
           "emerg:     ^\n");
}

Test(conf, misplaced_directives)
{
    ERRORS("flag on;",
           "emerg: \"flag\" directive is not allowed here in f:1:1 "
           "(it is allowed in: http, server, location, if in location, "
           "stream)\n"
           "emerg:     flag on;\n"
           "emerg:     ^\n");
}

Test(conf, wrong_number_of_arguments)
{
    ERRORS("http { flag; kv a; location { } server x { } }",
           "emerg: invalid number of arguments in \"flag\" directive in "
           "f:1:8 (syntax: flag on | off;)\n"
           "emerg:     http { flag; kv a; location { } server x { } }\n"
           "emerg:            ^\n"
           "emerg: invalid number of arguments in \"kv\" directive in "
           "f:1:14 (syntax: kv key value;)\n"
           "emerg:     http { flag; kv a; location { } server x { } }\n"
           "emerg:                  ^\n"
           "emerg: \"location\" directive is not allowed here in f:1:20 "
           "(it is allowed in: server, location)\n"
           "emerg:     http { flag; kv a; location { } server x { } }\n"
           "emerg:                        ^\n"
           "emerg: invalid number of arguments in \"server\" directive in "
           "f:1:33 (syntax: server { ... })\n"
           "emerg:     http { flag; kv a; location { } server x { } }\n"
           "emerg:                                     ^\n");
}

Test(conf, missing_semicolon)
{
    ERRORS("http {\n    flag on\n    num 2;\n}",
           "emerg: directive \"flag\" is not terminated by \";\" in f:2:12\n"
           "emerg:         flag on\n"
           "emerg:                ^\n");
    ERRORS("daemon on\nhttp { }",
           "emerg: directive \"daemon\" is not terminated by \";\" in "
           "f:1:10\n"
           "emerg:     daemon on\n"
           "emerg:              ^\n");
    ERRORS("daemon on { }",
           "emerg: directive \"daemon\" is not terminated by \";\" in f:1:1\n"
           "emerg:     daemon on { }\n"
           "emerg:     ^\n");
    ERRORS("http;", "emerg: directive \"http\" has no opening \"{\" in "
                    "f:1:1\n"
                    "emerg:     http;\n"
                    "emerg:     ^\n");
}

Test(conf, an_argument_that_looks_like_a_directive_is_a_warning)
{
    veil_conf_t cf;

    load(&cf, VEIL_STR("http { strs a\nnum 2; }"),
         "warn: \"num\" in line 2 is an argument of \"strs\": is a \";\" "
         "missing before it? in f:1:8\n"
         "warn:     http { strs a\n"
         "warn:            ^\n");
    cr_assert_eq(loc(0)->strs->n, 3);
    cr_assert_eq(cf.warnings, 1);
    fixture_done(&cf);
}

Test(conf, duplicates)
{
    ERRORS("http { flag on; flag off; plain 1; plain 2; step 1; step 2; }\n"
           "http { }",
           "emerg: \"http\" directive is duplicate in f:2:1\n"
           "emerg:     http { }\n"
           "emerg:     ^\n"
           "emerg: \"flag\" directive is duplicate in f:1:17\n"
           "emerg:     http { flag on; flag off; plain 1; plain 2; step 1; "
           "step 2; }\n"
           "emerg:                     ^\n");
}

Test(conf, bad_values)
{
    ERRORS("http { flag onn; }",
           "emerg: invalid value \"onn\" in \"flag\" directive, it must be "
           "\"on\" or \"off\" in f:1:13 (did you mean \"on\"?)\n"
           "emerg:     http { flag onn; }\n"
           "emerg:                 ^\n");
    ERRORS("http { num x; }",
           "emerg: invalid number \"x\" in \"num\" directive in "
           "f:1:12\n"
           "emerg:     http { num x; }\n"
           "emerg:                ^\n");
    ERRORS("http { num 0; }", "emerg: value must be between 1 and 1000 in "
                              "f:1:12\n"
                              "emerg:     http { num 0; }\n"
                              "emerg:                ^\n");
    ERRORS("http { size 1; }", "emerg: value must be equal to or greater "
                               "than 16 in f:1:13\n"
                               "emerg:     http { size 1; }\n"
                               "emerg:                 ^\n");
    ERRORS("http { size 1q; }",
           "emerg: invalid size \"1q\" in \"size\" directive in "
           "f:1:13\n"
           "emerg:     http { size 1q; }\n"
           "emerg:                 ^\n");
    ERRORS("http { sec 10ms; }",
           "emerg: invalid time \"10ms\" in \"sec\" directive in "
           "f:1:12\n"
           "emerg:     http { sec 10ms; }\n"
           "emerg:                ^\n");
    ERRORS("http { choice gren; }",
           "emerg: invalid value \"gren\" in \"choice\" directive, it must "
           "be \"red\", \"green\" or \"blue\" in f:1:15 "
           "(did you mean \"green\"?)\n"
           "emerg:     http { choice gren; }\n"
           "emerg:                   ^\n");
    ERRORS("http { types { a { } } fails; }",
           "emerg: unexpected \"{\" in f:1:16\n"
           "emerg:     http { types { a { } } fails; }\n"
           "emerg:                    ^\n");
    ERRORS("http { fails; }", "emerg: \"fails\" directive failed in f:1:8\n"
                              "emerg:     http { fails; }\n"
                              "emerg:            ^\n");
}

Test(conf, finish_may_refuse)
{
    ERRORS("http { server { num 666; } }",
           "emerg: num must not be 666 in f:1:8\n"
           "emerg:     http { server { num 666; } }\n"
           "emerg:            ^\n");
}

Test(conf, warnings_and_no_effect)
{
    veil_conf_t cf;

    load(&cf, VEIL_STR("http { warns; noop 1; noop 2; }"),
         "warn: take care in f:1:8\n"
         "warn:     http { warns; noop 1; noop 2; }\n"
         "warn:            ^\n"
         "notice: \"noop\" directive has no effect: it is a test in "
         "f:1:15\n");
    cr_assert_eq(cf.errors, 0);
    fixture_done(&cf);
}

Test(conf, gives_up_after_twenty_errors)
{
    veil_conf_t cf;
    char text[1024] = "", *p = text;
    unsigned i;

    for (i = 0; i < 100; i++) {
        p += veil_snprintf(p, sizeof(text) - (size_t) (p - text), "x%u;\n", i);
    }
    nscopes = 0;
    cf = fixture_conf("/prefix");
    cf.node = veil_conf_parse(&cf, VEIL_STR("f"), veil_str_z(text));
    cr_assert_eq(
        veil_conf_apply(&cf, veil_conf_scope_create(&cf, &veil_core_layer,
                                                    NULL, VEIL_CONF_MAIN, 0)),
        VEIL_ERROR);
    cr_assert_neq(strstr(fixture_lines, "\"x19\""), NULL);
    cr_assert_eq(strstr(fixture_lines, "\"x20\""), NULL);
    p = strstr(fixture_lines, "emerg: too many errors");
    cr_assert_str_eq(p, "emerg: too many errors in the configuration, giving "
                        "up\n");
    fixture_done(&cf);
}
