/*
 * ssl_state.c -- certificates that were put in, in a saved state.
 *
 *     { "sni": "a.test", "how": "replace", "cert": "/etc/a.crt",
 *       "key": "/etc/a.key", "sha256": "..." }
 *
 * A saved state has no certificate, and no key above all: it says in which
 * files they are, and by the fingerprint which certificate was there. One
 * whose files have another by now, or are gone, could not be loaded, so that
 * it is left out when the state is saved, which the answer says. Loading
 * takes away all that was put in and does the rows in their order; workers
 * are sent what was read then, as they may not read the files.
 *
 * Here is remembered what was put in, in the keeper alone; whether it is in
 * force still is seen from what servers have.
 */

#include "core/platform.h"

#include "core/overlay.h"
#include "core/state.h"
#include "modules/ssl/ssl_put_in.h"

#define SSL_STATE_SHA (2 * 32 + 1)

typedef struct {
    veil_list_t link;
    char *name; /* lower case */
    char *cert; /* path */
    char *key;  /* path */
    char sha[SSL_STATE_SHA];
    veil_tls_key_kind_t kind;
    bool add;
    /* Of one that is to be loaded: */
    veil_tls_cert_t loaded;
    json_t *texts; /* for workers */
} ssl_state_t;

static veil_list_t ssl_state_now = { &ssl_state_now, &ssl_state_now };
static veil_list_t ssl_state_wanted = { &ssl_state_wanted, &ssl_state_wanted };

/* --- what was put in ----------------------------------------------------- */

static ssl_state_t *
ssl_state_new(veil_list_t *list, veil_str_t name, bool add, const char *cert,
              const char *key)
{
    ssl_state_t *s = veil_zalloc(sizeof(*s));

    s->name = veil_zalloc(name.len + 1);
    memcpy(s->name, name.data, name.len);
    s->cert = veil_zalloc(strlen(cert) + 1);
    memcpy(s->cert, cert, strlen(cert));
    s->key = veil_zalloc(strlen(key) + 1);
    memcpy(s->key, key, strlen(key));
    s->add = add;
    veil_list_append(list, &s->link);
    return s;
}

static void
ssl_state_free(ssl_state_t *s)
{
    veil_list_remove(&s->link);
    if (s->loaded.leaf != NULL) {
        veil_tls_cert_free(&s->loaded);
    }
    json_decref(s->texts);
    veil_free(s->name);
    veil_free(s->cert);
    veil_free(s->key);
    veil_free(s);
}

static void
ssl_state_clear(veil_list_t *list)
{
    while (!veil_list_is_empty(list)) {
        ssl_state_free(veil_list_first(list, ssl_state_t, link));
    }
}

/* A name has one for each kind of key, added or in the place of another. */
static ssl_state_t *
ssl_state_find(veil_list_t *list, const ssl_state_t *like)
{
    ssl_state_t *s;
    veil_list_t *l;

    veil_list_foreach (l, list) {
        s = veil_list_entry(l, ssl_state_t, link);
        if (s != like && s->add == like->add && s->kind == like->kind
            && strcmp(s->name, like->name) == 0)
        {
            return s;
        }
    }
    return NULL;
}

void
veil_ssl_state_note(const veil_ssl_change_t *c, const char *cert,
                    const char *key)
{
    ssl_state_t *s = ssl_state_new(&ssl_state_now, c->name, c->add, cert, key);
    ssl_state_t *old;

    veil_ssl_fingerprint(c->cert.leaf, s->sha);
    s->kind = c->cert.kind;
    old = ssl_state_find(&ssl_state_now, s);
    if (old != NULL) {
        ssl_state_free(old);
    }
}

void
veil_ssl_state_deleted(veil_str_t name)
{
    ssl_state_t *s;
    veil_list_t *l, *tmp;

    veil_list_foreach_safe (l, tmp, &ssl_state_now) {
        s = veil_list_entry(l, ssl_state_t, link);
        if (s->add && veil_str_eq_z(name, s->name)) {
            ssl_state_free(s);
        }
    }
}

/* --- what is in force ---------------------------------------------------- */

typedef struct {
    const ssl_state_t *s;
    bool found;
} ssl_state_force_t;

static bool
ssl_state_ctx_has(const veil_tls_ctx_t *ctx, const char *sha)
{
    char text[SSL_STATE_SHA];
    unsigned i;

    for (i = 0; i < veil_tls_ctx_certs(ctx); i++) {
        veil_ssl_fingerprint(veil_tls_ctx_cert(ctx, i), text);
        if (strcmp(text, sha) == 0) {
            return true;
        }
    }
    return false;
}

static void
ssl_state_force_one(veil_http_server_t *server, void *data)
{
    const veil_ssl_conf_t *conf = veil_ssl_conf_of(server);
    ssl_state_force_t *f = data;
    const veil_tls_ctx_t *ctx = conf->put_in;
    const veil_ssl_added_t *added;

    if (f->s->add) {
        added = veil_ssl_find_added(conf, veil_str_z(f->s->name));
        ctx = added == NULL ? NULL : added->ctx;
    }
    f->found |= ctx != NULL && ssl_state_ctx_has(ctx, f->s->sha);
}

/* Whether a server has it: it may have been replaced by another name. */
static bool
ssl_state_is_in_force(const ssl_state_t *s)
{
    ssl_state_force_t f = { .s = s };

    veil_ssl_each(veil_str_z(s->name), s->add, ssl_state_force_one, &f);
    return f.found;
}

static veil_state_force_t
ssl_state_in_force(const veil_overlay_line_t *line)
{
    const char *name = veil_overlay_section_is(line->section, "certificate");
    const char *how, *cert, *key;
    const ssl_state_t *s;
    veil_list_t *l;

    if (name == NULL) {
        return VEIL_STATE_NOT_MINE;
    }
    how = veil_overlay_get(line->section, "how");
    cert = veil_overlay_get(line->section, "cert");
    key = veil_overlay_get(line->section, "key");
    veil_list_foreach (l, &ssl_state_now) {
        s = veil_list_entry(l, ssl_state_t, link);
        if (strcmp(s->name, name) == 0 && cert != NULL && key != NULL
            && strcmp(s->cert, cert) == 0 && strcmp(s->key, key) == 0
            && s->add == (how != NULL && strcmp(how, "add") == 0)
            && ssl_state_is_in_force(s))
        {
            return VEIL_STATE_IN_FORCE;
        }
    }
    return VEIL_STATE_NOT_IN_FORCE;
}

/* --- saving -------------------------------------------------------------- */

/* Whether it is the one that was put in; false after writing that it is not.
 */
static bool
ssl_state_is_same(const ssl_state_t *s, const veil_tls_cert_t *cert,
                  veil_control_call_t *why)
{
    char sha[SSL_STATE_SHA];

    veil_ssl_fingerprint(cert->leaf, sha);
    if (strcmp(sha, s->sha) != 0) {
        (void) veil_control_fail(why, VEIL_E_INVALID,
                                 "\"%s\" has another certificate by now",
                                 s->cert);
        return false;
    }
    return true;
}

/* Whether the files have it still; false after writing why not. */
static bool
ssl_state_files_are_same(const ssl_state_t *s, veil_control_call_t *why)
{
    veil_tls_cert_t cert;
    bool same;

    if (!veil_ssl_control_load(why, s->cert, s->key, &cert)) {
        return false;
    }
    same = ssl_state_is_same(s, &cert, why);
    veil_tls_cert_free(&cert);
    return same;
}

static const char *
ssl_state_how(const ssl_state_t *s)
{
    return s->add ? "add" : "replace";
}

static json_t *
ssl_state_save(json_t *left_out)
{
    veil_control_call_t why; /* to hear what is wrong */
    json_t *rows = json_array(), *row;
    const ssl_state_t *s;
    veil_list_t *l;

    veil_list_foreach (l, &ssl_state_now) {
        s = veil_list_entry(l, ssl_state_t, link);
        if (!ssl_state_is_in_force(s)) {
            continue;
        }
        row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "sni", s->name, "how",
                        ssl_state_how(s), "cert", s->cert, "key", s->key,
                        "sha256", s->sha);
        memset(&why, 0, sizeof(why));
        if (row == NULL) {
            (void) veil_control_fail(&why, VEIL_E_INVALID,
                                     "its files' names are not UTF-8");
        } else if (s->cert[0] != '/' || s->key[0] != '/') {
            (void) veil_control_fail(&why, VEIL_E_INVALID,
                                     "its files were not named by whole "
                                     "paths");
        } else if (ssl_state_files_are_same(s, &why)) {
            json_array_append_new(rows, row);
            continue;
        }
        json_decref(row);
        json_array_append_new(
            left_out,
            json_pack("{s:o, s:s, s:s, s:o}", "certificate",
                      veil_control_string(veil_str_z(s->name)), "how",
                      ssl_state_how(s), "sha256", s->sha, "reason",
                      veil_control_string(veil_str_z(why.msg))));
    }
    return rows;
}

/* --- checking ------------------------------------------------------------ */

static void
ssl_state_forget(void)
{
    ssl_state_clear(&ssl_state_wanted);
}

/* A file as "data:", so that all processes load the same. */
static json_t *
ssl_state_read(veil_control_call_t *why, const char *path)
{
    json_t *data;
    size_t len;
    char *text = veil_tls_read_file(veil_str_z(path), &len, NULL);

    if (text == NULL) {
        (void) veil_control_fail(why, VEIL_E_INVALID,
                                 "\"%s\" cannot be read: %s", path,
                                 strerror(errno));
        return NULL;
    }
    data = json_sprintf("data:%s", text);
    OPENSSL_free(text);
    if (data == NULL) {
        (void) veil_control_fail(why, VEIL_E_INVALID, "\"%s\" is no PEM file",
                                 path);
    }
    return data;
}

/* Reads its files; false after writing what is wrong with them. */
static bool
ssl_state_load_files(ssl_state_t *s, veil_control_call_t *why)
{
    json_t *cert = ssl_state_read(why, s->cert);
    json_t *key = cert == NULL ? NULL : ssl_state_read(why, s->key);

    if (key == NULL) {
        json_decref(cert);
        return false;
    }
    s->texts = json_pack("{s:s, s:s, s:o, s:o}", "sni", s->name, "how",
                         ssl_state_how(s), "cert", cert, "key", key);
    if (!veil_ssl_control_load(why, json_string_value(cert),
                               json_string_value(key), &s->loaded))
    {
        memset(&s->loaded, 0, sizeof(s->loaded));
        return false;
    }
    s->kind = s->loaded.kind;
    return ssl_state_is_same(s, &s->loaded, why);
}

static bool
ssl_state_parse(const json_t *row, veil_control_call_t *why)
{
    const char *name = json_string_value(json_object_get(row, "sni"));
    const char *how = json_string_value(json_object_get(row, "how"));
    const char *cert = json_string_value(json_object_get(row, "cert"));
    const char *key = json_string_value(json_object_get(row, "key"));
    const char *sha = json_string_value(json_object_get(row, "sha256"));
    ssl_state_t *s;

    if (name == NULL || how == NULL || cert == NULL || cert[0] != '/'
        || key == NULL || key[0] != '/' || sha == NULL
        || strlen(sha) != SSL_STATE_SHA - 1
        || (strcmp(how, "add") != 0 && strcmp(how, "replace") != 0))
    {
        (void) veil_control_fail(why, VEIL_E_INVALID, "it is malformed");
        return false;
    }
    s = ssl_state_new(&ssl_state_wanted, veil_str_z(name),
                      strcmp(how, "add") == 0, cert, key);
    memcpy(s->sha, sha, sizeof(s->sha));
    if (!veil_ssl_control_survey(why, veil_str_z(s->name), s->add)
        || !ssl_state_load_files(s, why))
    {
        return false;
    }
    if (ssl_state_find(&ssl_state_wanted, s) != NULL) {
        (void) veil_control_fail(why, VEIL_E_INVALID,
                                 "it is there a second time");
        return false;
    }
    return true;
}

static json_t *
ssl_state_side(const ssl_state_t *s)
{
    return s == NULL ? json_null()
                     : json_pack("{s:s, s:s, s:o}", "how", ssl_state_how(s),
                                 "sha256", s->sha, "cert",
                                 veil_control_string(veil_str_z(s->cert)));
}

static void
ssl_state_change(json_t *changes, const ssl_state_t *before,
                 const ssl_state_t *after)
{
    const ssl_state_t *s = before != NULL ? before : after;

    if (before == NULL || after == NULL
        || strcmp(before->sha, after->sha) != 0) {
        json_array_append_new(
            changes,
            json_pack("{s:o, s:o, s:o}", "certificate",
                      veil_control_string(veil_str_z(s->name)), "before",
                      ssl_state_side(before), "after", ssl_state_side(after)));
    }
}

static void
ssl_state_diff(json_t *changes)
{
    const ssl_state_t *s, *now;
    veil_list_t *l;

    veil_list_foreach (l, &ssl_state_wanted) {
        s = veil_list_entry(l, ssl_state_t, link);
        now = ssl_state_find(&ssl_state_now, s);
        ssl_state_change(
            changes, now != NULL && ssl_state_is_in_force(now) ? now : NULL,
            s);
    }
    veil_list_foreach (l, &ssl_state_now) {
        s = veil_list_entry(l, ssl_state_t, link);
        if (ssl_state_find(&ssl_state_wanted, s) == NULL
            && ssl_state_is_in_force(s)) {
            ssl_state_change(changes, s, NULL);
        }
    }
}

static bool
ssl_state_check(veil_control_call_t *call, const json_t *saved,
                json_t *changes)
{
    veil_control_call_t why; /* to hear what is wrong */
    const char *name;
    const json_t *row;
    size_t i;

    ssl_state_forget();
    json_array_foreach(saved, i, row)
    {
        memset(&why, 0, sizeof(why));
        if (!ssl_state_parse(row, &why)) {
            name = json_string_value(json_object_get(row, "sni"));
            (void) veil_control_fail(call, VEIL_E_INVALID,
                                     "the saved certificate of \"%s\": %s",
                                     name == NULL ? "?" : name, why.msg);
            return false;
        }
    }
    ssl_state_diff(changes);
    return true;
}

/* --- loading ------------------------------------------------------------- */

static json_t *
ssl_state_load(void)
{
    bool any = !veil_list_is_empty(&ssl_state_now)
               || !veil_list_is_empty(&ssl_state_wanted);
    json_t *rows = json_array();
    const ssl_state_t *s;
    veil_ssl_change_t c;
    veil_list_t *l;

    if (!any) {
        json_decref(rows);
        return NULL;
    }
    veil_ssl_put_in_clear(veil_cycle);
    ssl_state_clear(&ssl_state_now);
    veil_list_foreach (l, &ssl_state_wanted) {
        s = veil_list_entry(l, ssl_state_t, link);
        memset(&c, 0, sizeof(c));
        c.name = veil_str_z(s->name);
        c.add = s->add;
        c.cert = s->loaded;
        veil_ssl_put_in(&c);
        json_decref(c.before);
        veil_ssl_state_note(&c, s->cert, s->key);
        json_array_append(rows, s->texts);
    }
    return rows;
}

static bool
ssl_state_load_worker(veil_control_call_t *call, const json_t *rows)
{
    const char *how;
    const json_t *row;
    veil_ssl_change_t c;
    size_t i;

    veil_ssl_put_in_clear(veil_cycle);
    json_array_foreach(rows, i, row)
    {
        memset(&c, 0, sizeof(c));
        how = json_string_value(json_object_get(row, "how"));
        c.add = strcmp(how, "add") == 0;
        c.name = veil_str_z(json_string_value(json_object_get(row, "sni")));
        if (!veil_ssl_control_load(
                call, json_string_value(json_object_get(row, "cert")),
                json_string_value(json_object_get(row, "key")), &c.cert))
        {
            return false;
        }
        veil_ssl_put_in(&c);
        json_decref(c.before);
        veil_tls_cert_free(&c.cert);
    }
    return true;
}

void
veil_ssl_state_init(void)
{
    static veil_state_part_t part = {
        .name = "certificates",
        .save = ssl_state_save,
        .check = ssl_state_check,
        .load = ssl_state_load,
        .load_worker = ssl_state_load_worker,
        .forget = ssl_state_forget,
        .in_force = ssl_state_in_force,
    };

    veil_state_add(&part);
}
