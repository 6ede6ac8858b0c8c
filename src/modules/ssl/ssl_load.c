/*
 * ssl_load.c -- certificates with variables in their names.
 *
 * The names are evaluated for a connection whose ClientHello is there and
 * whose request is not, so for a request that is made for this alone.  What
 * they lead to is read on a thread while the handshake waits; connections
 * that want the same files meanwhile wait for the same job.  With
 * ssl_certificate_cache the result is kept: for at most "valid", after which
 * the files are read again, and as long as somebody asks for it within
 * "inactive".  Without it nothing is kept, which is nginx's default too.
 *
 * An entry belongs to its worker.  A connection that goes away while it waits
 * takes itself off the list: its pool does that.
 */

#include "core/platform.h"

#include "core/hash.h"
#include "core/time.h"
#include "event/offload.h"
#include "event/tls_cert.h"
#include "http/conn.h"
#include "modules/ssl/ssl.h"

typedef struct ssl_load_job_s ssl_load_job_t;

typedef struct {
    veil_list_t age;     /* in the loader's list, the last used first */
    veil_str_t key;      /* all names, each with a zero byte behind it */
    veil_tls_ctx_t *ctx; /* NULL: not loaded yet */
    uint64_t loaded_ms;
    uint64_t used_ms;
    ssl_load_job_t *job; /* under way; or NULL */
} ssl_load_entry_t;

struct veil_ssl_loader_s {
    const veil_ssl_conf_t *conf;
    veil_str_t dir;      /* relative names are below it; ends with "/" */
    veil_hash_t entries; /* by their keys; of the worker */
    veil_list_t ages;
    unsigned nkept; /* entries with a ctx */
    bool closed;
};

struct ssl_load_job_s {
    veil_job_t job;
    veil_ssl_loader_t *loader;
    ssl_load_entry_t *entry;
    veil_list_t waiters;
    veil_tls_cert_t *certs;
    unsigned n;
    char why[512]; /* an error's text */
};

/* A connection that waits; in its pool. */
typedef struct {
    veil_list_t link; /* unlinked: nothing to wait for */
    veil_http_conn_t *hc;
} ssl_load_waiter_t;

veil_ssl_loader_t *
veil_ssl_loader_create(veil_conf_t *cf, veil_ssl_conf_t *conf)
{
    veil_ssl_loader_t *l = VEIL_POOL_NEW(cf->pool, veil_ssl_loader_t);

    l->conf = conf;
    l->dir = veil_conf_full_path(cf, VEIL_STR("."), true);
    l->dir.len--; /* the dot */
    veil_hash_init(&l->entries, NULL, VEIL_HASH_CASE, 0);
    veil_list_init(&l->ages);
    return l;
}

/* --- names -----------------------------------------------------------------
 */

/* The name of f for this request, as a path or "data:", zero-terminated. */
static veil_str_t
ssl_load_name(veil_http_request_t *r, const veil_ssl_loader_t *l,
              const veil_ssl_file_t *f)
{
    veil_str_t s = f->text;

    if (f->value != NULL) {
        s = veil_http_eval(r, f->value);
        if (s.len != 0 && s.data[0] != '/'
            && !veil_str_starts(s, VEIL_STR("data:"))) {
            return veil_pool_printf(r->pool, "%.*s%.*s", VEIL_STR_ARG(l->dir),
                                    VEIL_STR_ARG(s));
        }
    }
    return veil_pool_str(r->pool, s);
}

/* Certificates and keys in turn; in the request's pool. */
static veil_str_t
ssl_load_key(veil_http_request_t *r, const veil_ssl_loader_t *l)
{
    const veil_ssl_conf_t *conf = l->conf;
    unsigned n = conf->o.certs->n, i;
    veil_str_t *names = veil_pool_alloc(r->pool, 2 * n * sizeof(*names));
    size_t len = 0;
    char *p, *start;

    for (i = 0; i < n; i++) {
        names[2 * i] = ssl_load_name(
            r, l, veil_array_at(conf->certs, veil_ssl_file_t, i));
        names[2 * i + 1] =
            ssl_load_name(r, l, veil_array_at(conf->keys, veil_ssl_file_t, i));
        len += names[2 * i].len + names[2 * i + 1].len + 2;
    }
    start = p = veil_pool_chars(r->pool, len);
    for (i = 0; i < 2 * n; i++) {
        p = veil_fmt_str(p, names[i]);
        *p++ = '\0';
    }
    return veil_str_n(start, len);
}

/* --- entries ---------------------------------------------------------------
 */

static ssl_load_entry_t *
ssl_load_add(veil_ssl_loader_t *l, veil_str_t key)
{
    ssl_load_entry_t *e = veil_zalloc(sizeof(*e) + key.len);
    char *p = (char *) (e + 1);

    memcpy(p, key.data, key.len);
    e->key = veil_str_n(p, key.len);
    (void) veil_hash_add(&l->entries, e->key, e);
    veil_list_append(&l->ages, &e->age);
    return e;
}

static void
ssl_load_unload(veil_ssl_loader_t *l, ssl_load_entry_t *e)
{
    if (e->ctx != NULL) {
        veil_tls_ctx_put(e->ctx);
        e->ctx = NULL;
        l->nkept--;
    }
}

static void
ssl_load_remove(veil_ssl_loader_t *l, ssl_load_entry_t *e)
{
    VEIL_ASSERT(e->job == NULL);
    (void) veil_hash_remove(&l->entries, e->key);
    veil_list_remove(&e->age);
    ssl_load_unload(l, e);
    veil_free(e);
}

static void
ssl_load_touch(veil_ssl_loader_t *l, ssl_load_entry_t *e)
{
    e->used_ms = veil_now_ms();
    veil_list_remove(&e->age);
    veil_list_push(&l->ages, &e->age);
}

/*
 * Those that nobody asks for, and what is too many.  Names that strangers make
 * up do not count, or they would push out what is there.
 */
static void
ssl_load_expire(veil_ssl_loader_t *l)
{
    uint64_t now = veil_now_ms();
    ssl_load_entry_t *e;
    veil_list_t *n, *prev;

    for (n = l->ages.prev; n != &l->ages; n = prev) {
        prev = n->prev;
        e = veil_container_of(n, ssl_load_entry_t, age);
        if (e->job != NULL) {
            continue;
        }
        if (l->nkept <= l->conf->cache.max && !l->closed
            && now - e->used_ms < l->conf->cache.inactive_ms)
        {
            break;
        }
        ssl_load_remove(l, e);
    }
    if (l->closed && l->entries.n == 0) {
        veil_hash_done(&l->entries);
    }
}

void
veil_ssl_loader_clear(veil_ssl_loader_t *l)
{
    l->closed = true;
    ssl_load_expire(l);
}

/* --- the job ---------------------------------------------------------------
 */

static void
ssl_load_tell(void *data, bool warning, bool of_key VEIL_UNUSED,
              const char *text)
{
    ssl_load_job_t *j = data;

    if (!warning) {
        (void) veil_snprintf(j->why, sizeof(j->why), "%s", text);
    }
}

/* On a thread: everything it looks at is its own or does not change. */
static void
ssl_load_run(veil_job_t *job)
{
    ssl_load_job_t *j = veil_container_of(job, ssl_load_job_t, job);
    const veil_ssl_conf_t *conf = j->loader->conf;
    unsigned n = conf->o.certs->n, i;
    veil_tls_cert_files_t files = { .cert_node = NULL };
    const char *p = j->entry->key.data;

    for (i = 0; i < n; i++) {
        files.cert = veil_str_z(p);
        p += files.cert.len + 1;
        files.key = veil_str_z(p);
        p += files.key.len + 1;
        if (!veil_tls_cert_load(&j->certs[i], &files, conf->o.passwords,
                                ssl_load_tell, j))
        {
            break;
        }
        j->n++;
    }
    job->res = i == n ? 0 : -EPROTO;
}

static void
ssl_load_wake(ssl_load_job_t *j, veil_tls_ctx_t *ctx)
{
    ssl_load_waiter_t *w;
    veil_list_t *n;

    while ((n = j->waiters.next) != &j->waiters) {
        w = veil_container_of(n, ssl_load_waiter_t, link);
        veil_list_remove(&w->link);
        if (w->hc->c.closing) {
            continue;
        }
        if (ctx == NULL) {
            veil_log(&w->hc->c.log, VEIL_LOG_ERR, 0, "%s", j->why);
        }
        veil_tls_select(&w->hc->c, ctx);
    }
}

static void
ssl_load_done(veil_job_t *job)
{
    ssl_load_job_t *j = veil_container_of(job, ssl_load_job_t, job);
    veil_ssl_loader_t *l = j->loader;
    ssl_load_entry_t *e = j->entry;
    unsigned i;

    ssl_load_unload(l, e);
    if (job->res == 0) {
        e->ctx = veil_tls_ctx_with(l->conf->ctx, j->certs, j->n);
        l->nkept++;
        e->loaded_ms = veil_now_ms();
    } else {
        for (i = 0; i < j->n; i++) {
            veil_tls_cert_free(&j->certs[i]);
        }
    }
    e->job = NULL;
    ssl_load_wake(j, e->ctx);
    if (e->ctx == NULL) {
        ssl_load_remove(l, e);
    }
    ssl_load_expire(l);
    veil_free(j->certs);
    veil_free(j);
}

static ssl_load_job_t *
ssl_load_start(veil_ssl_loader_t *l, ssl_load_entry_t *e, veil_loop_t *loop)
{
    ssl_load_job_t *j = veil_zalloc(sizeof(*j));

    j->loader = l;
    j->entry = e;
    veil_list_init(&j->waiters);
    j->certs = veil_zalloc(l->conf->o.certs->n * sizeof(*j->certs));
    j->job.run = ssl_load_run;
    j->job.done = ssl_load_done;
    e->job = j;
    veil_offload(loop, NULL, &j->job);
    return j;
}

/* --- for a connection ------------------------------------------------------
 */

static void
ssl_load_forget(void *data)
{
    ssl_load_waiter_t *w = data;

    veil_list_remove(&w->link);
}

static void
ssl_load_wait(ssl_load_job_t *j, veil_http_conn_t *hc)
{
    ssl_load_waiter_t *w = VEIL_POOL_NEW(hc->pool, ssl_load_waiter_t);

    w->hc = hc;
    veil_list_append(&j->waiters, &w->link);
    veil_pool_on_destroy(hc->pool, ssl_load_forget, w);
}

veil_tls_ctx_t *
veil_ssl_load(veil_http_conn_t *hc)
{
    const veil_ssl_conf_t *conf = veil_ssl_conf_of(
        hc->server->tls != NULL ? hc->server : hc->port->default_server);
    veil_ssl_loader_t *l = conf->loader;
    veil_http_request_t *r = veil_http_request_bare(hc);
    veil_str_t key = ssl_load_key(r, l);
    ssl_load_entry_t *e = veil_hash_find(&l->entries, key);

    if (e == NULL) {
        e = ssl_load_add(l, key);
    }
    veil_http_request_discard(r);
    ssl_load_touch(l, e);
    if (e->job == NULL && e->ctx != NULL
        && e->used_ms - e->loaded_ms < conf->cache.valid_ms)
    {
        return e->ctx;
    }
    ssl_load_wait(
        e->job != NULL ? e->job : ssl_load_start(l, e, hc->c.handle.loop), hc);
    return VEIL_TLS_LATER;
}
