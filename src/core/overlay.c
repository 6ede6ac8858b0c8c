/*
 * overlay.c -- changes of the run time that stay: a file of sections.
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
#include <limits.h>

#include "core/file_replace.h"
#include "core/main_conf.h"
#include "core/overlay.h"

/* Nobody wrote that by hand or by veilctl. */
#define OVERLAY_FILE_MAX (4 * 1024 * 1024)

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
    veil_overlay_text_t now;
    veil_overlay_text_t known; /* as the zone has it */
    veil_shm_zone_t *zone;     /* NULL: none */
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
overlay_malformed(const char *why, unsigned line, void *data VEIL_UNUSED)
{
    overlay_tell(overlay.log, overlay.strict, why, line);
}

/* 0, or -errno. */
static int
overlay_read(veil_overlay_text_t *to, veil_overlay_tell_fn *tell)
{
    struct stat st;
    FILE *file;

    veil_overlay_text_init(to);
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
    veil_overlay_text_read(to, file, tell, NULL);
    return 0;
}

static overlay_zone_t *
overlay_zone(void)
{
    return overlay.zone == NULL || overlay.path.len == 0 ? NULL
                                                         : overlay.zone->addr;
}

/* False: nobody knows. */
static bool
overlay_zone_read(veil_overlay_text_t *to)
{
    overlay_zone_t *z = overlay_zone();
    size_t len = z == NULL ? 0 : veil_min_size(z->len, OVERLAY_FILE_MAX);
    FILE *file;

    veil_overlay_text_free(to);
    veil_overlay_text_init(to);
    if (z == NULL || (z->count & 1) != 0) {
        return false;
    }
    if (len != 0) {
        file = fmemopen(z->text, len, "r");
        if (file == NULL) {
            return false;
        }
        veil_overlay_text_read(to, file, NULL, NULL);
    }
    return true;
}

void
veil_overlay_load(veil_str_t path, const veil_log_t *log, bool strict)
{
    int rc;

    veil_overlay_text_free(&overlay.now);
    overlay.path = path;
    overlay.log = log;
    overlay.strict = strict;
    overlay.errors = 0;
    /* First: what a verb writes in between is in both, or in the file. */
    overlay.is_lost = !overlay_zone_read(&overlay.known);
    if (path.len == 0) {
        return;
    }
    rc = overlay_read(&overlay.now, overlay_malformed);
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

const char *
veil_overlay_get(const char *section, const char *key)
{
    return veil_overlay_text_find(veil_overlay_lines(), section, key);
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
    text = veil_overlay_text_write(&overlay.known, "", NULL, &n);
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
    return veil_overlay_text_find(veil_overlay_known(), section, key);
}

void
veil_overlay_settled(void)
{
    veil_overlay_text_t current = { .pool = NULL };

    if (!overlay_zone_read(&current) || overlay.is_lost) {
        veil_overlay_text_free(&current);
        veil_overlay_text_init(&current);
        veil_overlay_text_free(&overlay.known);
        veil_overlay_text_init(&overlay.known);
        overlay.is_lost = false;
    }
    veil_overlay_text_follow(&current, &overlay.known.lines,
                             veil_overlay_lines());
    veil_overlay_text_move(&overlay.known, &current);
    overlay_zone_write();
}

/* --- writing the file -----------------------------------------------------
 */

static int
overlay_write(veil_overlay_text_t *o)
{
    size_t n = 0, head = sizeof(overlay_head) - 1;
    char *lines = veil_overlay_text_write(o, "", NULL, &n), *all;
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
    veil_overlay_text_t new;
    unsigned i;
    int rc;

    if (overlay.path.len == 0) {
        (void) veil_snprintf(why, size, "\"control_overlay\" is off");
        return -ENOENT;
    }
    for (i = 0; i < n; i++) {
        if (!veil_overlay_text_can_have(&edits[i])) {
            (void) veil_snprintf(why, size,
                                 "\"%s\" is too long for the file of changes, "
                                 "or has what cannot stand there",
                                 edits[i].section);
            return -EINVAL;
        }
    }
    rc = overlay_read(&new, NULL);
    for (i = 0; rc == 0 && i < n; i++) {
        veil_overlay_text_edit(&new, &edits[i]);
    }
    if (rc == 0) {
        rc = overlay_write(&new);
    }
    if (rc < 0) {
        (void) veil_snprintf(why, size,
                             "the file of changes \"%s\" cannot be written: "
                             "%s",
                             overlay.path.data, strerror(-rc));
        veil_overlay_text_free(&new);
        return rc;
    }
    if (overlay.known.pool != NULL) {
        /* What a hand has changed besides is not known before a reload. */
        for (i = 0; i < n; i++) {
            veil_overlay_text_edit(&overlay.known, &edits[i]);
        }
        overlay_zone_write();
    }
    veil_overlay_text_move(&overlay.now, &new);
    return 0;
}

char *
veil_overlay_print(veil_overlay_in_force_fn *in_force)
{
    size_t n = 0;
    char *lines, *all;

    if (veil_list_is_empty(veil_overlay_lines())) {
        return veil_zalloc(1);
    }
    lines = veil_overlay_text_write(&overlay.now, "# ", in_force, &n);
    all = veil_zalloc(n + overlay.path.len + 64);
    (void) veil_snprintf(all, n + overlay.path.len + 64,
                         "# changes that stay, of %s\n%s", overlay.path.data,
                         lines == NULL ? "" : lines);
    free(lines);
    return all;
}
