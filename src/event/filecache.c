/*
 * filecache.c -- look-ups, and the files kept from them (open_file_cache).
 *
 * A look-up asks the cache, then the kernel's caches (file.c, inline), then a
 * thread.  What a thread needs is a heap object, as most look-ups need none.
 *
 * An entry is a path with a counted file object, or without one as long as
 * the path was not used often enough (min_uses).  The list of entries is in
 * the order of their last use: the oldest go when the cache is full or when
 * they were not used for "inactive".  Unlike nginx's, a timer sees to the
 * latter, so that an idle worker does not keep deleted files on the disk.
 *
 * An entry older than "valid" is checked by a stat of its path; when nothing
 * changed, descriptor and content stay in use.  Look-ups of one path that
 * meet on the threads are not joined: each asks by itself, the last wins.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/hash.h"
#include "core/metric.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/file.h"
#include "event/filecache.h"
#include "event/offload.h"
#include "event/timer.h"

enum { FILECACHE_HITS, FILECACHE_MISSES };

static veil_metric_t filecache_metrics[] = {
    [FILECACHE_HITS] =
        VEIL_COUNTER("veil_file_cache_lookups_total", "result=\"hit\"",
                     "Files that were looked for in open_file_cache."),
    [FILECACHE_MISSES] =
        VEIL_COUNTER("veil_file_cache_lookups_total", "result=\"miss\"", NULL),
};
VEIL_METRICS(filecache_metrics);

typedef struct {
    veil_list_t lru;   /* in the cache's, the oldest first */
    veil_file_t *file; /* NULL: used too seldom to be kept */
    unsigned uses;
    veil_symlinks_t symlinks; /* how the file was found */
    size_t symlinks_from;
    uint64_t checked_ms;
    uint64_t used_ms;
    veil_str_t path; /* follows the struct */
} filecache_entry_t;

struct veil_filecache_s {
    veil_loop_t *loop;
    veil_filecache_options_t o;
    veil_hash_t entries; /* by path */
    unsigned n;
    veil_list_t lru;
    veil_timer_t expire;
    unsigned tasks; /* look-ups on threads */
};

/* A look-up on a thread. */
typedef struct {
    veil_job_t job;
    veil_file_lookup_t *lookup;
    veil_filecache_t *cache;
    veil_file_t *known; /* a reference */
    veil_file_probe_t probe;
} filecache_task_t;

static void filecache_expire(veil_timer_t *t);

veil_filecache_t *
veil_filecache_create(veil_loop_t *loop, const veil_filecache_options_t *o)
{
    veil_filecache_t *fc = veil_zalloc(sizeof(*fc));

    fc->loop = loop;
    fc->o = *o;
    veil_hash_init(&fc->entries, NULL, VEIL_HASH_CASE, 0);
    veil_list_init(&fc->lru);
    veil_timer_init(&fc->expire, filecache_expire);
    return fc;
}

static void
filecache_remove(veil_filecache_t *fc, filecache_entry_t *e)
{
    void *removed = veil_hash_remove(&fc->entries, e->path);

    VEIL_ASSERT(removed == e);
    fc->n--;
    veil_list_remove(&e->lru);
    if (e->file != NULL) {
        veil_file_put(e->file);
    }
    veil_free(e);
}

void
veil_filecache_destroy(veil_filecache_t **fcp)
{
    veil_filecache_t *fc = *fcp;

    *fcp = NULL;
    VEIL_ASSERT(fc->tasks == 0);
    while (!veil_list_is_empty(&fc->lru)) {
        filecache_remove(fc,
                         veil_list_first(&fc->lru, filecache_entry_t, lru));
    }
    veil_timer_cancel(&fc->expire);
    veil_hash_done(&fc->entries);
    veil_free(fc);
}

/* Sets the timer for the entry that was not used for longest. */
static void
filecache_arm(veil_filecache_t *fc)
{
    filecache_entry_t *e;
    uint64_t due, now = veil_now_ms();

    if (veil_list_is_empty(&fc->lru) || veil_timer_is_set(&fc->expire)) {
        return;
    }
    e = veil_list_first(&fc->lru, filecache_entry_t, lru);
    due = e->used_ms + fc->o.inactive_ms;
    /* In the grain of a second: nobody waits for it. */
    veil_timer_set(fc->loop, &fc->expire,
                   veil_max_size(due > now ? due - now : 0, 1000));
}

static void
filecache_expire(veil_timer_t *t)
{
    veil_filecache_t *fc = veil_container_of(t, veil_filecache_t, expire);
    filecache_entry_t *e;

    while (!veil_list_is_empty(&fc->lru)) {
        e = veil_list_first(&fc->lru, filecache_entry_t, lru);
        if (veil_now_ms() - e->used_ms < fc->o.inactive_ms) {
            break;
        }
        filecache_remove(fc, e);
    }
    filecache_arm(fc);
}

/* The entry for the path, new or old, marked as used; the cache is on. */
static filecache_entry_t *
filecache_use(veil_filecache_t *fc, const veil_file_lookup_t *l)
{
    veil_str_t path = veil_str_n(l->path, l->path_len);
    filecache_entry_t *e = veil_hash_find(&fc->entries, path);
    uint64_t now = veil_now_ms();
    char *copy;

    if (e != NULL) {
        veil_list_remove(&e->lru);
        if (now - e->used_ms >= fc->o.inactive_ms) {
            /* Its uses lie too far back to count. */
            e->uses = 0;
        }
    } else {
        if (fc->n >= fc->o.max) {
            filecache_remove(
                fc, veil_list_first(&fc->lru, filecache_entry_t, lru));
        }
        e = veil_zalloc(sizeof(*e) + path.len + 1);
        copy = (char *) (e + 1);
        memcpy(copy, path.data, path.len);
        e->path = veil_str_n(copy, path.len);
        (void) veil_hash_add(&fc->entries, e->path, e);
        fc->n++;
    }
    veil_list_append(&fc->lru, &e->lru);
    e->used_ms = now;
    filecache_arm(fc);
    return e;
}

/* Whether the entry's file says what is asked, apart from its age. */
static bool
filecache_can_answer(const filecache_entry_t *e, const veil_file_lookup_t *l)
{
    const veil_file_t *f = e->file;

    if (f == NULL || e->symlinks != l->symlinks
        || (e->symlinks != VEIL_SYMLINKS_ALLOW
            && e->symlinks_from != l->symlinks_from))
    {
        return false;
    }
    return f->err != 0 || !f->is_file || !l->want_fd || f->fd >= 0
           || f->content != NULL;
}

/* Puts what was found into its entry, as far as the options allow. */
static void
filecache_keep(filecache_entry_t *e, const veil_filecache_options_t *o,
               const veil_file_lookup_t *l)
{
    veil_file_t *f = l->file;

    if (e->file != f) {
        if (e->file != NULL) {
            veil_file_put(e->file);
            e->file = NULL;
        }
        if (e->uses < o->min_uses || (f->err != 0 && !o->errors)) {
            return;
        }
        e->file = veil_file_get(f);
    }
    e->symlinks = l->symlinks;
    e->symlinks_from = l->symlinks_from;
    e->checked_ms = veil_now_ms();
}

/* The probe is over: makes the answer. */
static void
filecache_answer(veil_file_lookup_t *l, veil_filecache_t *fc,
                 const veil_file_probe_t *p, veil_file_t *known)
{
    filecache_entry_t *e;

    l->file = p->is_same ? veil_file_get(known) : veil_file_create(p);
    if (fc == NULL) {
        return;
    }
    /* It may have been dropped while a thread looked. */
    e = veil_hash_find(&fc->entries, veil_str_n(l->path, l->path_len));
    if (e != NULL) {
        filecache_keep(e, &fc->o, l);
        if (l->file->err != 0 && !fc->o.errors) {
            filecache_remove(fc, e);
        }
    }
}

/* On a thread. */
static void
filecache_run(veil_job_t *job)
{
    filecache_task_t *t = veil_container_of(job, filecache_task_t, job);

    (void) veil_file_probe(&t->probe, false);
}

static void
filecache_done(veil_job_t *job)
{
    filecache_task_t *t = veil_container_of(job, filecache_task_t, job);
    veil_file_lookup_t *l = t->lookup;

    filecache_answer(l, t->cache, &t->probe, t->known);
    if (t->known != NULL) {
        veil_file_put(t->known);
    }
    if (t->cache != NULL) {
        t->cache->tasks--;
    }
    veil_free(t);
    l->done(l);
}

static void
filecache_offload(veil_file_lookup_t *l, veil_filecache_t *fc,
                  const veil_file_probe_t *p, veil_file_t *known)
{
    filecache_task_t *t = veil_zalloc(sizeof(*t));

    t->job.run = filecache_run;
    t->job.done = filecache_done;
    t->lookup = l;
    t->cache = fc;
    t->probe = *p;
    if (known != NULL) {
        t->known = veil_file_get(known);
    }
    if (fc != NULL) {
        fc->tasks++;
    }
    veil_offload(l->loop, l->pool, &t->job);
}

bool
veil_file_lookup(veil_file_lookup_t *l)
{
    veil_filecache_t *fc = l->cache;
    filecache_entry_t *e = NULL;
    veil_file_t *known = NULL;
    veil_file_probe_t p;

    VEIL_ASSERT(l->path[l->path_len] == '\0');
    l->file = NULL;

    if (fc != NULL && fc->o.max == 0) {
        fc = NULL;
    }
    if (fc != NULL) {
        e = filecache_use(fc, l);
        e->uses++;
        if (filecache_can_answer(e, l)) {
            if (veil_now_ms() - e->checked_ms < fc->o.valid_ms) {
                veil_metric_inc(&filecache_metrics[FILECACHE_HITS]);
                l->file = veil_file_get(e->file);
                return true;
            }
            if (e->file->err == 0) {
                known = e->file;
            }
        }
    }

    if (fc != NULL) {
        veil_metric_inc(&filecache_metrics[FILECACHE_MISSES]);
    }
    memset(&p, 0, sizeof(p));
    p.path = l->path;
    p.path_len = l->path_len;
    p.symlinks = l->symlinks;
    p.symlinks_from = l->symlinks_from;
    p.want_fd = l->want_fd;
    p.content_max = l->content_max;
    if (fc != NULL && fc->o.content_max > p.content_max) {
        p.content_max = fc->o.content_max;
    }
    p.known = known;
    if (veil_file_probe(&p, true)) {
        filecache_answer(l, fc, &p, known);
        return true;
    }
    filecache_offload(l, fc, &p, known);
    return false;
}
