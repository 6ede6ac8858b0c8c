/*
 * conns.c -- looking at connections, and telling them to go: verbs of the
 * control socket, and $draining.
 *
 * Each verb runs in every worker about its own connections, also in workers
 * that drain, and the master makes one answer of theirs.  A connection is
 * named by the process and its number there, so nobody has to give out
 * numbers for all.
 */

#include "core/platform.h"

#include "modules/conns/conns.h"

#include <unistd.h>

#include "http/conn_info.h"
#include "http/drain.h"
#include "http/http.h"

/* --- values of answers --------------------------------------------------- */

json_t *
veil_conns_text(veil_str_t s, size_t max)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = veil_min_size(s.len, max), i;
    char *text = veil_alloc(4 * n + 4);
    char *p = text;
    unsigned char c;
    json_t *value;

    for (i = 0; i < n; i++) {
        c = (unsigned char) s.data[i];
        if (c == '\\') {
            *p++ = '\\';
            *p++ = '\\';
        } else if (c >= 0x20 && c < 0x7f) {
            *p++ = (char) c;
        } else {
            *p++ = '\\';
            *p++ = 'x';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    if (n < s.len) {
        memcpy(p, "...", 3);
        p += 3;
    }
    value = json_stringn(text, (size_t) (p - text));
    veil_free(text);
    return value;
}

json_t *
veil_conns_addr(const veil_addr_t *addr)
{
    char text[VEIL_ADDR_TEXT_MAX];

    if (addr->family == AF_UNIX) {
        return json_null();
    }
    return json_stringn(text, veil_addr_print(addr, text, sizeof(text)));
}

json_t *
veil_conns_id(uint64_t number)
{
    return json_sprintf("%d-%llu", (int) getpid(),
                        (unsigned long long) number);
}

bool
veil_conns_check_listener(veil_control_call_t *call)
{
    const char *name = veil_control_text(call, "listener");

    if (name == NULL || veil_http_port_exists(veil_str_z(name))) {
        return true;
    }
    (void) veil_control_fail(call, VEIL_E_NOT_FOUND,
                             "nothing listens on \"%s\"", name);
    veil_control_hint(call, "an address as in \"listen\", or a port");
    return false;
}

/* --- answers of all workers ---------------------------------------------- */

static const char *conns_sort_by;

static int
conns_compare(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    double m = json_number_value(json_object_get(*x, conns_sort_by));
    double n = json_number_value(json_object_get(*y, conns_sort_by));

    return m < n ? 1 : m > n ? -1 : 0;
}

json_t *
veil_conns_merge(const json_t *answers, const char *key, const char *by,
                 size_t max)
{
    json_t *answer, *row, *all = json_array();
    json_t **rows;
    size_t i, k, n = 0;

    json_array_foreach(answers, i, answer)
    {
        n += json_array_size(
            json_object_get(json_object_get(answer, "data"), key));
    }
    rows = veil_alloc((n + 1) * sizeof(*rows));
    n = 0;
    json_array_foreach(answers, i, answer)
    {
        json_array_foreach(
            json_object_get(json_object_get(answer, "data"), key), k, row)
        {
            rows[n++] = row;
        }
    }
    conns_sort_by = by;
    qsort(rows, n, sizeof(*rows), conns_compare);
    for (i = 0; i < n && i < max; i++) {
        json_array_append(all, rows[i]);
    }
    veil_free(rows);
    return all;
}

int64_t
veil_conns_sum(const json_t *answers, const char *key)
{
    json_t *answer;
    int64_t sum = 0;
    size_t i;

    json_array_foreach(answers, i, answer)
    {
        sum += json_integer_value(
            json_object_get(json_object_get(answer, "data"), key));
    }
    return sum;
}

/* --- the module ---------------------------------------------------------- */

/* clang-format off */
#define CONNS_FILTERS                                                         \
    { "older", VEIL_CONTROL_TIME, 0, NULL,                                    \
      "only connections that are there for so long" },                        \
    { "client", VEIL_CONTROL_STRING, 0, NULL,                                 \
      "only those from this address or network, as 10.0.0.0/8" },             \
    { "upstream", VEIL_CONTROL_STRING, 0, NULL,                               \
      "only those at an upstream, by its name or the server's address" },     \
    { "state", VEIL_CONTROL_WORD, 0, VEIL_HTTP_STAGE_NAMES,                   \
      "only those that are at this" },                                        \
    { "listener", VEIL_CONTROL_STRING, 0, NULL,                               \
      "only those that came in there, as 0.0.0.0:80, *:80 or 80" }

static const veil_control_arg_t conns_list_args[] = {
    CONNS_FILTERS,
    { "limit", VEIL_CONTROL_NUMBER, 0, NULL,
      "how many are told of, the oldest ones; 100" },
    { .name = NULL },
};

static const veil_control_arg_t conns_show_args[] = {
    { "id", VEIL_CONTROL_STRING,
      VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION, NULL,
      "which, as \"conn list\" calls it" },
    { .name = NULL },
};

static const veil_control_arg_t conns_kill_args[] = {
    { "id", VEIL_CONTROL_STRING, VEIL_CONTROL_POSITION, NULL,
      "which, as \"conn list\" calls it" },
    CONNS_FILTERS,
    { "all", VEIL_CONTROL_FLAG, 0, NULL,
      "each of them, where nothing else says which" },
    { .name = NULL },
};

static const veil_control_arg_t conns_drain_args[] = {
    { "listener", VEIL_CONTROL_STRING, VEIL_CONTROL_POSITION, NULL,
      "which, as 0.0.0.0:80, *:80 or 80; otherwise all of them" },
    { .name = NULL },
};

static const veil_control_arg_t conns_errors_args[] = {
    { "n", VEIL_CONTROL_NUMBER, 0, NULL,
      "how many are told of, the latest ones; 20" },
    { "listener", VEIL_CONTROL_STRING, 0, NULL,
      "only those of this listener, as 0.0.0.0:80, *:80 or 80" },
    { .name = NULL },
};

static const veil_control_verb_t conns_verbs[] = {
    { .name = "conn.list", .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_ALL_WORKERS,
      .args = conns_list_args, .run = veil_conns_list,
      .gather = veil_conns_gather_list,
      .help = "Lists clients' connections, the oldest first." },
    { .name = "conn.show", .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_ANY_WORKER,
      .args = conns_show_args, .run = veil_conns_show,
      .help = "Shows a connection and the requests under way on it." },
    { .name = "conn.kill", .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_ALL_WORKERS, .flags = VEIL_CONTROL_CHANGES,
      .args = conns_kill_args, .run = veil_conns_kill,
      .gather = veil_conns_gather_kill,
      .help = "Closes connections; requests under way are broken off." },
    { .name = "drain", .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_KEEPER, .flags = VEIL_CONTROL_CHANGES,
      .args = conns_drain_args, .run = veil_conns_drain,
      .worker = veil_conns_drain_worker, .gather = veil_conns_gather_drain,
      .changed = veil_conns_drain_changed,
      .help = "Asks clients to go elsewhere, while they are served yet." },
    { .name = "undrain", .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_KEEPER, .flags = VEIL_CONTROL_CHANGES,
      .args = conns_drain_args, .run = veil_conns_undrain,
      .worker = veil_conns_drain_worker, .gather = veil_conns_gather_drain,
      .changed = veil_conns_drain_changed,
      .help = "Takes a drain back." },
    { .name = "errors", .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_ALL_WORKERS,
      .args = conns_errors_args, .run = veil_conns_errors,
      .gather = veil_conns_gather_errors,
      .help = "Shows the last requests and handshakes that were refused, and "
              "what was wrong with them." },
    { .name = NULL },
};
/* clang-format on */

static bool
conns_get_draining(veil_http_request_t *r,
                   const veil_http_variable_t *v VEIL_UNUSED, veil_str_t *out)
{
    *out = r->conn != NULL && veil_http_port_is_draining(r->conn->port)
               ? VEIL_STR("1")
               : VEIL_STR("");
    return true;
}

static const veil_http_var_def_t conns_variables[] = {
    { "draining", conns_get_draining, NULL, NULL, VEIL_HTTP_VAR_VOLATILE },
    { NULL, NULL, NULL, NULL, 0 },
};

static const veil_http_module_t conns_http = { .variables = conns_variables };

static const veil_core_module_t conns_core = {
    .start_keeper = veil_conns_drain_show,
};

veil_module_t veil_http_conns_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "conns",
    .core = &conns_core,
    .http = &conns_http,
    .control = conns_verbs,
};
