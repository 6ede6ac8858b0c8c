/*
 * map.c -- variables whose value is looked up by another text.
 *
 *     map $http_host $name {
 *         hostnames;
 *         default        0;
 *         example.com    1;
 *         *.example.com  2;
 *         ~^www\d+\.     $1;
 *     }
 *
 * The text is looked for, without regard to case, among the exact keys; with
 * "hostnames" then among those with an asterisk at the front and at the end,
 * the longest first; then the regular expressions are tried in order; then
 * the default is taken.  A value is computed when it is asked for and kept
 * for the request, unless the map is "volatile".
 *
 * "include" needs no code here: the reader of the configuration follows it.
 */

#include "core/platform.h"

#include "core/hash.h"
#include "http/http.h"
#include "http/regex.h"

typedef struct {
    veil_http_regex_t *regex;
    const veil_http_value_t *value;
} map_regex_t;

typedef struct {
    const veil_http_value_t *source;
    const veil_http_value_t *fallback; /* NULL: none given */
    veil_hash_t exact;
    veil_hash_t heads;    /* "example.com" of "*.example.com" */
    veil_hash_t tails;    /* "www.example" of "www.example.*" */
    veil_array_t regexes; /* of map_regex_t */
    veil_http_variable_t *variable;
    bool hostnames;
} map_t;

/* --- the block -------------------------------------------------------------
 */

static veil_rc_t
map_duplicate(veil_conf_t *cf)
{
    return veil_conf_error(cf, "conflicting parameter \"%.*s\"",
                           VEIL_STR_ARG(veil_conf_arg(cf, 0)));
}

static veil_rc_t
map_add(veil_conf_t *cf, veil_hash_t *hash, veil_str_t key,
        const veil_http_value_t *value)
{
    key = veil_pool_str(cf->pool, key);
    if (!veil_hash_add(hash, key, (void *) (uintptr_t) value)) {
        return map_duplicate(cf);
    }
    return VEIL_OK;
}

static veil_rc_t
map_add_regex(veil_conf_t *cf, map_t *map, const veil_http_value_t *value)
{
    veil_str_t key = veil_conf_arg(cf, 0);
    bool caseless = key.len > 1 && key.data[1] == '*';
    map_regex_t *re = veil_array_push(&map->regexes);

    re->value = value;
    re->regex = veil_http_regex_compile(cf, 0, caseless ? 2 : 1, caseless);
    return re->regex == NULL ? VEIL_ERROR : VEIL_OK;
}

/* ".example.com" is "example.com" and "*.example.com". */
static veil_rc_t
map_add_hostname(veil_conf_t *cf, map_t *map, veil_str_t key,
                 const veil_http_value_t *value)
{
    if (veil_str_starts(key, VEIL_STR("*."))) {
        return map_add(cf, &map->heads, veil_str_from(key, 2), value);
    }
    if (veil_str_ends(key, VEIL_STR(".*"))) {
        key.len -= 2;
        return map_add(cf, &map->tails, key, value);
    }
    if (key.len > 1 && key.data[0] == '.') {
        key = veil_str_from(key, 1);
        if (map_add(cf, &map->exact, key, value) != VEIL_OK) {
            return VEIL_ERROR;
        }
        return map_add(cf, &map->heads, key, value);
    }
    return map_add(cf, &map->exact, key, value);
}

/* "hostnames;" and "volatile;". */
static veil_rc_t
map_set_flag(veil_conf_t *cf, map_t *map)
{
    static const char *const words[] = { "hostnames", "volatile", NULL };
    veil_str_t key = veil_conf_arg(cf, 0);

    if (veil_str_eq(key, VEIL_STR("hostnames"))) {
        map->hostnames = true;
        return VEIL_OK;
    }
    if (veil_str_eq(key, VEIL_STR("volatile"))) {
        map->variable->flags |= VEIL_HTTP_VAR_VOLATILE;
        return VEIL_OK;
    }
    return veil_conf_error_word(cf, 0, words);
}

static veil_rc_t
map_set_entry(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
              void *conf)
{
    map_t *map = conf;
    veil_str_t key = veil_conf_arg(cf, 0);
    const veil_http_value_t *value;

    if (veil_conf_nargs(cf) == 1) {
        return map_set_flag(cf, map);
    }
    if (veil_conf_nargs(cf) != 2) {
        return veil_conf_error(cf, "an entry of a map is a key and a value");
    }
    value = veil_http_value_compile(cf, veil_conf_arg(cf, 1));
    if (value == NULL) {
        return VEIL_ERROR;
    }
    if (veil_str_eq(key, VEIL_STR("default"))) {
        if (map->fallback != NULL) {
            return veil_conf_error(cf, "the map has two defaults");
        }
        map->fallback = value;
        return VEIL_OK;
    }
    if (key.len != 0 && key.data[0] == '~') {
        return map_add_regex(cf, map, value);
    }
    if (key.len != 0 && key.data[0] == '\\') {
        /* "\default", "\~x": the word itself. */
        return map_add(cf, &map->exact, veil_str_from(key, 1), value);
    }
    return map->hostnames ? map_add_hostname(cf, map, key, value)
                          : map_add(cf, &map->exact, key, value);
}

/* --- the value -------------------------------------------------------------
 */

/* "a.b.example.com": tries "b.example.com", "example.com", "com". */
static const veil_http_value_t *
map_find_head(const map_t *map, veil_str_t s)
{
    const veil_http_value_t *value;
    ptrdiff_t dot;

    while ((dot = veil_str_chr(s, '.')) >= 0) {
        s = veil_str_from(s, (size_t) dot + 1);
        value = veil_hash_find(&map->heads, s);
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

/* "www.example.com": tries "www.example", "www". */
static const veil_http_value_t *
map_find_tail(const map_t *map, veil_str_t s)
{
    const veil_http_value_t *value;
    ptrdiff_t dot;

    while ((dot = veil_str_rchr(s, '.')) > 0) {
        s.len = (size_t) dot;
        value = veil_hash_find(&map->tails, s);
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

static const veil_http_value_t *
map_find(veil_http_request_t *r, const map_t *map, veil_str_t s)
{
    const veil_http_value_t *value;
    const map_regex_t *re;
    unsigned i;

    if (map->hostnames && s.len != 0 && s.data[s.len - 1] == '.') {
        s.len--;
    }
    value = veil_hash_find(&map->exact, s);
    if (value == NULL && map->heads.n != 0) {
        value = map_find_head(map, s);
    }
    if (value == NULL && map->tails.n != 0) {
        value = map_find_tail(map, s);
    }
    for (i = 0; value == NULL && i < map->regexes.n; i++) {
        re = veil_array_at(&map->regexes, map_regex_t, i);
        if (veil_http_regex_match(r, re->regex, s)) {
            value = re->value;
        }
    }
    return value == NULL ? map->fallback : value;
}

static bool
map_get(veil_http_request_t *r, const veil_http_variable_t *v, veil_str_t *out)
{
    const map_t *map = v->data;
    const veil_http_value_t *value =
        map_find(r, map, veil_http_eval(r, map->source));

    *out = value == NULL ? VEIL_STR("") : veil_http_eval(r, value);
    return true;
}

/* --- the module ------------------------------------------------------------
 */

/* map SOURCE $variable { ... } */
static veil_rc_t
map_set(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
        void *conf VEIL_UNUSED)
{
    map_t *map = VEIL_POOL_NEW(cf->pool, map_t);
    veil_str_t name = veil_conf_arg(cf, 2);

    if (name.len < 2 || name.data[0] != '$') {
        return veil_conf_error_at(cf, 2, "invalid variable name \"%.*s\"",
                                  VEIL_STR_ARG(name));
    }
    map->source = veil_http_value_compile(cf, veil_conf_arg(cf, 1));
    map->variable = veil_http_var_define(cf, veil_str_from(name, 1),
                                         VEIL_HTTP_VAR_CHANGEABLE);
    if (map->source == NULL || map->variable == NULL) {
        return VEIL_ERROR;
    }
    map->variable->get = map_get;
    map->variable->data = map;
    veil_hash_init(&map->exact, cf->pool, VEIL_HASH_NOCASE, 0);
    veil_hash_init(&map->heads, cf->pool, VEIL_HASH_NOCASE, 0);
    veil_hash_init(&map->tails, cf->pool, VEIL_HASH_NOCASE, 0);
    veil_array_init(&map->regexes, cf->pool, sizeof(map_regex_t), 4);
    return veil_conf_each(cf, map_set_entry, map);
}

static const veil_command_t map_commands[] = {
    { .name = "map",
      .where = VEIL_CONF_HTTP,
      .args = VEIL_ARGS_2,
      .flags = VEIL_CONF_BLOCK | VEIL_CONF_DEFINITION,
      .set = map_set,
      .syntax = "string $variable",
      .help = "A variable whose value depends on the string." },

    { .name = "map_hash_max_size",
      .where = VEIL_CONF_HTTP,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "tables grow by themselves",
      .help = "Accepted without effect: tables grow by themselves." },

    { .name = "map_hash_bucket_size",
      .where = VEIL_CONF_HTTP,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "tables grow by themselves",
      .help = "Accepted without effect: tables grow by themselves." },

    { .name = NULL },
};

static const veil_http_module_t map_http = { .main_conf_size = 0 };

veil_module_t veil_http_map_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "map",
    .commands = map_commands,
    .http = &map_http,
};
