/*
 * resolver.c -- names to addresses: questions joined, answers kept.
 *
 * One entry for each name: while it is busy, queries for it wait in its
 * list; when it has an answer, positive or not, posted work hands it to all
 * of them, and those that come before it expires are answered the same way.
 *
 * With servers configured an entry has two questions, A and AAAA, which run
 * side by side.  Each asks one server after the other (dns_ask.c) until one
 * gives a definite answer; a server that times out is asked again in the
 * next round, with more patience; one that fails in each round ends it.
 * When one of the two has addresses the other gets two seconds more: a
 * firewall that swallows AAAA must not delay everything to the timeout.
 *
 * Without servers getaddrinfo() runs on an offload thread, which cannot be
 * interrupted: at the timeout the entry goes on without it.
 *
 * The cache is bounded, as clients may choose names ("proxy_pass
 * http://$host"): the entries used least recently go first.
 */

#include "core/platform.h"

#include <netdb.h>

#include "core/assert.h"
#include "core/hash.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/dns.h"
#include "event/offload.h"
#include "event/resolver.h"

#define RESOLVER_ENTRIES 4096
#define RESOLVER_TIMEOUT_MS 30000
/* Of one question to one server, doubled each round, twice. */
#define RESOLVER_TRY_MS 1000
/* For the other family, when one has answered. */
#define RESOLVER_OTHER_MS 2000
/* getaddrinfo() tells no TTL. */
#define RESOLVER_SYSTEM_MS 30000
#define RESOLVER_TTL_MIN_MS 1000
#define RESOLVER_TTL_MAX_MS 86400000
/* "No such name": when the server does not say how long, and at most. */
#define RESOLVER_NEGATIVE_MS 5000
#define RESOLVER_NEGATIVE_MAX_MS 300000
/* Failures: so long nobody asks again. */
#define RESOLVER_FAILED_MS 1000
/* Aliases that a server left to us. */
#define RESOLVER_ALIASES 8

typedef struct resolver_entry_s resolver_entry_t;

typedef struct {
    resolver_entry_t *entry;
    unsigned type; /* VEIL_DNS_A, VEIL_DNS_AAAA */
    bool is_busy;
    veil_dns_name_t name;
    veil_dns_ask_t *ask; /* NULL: none under way */
    unsigned tries;
    unsigned failures;
    unsigned aliases;
    /* The answer. */
    int err;
    uint64_t ttl_ms;
    unsigned naddrs;
    veil_addr_t addrs[VEIL_DNS_ADDRS];
} resolver_question_t;

/* The work on an entry; exists while it is busy. */
typedef struct {
    resolver_question_t questions[2];
    unsigned nquestions;
    unsigned first; /* server to begin with */
} resolver_work_t;

/* getaddrinfo on a thread; outlives its entry if need be. */
typedef struct {
    veil_job_t job;
    resolver_entry_t *entry; /* NULL: nobody waits any more */
    int family;
    int err; /* VEIL_RESOLVE_... */
    unsigned naddrs;
    veil_addr_t addrs[2 * VEIL_DNS_ADDRS];
    char name[]; /* zero-terminated */
} resolver_task_t;

struct resolver_entry_s {
    veil_resolver_t *resolver;
    veil_str_t name;     /* zero-terminated; follows the struct */
    veil_list_t lru;     /* in the resolver's, used least recently first */
    veil_list_t waiting; /* of veil_resolve_t */
    veil_post_t post;
    veil_timer_t deadline;
    resolver_work_t *work; /* at most one of the two */
    resolver_task_t *task;
    bool is_delivering;
    int err;
    unsigned naddrs;
    veil_addr_t *addrs;
    uint64_t expires_ms;
};

struct veil_resolver_s {
    veil_list_t link;
    veil_loop_t *loop;
    veil_resolver_options_t o;
    veil_hash_t entries;
    veil_list_t lru;
    unsigned n;
    unsigned next; /* server to begin with */
};

static veil_list_t resolver_all = { &resolver_all, &resolver_all };

static void resolver_deliver(veil_post_t *post);
static void resolver_deadline(veil_timer_t *t);
static void resolver_ask(resolver_question_t *qn);

const char *
veil_resolve_strerror(int err)
{
    switch (err) {
    case 0:
        return "success";
    case VEIL_RESOLVE_NXDOMAIN:
        return "host not found";
    case VEIL_RESOLVE_TIMEOUT:
        return "timed out";
    case VEIL_RESOLVE_FAILED:
        return "server failure";
    case VEIL_RESOLVE_NODATA:
        return "host has no address";
    default:
        return "unknown error";
    }
}

/* --- resolvers and entries ---------------------------------------------- */

static bool
resolver_is_same(const veil_resolver_options_t *a,
                 const veil_resolver_options_t *b)
{
    unsigned i;

    if (a->valid_ms != b->valid_ms || a->timeout_ms != b->timeout_ms
        || a->ipv4 != b->ipv4 || a->ipv6 != b->ipv6)
    {
        return false;
    }
    if (a->servers == b->servers) {
        return true;
    }
    if (a->servers == NULL || b->servers == NULL
        || a->servers->n != b->servers->n) {
        return false;
    }
    for (i = 0; i < a->servers->n; i++) {
        if (!veil_addr_eq(veil_array_at(a->servers, veil_addr_t, i),
                          veil_array_at(b->servers, veil_addr_t, i)))
        {
            return false;
        }
    }
    return true;
}

veil_resolver_t *
veil_resolver_get(veil_loop_t *loop, const veil_resolver_options_t *o)
{
    veil_resolver_options_t wanted = *o;
    veil_resolver_t *r;
    veil_list_t *n;

    VEIL_ASSERT(o->servers == NULL || o->servers->n > 0);
    if (wanted.timeout_ms == 0) {
        wanted.timeout_ms = RESOLVER_TIMEOUT_MS;
    }
    veil_list_foreach (n, &resolver_all) {
        r = veil_list_entry(n, veil_resolver_t, link);
        if (r->loop == loop && resolver_is_same(&r->o, &wanted)) {
            return r;
        }
    }
    r = veil_zalloc(sizeof(*r));
    r->loop = loop;
    r->o = wanted;
    veil_hash_init(&r->entries, NULL, VEIL_HASH_NOCASE, 0);
    veil_list_init(&r->lru);
    veil_list_append(&resolver_all, &r->link);
    return r;
}

/* Stops the work on the entry, whatever it is. */
static void
resolver_end_work(resolver_entry_t *e)
{
    unsigned i;

    veil_timer_cancel(&e->deadline);
    if (e->task != NULL) {
        e->task->entry = NULL;
        e->task = NULL;
    }
    if (e->work != NULL) {
        for (i = 0; i < e->work->nquestions; i++) {
            if (e->work->questions[i].ask != NULL) {
                veil_dns_ask_cancel(e->work->questions[i].ask);
            }
        }
        veil_free(e->work);
        e->work = NULL;
    }
}

static void
resolver_forget_query(veil_resolve_t *q)
{
    veil_list_remove(&q->link);
    q->entry = NULL;
    if (q->pin.pool != NULL) {
        veil_pool_unpin(&q->pin);
    }
}

static void
resolver_remove(resolver_entry_t *e)
{
    veil_resolver_t *r = e->resolver;
    void *removed = veil_hash_remove(&r->entries, e->name);

    VEIL_ASSERT(removed == e);
    while (!veil_list_is_empty(&e->waiting)) {
        resolver_forget_query(
            veil_list_first(&e->waiting, veil_resolve_t, link));
    }
    resolver_end_work(e);
    veil_post_cancel(&e->post);
    veil_list_remove(&e->lru);
    r->n--;
    veil_free(e->addrs);
    veil_free(e);
}

static bool
resolver_is_busy(const resolver_entry_t *e)
{
    return e->work != NULL || e->task != NULL;
}

/* Makes room: what expired, and when there are too many the oldest. */
static void
resolver_purge(veil_resolver_t *r)
{
    resolver_entry_t *e;
    veil_list_t *n, *tmp;
    unsigned looked = 0;

    veil_list_foreach_safe (n, tmp, &r->lru) {
        if (looked++ >= 4) {
            break;
        }
        e = veil_list_entry(n, resolver_entry_t, lru);
        if (resolver_is_busy(e) || e->is_delivering
            || !veil_list_is_empty(&e->waiting))
        {
            continue;
        }
        if (e->expires_ms <= veil_now_ms() || r->n >= RESOLVER_ENTRIES) {
            resolver_remove(e);
        }
    }
}

/* The entry of the name, old or new, as the one used last. */
static resolver_entry_t *
resolver_entry(veil_resolver_t *r, veil_str_t name)
{
    resolver_entry_t *e = veil_hash_find(&r->entries, name);
    char *copy;

    if (e != NULL) {
        veil_list_remove(&e->lru);
        veil_list_append(&r->lru, &e->lru);
        return e;
    }

    resolver_purge(r);
    e = veil_zalloc(sizeof(*e) + name.len + 1);
    copy = (char *) (e + 1);
    memcpy(copy, name.data, name.len);
    e->name = veil_str_n(copy, name.len);
    e->resolver = r;
    veil_list_init(&e->waiting);
    veil_post_init(&e->post, resolver_deliver);
    veil_timer_init(&e->deadline, resolver_deadline);
    (void) veil_hash_add(&r->entries, e->name, e);
    veil_list_append(&r->lru, &e->lru);
    r->n++;
    return e;
}

/* --- answers ------------------------------------------------------------ */

static void
resolver_deliver(veil_post_t *post)
{
    resolver_entry_t *e = veil_container_of(post, resolver_entry_t, post);
    uint64_t now = veil_now_ms();
    veil_resolve_t *q;
    veil_list_t list;

    /* What done() asks anew must not be answered in this very loop. */
    veil_list_init(&list);
    veil_list_splice(&list, &e->waiting);
    e->is_delivering = true;
    while (!veil_list_is_empty(&list)) {
        q = veil_list_first(&list, veil_resolve_t, link);
        resolver_forget_query(q);
        q->err = e->err;
        q->addrs = e->addrs;
        q->naddrs = e->naddrs;
        q->ttl_ms = e->expires_ms > now ? e->expires_ms - now : 0;
        q->done(q);
    }
    e->is_delivering = false;
}

/* The entry has an answer; ttl_ms 0: what the kind of answer deserves. */
static void
resolver_finish(resolver_entry_t *e, int err, const veil_addr_t *addrs,
                unsigned naddrs, uint64_t ttl_ms)
{
    uint64_t valid = e->resolver->o.valid_ms;

    VEIL_ASSERT(!e->is_delivering);
    veil_free(e->addrs);
    e->addrs = NULL;
    e->naddrs = naddrs;
    e->err = err;
    if (naddrs > 0) {
        e->addrs = veil_alloc(naddrs * sizeof(*addrs));
        memcpy(e->addrs, addrs, naddrs * sizeof(*addrs));
    }

    switch (err) {
    case 0:
        if (valid != 0) {
            ttl_ms = valid;
        } else if (ttl_ms < RESOLVER_TTL_MIN_MS) {
            ttl_ms = RESOLVER_TTL_MIN_MS;
        } else if (ttl_ms > RESOLVER_TTL_MAX_MS) {
            ttl_ms = RESOLVER_TTL_MAX_MS;
        }
        break;
    case VEIL_RESOLVE_NXDOMAIN:
    case VEIL_RESOLVE_NODATA:
        if (ttl_ms == 0) {
            ttl_ms = RESOLVER_NEGATIVE_MS;
        } else if (ttl_ms > RESOLVER_NEGATIVE_MAX_MS) {
            ttl_ms = RESOLVER_NEGATIVE_MAX_MS;
        }
        if (valid != 0 && ttl_ms > valid) {
            ttl_ms = valid;
        }
        break;
    default:
        ttl_ms = RESOLVER_FAILED_MS;
        break;
    }
    e->expires_ms = veil_now_ms() + ttl_ms;
    resolver_end_work(e);
    veil_post(e->resolver->loop, &e->post);
}

/* Both questions are over, or the time is up: makes one answer of two. */
static void
resolver_combine(resolver_entry_t *e)
{
    static const int order[] = { VEIL_RESOLVE_NXDOMAIN, VEIL_RESOLVE_FAILED,
                                 VEIL_RESOLVE_TIMEOUT, VEIL_RESOLVE_NODATA };
    veil_addr_t addrs[2 * VEIL_DNS_ADDRS];
    resolver_work_t *w = e->work;
    const resolver_question_t *qn;
    uint64_t ttl_ms = UINT64_MAX;
    bool seen[8] = { false };
    unsigned i, n = 0;
    int err = VEIL_RESOLVE_TIMEOUT;

    for (i = 0; i < w->nquestions; i++) {
        qn = &w->questions[i];
        if (qn->is_busy) {
            seen[VEIL_RESOLVE_TIMEOUT] = true;
            continue;
        }
        seen[qn->err] = true;
        if (qn->naddrs > 0) {
            memcpy(addrs + n, qn->addrs, qn->naddrs * sizeof(*addrs));
            n += qn->naddrs;
        }
    }
    for (i = veil_countof(order); i-- > 0;) {
        if (seen[order[i]]) {
            err = order[i];
        }
    }
    if (n > 0) {
        err = 0;
    }
    for (i = 0; i < w->nquestions; i++) {
        qn = &w->questions[i];
        /* Of those that have a say in it. */
        if (!qn->is_busy && (qn->err == err) && qn->ttl_ms < ttl_ms) {
            ttl_ms = qn->ttl_ms;
        }
    }
    resolver_finish(e, err, addrs, n, ttl_ms == UINT64_MAX ? 0 : ttl_ms);
}

static void
resolver_deadline(veil_timer_t *t)
{
    resolver_entry_t *e = veil_container_of(t, resolver_entry_t, deadline);

    if (e->work != NULL) {
        resolver_combine(e);
    } else {
        resolver_finish(e, VEIL_RESOLVE_TIMEOUT, NULL, 0, 0);
    }
}

/* --- asking servers ----------------------------------------------------- */

static void
resolver_question_done(resolver_question_t *qn, int err)
{
    resolver_entry_t *e = qn->entry;
    resolver_work_t *w = e->work;
    unsigned i, busy = 0;

    qn->is_busy = false;
    qn->err = err;
    for (i = 0; i < w->nquestions; i++) {
        busy += w->questions[i].is_busy;
    }
    if (busy == 0) {
        resolver_combine(e);
        return;
    }
    if (qn->naddrs > 0
        && e->deadline.deadline_ms > veil_now_ms() + RESOLVER_OTHER_MS)
    {
        veil_timer_cancel(&e->deadline);
        veil_timer_set(e->resolver->loop, &e->deadline, RESOLVER_OTHER_MS);
    }
}

static const veil_addr_t *
resolver_server(const resolver_question_t *qn)
{
    const veil_array_t *servers = qn->entry->resolver->o.servers;

    return veil_array_at(servers, veil_addr_t,
                         (qn->entry->work->first + qn->tries) % servers->n);
}

/* The server of this try is of no help. */
static void
resolver_try_failed(resolver_question_t *qn, const char *what, int err)
{
    resolver_entry_t *e = qn->entry;
    char text[VEIL_ADDR_TEXT_MAX];
    const veil_resolve_t *q;
    size_t n;

    if (!veil_list_is_empty(&e->waiting)) {
        q = veil_list_first(&e->waiting, veil_resolve_t, link);
        if (q->log != NULL) {
            n = veil_addr_print(resolver_server(qn), text, sizeof(text));
            veil_log(q->log, VEIL_LOG_INFO, err,
                     "name server %.*s %s, asked for \"%.*s\"", (int) n, text,
                     what, VEIL_STR_ARG(e->name));
        }
    }
    qn->tries++;
    if (err != ETIMEDOUT && ++qn->failures >= e->resolver->o.servers->n) {
        resolver_question_done(qn, VEIL_RESOLVE_FAILED);
        return;
    }
    resolver_ask(qn);
}

static void
resolver_answered(void *data, int err, const veil_dns_answer_t *a)
{
    resolver_question_t *qn = data;

    qn->ask = NULL;
    if (err < 0) {
        resolver_try_failed(qn, "did not answer", -err);
        return;
    }
    qn->ttl_ms = a->has_ttl ? (uint64_t) a->ttl * 1000 : 0;
    switch (a->rcode) {
    case VEIL_DNS_OK:
        break;
    case VEIL_DNS_NXDOMAIN:
        resolver_question_done(qn, VEIL_RESOLVE_NXDOMAIN);
        return;
    default:
        resolver_try_failed(
            qn, a->rcode == VEIL_DNS_REFUSED ? "refused" : "failed", 0);
        return;
    }

    if (a->naddrs > 0) {
        qn->naddrs = a->naddrs;
        memcpy(qn->addrs, a->addrs, a->naddrs * sizeof(a->addrs[0]));
        resolver_question_done(qn, 0);
    } else if (a->is_alias && !a->has_soa && qn->aliases++ < RESOLVER_ALIASES)
    {
        qn->name = a->name;
        resolver_ask(qn);
    } else {
        resolver_question_done(qn, VEIL_RESOLVE_NODATA);
    }
}

static void
resolver_ask(resolver_question_t *qn)
{
    veil_resolver_t *r = qn->entry->resolver;
    unsigned round = qn->tries / r->o.servers->n;

    qn->ask =
        veil_dns_ask(r->loop, resolver_server(qn), &qn->name, qn->type,
                     (uint64_t) RESOLVER_TRY_MS << (round < 2 ? round : 2),
                     resolver_answered, qn);
}

static void
resolver_start_servers(resolver_entry_t *e, const veil_dns_name_t *name)
{
    veil_resolver_t *r = e->resolver;
    resolver_work_t *w = veil_zalloc(sizeof(*w));
    resolver_question_t *qn;
    unsigned i;

    e->work = w;
    w->first = r->next++;
    if (r->o.ipv4) {
        w->questions[w->nquestions++].type = VEIL_DNS_A;
    }
    if (r->o.ipv6) {
        w->questions[w->nquestions++].type = VEIL_DNS_AAAA;
    }
    for (i = 0; i < w->nquestions; i++) {
        qn = &w->questions[i];
        qn->entry = e;
        qn->name = *name;
        qn->is_busy = true;
        resolver_ask(qn);
    }
}

/* --- asking the system -------------------------------------------------- */

/* On a thread. */
static void
resolver_system_run(veil_job_t *job)
{
    resolver_task_t *t = veil_container_of(job, resolver_task_t, job);
    struct addrinfo hints, *res = NULL, *ai;
    int err;

    memset(&hints, 0, sizeof(hints));
    hints.ai_family = t->family;
    hints.ai_socktype = SOCK_STREAM;
    /* Without addresses that this machine could not use, if any are left. */
    hints.ai_flags = AI_ADDRCONFIG;
    err = getaddrinfo(t->name, NULL, &hints, &res);
    if (err != 0 && err != EAI_AGAIN) {
        hints.ai_flags = 0;
        err = getaddrinfo(t->name, NULL, &hints, &res);
    }
    switch (err) {
    case 0:
        break;
    case EAI_NONAME:
        t->err = VEIL_RESOLVE_NXDOMAIN;
        return;
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        t->err = VEIL_RESOLVE_NODATA;
        return;
    default:
        t->err = VEIL_RESOLVE_FAILED;
        return;
    }
    for (ai = res; ai != NULL && t->naddrs < veil_countof(t->addrs);
         ai = ai->ai_next)
    {
        veil_addr_from_sockaddr(&t->addrs[t->naddrs], ai->ai_addr,
                                ai->ai_addrlen);
        t->addrs[t->naddrs++].port = 0;
    }
    freeaddrinfo(res);
}

static void
resolver_system_done(veil_job_t *job)
{
    resolver_task_t *t = veil_container_of(job, resolver_task_t, job);
    veil_addr_t addrs[veil_countof(t->addrs)];
    unsigned i, pass, n = 0;

    if (t->entry != NULL) {
        /* IPv4 first, as from servers. */
        for (pass = 0; pass < 2; pass++) {
            for (i = 0; i < t->naddrs; i++) {
                if ((t->addrs[i].family == AF_INET) == (pass == 0)) {
                    addrs[n++] = t->addrs[i];
                }
            }
        }
        resolver_finish(t->entry,
                        t->err == 0 && n == 0 ? VEIL_RESOLVE_NODATA : t->err,
                        addrs, n, t->err == 0 ? RESOLVER_SYSTEM_MS : 0);
    }
    veil_free(t);
}

static void
resolver_start_system(resolver_entry_t *e)
{
    const veil_resolver_options_t *o = &e->resolver->o;
    resolver_task_t *t = veil_zalloc(sizeof(*t) + e->name.len + 1);

    memcpy(t->name, e->name.data, e->name.len);
    t->entry = e;
    t->family = o->ipv4 && o->ipv6 ? AF_UNSPEC : o->ipv6 ? AF_INET6 : AF_INET;
    t->job.run = resolver_system_run;
    t->job.done = resolver_system_done;
    e->task = t;
    veil_offload(e->resolver->loop, NULL, &t->job);
}

/* --- queries ------------------------------------------------------------ */

static void
resolver_start(resolver_entry_t *e)
{
    veil_resolver_t *r = e->resolver;
    veil_dns_name_t name;
    veil_addr_t addr;

    if (veil_addr_parse_ip(&addr, e->name)) {
        resolver_finish(e, 0, &addr, 1, RESOLVER_TTL_MAX_MS);
        return;
    }
    if (!veil_dns_name_parse(&name, e->name)
        || memchr(e->name.data, '\0', e->name.len) != NULL)
    {
        resolver_finish(e, VEIL_RESOLVE_NXDOMAIN, NULL, 0, 0);
        return;
    }
    if (!r->o.ipv4 && !r->o.ipv6) {
        resolver_finish(e, VEIL_RESOLVE_NODATA, NULL, 0, 0);
        return;
    }
    veil_timer_set(r->loop, &e->deadline, r->o.timeout_ms);
    if (r->o.servers != NULL) {
        resolver_start_servers(e, &name);
    } else {
        resolver_start_system(e);
    }
}

void
veil_resolve(veil_resolver_t *r, veil_resolve_t *q)
{
    resolver_entry_t *e;

    VEIL_ASSERT(q->entry == NULL);
    e = resolver_entry(r, q->name);
    q->entry = e;
    veil_list_append(&e->waiting, &q->link);
    memset(&q->pin, 0, sizeof(q->pin));
    if (q->pool != NULL) {
        veil_pool_pin(q->pool, &q->pin, "resolve");
    }

    if (resolver_is_busy(e) || veil_post_is_posted(&e->post)) {
        return;
    }
    if (e->expires_ms > veil_now_ms()) {
        veil_post(r->loop, &e->post);
    } else if (e->is_delivering) {
        /* Its addresses are being looked at: a moment older does no harm. */
        veil_post(r->loop, &e->post);
    } else {
        resolver_start(e);
    }
}

void
veil_resolver_forget(veil_resolver_t *r, veil_str_t name)
{
    resolver_entry_t *e = veil_hash_find(&r->entries, name);

    if (e != NULL) {
        e->expires_ms = 0;
    }
}

void
veil_resolve_cancel(veil_resolve_t *q)
{
    if (q->entry != NULL) {
        resolver_forget_query(q);
    }
}

void
veil_resolvers_stop(veil_loop_t *loop)
{
    veil_list_t *n, *tmp;
    veil_resolver_t *r;

    veil_list_foreach_safe (n, tmp, &resolver_all) {
        r = veil_list_entry(n, veil_resolver_t, link);
        if (r->loop != loop) {
            continue;
        }
        while (!veil_list_is_empty(&r->lru)) {
            resolver_remove(veil_list_first(&r->lru, resolver_entry_t, lru));
        }
        veil_hash_done(&r->entries);
        veil_list_remove(&r->link);
        veil_free(r);
    }
}
