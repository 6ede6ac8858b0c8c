/*
 * upstream_params.c -- parameters of servers: as texts, as JSON, and which
 * of them hold.
 *
 * There are three that may say what a parameter is: the line of the
 * configuration, what was changed of the server, what was changed of one of
 * its addresses; the last one that says something holds.
 */

#include "http/upstream/upstream_change.h"

static const struct {
    uint32_t bit;
    const char *name;
} upstream_params_names[] = {
    { VEIL_UPSTREAM_HAS_ADMIN, "state" },
    { VEIL_UPSTREAM_HAS_WEIGHT, "weight" },
    { VEIL_UPSTREAM_HAS_MAX_CONNS, "max_conns" },
    { VEIL_UPSTREAM_HAS_MAX_FAILS, "max_fails" },
    { VEIL_UPSTREAM_HAS_FAIL_TIMEOUT, "fail_timeout" },
    { VEIL_UPSTREAM_HAS_BACKUP, "backup" },
    { VEIL_UPSTREAM_HAS_ADDR, "addr" },
};

/* --- which of them hold --------------------------------------------------
 */

bool
veil_upstream_params_same(const veil_upstream_params_t *a,
                          const veil_upstream_params_t *b, uint32_t bit)
{
    switch (bit) {
    case VEIL_UPSTREAM_HAS_ADMIN:
        return a->admin == b->admin;
    case VEIL_UPSTREAM_HAS_WEIGHT:
        return a->weight == b->weight;
    case VEIL_UPSTREAM_HAS_MAX_CONNS:
        return a->max_conns == b->max_conns;
    case VEIL_UPSTREAM_HAS_MAX_FAILS:
        return a->max_fails == b->max_fails;
    case VEIL_UPSTREAM_HAS_FAIL_TIMEOUT:
        return a->fail_timeout == b->fail_timeout;
    case VEIL_UPSTREAM_HAS_BACKUP:
        return a->backup == b->backup;
    default:
        return true;
    }
}

void
veil_upstream_params_copy(veil_upstream_params_t *to,
                          const veil_upstream_params_t *from, uint32_t bit)
{
    switch (bit) {
    case VEIL_UPSTREAM_HAS_ADMIN:
        to->admin = from->admin;
        break;
    case VEIL_UPSTREAM_HAS_WEIGHT:
        to->weight = from->weight;
        break;
    case VEIL_UPSTREAM_HAS_MAX_CONNS:
        to->max_conns = from->max_conns;
        break;
    case VEIL_UPSTREAM_HAS_MAX_FAILS:
        to->max_fails = from->max_fails;
        break;
    case VEIL_UPSTREAM_HAS_FAIL_TIMEOUT:
        to->fail_timeout = from->fail_timeout;
        break;
    case VEIL_UPSTREAM_HAS_BACKUP:
        to->backup = from->backup;
        break;
    default:
        break;
    }
}

bool
veil_upstream_params_eq(const veil_upstream_params_t *a,
                        const veil_upstream_params_t *b)
{
    uint32_t bit;

    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        if (!veil_upstream_params_same(a, b, bit)) {
            return false;
        }
    }
    return true;
}

void
veil_upstream_params_apply(veil_upstream_params_t *now,
                           const veil_upstream_params_t *conf,
                           const veil_upstream_change_t *c)
{
    uint32_t bit;

    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        if ((c->set & bit) && veil_upstream_params_same(&c->base, conf, bit)) {
            veil_upstream_params_copy(now, &c->value, bit);
        }
    }
}

uint32_t
veil_upstream_change_stale(const veil_upstream_change_t *c,
                           const veil_upstream_params_t *conf)
{
    uint32_t bit, stale = 0;

    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        if ((c->set & bit) && !veil_upstream_params_same(&c->base, conf, bit))
        {
            stale |= bit;
        }
    }
    return stale;
}

/* --- as texts ------------------------------------------------------------
 */

const char *
veil_upstream_admin_name(unsigned admin)
{
    static const char *const names[] = {
        [VEIL_UPSTREAM_READY] = "ready",
        [VEIL_UPSTREAM_DRAIN] = "drain",
        [VEIL_UPSTREAM_DOWN] = "down",
    };

    return admin < veil_countof(names) ? names[admin] : "down";
}

const char *
veil_upstream_param_name(uint32_t bit)
{
    unsigned i;

    for (i = 0; i < veil_countof(upstream_params_names); i++) {
        if (upstream_params_names[i].bit == bit) {
            return upstream_params_names[i].name;
        }
    }
    return NULL;
}

static void
upstream_params_print_ms(uint64_t ms, char *buf, size_t n)
{
    if (ms % 1000 == 0) {
        (void) veil_snprintf(buf, n, "%llus", (unsigned long long) ms / 1000);
    } else {
        (void) veil_snprintf(buf, n, "%llums", (unsigned long long) ms);
    }
}

void
veil_upstream_param_print(const veil_upstream_params_t *p, uint32_t bit,
                          char *buf, size_t n)
{
    switch (bit) {
    case VEIL_UPSTREAM_HAS_ADMIN:
        (void) veil_snprintf(buf, n, "%s", veil_upstream_admin_name(p->admin));
        break;
    case VEIL_UPSTREAM_HAS_WEIGHT:
        (void) veil_snprintf(buf, n, "%d", (int) p->weight);
        break;
    case VEIL_UPSTREAM_HAS_MAX_CONNS:
        (void) veil_snprintf(buf, n, "%lld", (long long) p->max_conns);
        break;
    case VEIL_UPSTREAM_HAS_MAX_FAILS:
        (void) veil_snprintf(buf, n, "%lld", (long long) p->max_fails);
        break;
    case VEIL_UPSTREAM_HAS_FAIL_TIMEOUT:
        upstream_params_print_ms(p->fail_timeout, buf, n);
        break;
    case VEIL_UPSTREAM_HAS_BACKUP:
        (void) veil_snprintf(buf, n, "%s", p->backup ? "on" : "off");
        break;
    default:
        (void) veil_snprintf(buf, n, "%s", "");
        break;
    }
}

void
veil_upstream_params_print(const veil_upstream_params_t *p, char *buf,
                           size_t n)
{
    char value[32];
    uint32_t bit;
    size_t at = 0;

    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        veil_upstream_param_print(p, bit, value, sizeof(value));
        at += veil_snprintf(buf + at, n - at, "%s%s=%s", at == 0 ? "" : " ",
                            veil_upstream_param_name(bit), value);
    }
}

/* --- edits ---------------------------------------------------------------
 */

static bool
upstream_params_admin(veil_upstream_edit_t *edit, const char *value)
{
    unsigned i;

    for (i = VEIL_UPSTREAM_READY; i <= VEIL_UPSTREAM_DOWN; i++) {
        if (strcmp(value, veil_upstream_admin_name(i)) == 0) {
            edit->value.admin = (uint16_t) i;
            return true;
        }
    }
    return false;
}

static bool
upstream_params_addr(veil_upstream_edit_t *edit, const char *value)
{
    veil_hostport_t hp;
    veil_addr_t a;

    if (strcmp(value, "off") == 0) {
        edit->addr[0] = '\0';
        return true;
    }
    (void) veil_str_copy_z(edit->addr, sizeof(edit->addr), veil_str_z(value));
    return veil_hostport_parse(&hp, veil_str_z(value)) && !hp.is_unix
           && hp.has_port && veil_addr_parse_ip(&a, hp.host);
}

static const char *
upstream_params_wanted(uint32_t bit)
{
    switch (bit) {
    case VEIL_UPSTREAM_HAS_ADMIN:
        return "\"ready\", \"drain\" or \"down\"";
    case VEIL_UPSTREAM_HAS_WEIGHT:
        return "a number from 1 to 65535";
    case VEIL_UPSTREAM_HAS_FAIL_TIMEOUT:
        return "a time, as \"10s\"";
    case VEIL_UPSTREAM_HAS_BACKUP:
        return "\"on\" or \"off\"";
    case VEIL_UPSTREAM_HAS_ADDR:
        return "ADDRESS:PORT or \"off\"";
    default:
        return "a number, 0 or more";
    }
}

/* Whether the text is one of this parameter. */
static bool
upstream_params_parse(veil_upstream_edit_t *edit, uint32_t bit,
                      const char *value)
{
    veil_upstream_params_t *p = &edit->value;
    int64_t n = veil_str_to_int(veil_str_z(value));

    switch (bit) {
    case VEIL_UPSTREAM_HAS_ADMIN:
        return upstream_params_admin(edit, value);
    case VEIL_UPSTREAM_HAS_WEIGHT:
        p->weight = (int32_t) n;
        return n >= 1 && n <= VEIL_UPSTREAM_WEIGHT_MAX;
    case VEIL_UPSTREAM_HAS_MAX_CONNS:
        p->max_conns = n;
        return n >= 0;
    case VEIL_UPSTREAM_HAS_MAX_FAILS:
        p->max_fails = n;
        return n >= 0;
    case VEIL_UPSTREAM_HAS_FAIL_TIMEOUT:
        n = veil_str_to_msec(veil_str_z(value));
        p->fail_timeout = (uint64_t) n;
        return n >= 0;
    case VEIL_UPSTREAM_HAS_BACKUP:
        p->backup = strcmp(value, "on") == 0;
        return p->backup || strcmp(value, "off") == 0;
    default:
        return upstream_params_addr(edit, value);
    }
}

bool
veil_upstream_edit_set(veil_upstream_edit_t *edit, const char *key,
                       const char *value, char *why, size_t size)
{
    const char *best = NULL;
    unsigned i, distance = 0;
    uint32_t bit;

    for (i = 0; i < veil_countof(upstream_params_names); i++) {
        if (strcmp(upstream_params_names[i].name, key) == 0) {
            break;
        }
        veil_conf_nearest(veil_str_z(key), upstream_params_names[i].name,
                          &best, &distance);
    }
    if (i == veil_countof(upstream_params_names)) {
        (void) veil_snprintf(
            why, size, "a server has no parameter \"%s\"%s%s%s", key,
            best == NULL ? "" : ", did you mean \"", best == NULL ? "" : best,
            best == NULL ? "" : "\"?");
        return false;
    }
    bit = upstream_params_names[i].bit;
    if (!upstream_params_parse(edit, bit, value)) {
        (void) veil_snprintf(why, size, "\"%s\" must be %s, not \"%s\"", key,
                             upstream_params_wanted(bit), value);
        return false;
    }
    edit->set |= bit;
    return true;
}

bool
veil_upstream_edit_of(veil_control_call_t *call, veil_upstream_edit_t *edit)
{
    char text[32], why[256];
    const char *name, *value;
    const json_t *v;
    unsigned i;

    memset(edit, 0, sizeof(*edit));
    edit->reset = veil_control_flag(call, "reset");
    for (i = 0; i < veil_countof(upstream_params_names); i++) {
        name = upstream_params_names[i].name;
        v = json_object_get(call->args, name);
        if (v == NULL) {
            continue;
        }
        value = json_string_value(v);
        if (value == NULL) {
            /* Times are milliseconds by now. */
            (void) veil_snprintf(text, sizeof(text), "%lld%s",
                                 (long long) json_integer_value(v),
                                 upstream_params_names[i].bit
                                         == VEIL_UPSTREAM_HAS_FAIL_TIMEOUT
                                     ? "ms"
                                     : "");
            value = text;
        }
        if (!veil_upstream_edit_set(edit, name, value, why, sizeof(why))) {
            (void) veil_control_fail(call, VEIL_E_ARGUMENT, "%s", why);
            return false;
        }
    }
    return true;
}

/* --- as JSON -------------------------------------------------------------
 */

json_t *
veil_upstream_params_json(const veil_upstream_params_t *p)
{
    char time[32];

    upstream_params_print_ms(p->fail_timeout, time, sizeof(time));
    return json_pack("{s:s, s:i, s:I, s:I, s:s, s:b}", "state",
                     veil_upstream_admin_name(p->admin), "weight",
                     (int) p->weight, "max_conns", (json_int_t) p->max_conns,
                     "max_fails", (json_int_t) p->max_fails, "fail_timeout",
                     time, "backup", p->backup != 0);
}

json_t *
veil_upstream_subject_json(const veil_upstream_subject_t *s)
{
    veil_upstream_params_t now, conf;
    veil_str_t name, sni, addr;
    json_t *o;

    if (veil_upstream_subject_is_deleted(s)) {
        return json_pack("{s:s}", "state", "deleted");
    }
    veil_upstream_subject_params(s, &now, &conf);
    o = veil_upstream_params_json(&now);
    if (s->entry.change.set & VEIL_UPSTREAM_HAS_ADDR) {
        veil_upstream_entry_texts(&s->entry, &name, &sni, &addr);
        json_object_set_new(o, "addr", json_stringn(addr.data, addr.len));
    }
    return o;
}

/* --- what an added server begins with ------------------------------------
 */

bool
veil_upstream_group_has_scheme(const veil_upstream_group_t *g,
                               veil_upstream_scheme_t scheme)
{
    const veil_upstream_server_t *s;
    unsigned i;

    for (i = 0; i < g->servers.n; i++) {
        s = *veil_array_at(&g->servers, veil_upstream_server_t *, i);
        if (!s->added && s->scheme == scheme) {
            return true;
        }
    }
    return false;
}

void
veil_upstream_group_defaults(const veil_upstream_group_t *g,
                             veil_upstream_scheme_t scheme,
                             veil_upstream_params_t *params, veil_str_t *sni)
{
    static const uint32_t bits[] = { VEIL_UPSTREAM_HAS_MAX_CONNS,
                                     VEIL_UPSTREAM_HAS_MAX_FAILS,
                                     VEIL_UPSTREAM_HAS_FAIL_TIMEOUT };
    const veil_upstream_server_t *s, *first = NULL;
    bool same_sni = true;
    uint32_t agreed = ~0u;
    unsigned i, k;

    veil_upstream_params_default(params);
    *sni = VEIL_STR_NULL;
    for (i = 0; i < g->servers.n; i++) {
        s = *veil_array_at(&g->servers, veil_upstream_server_t *, i);
        if (s->added) {
            continue;
        }
        if (first == NULL) {
            first = s;
        }
        for (k = 0; k < veil_countof(bits); k++) {
            if (!veil_upstream_params_same(&first->conf, &s->conf, bits[k])) {
                agreed &= ~bits[k];
            }
        }
        same_sni &= s->scheme == scheme && veil_str_eq(first->sni, s->sni);
    }
    for (k = 0; first != NULL && k < veil_countof(bits); k++) {
        if (agreed & bits[k]) {
            veil_upstream_params_copy(params, &first->conf, bits[k]);
        }
    }
    if (first != NULL && same_sni) {
        *sni = first->sni;
    }
}
