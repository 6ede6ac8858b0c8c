/*
 * overlay.c -- changes of the run time that stay: a file of sections.
 *
 * The syntax is read by libinih, which cuts the names of sections at 50
 * characters and has no numbers of lines.  Both are had from the function
 * that hands it the lines: it is called for each line before what is in that
 * line is.  Lines are limited by the library as well; a longer one is told
 * and dropped.
 *
 * Writing makes the file anew from what it has, so that a hand may edit it
 * while the server runs; its comments are lost then, which its first lines
 * say.  The new file is complete on the disk before it gets the name, so
 * there is never half of one.
 *
 * The zone has the text that servers have been told, written by the keeper
 * that serves.  A counter is odd while it writes: if it dies then nobody
 * knows what they were told, and no line counts as changed.
 */

#include "core/platform.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <ini.h>
#include <limits.h>

#include "core/main_conf.h"
#include "core/overlay.h"

#define OVERLAY_LINE_MAX (INI_MAX_LINE - 2)
/* Nobody wrote that by hand or by veilctl. */
#define OVERLAY_FILE_MAX (4 * 1024 * 1024)

typedef struct {
    veil_list_t lines;
    veil_pool_t *pool;
} overlay_t;

/* What is being read. */
typedef struct {
    FILE *file;
    overlay_t *to;
    const veil_log_t *log; /* NULL: nobody is to be told */
    const char *section;
    unsigned line;
    bool is_long;
} overlay_reader_t;

#define OVERLAY_MAGIC 0x4f564c59u
#define OVERLAY_ZONE_SIZE ((size_t) OVERLAY_FILE_MAX + 4096)

typedef struct {
    uint32_t magic;
    uint32_t count; /* odd: it is being written */
    uint32_t len;
    char text[];
} overlay_zone_t;

static struct {
    veil_str_t path; /* empty: off */
    const veil_log_t *log;
    overlay_t now;
    overlay_t known;       /* as the zone has it */
    veil_shm_zone_t *zone; /* NULL: none */
    unsigned errors;
    bool strict;
    bool is_lost; /* nobody knows what is known */
} overlay;

static const char overlay_zone_tag[] = "overlay";

static const char overlay_head[] =
    "; What was changed at run time and is to stay: written by veil, read\n"
    "; after its configuration.  It may be edited; comments are not kept.\n";

/* --- reading -------------------------------------------------------------
 */

static void
overlay_tell(const veil_log_t *log, bool error, const char *why, unsigned line)
{
    overlay.errors += error;
    veil_log(log, error ? VEIL_LOG_EMERG : VEIL_LOG_WARN, 0, "%s in %.*s:%u%s",
             why, VEIL_STR_ARG(overlay.path), line, error ? "" : ", ignored");
}

static void
overlay_warn(const overlay_reader_t *r, const char *why)
{
    if (r->log != NULL) {
        overlay_tell(r->log, overlay.strict, why, r->line);
    }
}

/* The whole name of a section, of which the library has a part. */
static void
overlay_note_section(overlay_reader_t *r, const char *line)
{
    veil_str_t s = veil_str_trim(veil_str_z(line));
    ptrdiff_t end;

    if (s.len == 0 || s.data[0] != '[') {
        return;
    }
    end = veil_str_rchr(s, ']');
    if (end > 0) {
        r->section = veil_pool_strz(r->to->pool,
                                    veil_str_n(s.data + 1, (size_t) end - 1));
    }
}

static char *
overlay_next_line(char *buf, int size, void *data)
{
    overlay_reader_t *r = data;
    int c;

    if (fgets(buf, size, r->file) == NULL) {
        return NULL;
    }
    r->line++;
    r->is_long = strchr(buf, '\n') == NULL && !feof(r->file);
    if (r->is_long) {
        while ((c = getc(r->file)) != EOF && c != '\n') {
        }
        overlay_warn(r, "the line is too long");
        /* An empty one for the library. */
        buf[0] = '\0';
        return buf;
    }
    overlay_note_section(r, buf);
    return buf;
}

static int
overlay_take(void *data, const char *section VEIL_UNUSED, const char *key,
             const char *value)
{
    overlay_reader_t *r = data;
    veil_overlay_line_t *line;

    if (r->section == NULL) {
        overlay_warn(r, "a line before the first section");
        return 1;
    }
    line = VEIL_POOL_NEW(r->to->pool, veil_overlay_line_t);
    line->section = r->section;
    line->key = veil_pool_strz(r->to->pool, veil_str_z(key));
    line->value = veil_pool_strz(r->to->pool, veil_str_z(value));
    line->line = r->line;
    veil_list_append(&r->to->lines, &line->link);
    return 1;
}

static void
overlay_empty(overlay_t *o)
{
    veil_list_init(&o->lines);
    o->pool = veil_pool_create("overlay", 1024);
}

/* Closes the file; what is malformed is told and left out. */
static void
overlay_parse(overlay_t *to, FILE *file, const veil_log_t *log)
{
    overlay_reader_t r = { .file = file, .to = to, .log = log };
    int rc = ini_parse_stream(overlay_next_line, &r, overlay_take, &r);

    fclose(file);
    if (rc > 0) {
        /* The library goes on after the first error, whose line it tells. */
        r.line = (unsigned) rc;
        overlay_warn(&r, "neither a section nor \"key = value\"");
    }
}

/* 0, or -errno. */
static int
overlay_read(overlay_t *to, const veil_log_t *log)
{
    struct stat st;
    FILE *file;

    overlay_empty(to);
    file = fopen(overlay.path.data, "re");
    if (file == NULL) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode)
        || st.st_size > OVERLAY_FILE_MAX)
    {
        fclose(file);
        return -EFBIG;
    }
    overlay_parse(to, file, log);
    return 0;
}

static void
overlay_free(overlay_t *o)
{
    if (o->pool != NULL) {
        veil_pool_destroy(&o->pool);
    }
    veil_list_init(&o->lines);
}

static overlay_zone_t *
overlay_zone(void)
{
    return overlay.zone == NULL || overlay.path.len == 0 ? NULL
                                                         : overlay.zone->addr;
}

/* False: nobody knows. */
static bool
overlay_zone_read(overlay_t *to)
{
    overlay_zone_t *z = overlay_zone();
    size_t len = z == NULL ? 0 : veil_min_size(z->len, OVERLAY_FILE_MAX);
    FILE *file;

    overlay_free(to);
    overlay_empty(to);
    if (z == NULL || (z->count & 1) != 0) {
        return false;
    }
    if (len != 0) {
        file = fmemopen(z->text, len, "r");
        if (file == NULL) {
            return false;
        }
        overlay_parse(to, file, NULL);
    }
    return true;
}

void
veil_overlay_load(veil_str_t path, const veil_log_t *log, bool strict)
{
    int rc;

    overlay_free(&overlay.now);
    overlay.path = path;
    overlay.log = log;
    overlay.strict = strict;
    overlay.errors = 0;
    /* First: what a verb writes in between is in both, or in the file. */
    overlay.is_lost = !overlay_zone_read(&overlay.known);
    if (path.len == 0) {
        return;
    }
    rc = overlay_read(&overlay.now, log);
    if (rc < 0) {
        overlay.errors += strict;
        veil_log(log, strict ? VEIL_LOG_EMERG : VEIL_LOG_WARN, -rc,
                 "the file of changes \"%.*s\" cannot be read%s",
                 VEIL_STR_ARG(path), strict ? "" : ", and is not used");
    }
}

unsigned
veil_overlay_errors(void)
{
    return overlay.errors;
}

veil_rc_t
veil_overlay_init_keeper(veil_cycle_t *cycle)
{
    veil_overlay_load(veil_main_conf(cycle)->overlay, &cycle->log,
                      cycle->reloading);
    veil_overlay_check_sections();
    return VEIL_OK;
}

veil_list_t *
veil_overlay_lines(void)
{
    if (overlay.now.lines.next == NULL) {
        veil_list_init(&overlay.now.lines);
    }
    return &overlay.now.lines;
}

static const char *
overlay_find(veil_list_t *lines, const char *section, const char *key)
{
    const veil_overlay_line_t *line;
    veil_list_t *l;

    veil_list_foreach (l, lines) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if (strcmp(line->section, section) == 0 && strcmp(line->key, key) == 0)
        {
            return line->value;
        }
    }
    return NULL;
}

const char *
veil_overlay_get(const char *section, const char *key)
{
    return overlay_find(veil_overlay_lines(), section, key);
}

bool
veil_overlay_has(veil_list_t *lines, const char *section)
{
    veil_list_t *l;

    veil_list_foreach (l, lines) {
        if (strcmp(veil_list_entry(l, veil_overlay_line_t, link)->section,
                   section)
            == 0)
        {
            return true;
        }
    }
    return false;
}

const char *
veil_overlay_section_is(const char *section, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(section, word, n) != 0
        || (section[n] != ' ' && section[n] != '\0'))
    {
        return NULL;
    }
    return section + n + (section[n] == ' ' ? 1 : 0);
}

void
veil_overlay_bad(veil_overlay_line_t *line, const char *fmt, ...)
{
    char why[512];
    va_list ap;

    va_start(ap, fmt);
    (void) vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    line->bad = true;
    overlay_tell(overlay.log, overlay.strict, why, line->line);
}

void
veil_overlay_stale(veil_overlay_line_t *line, const char *fmt, ...)
{
    char why[512];
    va_list ap;

    va_start(ap, fmt);
    (void) vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    line->bad = true;
    overlay_tell(overlay.log, false, why, line->line);
}

/* The module's word that the section begins with; else the nearest one. */
static bool
overlay_is_of_module(const veil_core_module_t *core, const char *section,
                     const char **nearest, unsigned *distance)
{
    veil_str_t word = veil_str_n(section, strcspn(section, " "));
    unsigned i;

    for (i = 0; core->overlay != NULL && core->overlay[i] != NULL; i++) {
        if (veil_overlay_section_is(section, core->overlay[i]) != NULL) {
            return true;
        }
        veil_conf_nearest(word, core->overlay[i], nearest, distance);
    }
    return false;
}

static void
overlay_check_section(veil_overlay_line_t *line)
{
    const char *nearest = NULL;
    unsigned distance = 0;
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->core != NULL
            && overlay_is_of_module(veil_modules[i]->core, line->section,
                                    &nearest, &distance))
        {
            return;
        }
    }
    if (nearest != NULL) {
        veil_overlay_bad(line,
                         "the section [%s] is unknown, did you mean \"%s\"?",
                         line->section, nearest);
    } else {
        veil_overlay_bad(line, "the section [%s] is unknown", line->section);
    }
}

void
veil_overlay_check_sections(void)
{
    const veil_overlay_line_t *before = NULL;
    veil_overlay_line_t *line;
    veil_list_t *l;

    veil_list_foreach (l, veil_overlay_lines()) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if (before == NULL || strcmp(before->section, line->section) != 0) {
            overlay_check_section(line);
        } else {
            line->bad = before->bad; /* it was told with the first */
        }
        before = line;
    }
}

bool
veil_overlay_is_on(void)
{
    return overlay.path.len != 0;
}

/* --- writing -------------------------------------------------------------
 */

static int
overlay_sync_dir(const char *path)
{
    char dir[PATH_MAX];
    ptrdiff_t slash = veil_str_rchr(veil_str_z(path), '/');
    int fd, rc;

    (void) veil_str_copy_z(dir, sizeof(dir),
                           slash < 0    ? VEIL_STR(".")
                           : slash == 0 ? VEIL_STR("/")
                                        : veil_str_n(path, (size_t) slash));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    rc = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return rc;
}

static int
overlay_write_all(int fd, const char *data, size_t n)
{
    ssize_t done;

    while (n != 0) {
        done = write(fd, data, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -errno;
        }
        data += done;
        n -= (size_t) done;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

int
veil_file_replace(const char *path, const char *data, size_t n)
{
    char tmp[PATH_MAX];
    int fd, rc;

    if (veil_snprintf(tmp, sizeof(tmp), "%s.%d.tmp", path, (int) getpid())
        == sizeof(tmp) - 1)
    {
        return -ENAMETOOLONG;
    }
    (void) unlink(tmp); /* of a process with our number that died */
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    rc = overlay_write_all(fd, data, n);
    close(fd);
    if (rc == 0 && rename(tmp, path) != 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void) unlink(tmp);
        return rc;
    }
    return overlay_sync_dir(path);
}

static void
overlay_edit(overlay_t *o, const veil_overlay_edit_t *e)
{
    veil_overlay_line_t *line, *last = NULL;
    veil_list_t *l, *tmp;

    veil_list_foreach_safe (l, tmp, &o->lines) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if (strcmp(line->section, e->section) != 0) {
            continue;
        }
        if (e->key == NULL || strcmp(line->key, e->key) == 0) {
            veil_list_remove(l);
        } else {
            last = line;
        }
    }
    if (e->key == NULL || e->value == NULL) {
        return;
    }
    line = VEIL_POOL_NEW(o->pool, veil_overlay_line_t);
    line->section = veil_pool_strz(o->pool, veil_str_z(e->section));
    line->key = veil_pool_strz(o->pool, veil_str_z(e->key));
    line->value = veil_pool_strz(o->pool, veil_str_z(e->value));
    if (last != NULL) {
        veil_list_insert_after(&last->link, &line->link);
    } else {
        veil_list_append(&o->lines, &line->link);
    }
}

typedef bool overlay_in_force_fn(const veil_overlay_line_t *line);

/* As text; before each line stands the prefix; in_force NULL: no marks. */
static char *
overlay_text(overlay_t *o, const char *prefix, overlay_in_force_fn *in_force,
             size_t *len)
{
    const veil_overlay_line_t *line;
    const char *section = NULL;
    veil_list_t *l;
    FILE *to;
    char *text = NULL;

    to = open_memstream(&text, len);
    if (to == NULL) {
        return NULL;
    }
    veil_list_foreach (l, &o->lines) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if (section == NULL || strcmp(section, line->section) != 0) {
            fprintf(to, "%s\n%s[%s]\n", prefix, prefix, line->section);
            section = line->section;
        }
        fprintf(to, "%s%s = %s%s\n", prefix, line->key, line->value,
                in_force == NULL ? ""
                : line->bad      ? " (ignored)"
                : in_force(line) ? ""
                                 : " (changed since, not in force)");
    }
    fclose(to);
    return text;
}

/* Whether it would be read as it is written. */
static bool
overlay_is_sound(const veil_overlay_edit_t *e)
{
    const char *texts[] = { e->section, e->key == NULL ? "" : e->key,
                            e->value == NULL ? "" : e->value };
    size_t n = strlen(texts[1]) + strlen(texts[2]) + strlen(" = \n");
    unsigned i;

    for (i = 0; i < veil_countof(texts); i++) {
        if (texts[i][strcspn(texts[i], "\r\n")] != '\0'
            || strstr(texts[i], " ;") != NULL)
        {
            return false;
        }
    }
    return n < OVERLAY_LINE_MAX
           && strlen(e->section) + strlen("[]\n") < OVERLAY_LINE_MAX
           && texts[1][strcspn(texts[1], "=:")] == '\0';
}

/* The directory of the default path is made when it is needed. */
static void
overlay_make_dir(void)
{
    char dir[PATH_MAX];
    ptrdiff_t slash = veil_str_rchr(overlay.path, '/');

    if (slash > 0) {
        (void) veil_str_copy_z(dir, sizeof(dir),
                               veil_str_n(overlay.path.data, (size_t) slash));
        (void) mkdir(dir, 0700); /* else writing tells what is wrong */
    }
}

/* --- what the servers know ------------------------------------------------
 */

static veil_rc_t
overlay_zone_init(veil_shm_zone_t *zone, bool fresh)
{
    overlay_zone_t *z = zone->addr;

    if (fresh || z->magic != OVERLAY_MAGIC) {
        z->count = 0;
        z->len = 0;
        z->magic = OVERLAY_MAGIC;
    }
    return VEIL_OK;
}

veil_rc_t
veil_overlay_declare(veil_conf_t *cf)
{
    overlay.zone = veil_shm_zone_add(cf, VEIL_STR("changes that stay"),
                                     OVERLAY_ZONE_SIZE, overlay_zone_tag);
    if (overlay.zone == NULL) {
        return VEIL_ERROR;
    }
    overlay.zone->init = overlay_zone_init;
    return VEIL_OK;
}

static void
overlay_zone_write(void)
{
    overlay_zone_t *z = overlay_zone();
    size_t n = 0;
    char *text;

    if (z == NULL) {
        return;
    }
    text = overlay_text(&overlay.known, "", false, &n);
    __atomic_store_n(&z->count, z->count | 1, __ATOMIC_RELEASE);
    if (text != NULL && n <= OVERLAY_FILE_MAX) {
        memcpy(z->text, text, n);
        z->len = (uint32_t) n;
        __atomic_store_n(&z->count, z->count + 1, __ATOMIC_RELEASE);
    } /* else nobody knows */
    free(text);
}

void
veil_overlay_settle(void)
{
    overlay.strict = false;
}

veil_list_t *
veil_overlay_known(void)
{
    return overlay.is_lost ? veil_overlay_lines() : &overlay.known.lines;
}

const char *
veil_overlay_was(const char *section, const char *key)
{
    return overlay_find(veil_overlay_known(), section, key);
}

/* Makes the same changes in *to as were made from one to the other. */
static void
overlay_follow(overlay_t *to, veil_list_t *from, veil_list_t *now)
{
    const veil_overlay_line_t *line;
    veil_overlay_edit_t e;
    const char *was;
    veil_list_t *l;

    veil_list_foreach (l, from) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if (overlay_find(now, line->section, line->key) == NULL) {
            e = (veil_overlay_edit_t){ line->section, line->key, NULL };
            overlay_edit(to, &e);
        }
    }
    veil_list_foreach (l, now) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        was = overlay_find(from, line->section, line->key);
        if (was == NULL || strcmp(was, line->value) != 0) {
            e = (veil_overlay_edit_t){ line->section, line->key, line->value };
            overlay_edit(to, &e);
        }
    }
}

void
veil_overlay_settled(void)
{
    overlay_t current = { .pool = NULL };

    if (!overlay_zone_read(&current) || overlay.is_lost) {
        overlay_free(&current);
        overlay_empty(&current);
        overlay_free(&overlay.known);
        overlay_empty(&overlay.known);
        overlay.is_lost = false;
    }
    overlay_follow(&current, &overlay.known.lines, veil_overlay_lines());
    overlay_free(&overlay.known);
    overlay.known.pool = current.pool;
    veil_list_splice(&overlay.known.lines, &current.lines);
    overlay_zone_write();
}

/* --- writing the file -----------------------------------------------------
 */

static int
overlay_write(overlay_t *o)
{
    size_t n = 0, head = sizeof(overlay_head) - 1;
    char *lines = overlay_text(o, "", NULL, &n), *all;
    int rc;

    all = veil_alloc(head + n + 1);
    memcpy(all, overlay_head, head);
    if (lines != NULL) {
        memcpy(all + head, lines, n);
    }
    free(lines);
    overlay_make_dir();
    rc = veil_file_replace(overlay.path.data, all, head + n);
    veil_free(all);
    return rc;
}

int
veil_overlay_change(const veil_overlay_edit_t *edits, unsigned n, char *why,
                    size_t size)
{
    overlay_t new;
    unsigned i;
    int rc;

    if (overlay.path.len == 0) {
        (void) veil_snprintf(why, size, "\"control_overlay\" is off");
        return -ENOENT;
    }
    for (i = 0; i < n; i++) {
        if (!overlay_is_sound(&edits[i])) {
            (void) veil_snprintf(why, size,
                                 "\"%s\" is too long for the file of changes, "
                                 "or has what cannot stand there",
                                 edits[i].section);
            return -EINVAL;
        }
    }
    rc = overlay_read(&new, NULL);
    for (i = 0; rc == 0 && i < n; i++) {
        overlay_edit(&new, &edits[i]);
    }
    if (rc == 0) {
        rc = overlay_write(&new);
    }
    if (rc < 0) {
        (void) veil_snprintf(why, size,
                             "the file of changes \"%s\" cannot be written: "
                             "%s",
                             overlay.path.data, strerror(-rc));
        overlay_free(&new);
        return rc;
    }
    if (overlay.known.pool != NULL) {
        /* What a hand has changed besides is not known before a reload. */
        for (i = 0; i < n; i++) {
            overlay_edit(&overlay.known, &edits[i]);
        }
        overlay_zone_write();
    }
    overlay_free(&overlay.now);
    /* Lists are rings through their heads. */
    overlay.now.pool = new.pool;
    veil_list_splice(&overlay.now.lines, &new.lines);
    return 0;
}

char *
veil_overlay_print(overlay_in_force_fn *in_force)
{
    size_t n = 0;
    char *lines, *all;

    if (veil_list_is_empty(veil_overlay_lines())) {
        return veil_zalloc(1);
    }
    lines = overlay_text(&overlay.now, "# ", in_force, &n);
    all = veil_zalloc(n + overlay.path.len + 64);
    (void) veil_snprintf(all, n + overlay.path.len + 64,
                         "# changes that stay, of %s\n%s", overlay.path.data,
                         lines == NULL ? "" : lines);
    free(lines);
    return all;
}
