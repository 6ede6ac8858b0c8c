/*
 * filecache.h -- open files, shared by requests, and their metadata.
 *
 * veil_file_lookup() answers "what is at this path": descriptor, size, times,
 * kind, or the error.  With the cache on (open_file_cache) the answer often
 * comes at once; else it is fetched without blocking the loop: at once when
 * the kernel has all of it in memory, on the offload threads otherwise.
 *
 * An entry is counted: each user holds a reference and keeps it while slices
 * of the file are in flight, so a file that is replaced or removed harms
 * nobody.  Small files may carry their content (open_file_cache_content), so
 * that a hit costs no file system call at all.
 */

#ifndef VEIL_EVENT_FILECACHE_H
#define VEIL_EVENT_FILECACHE_H

#include "core/block.h"
#include "core/str.h"
#include "event/loop.h"

typedef struct veil_filecache_s veil_filecache_t;
typedef struct veil_file_s veil_file_t;
typedef struct veil_file_lookup_s veil_file_lookup_t;

struct veil_file_s {
    uint32_t refs;
    int fd;  /* -1: no file, error, not wanted, or content is all there is */
    int err; /* 0, or the errno of open or stat (cached errors) */
    const char *failed; /* "open()" and the like, when err is set */
    bool is_dir;
    bool is_file;
    bool is_exec;
    int64_t size;
    int64_t mtime; /* seconds */
    uint64_t mtime_nsec;
    uint64_t inode;
    uint64_t device;
    veil_block_t *content; /* the whole file; NULL: read through fd */
};

typedef struct {
    unsigned max;         /* entries; 0: no cache */
    uint64_t inactive_ms; /* unused for so long: dropped */
    uint64_t valid_ms;    /* checked again after */
    unsigned min_uses;    /* kept open from this many uses on; 0 is 1 */
    bool errors;          /* cache errors too */
    size_t content_max;   /* files up to this size carry their content */
} veil_filecache_options_t;

/*
 * One for each set of options of the configuration, in each worker.  The
 * options are copied.
 */
veil_filecache_t *veil_filecache_create(veil_loop_t *loop,
                                        const veil_filecache_options_t *o);
/* No look-up may be under way: after veil_offload_stop(). */
void veil_filecache_destroy(veil_filecache_t **fc);

typedef enum {
    VEIL_SYMLINKS_ALLOW,
    VEIL_SYMLINKS_IF_NOT_OWNER, /* allow when link and target share an owner */
    VEIL_SYMLINKS_DENY,
    VEIL_SYMLINKS_BENEATH /* allow what ends below the trusted part */
} veil_symlinks_t;

typedef void veil_file_lookup_fn(veil_file_lookup_t *l);

struct veil_file_lookup_s {
    /* Filled in by the caller. */
    veil_filecache_t *cache; /* NULL: always look */
    veil_loop_t *loop;
    veil_pool_t *pool; /* the lookup lives here; pinned meanwhile */
    const char *path;  /* zero-terminated; stays valid until the answer */
    size_t path_len;
    size_t symlinks_from; /* bytes of path that are trusted */
    veil_symlinks_t symlinks;
    bool want_fd;       /* else metadata is enough (try_files, index) */
    size_t content_max; /* read the content when no larger (0: never); the
                           cache's own limit applies when it is larger */
    veil_file_lookup_fn *done;
    /*
     * The answer: a reference the caller owns.  Errors are in file->err; a
     * symbolic link that the policy forbids is ELOOP.
     */
    veil_file_t *file;
};

/*
 * A file that is smaller than it was when it is sent ends the send early;
 * the sender notices by the short result.
 *
 * True: the answer is there already and done() will not be called.  False:
 * done() comes later, from the loop.  It cannot be cancelled, only ignored.
 */
bool veil_file_lookup(veil_file_lookup_t *l);

veil_file_t *veil_file_get(veil_file_t *f);
/* The last one closes. */
void veil_file_put(veil_file_t *f);
/* Files open or referenced in this process: zero at exit. */
unsigned veil_file_count(void);

#endif
