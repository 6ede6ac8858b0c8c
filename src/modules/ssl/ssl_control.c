/*
 * ssl_control.c -- certificates while the server runs: cert.list, cert.check,
 * cert.add, cert.replace, cert.del.
 *
 * A change is made in two places. The keeper, which may read the files, checks
 * everything and takes the certificate over itself, so that a worker it forks
 * later has it too; then each worker gets the texts and does the same. What
 * is under way keeps the certificate it began with.
 *
 *     replace   the servers that answer for the name, all their names
 *     add       this one name alone, whichever server answers for it
 *     del       what was added
 *
 * A reload reads the files of the configuration again: what was done here is
 * then gone, unless it was made to stay. Stapled OCSP responses are fetched
 * for certificates of the configuration only.
 */

#include "core/platform.h"

#include <openssl/x509v3.h>

#include "core/overlay.h"
#include "core/time.h"
#include "modules/ssl/ssl_put_in.h"

#define E_NAME "E_NO_NAME"

/* --- reading and judging ------------------------------------------------- */

static void
ssl_control_tell(void *data, bool warning, bool of_key VEIL_UNUSED,
                 const char *text)
{
    veil_control_call_t *call = data;

    if (!warning && call->code == NULL) {
        (void) veil_control_fail(call, VEIL_E_INVALID, "%s", text);
    }
}

bool
veil_ssl_control_load(veil_control_call_t *call, const char *cert,
                      const char *key, veil_tls_cert_t *to)
{
    veil_tls_cert_files_t files;

    memset(&files, 0, sizeof(files));
    memset(to, 0, sizeof(*to));
    files.cert = veil_str_z(cert);
    files.key = veil_str_z(key);
    if (veil_tls_cert_load(to, &files, NULL, ssl_control_tell, call)) {
        return true;
    }
    if (call->code == NULL) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "the certificate cannot be used");
    }
    return false;
}

/* Clients would refuse it: no server is given such a one by mistake. */
static bool
ssl_control_judge(veil_control_call_t *call, X509 *cert, veil_str_t name)
{
    if (veil_control_flag(call, "force")) {
        return true;
    }
    if (veil_ssl_seconds_left(cert) <= 0) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "the certificate has ended");
    } else if (X509_cmp_time_posix(X509_get0_notBefore(cert), veil_clock.sec)
               > 0) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "the certificate has not begun");
    } else if (X509_check_host(cert, name.data, name.len, 0, NULL) != 1) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "the certificate is not for \"%.*s\"",
                                 VEIL_STR_ARG(name));
    } else {
        return true;
    }
    veil_control_hint(call, "\"force\" takes it nevertheless");
    return false;
}

/* --- what can be changed ------------------------------------------------- */

typedef struct {
    unsigned n;
    bool variable; /* a server whose certificates have variables */
    bool reject;   /* one that refuses all handshakes */
} ssl_survey_t;

static void
ssl_control_survey_one(veil_http_server_t *s, void *data)
{
    const veil_ssl_conf_t *conf = veil_ssl_conf_of(s);
    ssl_survey_t *survey = data;

    survey->n++;
    survey->variable |= conf->loader != NULL;
    survey->reject |= conf->o.reject;
}

bool
veil_ssl_control_survey(veil_control_call_t *call, veil_str_t name, bool add)
{
    ssl_survey_t survey;

    memset(&survey, 0, sizeof(survey));
    veil_ssl_each(name, add, ssl_control_survey_one, &survey);
    if (survey.n == 0) {
        (void) veil_control_fail(call, E_NAME,
                                 add ? "no port has TLS"
                                     : "no server with TLS has the name "
                                       "\"%.*s\"",
                                 VEIL_STR_ARG(name));
        if (!add) {
            veil_control_hint(call, "\"cert.add\" gives the name a "
                                    "certificate of its own");
        }
        return false;
    }
    if (survey.reject) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "the server of \"%.*s\" rejects handshakes",
                                 VEIL_STR_ARG(name));
        return false;
    }
    if (survey.variable && !add) {
        (void) veil_control_fail(
            call, VEIL_E_INVALID,
            "the certificates of this server have variables in their names");
        veil_control_hint(call, "replace the files");
        return false;
    }
    return true;
}

/* --- cert.add, cert.replace ---------------------------------------------- */

static veil_str_t
ssl_control_name(const veil_control_call_t *call, char *buf, size_t n)
{
    const char *sni = veil_control_text(call, "sni");
    size_t i;

    for (i = 0; sni[i] != '\0' && i + 1 < n; i++) {
        buf[i] = (char) veil_lower((unsigned char) sni[i]);
    }
    buf[i] = '\0';
    return veil_str_n(buf, i);
}

static json_t *
ssl_control_answer(veil_ssl_change_t *c)
{
    json_t *o = json_object();

    json_object_set_new(o, "sni", json_stringn(c->name.data, c->name.len));
    json_object_set_new(o, "servers", json_integer(c->n));
    json_object_set_new(o, "before",
                        c->before == NULL ? json_null() : c->before);
    json_object_set_new(o, "after", veil_ssl_describe(c->cert.leaf));
    c->before = NULL;
    return o;
}

/* The files' texts, for workers that may not read them. */
static json_t *
ssl_control_texts(veil_control_call_t *call)
{
    static const char *const names[] = { "cert", "key" };
    json_t *o = json_object();
    char *text;
    size_t len;
    unsigned i;

    json_object_set(o, "sni", json_object_get(call->args, "sni"));
    for (i = 0; i < veil_countof(names); i++) {
        text = veil_tls_read_file(
            veil_str_z(veil_control_text(call, names[i])), &len, NULL);
        if (text == NULL) {
            json_decref(o);
            return NULL; /* it was there a moment ago */
        }
        json_object_set_new(o, names[i], json_sprintf("data:%s", text));
        OPENSSL_free(text);
    }
    return o;
}

static bool
ssl_control_persist(veil_control_call_t *call, const char *name, bool add)
{
    char section[300];
    char why[256];
    veil_overlay_edit_t edits[] = {
        { section, "how", add ? "add" : "replace" },
        { section, "cert", veil_control_text(call, "cert") },
        { section, "key", veil_control_text(call, "key") },
    };

    (void) veil_snprintf(section, sizeof(section), "certificate %s", name);
    if (veil_overlay_change(edits, veil_countof(edits), why, sizeof(why)) == 0)
    {
        return true;
    }
    (void) veil_control_fail(call, VEIL_E_IO, "%s", why);
    return false;
}

/* In the keeper, after everything was found to be right. */
static veil_control_rc_t
ssl_control_begin(veil_control_call_t *call, veil_ssl_change_t *c)
{
    json_t *texts;

    if (call->dry_run) {
        c->dry = true;
        veil_ssl_put_in(c);
        call->data = ssl_control_answer(c);
        return VEIL_CONTROL_DONE;
    }
    texts = ssl_control_texts(call);
    if (texts == NULL) {
        return veil_control_fail(call, VEIL_E_IO, "reading a file failed");
    }
    if (call->persist && !ssl_control_persist(call, c->name.data, c->add)) {
        json_decref(texts);
        return VEIL_CONTROL_FAILED;
    }
    veil_ssl_put_in(c);
    veil_ssl_state_note(c, veil_control_text(call, "cert"),
                        veil_control_text(call, "key"));
    json_decref(c->before);
    veil_control_event(c->add ? "cert.added" : "cert.replaced",
                       json_pack("{s:s%}", "sni", c->name.data, c->name.len));
    return veil_control_forward(call, texts);
}

/* Not texts, as a configuration may have: keys would be in logs. */
static bool
ssl_control_has_files(veil_control_call_t *call)
{
    static const char *const names[] = { "cert", "key" };
    unsigned i;

    for (i = 0; i < veil_countof(names); i++) {
        if (veil_str_starts(veil_str_z(veil_control_text(call, names[i])),
                            VEIL_STR("data:")))
        {
            (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                     "\"%s\" must be a file, not what is in "
                                     "it",
                                     names[i]);
            return false;
        }
    }
    return true;
}

static veil_control_rc_t
ssl_control_change(veil_control_call_t *call, bool add)
{
    char name[256];
    veil_ssl_change_t c;
    veil_control_rc_t rc;

    memset(&c, 0, sizeof(c));
    c.add = add;
    c.name = ssl_control_name(call, name, sizeof(name));
    if (!ssl_control_has_files(call)) {
        return VEIL_CONTROL_FAILED;
    }
    if (!veil_ssl_control_survey(call, c.name, add)
        || !veil_ssl_control_load(call, veil_control_text(call, "cert"),
                                  veil_control_text(call, "key"), &c.cert))
    {
        return VEIL_CONTROL_FAILED;
    }
    rc = ssl_control_judge(call, c.cert.leaf, c.name)
             ? ssl_control_begin(call, &c)
             : VEIL_CONTROL_FAILED;
    veil_tls_cert_free(&c.cert);
    return rc;
}

static veil_control_rc_t
ssl_control_run_add(veil_control_call_t *call)
{
    return ssl_control_change(call, true);
}

static veil_control_rc_t
ssl_control_run_replace(veil_control_call_t *call)
{
    return ssl_control_change(call, false);
}

static veil_control_rc_t
ssl_control_worker(veil_control_call_t *call, bool add)
{
    char name[256];
    veil_ssl_change_t c;

    memset(&c, 0, sizeof(c));
    c.add = add;
    c.name = ssl_control_name(call, name, sizeof(name));
    if (!veil_ssl_control_load(call, veil_control_text(call, "cert"),
                               veil_control_text(call, "key"), &c.cert))
    {
        return VEIL_CONTROL_FAILED;
    }
    veil_ssl_put_in(&c);
    call->data = ssl_control_answer(&c);
    call->is_volatile = true;
    veil_tls_cert_free(&c.cert);
    return VEIL_CONTROL_DONE;
}

static veil_control_rc_t
ssl_control_worker_add(veil_control_call_t *call)
{
    return ssl_control_worker(call, true);
}

static veil_control_rc_t
ssl_control_worker_replace(veil_control_call_t *call)
{
    return ssl_control_worker(call, false);
}

/* --- cert.del ------------------------------------------------------------ */

typedef struct {
    veil_str_t name;
    bool remove;
    unsigned n;
    json_t *before; /* of the first, when it was found */
} ssl_del_t;

static void
ssl_control_del_one(veil_http_server_t *s, void *data)
{
    const veil_ssl_conf_t *conf = veil_ssl_conf_of(s);
    ssl_del_t *del = data;
    veil_ssl_added_t *a = veil_ssl_find_added(conf, del->name);

    if (a == NULL) {
        return;
    }
    del->n++;
    if (del->before == NULL && !del->remove) {
        del->before = veil_ssl_describe(veil_tls_ctx_cert(a->ctx, 0));
    }
    if (del->remove) {
        veil_ssl_free_added(a);
        veil_ssl_use_list(conf);
    }
}

static veil_control_rc_t
ssl_control_del(veil_control_call_t *call, ssl_del_t *del, char *buf, size_t n)
{
    memset(del, 0, sizeof(*del));
    del->name = ssl_control_name(call, buf, n);
    veil_ssl_each(del->name, true, ssl_control_del_one, del);
    if (del->n == 0) {
        return veil_control_fail(call, E_NAME,
                                 "no certificate was added for \"%.*s\"",
                                 VEIL_STR_ARG(del->name));
    }
    return VEIL_CONTROL_DONE;
}

static veil_control_rc_t
ssl_control_run_del(veil_control_call_t *call)
{
    char name[256], section[300], why[256];
    veil_overlay_edit_t edit = { section, NULL, NULL };
    ssl_del_t del;

    if (ssl_control_del(call, &del, name, sizeof(name)) != VEIL_CONTROL_DONE) {
        return VEIL_CONTROL_FAILED;
    }
    if (call->dry_run) {
        call->data =
            json_pack("{s:s, s:o}", "sni", name, "before", del.before);
        return VEIL_CONTROL_DONE;
    }
    json_decref(del.before);
    del.before = NULL;
    (void) veil_snprintf(section, sizeof(section), "certificate %s", name);
    if (call->persist && veil_overlay_change(&edit, 1, why, sizeof(why)) < 0) {
        return veil_control_fail(call, VEIL_E_IO, "%s", why);
    }
    del.remove = true;
    veil_ssl_each(del.name, true, ssl_control_del_one, &del);
    veil_ssl_state_deleted(del.name);
    veil_control_event("cert.deleted", json_pack("{s:s}", "sni", name));
    return veil_control_forward(call, json_incref(call->args));
}

static veil_control_rc_t
ssl_control_worker_del(veil_control_call_t *call)
{
    char name[256];
    ssl_del_t del;

    if (ssl_control_del(call, &del, name, sizeof(name)) != VEIL_CONTROL_DONE) {
        return VEIL_CONTROL_FAILED;
    }
    del.remove = true;
    veil_ssl_each(del.name, true, ssl_control_del_one, &del);
    call->data = json_pack("{s:s, s:o}", "sni", name, "before", del.before);
    call->is_volatile = true;
    return VEIL_CONTROL_DONE;
}

/* --- cert.list, cert.check ----------------------------------------------- */

/* What is asked for. */
typedef struct {
    veil_str_t name;    /* empty: any */
    int64_t expires_ms; /* -1: any */
} ssl_filter_t;

static bool
ssl_control_is_wanted(const ssl_filter_t *f, X509 *cert)
{
    if (f->expires_ms >= 0
        && veil_ssl_seconds_left(cert) * 1000 > f->expires_ms) {
        return false;
    }
    return f->name.len == 0
           || X509_check_host(cert, f->name.data, f->name.len, 0, NULL) == 1;
}

static void
ssl_control_list_ctx(json_t *list, const veil_tls_ctx_t *ctx, json_t *servers,
                     const char *from, const ssl_filter_t *f)
{
    X509 *cert;
    json_t *o;
    unsigned i;

    for (i = 0; i < veil_tls_ctx_certs(ctx); i++) {
        cert = veil_tls_ctx_cert(ctx, i);
        if (!ssl_control_is_wanted(f, cert)) {
            continue;
        }
        o = veil_ssl_describe(cert);
        json_object_set(o, "servers", servers);
        json_object_set_new(o, "from", json_string(from));
        json_array_append_new(list, o);
    }
}

/* The names of all servers with the conf. */
static json_t *
ssl_control_servers_of(const veil_ssl_conf_t *conf)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_server_t *s;
    json_t *names = json_array();
    unsigned i;

    for (i = 0; i < main->servers.n; i++) {
        s = *veil_array_at(&main->servers, veil_http_server_t *, i);
        if (veil_ssl_conf_of(s) == conf) {
            json_array_append_new(names,
                                  json_stringn(s->name.data, s->name.len));
        }
    }
    return names;
}

static void
ssl_control_list_conf(json_t *list, const veil_ssl_conf_t *conf,
                      const ssl_filter_t *f)
{
    json_t *servers = ssl_control_servers_of(conf);
    const veil_ssl_added_t *a;
    veil_list_t *l;
    json_t *name;

    ssl_control_list_ctx(list, veil_ssl_current(conf), servers,
                         conf->put_in != NULL ? "replace" : "configuration",
                         f);
    json_decref(servers);
    veil_list_foreach (l, &conf->added) {
        a = veil_list_entry(l, veil_ssl_added_t, link);
        name = json_pack("[s]", a->name);
        ssl_control_list_ctx(list, a->ctx, name, "add", f);
        json_decref(name);
    }
}

static json_t *
ssl_control_list(const ssl_filter_t *f)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_ssl_conf_t *conf;
    json_t *list = json_array();
    unsigned i, k;

    for (i = 0; main != NULL && i < main->servers.n; i++) {
        conf = veil_ssl_conf_of(
            *veil_array_at(&main->servers, veil_http_server_t *, i));
        for (k = 0; k < i; k++) {
            if (veil_ssl_conf_of(
                    *veil_array_at(&main->servers, veil_http_server_t *, k))
                == conf)
            {
                break;
            }
        }
        if (k == i && conf->ctx != NULL) {
            ssl_control_list_conf(list, conf, f);
        }
    }
    return list;
}

static veil_control_rc_t
ssl_control_run_list(veil_control_call_t *call)
{
    char name[256];
    ssl_filter_t f = { .expires_ms =
                           veil_control_number(call, "expires_in", -1) };

    if (veil_control_has(call, "sni")) {
        f.name = ssl_control_name(call, name, sizeof(name));
    }
    call->data = ssl_control_list(&f);
    return VEIL_CONTROL_DONE;
}

/* Those in use: fails when some end soon, so that a cron job can rely on it.
 */
static veil_control_rc_t
ssl_control_check_all(veil_control_call_t *call, int64_t expires_ms)
{
    ssl_filter_t f = { .expires_ms = expires_ms };
    json_t *list = ssl_control_list(&f);
    const json_t *first = json_array_get(list, 0);

    if (json_array_size(list) == 0) {
        call->data = list;
        return VEIL_CONTROL_DONE;
    }
    (void) veil_control_fail(
        call, "E_EXPIRES", "%zu certificate%s, the first on %s",
        json_array_size(list),
        json_array_size(list) == 1 ? " ends too soon" : "s end too soon",
        json_string_value(json_object_get(first, "not_after")));
    veil_control_hint(call, "\"cert.list\" with \"expires_in\" names them");
    json_decref(list);
    return VEIL_CONTROL_FAILED;
}

static veil_control_rc_t
ssl_control_run_check(veil_control_call_t *call)
{
    int64_t soon =
        veil_control_number(call, "expires_in", (int64_t) 14 * 86400 * 1000);
    const char *cert = veil_control_text(call, "cert");
    const char *key = veil_control_text(call, "key");
    veil_tls_cert_t c;

    if (cert == NULL && key == NULL) {
        return ssl_control_check_all(call, soon);
    }
    if (cert == NULL || key == NULL) {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"cert\" and \"key\" belong together");
    }
    if (!veil_ssl_control_load(call, cert, key, &c)) {
        return VEIL_CONTROL_FAILED;
    }
    call->data = veil_ssl_describe(c.leaf);
    json_object_set_new(call->data, "chain",
                        json_integer((json_int_t) c.nchain));
    if (veil_ssl_seconds_left(c.leaf) * 1000 <= soon) {
        (void) veil_control_fail(
            call, "E_EXPIRES", "the certificate ends on %s",
            json_string_value(json_object_get(call->data, "not_after")));
        veil_tls_cert_free(&c);
        return VEIL_CONTROL_FAILED;
    }
    veil_tls_cert_free(&c);
    return VEIL_CONTROL_DONE;
}

/* --- life ---------------------------------------------------------------- */

/* A section "certificate NAME" of the overlay. */
static void
ssl_control_restore_one(veil_overlay_line_t *line, const char *name)
{
    const char *how = veil_overlay_get(line->section, "how");
    const char *key = veil_overlay_get(line->section, "key");
    veil_control_call_t call; /* to hear what is wrong */
    veil_ssl_change_t c;

    memset(&call, 0, sizeof(call));
    memset(&c, 0, sizeof(c));
    c.name = veil_str_z(name);
    c.add = how != NULL && strcmp(how, "add") == 0;
    if (key == NULL) {
        veil_overlay_bad(line, "there is no \"key\" with it");
        return;
    }
    if (!veil_ssl_control_survey(&call, c.name, c.add)) {
        /* The configuration has no place for it any more. */
        veil_overlay_stale(line, "%s", call.msg);
        return;
    }
    if (!veil_ssl_control_load(&call, line->value, key, &c.cert)) {
        veil_overlay_bad(line, "%s", call.msg);
        return;
    }
    veil_ssl_put_in(&c);
    veil_ssl_state_note(&c, line->value, key);
    json_decref(c.before);
    veil_tls_cert_free(&c.cert);
}

veil_rc_t
veil_ssl_control_restore(veil_cycle_t *cycle VEIL_UNUSED)
{
    veil_overlay_line_t *line;
    const char *name;
    veil_list_t *l;

    veil_ssl_state_init();
    veil_list_foreach (l, veil_overlay_lines()) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        name = veil_overlay_section_is(line->section, "certificate");
        if (name != NULL && strcmp(line->key, "cert") == 0) {
            ssl_control_restore_one(line, name);
        }
    }
    return VEIL_OK;
}

/* --- tables -------------------------------------------------------------- */

#define SSL_ARG_SNI(more)                                                     \
    {                                                                         \
        .name = "sni", .type = VEIL_CONTROL_STRING,                           \
        .flags = VEIL_CONTROL_POSITION | (more),                              \
        .help = "the name that clients ask for"                               \
    }
#define SSL_ARG_FILE(which, more, text)                                       \
    {                                                                         \
        .name = which, .type = VEIL_CONTROL_STRING,                           \
        .flags = VEIL_CONTROL_FILE | (more), .help = text                     \
    }
#define SSL_ARG_EXPIRES(text)                                                 \
    {                                                                         \
        .name = "expires_in", .type = VEIL_CONTROL_TIME, .help = text         \
    }

static const veil_control_arg_t ssl_control_list_args[] = {
    SSL_ARG_SNI(0),
    SSL_ARG_EXPIRES("only those that end within this time"),
    { .name = NULL },
};

static const veil_control_arg_t ssl_control_check_args[] = {
    SSL_ARG_FILE("cert", 0, "a file of certificates"),
    SSL_ARG_FILE("key", 0, "the file of its key"),
    SSL_ARG_EXPIRES("what is too soon; 14d without it"),
    { .name = NULL },
};

static const veil_control_arg_t ssl_control_change_args[] = {
    SSL_ARG_SNI(VEIL_CONTROL_REQUIRED),
    SSL_ARG_FILE("cert", VEIL_CONTROL_REQUIRED,
                 "the certificate, and those between it and the root"),
    SSL_ARG_FILE("key", VEIL_CONTROL_REQUIRED, "its key"),
    { .name = "force",
      .type = VEIL_CONTROL_FLAG,
      .help = "also one that clients will refuse" },
    { .name = NULL },
};

static const veil_control_arg_t ssl_control_del_args[] = {
    SSL_ARG_SNI(VEIL_CONTROL_REQUIRED),
    { .name = NULL },
};

#define SSL_CONTROL_CHANGES (VEIL_CONTROL_CHANGES | VEIL_CONTROL_PERSISTS)

const veil_control_verb_t veil_ssl_control[] = {
    { .name = "cert.list",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_ONE_WORKER,
      .args = ssl_control_list_args,
      .run = ssl_control_run_list,
      .help = "Lists the certificates in use." },

    { .name = "cert.check",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .args = ssl_control_check_args,
      .run = ssl_control_run_check,
      .help = "Checks a certificate with its key, or how long those in use "
              "last." },

    { .name = "cert.replace",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = SSL_CONTROL_CHANGES,
      .args = ssl_control_change_args,
      .run = ssl_control_run_replace,
      .worker = ssl_control_worker_replace,
      .gather = veil_control_gather_first,
      .help = "Gives the servers of a name another certificate." },

    { .name = "cert.add",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = SSL_CONTROL_CHANGES,
      .args = ssl_control_change_args,
      .run = ssl_control_run_add,
      .worker = ssl_control_worker_add,
      .gather = veil_control_gather_first,
      .help = "Gives one name a certificate of its own." },

    { .name = "cert.del",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = SSL_CONTROL_CHANGES,
      .args = ssl_control_del_args,
      .run = ssl_control_run_del,
      .worker = ssl_control_worker_del,
      .gather = veil_control_gather_first,
      .help = "Takes away the certificate that was added for a name." },

    { .name = NULL },
};
