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
 */

#include "core/platform.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <ini.h>
#include <limits.h>

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

static struct {
    veil_str_t path; /* empty: off */
    const veil_log_t *log;
    overlay_t now;
} overlay;

static const char overlay_head[] =
    "; What was changed at run time and is to stay: written by veil, read\n"
    "; after its configuration.  It may be edited; comments are not kept.\n";

/* --- reading -------------------------------------------------------------
 */

static void
overlay_warn(const overlay_reader_t *r, const char *why)
{
    if (r->log != NULL) {
        veil_log(r->log, VEIL_LOG_WARN, 0, "%s in %.*s:%u, ignored", why,
                 VEIL_STR_ARG(overlay.path), r->line);
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

/* 0, or -errno; what is malformed is told and left out. */
static int
overlay_read(overlay_t *to, const veil_log_t *log)
{
    overlay_reader_t r = { .to = to, .log = log };
    struct stat st;
    int rc;

    veil_list_init(&to->lines);
    to->pool = veil_pool_create("overlay", 1024);
    r.file = fopen(overlay.path.data, "re");
    if (r.file == NULL) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (fstat(fileno(r.file), &st) != 0 || !S_ISREG(st.st_mode)
        || st.st_size > OVERLAY_FILE_MAX)
    {
        fclose(r.file);
        return -EFBIG;
    }
    rc = ini_parse_stream(overlay_next_line, &r, overlay_take, &r);
    fclose(r.file);
    if (rc > 0) {
        /* The library goes on after the first error, whose line it tells. */
        r.line = (unsigned) rc;
        overlay_warn(&r, "neither a section nor \"key = value\"");
    }
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

void
veil_overlay_load(veil_str_t path, const veil_log_t *log)
{
    int rc;

    overlay_free(&overlay.now);
    overlay.path = path;
    overlay.log = log;
    if (path.len == 0) {
        return;
    }
    rc = overlay_read(&overlay.now, log);
    if (rc < 0) {
        veil_log(log, VEIL_LOG_WARN, -rc,
                 "the file of changes \"%.*s\" cannot be read, and is not "
                 "used",
                 VEIL_STR_ARG(path));
    }
}

veil_list_t *
veil_overlay_lines(void)
{
    if (overlay.now.lines.next == NULL) {
        veil_list_init(&overlay.now.lines);
    }
    return &overlay.now.lines;
}

const char *
veil_overlay_get(const char *section, const char *key)
{
    const veil_overlay_line_t *line;
    veil_list_t *l;

    veil_list_foreach (l, veil_overlay_lines()) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if (strcmp(line->section, section) == 0 && strcmp(line->key, key) == 0)
        {
            return line->value;
        }
    }
    return NULL;
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
    veil_log(overlay.log, VEIL_LOG_WARN, 0, "%s in %.*s:%u, ignored", why,
             VEIL_STR_ARG(overlay.path), line->line);
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

/* As text; before each line stands the prefix. */
static char *
overlay_text(overlay_t *o, const char *prefix, bool places, size_t *len)
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
                places && line->bad ? " (ignored)" : "");
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

static int
overlay_write(overlay_t *o)
{
    size_t n = 0, head = sizeof(overlay_head) - 1;
    char *lines = overlay_text(o, "", false, &n), *all;
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
    overlay_free(&overlay.now);
    /* Lists are rings through their heads. */
    overlay.now.pool = new.pool;
    veil_list_splice(&overlay.now.lines, &new.lines);
    return 0;
}

char *
veil_overlay_print(void)
{
    size_t n = 0;
    char *lines, *all;

    if (veil_list_is_empty(veil_overlay_lines())) {
        return veil_zalloc(1);
    }
    lines = overlay_text(&overlay.now, "# ", true, &n);
    all = veil_zalloc(n + overlay.path.len + 64);
    (void) veil_snprintf(all, n + overlay.path.len + 64,
                         "# changes that stay, of %s\n%s", overlay.path.data,
                         lines == NULL ? "" : lines);
    free(lines);
    return all;
}
