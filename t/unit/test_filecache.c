/*
 * test_filecache.c -- looking up files, with and without a cache: kinds,
 * errors, contents, symbolic links, what is kept for how long.
 */

#include "../../src/event/filecache.c"

#include "bed.h"

#define UNTRUSTED 0

static char dir[64];
static veil_filecache_t *cache;
static unsigned looked_up;
static bool no_inline; /* all through the threads */

static char *
path_of(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];

    veil_snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static void
put(const char *name, const char *text)
{
    int fd = open(path_of(name), O_CREAT | O_WRONLY | O_TRUNC, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t) strlen(text));
    close(fd);
}

static void
set_up(void)
{
    memcpy(dir, "/tmp/veil-files-XXXXXX", 23);
    cr_assert_not_null(mkdtemp(dir));
    put("file", "some text");
    mkdir(path_of("sub"), 0755);
    put("sub/inner", "inner text");
    cr_assert_eq(symlink("file", path_of("link")), 0);
    cr_assert_eq(symlink("sub", path_of("dirlink")), 0);
    cr_assert_eq(symlink("nowhere", path_of("dangling")), 0);
    mkfifo(path_of("fifo"), 0644);
}

static void
tear_down(void)
{
    char command[128];

    veil_snprintf(command, sizeof(command), "rm -r %s", dir);
    cr_assert_eq(system(command), 0);
}

static void
on_looked_up(veil_file_lookup_t *l)
{
    cr_assert_not_null(l->file);
    looked_up++;
}

/* The answer to a look-up made by hand, waited for if need be. */
static veil_file_t *
answer(bed_t *b, veil_file_lookup_t *l)
{
    veil_file_probe_t p = { 0 };

    l->loop = b->loop;
    l->pool = b->pool;
    l->path_len = strlen(l->path);
    l->done = on_looked_up;
    looked_up = 0;
    if (no_inline && l->cache == NULL) {
        p.path = l->path;
        p.path_len = l->path_len;
        p.symlinks = l->symlinks;
        p.symlinks_from = l->symlinks_from;
        p.want_fd = l->want_fd;
        p.content_max = l->content_max;
        filecache_offload(l, NULL, &p, NULL);
        UNTIL(b, looked_up == 1);
    } else if (!veil_file_lookup(l)) {
        UNTIL(b, looked_up == 1);
    } else {
        cr_assert_eq(looked_up, 0);
    }
    return l->file;
}

static veil_file_t *
look(bed_t *b, const char *name)
{
    veil_file_lookup_t l = { .cache = cache,
                             .path = path_of(name),
                             .want_fd = true };

    return answer(b, &l);
}

static veil_file_t *
look_symlinks(bed_t *b, const char *path, size_t from, veil_symlinks_t policy)
{
    veil_file_lookup_t l = { .cache = cache,
                             .path = path,
                             .want_fd = true,
                             .symlinks = policy,
                             .symlinks_from = from };

    return answer(b, &l);
}

static void
cr_err(veil_file_t *f, int err)
{
    cr_assert_eq(f->err, err, "%d instead of %d", f->err, err);
    cr_assert_eq(err != 0, f->failed != NULL);
    if (err != 0) {
        cr_assert_eq(f->fd, -1);
    }
    veil_file_put(f);
}

static void
end_test(bed_t *b)
{
    veil_offload_stop(b->loop);
    if (cache != NULL) {
        veil_filecache_destroy(&cache);
    }
    cr_assert_eq(veil_file_count(), 0);
    tear_down();
}

/* --- without a cache ----------------------------------------------------- */

static void
kinds(bed_t *b)
{
    char buf[16];
    struct stat st;
    veil_file_t *f = look(b, "file");

    cr_assert_eq(f->err, 0);
    cr_assert(f->is_file);
    cr_assert_not(f->is_dir);
    cr_assert_not(f->is_exec);
    cr_assert_eq(f->size, 9);
    cr_assert_eq(pread(f->fd, buf, sizeof(buf), 0), 9);
    cr_assert_eq(fstat(f->fd, &st), 0);
    cr_assert_eq(f->mtime, st.st_mtim.tv_sec);
    cr_assert_eq(f->mtime_nsec, (uint64_t) st.st_mtim.tv_nsec);
    cr_assert_eq(f->inode, st.st_ino);
    veil_file_get(f);
    veil_file_put(f);
    veil_file_put(f);

    f = look(b, "sub");
    cr_assert(f->is_dir);
    cr_assert_eq(f->fd, -1);
    cr_err(f, 0);
    f = look(b, "fifo");
    cr_assert_not(f->is_dir || f->is_file);
    cr_assert_eq(f->fd, -1);
    cr_err(f, 0);
    f = look(b, "link");
    cr_assert_eq(f->size, 9);
    cr_err(f, 0);
    cr_err(look(b, "missing"), ENOENT);
    cr_err(look(b, "dangling"), ENOENT);
    cr_err(look(b, "file/below"), ENOTDIR);
}

static void
contents(bed_t *b)
{
    veil_file_lookup_t l = { .path = path_of("file"),
                             .want_fd = true,
                             .content_max = 9 };
    veil_file_t *f = answer(b, &l);

    cr_assert_not_null(f->content);
    cr_assert_eq(f->fd, -1);
    cr_assert_eq(f->content->size, 9);
    cr_assert_eq(memcmp(f->content->data, "some text", 9), 0);
    veil_file_put(f);

    l.content_max = 8;
    f = answer(b, &l);
    cr_assert_null(f->content);
    cr_assert_geq(f->fd, 0);
    veil_file_put(f);

    l.content_max = 9;
    l.want_fd = false;
    f = answer(b, &l);
    cr_assert_null(f->content);
    cr_assert_eq(f->fd, -1);
    cr_assert_eq(f->size, 9);
    veil_file_put(f);

    put("file", "");
    l.want_fd = true;
    f = answer(b, &l);
    cr_assert_not_null(f->content);
    cr_assert_eq(f->content->size, 0);
    veil_file_put(f);
}

CONTRACT(look_inline)
{
    set_up();
    kinds(b);
    contents(b);
    end_test(b);
}

CONTRACT(look_on_threads)
{
    set_up();
    no_inline = true;
    kinds(b);
    contents(b);
    end_test(b);
}

/* --- symbolic links ------------------------------------------------------ */

static void
symlinks(bed_t *b)
{
    const char *alien = "/proc/self/exe"; /* root's link, maybe */
    size_t from = strlen(dir);
    veil_file_t *f;

    f = look_symlinks(b, path_of("file"), from, VEIL_SYMLINKS_DENY);
    cr_assert_eq(f->size, 9);
    cr_err(f, 0);
    f = look_symlinks(b, path_of("sub"), from, VEIL_SYMLINKS_DENY);
    cr_assert(f->is_dir);
    cr_err(f, 0);
    cr_err(look_symlinks(b, path_of("sub/"), from, VEIL_SYMLINKS_DENY), 0);
    cr_err(
        look_symlinks(b, path_of("sub//inner"), UNTRUSTED, VEIL_SYMLINKS_DENY),
        0);
    cr_err(look_symlinks(b, path_of("file/"), from, VEIL_SYMLINKS_DENY),
           ENOTDIR);
    cr_err(look_symlinks(b, path_of("link"), from, VEIL_SYMLINKS_DENY), ELOOP);
    cr_err(look_symlinks(b, path_of("link"), UNTRUSTED, VEIL_SYMLINKS_DENY),
           ELOOP);
    cr_err(
        look_symlinks(b, path_of("dirlink/inner"), from, VEIL_SYMLINKS_DENY),
        ELOOP);
    cr_err(look_symlinks(b, path_of("dirlink/"), from, VEIL_SYMLINKS_DENY),
           ELOOP);
    cr_err(look_symlinks(b, path_of("missing"), from, VEIL_SYMLINKS_DENY),
           ENOENT);

    /* The link lies in the part that is trusted, and half of a name not. */
    cr_err(look_symlinks(b, path_of("dirlink/inner"), from + 8,
                         VEIL_SYMLINKS_DENY),
           0);
    cr_err(look_symlinks(b, path_of("dirlink/inner"), from + 9,
                         VEIL_SYMLINKS_DENY),
           0);
    cr_err(look_symlinks(b, path_of("dirlink/inner"), from + 5,
                         VEIL_SYMLINKS_DENY),
           ELOOP);
    cr_err(look_symlinks(b, path_of("dirlink"), from + 8, VEIL_SYMLINKS_DENY),
           0);

    /* Our links to our files. */
    f = look_symlinks(b, path_of("link"), from, VEIL_SYMLINKS_IF_NOT_OWNER);
    cr_assert_eq(f->size, 9);
    cr_err(f, 0);
    cr_err(look_symlinks(b, path_of("dirlink/inner"), from,
                         VEIL_SYMLINKS_IF_NOT_OWNER),
           0);
    cr_err(look_symlinks(b, path_of("dangling"), from,
                         VEIL_SYMLINKS_IF_NOT_OWNER),
           ENOENT);
    if (geteuid() == 0) {
        /* A link of somebody else's. */
        cr_assert_eq(lchown(path_of("link"), 12345, 12345), 0);
        cr_assert_eq(lchown(path_of("dirlink"), 12345, 12345), 0);
        cr_err(look_symlinks(b, path_of("link"), from,
                             VEIL_SYMLINKS_IF_NOT_OWNER),
               ELOOP);
        cr_err(look_symlinks(b, path_of("dirlink/inner"), from,
                             VEIL_SYMLINKS_IF_NOT_OWNER),
               ELOOP);
        cr_err(look_symlinks(b, path_of("link"), from, VEIL_SYMLINKS_ALLOW),
               0);
        cr_assert_eq(lchown(path_of("link"), 0, 0), 0);
        cr_assert_eq(lchown(path_of("dirlink"), 0, 0), 0);
    }
    cr_err(look_symlinks(b, alien, UNTRUSTED, VEIL_SYMLINKS_DENY), ELOOP);
}

CONTRACT(symlinks_inline)
{
    set_up();
    symlinks(b);
    end_test(b);
}

CONTRACT(symlinks_on_threads)
{
    set_up();
    no_inline = true;
    symlinks(b);
    end_test(b);
}

CONTRACT(long_names)
{
    static char path[8000];
    veil_file_t *f;
    size_t n;

    set_up();
    n = veil_snprintf(path, sizeof(path), "%s/", dir);
    memset(path + n, 'x', 300);
    cr_err(look_symlinks(b, path, n, VEIL_SYMLINKS_ALLOW), ENAMETOOLONG);
    cr_err(look_symlinks(b, path, n, VEIL_SYMLINKS_IF_NOT_OWNER),
           ENAMETOOLONG);
    memset(path + n, '/', sizeof(path) - n - 1);
    cr_err(
        look_symlinks(b, path, sizeof(path) - 50, VEIL_SYMLINKS_IF_NOT_OWNER),
        ENAMETOOLONG);
    f = look_symlinks(b, path, n, VEIL_SYMLINKS_IF_NOT_OWNER);
    cr_assert(f->is_dir);
    cr_err(f, 0);
    end_test(b);
}

/* --- the cache ------------------------------------------------------------
 */

static uint64_t now_ms;

static void
cache_on(bed_t *b, unsigned max, unsigned min_uses, bool errors,
         size_t content_max)
{
    veil_filecache_options_t o = { .max = max,
                                   .inactive_ms = 20000,
                                   .valid_ms = 60000,
                                   .min_uses = min_uses,
                                   .errors = errors,
                                   .content_max = content_max };

    set_up();
    now_ms = veil_now_ms() + 1000;
    veil_time_set(now_ms, 1000000, 0);
    cache = veil_filecache_create(b->loop, &o);
}

static void
pass(bed_t *b, uint64_t ms)
{
    int i;

    now_ms += ms;
    veil_time_set(now_ms, 1000000, 0);
    for (i = 0; i < 3; i++) {
        veil_loop_turn(b->loop, 0);
    }
}

CONTRACT(cache_hits)
{
    veil_file_t *f, *g;

    cache_on(b, 10, 1, false, 0);
    f = look(b, "file");
    g = look(b, "file");
    cr_assert_eq(f, g);
    cr_assert_eq(f->refs, 3);
    veil_file_put(g);

    /* What changed is not seen until it is checked. */
    put("file", "another text");
    g = look(b, "file");
    cr_assert_eq(g->size, 9);
    veil_file_put(g);
    pass(b, 15000);
    veil_file_put(look(b, "file"));
    pass(b, 15000);
    veil_file_put(look(b, "file"));
    pass(b, 15000);
    veil_file_put(look(b, "file"));
    pass(b, 15000);
    g = look(b, "file");
    cr_assert_neq(f, g);
    cr_assert_eq(g->size, 12);
    cr_assert_eq(f->size, 9); /* whoever has the old one keeps it */
    veil_file_put(f);
    veil_file_put(g);
    end_test(b);
}

CONTRACT(cache_keeps_what_is_the_same)
{
    veil_file_t *f, *g;
    int i;

    cache_on(b, 10, 1, false, 100);
    f = look(b, "file");
    cr_assert_not_null(f->content);
    for (i = 0; i < 6; i++) {
        pass(b, 15000);
        g = look(b, "file");
        cr_assert_eq(f, g);
        veil_file_put(g);
    }
    veil_file_put(f);
    f = look(b, "sub");
    for (i = 0; i < 6; i++) {
        pass(b, 15000);
        g = look(b, "sub");
        cr_assert_eq(f, g);
        veil_file_put(g);
    }
    veil_file_put(f);
    end_test(b);
}

CONTRACT(cache_forgets)
{
    cache_on(b, 10, 1, false, 0);
    veil_file_put(look(b, "file"));
    veil_file_put(look(b, "sub/inner"));
    cr_assert_eq(veil_file_count(), 2);
    pass(b, 12000);
    veil_file_put(look(b, "file"));
    pass(b, 9000);
    cr_assert_eq(veil_file_count(), 1);
    cr_assert_eq(cache->n, 1);
    pass(b, 30000);
    cr_assert_eq(veil_file_count(), 0);
    cr_assert_eq(cache->n, 0);
    end_test(b);
}

CONTRACT(cache_is_bounded)
{
    char name[32];
    veil_file_t *first;
    int i;

    cache_on(b, 4, 1, false, 0);
    first = look(b, "file");
    for (i = 0; i < 20; i++) {
        veil_snprintf(name, sizeof(name), "f%d", i);
        put(name, name);
        veil_file_put(look(b, name));
        cr_assert_leq(cache->n, 4);
    }
    cr_assert_eq(cache->n, 4);
    cr_assert_eq(first->refs, 1); /* dropped, and still ours */
    veil_file_put(first);
    cr_assert_eq(veil_file_count(), 4);
    end_test(b);
}

CONTRACT(cache_min_uses)
{
    veil_file_t *f;

    cache_on(b, 10, 3, false, 0);
    veil_file_put(look(b, "file"));
    cr_assert_eq(veil_file_count(), 0);
    veil_file_put(look(b, "file"));
    cr_assert_eq(veil_file_count(), 0);
    veil_file_put(look(b, "file"));
    cr_assert_eq(veil_file_count(), 1);
    f = look(b, "file");
    cr_assert_eq(f->refs, 2);
    veil_file_put(f);
    end_test(b);
}

CONTRACT(cache_errors)
{
    cache_on(b, 10, 1, true, 0);
    cr_err(look(b, "later"), ENOENT);
    put("later", "now it is there");
    cr_err(look(b, "later"), ENOENT);
    pass(b, 10000);
    cr_err(look(b, "later"), ENOENT);
    pass(b, 19000);
    pass(b, 19000);
    pass(b, 19000);
    cr_err(look(b, "later"), 0);

    /* And the other way round. */
    unlink(path_of("later"));
    cr_err(look(b, "later"), 0);
    pass(b, 19000);
    cr_err(look(b, "later"), 0);
    pass(b, 19000);
    cr_err(look(b, "later"), 0);
    pass(b, 19000);
    cr_err(look(b, "later"), 0);
    pass(b, 19000);
    cr_err(look(b, "later"), ENOENT);
    end_test(b);
}

CONTRACT(cache_without_errors)
{
    cache_on(b, 10, 1, false, 0);
    cr_err(look(b, "later"), ENOENT);
    cr_assert_eq(cache->n, 0);
    put("later", "now it is there");
    cr_err(look(b, "later"), 0);
    end_test(b);
}

/* Metadata first (try_files), then the file itself, then its content. */
CONTRACT(cache_learns)
{
    veil_file_lookup_t l = { .cache = NULL, .want_fd = false };
    veil_file_t *f;

    cache_on(b, 10, 1, false, 0);
    l.cache = cache;
    l.path = path_of("file");
    f = answer(b, &l);
    cr_assert_eq(f->fd, -1);
    veil_file_put(f);
    l.want_fd = true;
    f = answer(b, &l);
    cr_assert_geq(f->fd, 0);
    veil_file_put(f);
    l.want_fd = false;
    f = answer(b, &l);
    cr_assert_geq(f->fd, 0); /* it has one by now */
    veil_file_put(f);
    cr_assert_eq(cache->n, 1);
    end_test(b);
}

/* A file found with links allowed says nothing to those who forbid them. */
CONTRACT(cache_knows_policies)
{
    size_t from;

    cache_on(b, 10, 1, true, 0);
    from = strlen(dir);
    cr_err(look(b, "link"), 0);
    cr_err(look_symlinks(b, path_of("link"), from, VEIL_SYMLINKS_DENY), ELOOP);
    cr_err(look(b, "link"), 0);
    cr_err(look_symlinks(b, path_of("dirlink/inner"), from + 8,
                         VEIL_SYMLINKS_DENY),
           0);
    cr_err(
        look_symlinks(b, path_of("dirlink/inner"), from, VEIL_SYMLINKS_DENY),
        ELOOP);
    end_test(b);
}

/* The answer of a thread finds its entry dropped, or another's in place. */
CONTRACT(cache_and_threads)
{
    veil_file_lookup_t l = { .cache = NULL, .want_fd = true };
    veil_file_probe_t p = { 0 };
    veil_file_t *f;

    cache_on(b, 1, 1, false, 0);
    f = look(b, "file");
    l.cache = cache;
    l.loop = b->loop;
    l.pool = b->pool;
    l.path = path_of("file");
    l.path_len = strlen(l.path);
    l.done = on_looked_up;
    p.path = l.path;
    p.path_len = l.path_len;
    p.want_fd = true;
    p.known = f;
    looked_up = 0;
    filecache_offload(&l, cache, &p, f);
    veil_file_put(look(b, "sub")); /* takes the only place */
    UNTIL(b, looked_up == 1);
    cr_assert_eq(l.file, f);
    cr_assert_eq(f->refs, 2);
    veil_file_put(l.file);
    veil_file_put(f);

    f = look(b, "file");
    p.known = f;
    looked_up = 0;
    filecache_offload(&l, cache, &p, f);
    UNTIL(b, looked_up == 1);
    cr_assert_eq(l.file, f);
    cr_assert_eq(f->refs, 3);
    veil_file_put(l.file);
    veil_file_put(f);
    end_test(b);
}
