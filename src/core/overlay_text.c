/*
 * overlay_text.c -- the text of the file of changes: sections of lines.
 *
 * The syntax is read by libinih, which cuts the names of sections at 50
 * characters and has no numbers of lines.  Both are had from the function
 * that hands it the lines: it is called for each line before what is in that
 * line is.  Lines are limited by the library as well; a longer one is told
 * and dropped.
 */

#include "core/platform.h"

#include <ini.h>

#include "core/overlay_text.h"
#include "core/str.h"

#define OVERLAY_TEXT_LINE_MAX (INI_MAX_LINE - 2)

/* What is being read. */
typedef struct {
    FILE *file;
    veil_overlay_text_t *to;
    veil_overlay_tell_fn *tell; /* NULL: nobody is to be told */
    void *data;
    const char *section;
    unsigned line;
} overlay_text_reader_t;

/* --- reading -------------------------------------------------------------
 */

void
veil_overlay_text_init(veil_overlay_text_t *text)
{
    veil_list_init(&text->lines);
    text->pool = veil_pool_create("overlay", 1024);
}

void
veil_overlay_text_free(veil_overlay_text_t *text)
{
    if (text->pool != NULL) {
        veil_pool_destroy(&text->pool);
    }
    veil_list_init(&text->lines);
}

void
veil_overlay_text_move(veil_overlay_text_t *to, veil_overlay_text_t *from)
{
    veil_overlay_text_free(to);
    to->pool = from->pool;
    from->pool = NULL;
    veil_list_splice(&to->lines, &from->lines);
}

static void
overlay_text_tell(const overlay_text_reader_t *r, const char *why)
{
    if (r->tell != NULL) {
        r->tell(why, r->line, r->data);
    }
}

/* The whole name of a section, of which the library has a part. */
static void
overlay_text_note_section(overlay_text_reader_t *r, const char *line)
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
overlay_text_next_line(char *buf, int size, void *data)
{
    overlay_text_reader_t *r = data;
    int c;

    if (fgets(buf, size, r->file) == NULL) {
        return NULL;
    }
    r->line++;
    if (strchr(buf, '\n') == NULL && !feof(r->file)) {
        while ((c = getc(r->file)) != EOF && c != '\n') {
        }
        overlay_text_tell(r, "the line is too long");
        /* An empty one for the library. */
        buf[0] = '\0';
        return buf;
    }
    overlay_text_note_section(r, buf);
    return buf;
}

static int
overlay_text_take(void *data, const char *section VEIL_UNUSED, const char *key,
                  const char *value)
{
    overlay_text_reader_t *r = data;
    veil_overlay_line_t *line;

    if (r->section == NULL) {
        overlay_text_tell(r, "a line before the first section");
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

void
veil_overlay_text_read(veil_overlay_text_t *text, FILE *file,
                       veil_overlay_tell_fn *tell, void *data)
{
    overlay_text_reader_t r = {
        .file = file, .to = text, .tell = tell, .data = data
    };
    int rc =
        ini_parse_stream(overlay_text_next_line, &r, overlay_text_take, &r);

    fclose(file);
    if (rc > 0) {
        /* The library goes on after the first error, whose line it tells. */
        r.line = (unsigned) rc;
        overlay_text_tell(&r, "neither a section nor \"key = value\"");
    }
}

/* --- finding and editing --------------------------------------------------
 */

const char *
veil_overlay_text_find(veil_list_t *lines, const char *section,
                       const char *key)
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

void
veil_overlay_text_edit(veil_overlay_text_t *text, const veil_overlay_edit_t *e)
{
    veil_overlay_line_t *line, *last = NULL;
    veil_list_t *l, *tmp;

    veil_list_foreach_safe (l, tmp, &text->lines) {
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
    line = VEIL_POOL_NEW(text->pool, veil_overlay_line_t);
    line->section = veil_pool_strz(text->pool, veil_str_z(e->section));
    line->key = veil_pool_strz(text->pool, veil_str_z(e->key));
    line->value = veil_pool_strz(text->pool, veil_str_z(e->value));
    if (last != NULL) {
        veil_list_insert_after(&last->link, &line->link);
    } else {
        veil_list_append(&text->lines, &line->link);
    }
}

void
veil_overlay_text_follow(veil_overlay_text_t *text, veil_list_t *from,
                         veil_list_t *now)
{
    const veil_overlay_line_t *line;
    veil_overlay_edit_t e;
    const char *was;
    veil_list_t *l;

    veil_list_foreach (l, from) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if (veil_overlay_text_find(now, line->section, line->key) == NULL) {
            e = (veil_overlay_edit_t){ line->section, line->key, NULL };
            veil_overlay_text_edit(text, &e);
        }
    }
    veil_list_foreach (l, now) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        was = veil_overlay_text_find(from, line->section, line->key);
        if (was == NULL || strcmp(was, line->value) != 0) {
            e = (veil_overlay_edit_t){ line->section, line->key, line->value };
            veil_overlay_text_edit(text, &e);
        }
    }
}

/* --- writing -------------------------------------------------------------
 */

char *
veil_overlay_text_write(const veil_overlay_text_t *text, const char *prefix,
                        veil_overlay_in_force_fn *in_force, size_t *len)
{
    const veil_overlay_line_t *line;
    const char *section = NULL;
    veil_list_t *l;
    FILE *to;
    char *out = NULL;

    to = open_memstream(&out, len);
    if (to == NULL) {
        return NULL;
    }
    veil_list_foreach (l, &text->lines) {
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
    return out;
}

bool
veil_overlay_text_can_have(const veil_overlay_edit_t *e)
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
    return n < OVERLAY_TEXT_LINE_MAX
           && strlen(e->section) + strlen("[]\n") < OVERLAY_TEXT_LINE_MAX
           && texts[1][strcspn(texts[1], "=:")] == '\0';
}
