/*
 * spool.c -- bytes on their way, held in memory and in a temporary file.
 *
 * The content is a sequence of segments, each a range of a heap block or of
 * the file.  New bytes go to memory while there is room, else to the file,
 * else nowhere: then the source is not pulled until a reader has consumed
 * something.  What is consumed by all readers is freed, unless everything is
 * kept for replay.
 *
 * Bytes are copied once, which frees the source's receive blocks at once: a
 * slow client must not hold what all connections receive into.  A caller
 * whose source is complete already has no use for a spool.
 *
 * The file is written through the loop, one write at a time, from a buffer of
 * the file's own, so that nothing of it depends on the life of the request.
 * When a write fails its bytes become a segment in memory, and no further
 * ones go to the file.
 */

#include "core/platform.h"

#include "http/spool.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "core/array.h"
#include "core/assert.h"
#include "core/block.h"

#define SPOOL_MAGIC 0x53504f4cu
#define SPOOL_WRITE (64 * 1024)
#define SPOOL_SLICES 16
/* A file that is used up is left for another one from this size on. */
#define SPOOL_FILE ((size_t) 64 << 20)

typedef struct {
    uint64_t start; /* of the content */
    size_t len;
    veil_block_t *block; /* NULL: of the file */
    uint64_t offset;     /* in the file */
} spool_segment_t;

/* In a pool of its own: a write may outlive the request. */
typedef struct {
    veil_pool_t *pool;
    veil_handle_t handle;
    veil_op_t op;
    veil_http_spool_t *spool; /* NULL: gone */
    veil_str_t path;          /* empty: it has no name */
    unsigned char *buf;
    size_t len;   /* in buf */
    size_t done;  /* of it written */
    uint64_t end; /* of the file */
} spool_file_t;

typedef struct {
    veil_http_body_t body;
    veil_http_spool_t *spool;
    veil_list_t link;
    uint64_t pulled;
    uint64_t consumed;
    bool waiting;
} spool_reader_t;

struct veil_http_spool_s {
    uint32_t magic;
    veil_pool_t *pool;
    veil_loop_t *loop;
    veil_http_body_t *source; /* NULL: ended */
    veil_http_spool_options_t o;
    veil_array_t segments; /* of spool_segment_t; from first on */
    unsigned first;
    veil_list_t readers;
    uint64_t size;
    size_t in_memory;
    uint64_t in_file; /* live bytes */
    spool_file_t *file;
    veil_post_t post;
    bool file_failed;
    bool writing;
    bool waiting; /* the source said LATER */
    bool complete;
    bool creating;
    bool told;
    int error;
    veil_http_headers_t *trailers; /* the source's, when complete */
};

static void spool_pump(veil_http_spool_t *s);
static void spool_notify(veil_http_spool_t *s);
static void spool_close_file(veil_http_spool_t *s);

/* --- segments -------------------------------------------------------------
 */

static spool_segment_t *
spool_last(veil_http_spool_t *s)
{
    if (s->first == s->segments.n) {
        return NULL;
    }
    return veil_array_at(&s->segments, spool_segment_t, s->segments.n - 1);
}

static spool_segment_t *
spool_add(veil_http_spool_t *s)
{
    spool_segment_t *seg, *list = s->segments.elts;

    /* Freed ones at the front make room before the array grows. */
    if (s->segments.n == s->segments.cap && s->first > s->segments.cap / 2) {
        memmove(list, list + s->first,
                (s->segments.n - s->first) * sizeof(*list));
        s->segments.n -= s->first;
        s->first = 0;
    }
    seg = veil_array_push(&s->segments);
    memset(seg, 0, sizeof(*seg));
    seg->start = s->size;
    return seg;
}

static void
spool_add_memory(veil_http_spool_t *s, const unsigned char *data, size_t len)
{
    spool_segment_t *seg = spool_last(s);
    size_t n;

    while (len != 0) {
        if (seg == NULL || seg->block == NULL || seg->len == seg->block->size)
        {
            seg = spool_add(s);
            seg->block = veil_block_create(veil_max_size(s->o.block, 1024));
        }
        n = veil_min_size(len, seg->block->size - seg->len);
        memcpy(seg->block->data + seg->len, data, n);
        seg->len += n;
        s->size += n;
        s->in_memory += n;
        data += n;
        len -= n;
    }
}

static void
spool_add_file(veil_http_spool_t *s, uint64_t offset, size_t len)
{
    spool_segment_t *seg = spool_last(s);

    if (seg == NULL || seg->block != NULL || seg->offset + seg->len != offset)
    {
        seg = spool_add(s);
        seg->offset = offset;
    }
    seg->len += len;
    s->size += len;
    s->in_file += len;
}

static void
spool_drop_segment(veil_http_spool_t *s, spool_segment_t *seg)
{
    if (seg->block != NULL) {
        s->in_memory -= seg->len;
        veil_block_put(seg->block);
        seg->block = NULL;
    } else {
        s->in_file -= seg->len;
    }
}

/* Frees what all readers have consumed. */
static void
spool_trim(veil_http_spool_t *s)
{
    const veil_list_t *l;
    spool_segment_t *seg;
    uint64_t least = s->size;

    if (s->o.replay || veil_list_is_empty(&s->readers)) {
        return;
    }
    veil_list_foreach (l, &s->readers) {
        const spool_reader_t *r = veil_container_of(
            (veil_list_t *) (uintptr_t) l, spool_reader_t, link);

        if (r->consumed < least) {
            least = r->consumed;
        }
    }
    while (s->first < s->segments.n) {
        seg = veil_array_at(&s->segments, spool_segment_t, s->first);
        if (seg->start + seg->len > least) {
            break;
        }
        spool_drop_segment(s, seg);
        s->first++;
    }
    /*
     * Its space is not written again: pages that sendfile has queued are the
     * file's own until they are acknowledged.
     */
    if (s->in_file == 0 && s->file != NULL && !s->writing && s->file->len == 0
        && s->file->end >= veil_min_size((size_t) s->o.max_file, SPOOL_FILE))
    {
        spool_close_file(s);
    }
}

/* --- the file -------------------------------------------------------------
 */

static void
spool_file_closed(veil_handle_t *h)
{
    spool_file_t *f = veil_container_of(h, spool_file_t, handle);
    veil_pool_t *pool = f->pool;

    veil_pool_retire(&pool);
}

static void
spool_close_file(veil_http_spool_t *s)
{
    spool_file_t *f = s->file;

    s->file = NULL;
    if (f != NULL) {
        if (f->path.len != 0 && s->o.name == VEIL_SPOOL_NAMED) {
            (void) unlink(f->path.data);
        }
        f->spool = NULL;
        veil_handle_close(&f->handle, spool_file_closed);
    }
}

/* "path/1/23/": directories as levels want them, made when missing. */
static size_t
spool_make_dirs(const veil_http_spool_options_t *o, char *path, size_t n,
                uint64_t number)
{
    size_t len = veil_snprintf(path, n, "%.*s", VEIL_STR_ARG(o->temp_path));
    unsigned i, digits;

    (void) mkdir(path, 0700); /* what matters is whether the open works */
    for (i = 0; i < 3 && o->levels[i] != 0; i++) {
        len += veil_snprintf(path + len, n - len, "/");
        for (digits = 0; digits < o->levels[i]; digits++) {
            len += veil_snprintf(path + len, n - len, "%u",
                                 (unsigned) (number % 10));
            number /= 10;
        }
        (void) mkdir(path, 0700);
    }
    return len;
}

static int
spool_open_temp(const veil_http_spool_options_t *o, char *path, size_t n)
{
    static uint64_t number;
    size_t len;
    int fd, tries;

    for (tries = 0; tries < 10; tries++) {
        number++;
        len = spool_make_dirs(o, path, n, number);
        (void) veil_snprintf(path + len, n - len, "/%d.%010llu",
                             (int) getpid(), (unsigned long long) number);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            if (o->name == VEIL_SPOOL_NAMELESS) {
                (void) unlink(path); /* nobody else needs it */
            }
            return fd;
        }
        if (errno != EEXIST) {
            fd = -errno;
            veil_log(o->log, VEIL_LOG_CRIT, -fd, "open() \"%s\" failed", path);
            return fd;
        }
    }
    return -EEXIST;
}

static void
spool_written(veil_op_t *op)
{
    spool_file_t *f = veil_container_of(op, spool_file_t, op);
    veil_http_spool_t *s = f->spool;

    if (s == NULL) {
        return;
    }
    VEIL_CHECK(s, SPOOL);
    if (op->res > 0) {
        f->done += (size_t) op->res;
        if (f->done < f->len) {
            veil_op_write(&f->op, f->buf + f->done, f->len - f->done,
                          f->end + f->done);
            return;
        }
    }

    s->writing = false;
    if (op->res <= 0) {
        veil_log(s->o.log, VEIL_LOG_CRIT, op->res == 0 ? ENOSPC : -op->res,
                 "writing to a temporary file failed");
        s->file_failed = true;
        if (s->o.replay) {
            s->error = 500;
        } else {
            spool_add_memory(s, f->buf, f->len);
        }
    } else {
        spool_add_file(s, f->end, f->len);
        f->end += f->len;
    }
    f->len = 0;
    f->done = 0;
    spool_pump(s);
    spool_notify(s);
}

static bool
spool_open_file(veil_http_spool_t *s)
{
    veil_pool_t *pool;
    spool_file_t *f;
    char path[4096];
    int fd;

    fd = spool_open_temp(&s->o, path, sizeof(path));
    if (fd < 0) {
        s->file_failed = true;
        if (s->o.replay) {
            s->error = 500;
        }
        return false;
    }
    pool = veil_pool_create("spool", 1024);
    f = VEIL_POOL_NEW(pool, spool_file_t);
    f->pool = pool;
    f->spool = s;
    f->buf = veil_pool_alloc(pool, SPOOL_WRITE);
    veil_handle_init(&f->handle, s->loop, pool, fd);
    veil_op_init(&f->op, &f->handle, spool_written);
    s->file = f;
    if (s->o.name != VEIL_SPOOL_NAMELESS) {
        f->path = veil_str_z(veil_pool_strz(pool, veil_str_z(path)));
    }
    /* nginx's levels: what was asked for is no warning. */
    veil_log(s->o.log, s->o.memory == 0 ? VEIL_LOG_NOTICE : VEIL_LOG_WARN, 0,
             s->o.replay ? "a client request body is buffered to a "
                           "temporary file"
                         : "an upstream response is buffered to a temporary "
                           "file");
    return true;
}

/* --- pulling the source ---------------------------------------------------
 */

/* Room for the next bytes, and where; 0: none. */
static size_t
spool_room(veil_http_spool_t *s, bool *to_file)
{
    uint64_t used;

    *to_file = false;
    if (s->in_memory < s->o.memory) {
        return s->o.memory - s->in_memory;
    }
    if (s->file_failed || s->o.max_file == 0) {
        /* Nothing may be dropped, and there is nowhere to put it. */
        if (s->o.replay && s->error == 0) {
            s->error = 500;
        }
        return 0;
    }
    if (s->file == NULL && !spool_open_file(s)) {
        return 0;
    }
    used = s->file->end + s->file->len;
    if (used >= (uint64_t) s->o.max_file) {
        return 0;
    }
    *to_file = true;
    used = (uint64_t) s->o.max_file - used;
    return used < SPOOL_WRITE - s->file->len ? (size_t) used
                                             : SPOOL_WRITE - s->file->len;
}

static void
spool_source_ended(veil_http_spool_t *s, bool failed)
{
    veil_http_body_t *source = s->source;

    s->source = NULL;
    if (failed) {
        s->error = source->error != 0 ? source->error : 502;
    } else {
        s->complete = true;
        s->trailers = source->trailers;
    }
}

static size_t
spool_take(veil_http_spool_t *s, const veil_slice_t *v, unsigned n,
           bool to_file)
{
    spool_file_t *f = s->file;
    size_t bytes = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        VEIL_ASSERT(v[i].data != NULL); /* sources are in memory */
        bytes += v[i].len;
        if (to_file) {
            memcpy(f->buf + f->len, v[i].data, v[i].len);
            f->len += v[i].len;
        } else {
            spool_add_memory(s, v[i].data, v[i].len);
        }
    }
    return bytes;
}

static void
spool_flush(veil_http_spool_t *s)
{
    if (s->file != NULL && s->file->len != 0 && !s->writing) {
        s->writing = true;
        veil_op_write(&s->file->op, s->file->buf, s->file->len, s->file->end);
    }
}

static void
spool_pump(veil_http_spool_t *s)
{
    veil_slice_t v[SPOOL_SLICES];
    veil_http_body_t *source;
    veil_body_rc_t rc;
    size_t room, bytes;
    unsigned n;
    bool to_file;

    while ((source = s->source) != NULL && !s->writing && !s->waiting
           && s->error == 0)
    {
        room = spool_room(s, &to_file);
        if (room == 0) {
            break;
        }
        n = SPOOL_SLICES;
        rc = veil_http_body_pull(source, v, &n, room);
        if (rc == VEIL_BODY_LATER) {
            s->waiting = true;
            break;
        }
        if (rc == VEIL_BODY_FAILED) {
            spool_source_ended(s, true);
            break;
        }
        bytes = spool_take(s, v, n, to_file);
        if (rc == VEIL_BODY_END) {
            spool_source_ended(s, false);
        }
        if (bytes != 0) {
            veil_http_body_consume(source, bytes);
        }
        if (to_file && s->file->len == SPOOL_WRITE) {
            break;
        }
    }
    spool_flush(s);
}

/* --- telling ---------------------------------------------------------------
 */

static bool
spool_is_settled(const veil_http_spool_t *s)
{
    return s->error != 0 || (s->complete && !s->writing);
}

/* By the loop only. */
static void
spool_notify(veil_http_spool_t *s)
{
    veil_list_t *l, *tmp;
    spool_reader_t *r;

    if (spool_is_settled(s) && !s->told) {
        s->told = true;
        if (s->o.complete != NULL) {
            s->o.complete(s->o.owner);
        }
    }
    veil_list_foreach_safe (l, tmp, &s->readers) {
        r = veil_list_entry(l, spool_reader_t, link);
        if (r->waiting && (r->pulled < s->size || spool_is_settled(s))) {
            r->waiting = false;
            veil_http_body_is_ready(&r->body);
            return; /* it may have ended everything; others are posted */
        }
    }
}

static void
spool_posted(veil_post_t *post)
{
    spool_notify(veil_container_of(post, veil_http_spool_t, post));
}

static void
spool_source_ready(void *reader)
{
    veil_http_spool_t *s = reader;

    VEIL_CHECK(s, SPOOL);
    s->waiting = false;
    spool_pump(s);
    if (!veil_list_is_empty(&s->readers) && s->readers.next != s->readers.prev)
    {
        veil_post(s->loop, &s->post);
    }
    spool_notify(s);
}

/* --- readers --------------------------------------------------------------
 */

static veil_body_rc_t
spool_reader_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n,
                  size_t max)
{
    spool_reader_t *r = veil_container_of(b, spool_reader_t, body);
    veil_http_spool_t *s = r->spool;
    const spool_segment_t *seg;
    unsigned i, room = *n, used = 0;
    size_t skip, len;

    for (i = s->first; i < s->segments.n && used < room && max != 0; i++) {
        seg = veil_array_at(&s->segments, spool_segment_t, i);
        if (seg->start + seg->len <= r->pulled) {
            continue;
        }
        skip = (size_t) (r->pulled - seg->start);
        len = veil_min_size(seg->len - skip, max);
        v[used++] =
            seg->block != NULL
                ? veil_slice_mem(seg->block->data + skip, len)
                : veil_slice_file(s->file->handle.fd, seg->offset + skip, len);
        r->pulled += len;
        max -= len;
    }
    *n = used;
    if (r->pulled == s->size && s->complete && !s->writing) {
        b->trailers = s->trailers;
        return VEIL_BODY_END;
    }
    if (used != 0) {
        return VEIL_BODY_DATA;
    }
    if (s->error != 0) {
        b->error = s->error;
        return VEIL_BODY_FAILED;
    }
    r->waiting = true;
    return VEIL_BODY_LATER;
}

static void
spool_reader_consume(veil_http_body_t *b, size_t bytes)
{
    spool_reader_t *r = veil_container_of(b, spool_reader_t, body);
    veil_http_spool_t *s = r->spool;

    r->consumed += bytes;
    VEIL_ASSERT(r->consumed <= r->pulled);
    spool_trim(s);
    if (s->source != NULL && !s->waiting && !s->writing) {
        spool_pump(s);
        veil_post(s->loop, &s->post); /* nothing is called from in here */
    }
}

static void
spool_reader_abort(veil_http_body_t *b)
{
    spool_reader_t *r = veil_container_of(b, spool_reader_t, body);
    veil_http_spool_t *s = r->spool;

    r->waiting = false;
    veil_list_remove(&r->link);
    if (!s->o.replay && veil_list_is_empty(&s->readers)) {
        veil_http_spool_abort(s);
    }
}

static const veil_http_body_ops_t spool_reader_ops = {
    .name = "spool",
    .pull = spool_reader_pull,
    .consume = spool_reader_consume,
    .abort = spool_reader_abort,
};

veil_http_body_t *
veil_http_spool_reader(veil_http_spool_t *s)
{
    spool_reader_t *r = VEIL_POOL_NEW(s->pool, spool_reader_t);

    VEIL_CHECK(s, SPOOL);
    r->body.ops = &spool_reader_ops;
    r->body.length =
        spool_is_settled(s) && s->error == 0 ? (int64_t) s->size : -1;
    r->body.in_memory =
        s->o.max_file == 0 || (spool_is_settled(s) && s->file == NULL);
    r->spool = s;
    if (s->first < s->segments.n) {
        r->pulled =
            veil_array_at(&s->segments, spool_segment_t, s->first)->start;
    } else {
        r->pulled = s->size;
    }
    r->consumed = r->pulled;
    veil_list_append(&s->readers, &r->link);
    return &r->body;
}

/* --- life -----------------------------------------------------------------
 */

static void
spool_free(veil_http_spool_t *s)
{
    veil_post_cancel(&s->post);
    while (s->first < s->segments.n) {
        spool_drop_segment(
            s, veil_array_at(&s->segments, spool_segment_t, s->first));
        s->first++;
    }
    spool_close_file(s);
}

static void
spool_destroyed(void *data)
{
    veil_http_spool_t *s = data;

    /* The source is somebody else's to end, and may be gone already. */
    s->source = NULL;
    spool_free(s);
    s->magic = VEIL_MAGIC_DEAD;
}

void
veil_http_spool_abort(veil_http_spool_t *s)
{
    veil_http_body_t *source = s->source;

    VEIL_CHECK(s, SPOOL);
    s->source = NULL;
    s->told = true;
    if (s->error == 0 && !s->complete) {
        s->error = 499;
    }
    if (source != NULL) {
        veil_http_body_abort(source);
    }
    spool_free(s);
}

veil_http_spool_t *
veil_http_spool_create(veil_pool_t *pool, veil_loop_t *loop,
                       veil_http_body_t *source,
                       const veil_http_spool_options_t *o)
{
    veil_http_spool_t *s = VEIL_POOL_NEW(pool, veil_http_spool_t);

    s->magic = SPOOL_MAGIC;
    s->pool = pool;
    s->loop = loop;
    s->source = source;
    s->o = *o;
    veil_array_init(&s->segments, pool, sizeof(spool_segment_t), 8);
    veil_list_init(&s->readers);
    veil_post_init(&s->post, spool_posted);
    veil_pool_on_destroy(pool, spool_destroyed, s);

    veil_http_body_set_reader(source, spool_source_ready, s);
    s->told = true; /* not from in here */
    spool_pump(s);
    s->told = spool_is_settled(s);
    return s;
}

/* --- questions -------------------------------------------------------------
 */

bool
veil_http_spool_is_complete(const veil_http_spool_t *s)
{
    return s->complete && !s->writing && s->error == 0;
}

int
veil_http_spool_error(const veil_http_spool_t *s)
{
    return s->error;
}

uint64_t
veil_http_spool_size(const veil_http_spool_t *s)
{
    return s->size;
}

uint64_t
veil_http_spool_file_size(const veil_http_spool_t *s)
{
    return s->in_file;
}

veil_str_t
veil_http_spool_path(const veil_http_spool_t *s)
{
    return s->file == NULL ? VEIL_STR_NULL : s->file->path;
}

veil_str_t
veil_http_spool_text(veil_http_spool_t *s)
{
    const spool_segment_t *seg;
    char *text, *p;
    unsigned i;

    if (!veil_http_spool_is_complete(s) || s->in_memory != s->size) {
        return VEIL_STR_NULL;
    }
    text = veil_pool_chars(s->pool, (size_t) s->size + 1);
    p = text;
    for (i = s->first; i < s->segments.n; i++) {
        seg = veil_array_at(&s->segments, spool_segment_t, i);
        memcpy(p, seg->block->data, seg->len);
        p += seg->len;
    }
    *p = '\0';
    return veil_str_n(text, (size_t) s->size);
}

void
veil_http_spool_release(veil_http_spool_t *s)
{
    s->o.replay = false;
    spool_trim(s);
}
