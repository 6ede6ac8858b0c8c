/*
 * files.c -- looking up files for a request: see files.h.
 *
 * Locations with equal settings of open_file_cache share one cache; which one
 * is known by a number given when the configuration is read.
 *
 * A route to one file with "file_mode memory" means that file as it was when
 * it was first asked for, until the next reload: it has a cache of its own,
 * whose entries do not age and carry contents.
 */

#include "core/platform.h"

#include "http/files.h"

#include "http/explain.h"
#include "http/http.h"

/*
 * Above this a file is sent by the kernel when file_mode is auto; up to it
 * reading into memory and one send with the head cost no more (measured with
 * bench/files, the table is in docs/files.md).
 */
#define FILES_READ_MAX 4096

/* What a response that goes through memory reads at once: twice 32k, as much
 * as nginx's output_buffers. */
#define FILES_READ_BUFFER (64 * 1024)

/* Of files that routes keep in memory; a larger one keeps its descriptor. */
#define FILES_KEPT_MAX 4096
#define FILES_KEPT_CONTENT (16 * 1024 * 1024)
#define FILES_KEPT_MS ((uint64_t) 3650 * 86400 * 1000)

static veil_filecache_t *files_kept;
static veil_filecache_t **files_caches;
static unsigned files_ncaches;

static veil_filecache_t *
files_cache(veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    unsigned i = conf->open_file_cache_id;

    if (conf->open_file_cache.max == 0) {
        return NULL;
    }
    if (i >= files_ncaches) {
        files_caches =
            veil_realloc(files_caches, (i + 1) * sizeof(*files_caches));
        memset(files_caches + files_ncaches, 0,
               (i + 1 - files_ncaches) * sizeof(*files_caches));
        files_ncaches = i + 1;
    }
    if (files_caches[i] == NULL) {
        files_caches[i] =
            veil_filecache_create(r->loop, &conf->open_file_cache);
    }
    return files_caches[i];
}

/* The cache of files that are kept until a reload. */
static veil_filecache_t *
files_kept_cache(veil_loop_t *loop)
{
    static const veil_filecache_options_t options = {
        .max = FILES_KEPT_MAX,
        .inactive_ms = FILES_KEPT_MS,
        .valid_ms = FILES_KEPT_MS,
        .min_uses = 1,
        .content_max = FILES_KEPT_CONTENT,
    };

    if (files_kept == NULL) {
        files_kept = veil_filecache_create(loop, &options);
    }
    return files_kept;
}

void
veil_http_files_done(void)
{
    unsigned i;

    for (i = 0; i < files_ncaches; i++) {
        if (files_caches[i] != NULL) {
            veil_filecache_destroy(&files_caches[i]);
        }
    }
    if (files_kept != NULL) {
        veil_filecache_destroy(&files_kept);
    }
    veil_free(files_caches);
    files_caches = NULL;
    files_ncaches = 0;
}

static void
files_put(void *data)
{
    veil_http_lookup_t *l = data;

    if (l->lookup.file != NULL) {
        veil_file_put(l->lookup.file);
        l->lookup.file = NULL;
    }
}

static void
files_explain(const veil_http_lookup_t *l)
{
    const veil_file_t *file = l->lookup.file;
    const char *what = "is a file";

    if (file->err != 0) {
        what = strerror(file->err);
    } else if (file->is_dir) {
        what = "is a directory";
    }
    veil_http_explain("file", NULL, "\"%.*s\": %s", (int) l->lookup.path_len,
                      l->lookup.path, what);
    veil_http_explain_target("file");
    veil_http_explain_target_add(
        "path", veil_str_n(l->lookup.path, l->lookup.path_len));
}

static void
files_answered(veil_file_lookup_t *lookup)
{
    veil_http_lookup_t *l =
        veil_container_of(lookup, veil_http_lookup_t, lookup);

    l->waiting = false;
    if (veil_http_is_explained()) {
        files_explain(l);
    }
    veil_http_resume(l->r);
}

bool
veil_http_lookup(veil_http_request_t *r, veil_http_lookup_t *l,
                 veil_str_t path, size_t root_len, bool want_fd)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    veil_str_t from;

    if (l->r == NULL) {
        l->r = r;
        veil_pool_on_destroy(r->pool, files_put, l);
    } else {
        files_put(l);
    }
    memset(&l->lookup, 0, sizeof(l->lookup));
    l->lookup.cache = files_cache(r);
    l->lookup.loop = r->loop;
    l->lookup.pool = r->pool;
    l->lookup.path = path.data;
    l->lookup.path_len = path.len;
    l->lookup.symlinks = (veil_symlinks_t) conf->symlinks;
    if (conf->symlinks_from != NULL) {
        from = veil_http_eval(r, conf->symlinks_from);
        if (veil_str_starts(path, from)) {
            l->lookup.symlinks_from = from.len;
        }
    }
    if (l->lookup.symlinks == VEIL_SYMLINKS_ALLOW && r->location != NULL
        && r->location->is_route)
    {
        /* A route cannot be left, by links no more than by "..". */
        l->lookup.symlinks = VEIL_SYMLINKS_BENEATH;
        l->lookup.symlinks_from = root_len;
    }
    if (conf->file_mode == VEIL_FILE_MEMORY && root_len == path.len
        && r->location != NULL && r->location->is_route)
    {
        l->lookup.cache = files_kept_cache(r->loop);
    }
    l->lookup.want_fd = want_fd;
    l->lookup.done = files_answered;
    l->waiting = !veil_file_lookup(&l->lookup);
    if (!l->waiting && veil_http_is_explained()) {
        files_explain(l);
    }
    return !l->waiting;
}

int
veil_http_lookup_status(veil_http_request_t *r, const veil_file_t *file,
                        veil_str_t path)
{
    const char *failed = file->failed == NULL ? "open()" : file->failed;

    switch (file->err) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        if (veil_http_core_loc(r)->log_not_found) {
            veil_log(&r->log, VEIL_LOG_ERR, file->err, "%s \"%.*s\" failed",
                     failed, VEIL_STR_ARG(path));
        }
        return 404;
    case EACCES:
    case ELOOP:
    case EPERM:
        veil_log(&r->log, VEIL_LOG_ERR, file->err, "%s \"%.*s\" failed",
                 failed, VEIL_STR_ARG(path));
        return 403;
    default:
        veil_log(&r->log, VEIL_LOG_CRIT, file->err, "%s \"%.*s\" failed",
                 failed, VEIL_STR_ARG(path));
        return 500;
    }
}

static veil_http_body_t *
files_body(veil_http_request_t *r, const veil_file_t *file)
{
    if (file->content != NULL) {
        return veil_http_body_text(
            r->pool, veil_str_n((const char *) file->content->data,
                                (size_t) file->size));
    }
    r->out.from_file = true;
    return veil_http_body_file(r->pool, file->fd, 0, (uint64_t) file->size);
}

/* Behind the ranges, so that nothing is read that is not sent. */
void
veil_http_files_choose(veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    bool memory;

    if (!r->out.from_file || r->out.body == NULL || r->header_only) {
        return;
    }
    memory = !conf->sendfile || conf->file_mode == VEIL_FILE_MEMORY
             || (conf->file_mode == VEIL_FILE_AUTO
                 && r->out.body->length <= FILES_READ_MAX);
    if (memory) {
        r->out.body = veil_http_body_to_memory(r->pool, r->loop, r->out.body,
                                               FILES_READ_BUFFER);
    }
}

void
veil_http_describe_file(veil_http_request_t *r, veil_file_t *file)
{
    r->out.status = 200;
    r->out.content_length = file->size;
    r->out.last_modified = file->mtime;
    veil_http_set_etag(r, file->mtime, file->size);
    veil_http_set_content_type(r);
    r->out.allow_ranges = true;
    r->out.body = file->size == 0 ? NULL : files_body(r, file);
}
