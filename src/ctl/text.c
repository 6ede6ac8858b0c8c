/*
 * text.c -- text that grows, and what makes it fit for a terminal.
 *
 * Everything veilctl prints is made in memory first: a table must know its
 * widest cell, and a frame of "top" must go out in one write.
 *
 * What comes from the server may come from anybody: names of hosts, paths of
 * requests, lines of logs.  A terminal obeys some bytes, so whatever is not
 * ours goes through veil_ctl_text_safe(), the only place that judges bytes.
 *
 * What this does not do: width of characters.  Each counts as one column,
 * which is wrong for those of East Asia; libc knows better only in locales
 * that may not be there.
 */

#include "core/platform.h"

#include "core/pool.h"
#include "ctl/text.h"

#define TEXT_ESCAPE "\033["

void
veil_ctl_text_done(veil_ctl_text_t *t)
{
    veil_free(t->data);
    t->data = NULL;
    t->len = 0;
    t->cap = 0;
}

/* Room for n more bytes. */
static char *
text_room(veil_ctl_text_t *t, size_t n)
{
    size_t cap = t->cap == 0 ? 256 : t->cap;

    while (cap - t->len < n) {
        cap *= 2;
    }
    if (cap != t->cap) {
        t->data = veil_realloc(t->data, cap);
        t->cap = cap;
    }
    return t->data + t->len;
}

void
veil_ctl_text_add(veil_ctl_text_t *t, veil_str_t s)
{
    if (s.len != 0) {
        memcpy(text_room(t, s.len), s.data, s.len);
        t->len += s.len;
    }
}

void
veil_ctl_text_z(veil_ctl_text_t *t, const char *z)
{
    veil_ctl_text_add(t, veil_str_z(z));
}

void
veil_ctl_text_fill(veil_ctl_text_t *t, char c, size_t n)
{
    if (n != 0) {
        memset(text_room(t, n), c, n);
        t->len += n;
    }
}

void
veil_ctl_text_printf(veil_ctl_text_t *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    VEIL_ASSERT(n >= 0);
    va_start(ap, fmt);
    (void) vsnprintf(text_room(t, (size_t) n + 1), (size_t) n + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t) n;
}

/* --- what others say ------------------------------------------------------*/

/*
 * The character that begins at p, and its bytes in *n; -1 when it is no
 * UTF-8 (RFC 3629): then *n is 1.
 */
static long
text_decode(const unsigned char *p, size_t len, size_t *n)
{
    static const long least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    long c;
    size_t i, need;

    *n = 1;
    if (p[0] < 0x80) {
        return p[0];
    }
    need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len < need) {
        return -1;
    }
    c = p[0] & (0x7f >> need);
    for (i = 1; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return -1;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[need] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return -1;
    }
    *n = need;
    return c;
}

/* Whether a terminal, or whoever reads it, might be led astray. */
static bool
text_is_unsafe(long c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0)
           || c == 0x061c                    /* Arabic letter mark */
           || (c >= 0x200b && c <= 0x200f)   /* of no width, directions */
           || (c >= 0x2028 && c <= 0x202e)   /* lines, directions */
           || (c >= 0x2060 && c <= 0x206f)   /* invisible ones, directions */
           || c == 0xfeff                    /* of no width */
           || (c >= 0xfff9 && c <= 0xfffb)   /* annotations */
           || (c >= 0xe0000 && c <= 0xe007f) /* tags */
           || (c >= 0xe000 && c <= 0xf8ff);  /* nobody knows what */
}

static void
text_escape(veil_ctl_text_t *t, long c)
{
    if (c == '\n') {
        veil_ctl_text_z(t, "\\n");
    } else if (c == '\r') {
        veil_ctl_text_z(t, "\\r");
    } else if (c == '\t') {
        veil_ctl_text_z(t, "\\t");
    } else if (c < 0x100) {
        veil_ctl_text_printf(t, "\\x%02lx", (unsigned long) c);
    } else {
        veil_ctl_text_printf(t, "\\u%04lx", (unsigned long) c);
    }
}

void
veil_ctl_text_safe(veil_ctl_text_t *t, veil_str_t s, bool lines)
{
    const unsigned char *p = (const unsigned char *) s.data;
    size_t i, n;
    long c;

    for (i = 0; i < s.len; i += n) {
        c = text_decode(p + i, s.len - i, &n);
        if (c < 0) {
            veil_ctl_text_printf(t, "\\x%02x", p[i]);
        } else if (text_is_unsafe(c) && !(lines && (c == '\n' || c == '\t'))) {
            text_escape(t, c);
        } else {
            veil_ctl_text_add(t, veil_str_n(s.data + i, n));
        }
    }
}

/* --- styles ---------------------------------------------------------------*/

void
veil_ctl_text_style(veil_ctl_text_t *t, veil_ctl_style_t style)
{
    static const char *const codes[] = {
        [VEIL_CTL_PLAIN] = "0",  [VEIL_CTL_BOLD] = "1",
        [VEIL_CTL_DIM] = "2",    [VEIL_CTL_RED] = "31",
        [VEIL_CTL_GREEN] = "32", [VEIL_CTL_YELLOW] = "33",
        [VEIL_CTL_CYAN] = "36",
    };

    if (t->color) {
        veil_ctl_text_printf(t, TEXT_ESCAPE "%sm", codes[style]);
    }
}

void
veil_ctl_text_styled(veil_ctl_text_t *t, veil_ctl_style_t style, const char *z)
{
    if (style == VEIL_CTL_PLAIN) {
        veil_ctl_text_z(t, z);
        return;
    }
    veil_ctl_text_style(t, style);
    veil_ctl_text_z(t, z);
    veil_ctl_text_style(t, VEIL_CTL_PLAIN);
}

/* --- widths ---------------------------------------------------------------*/

/* The length of the escape sequence that s begins with; 0: none. */
static size_t
text_sequence(veil_str_t s)
{
    size_t i;

    if (!veil_str_starts(s, VEIL_STR(TEXT_ESCAPE))) {
        return 0;
    }
    for (i = sizeof(TEXT_ESCAPE) - 1; i < s.len; i++) {
        if (s.data[i] >= '@') {
            return i + 1;
        }
    }
    return s.len;
}

veil_str_t
veil_ctl_text_clip(veil_str_t s, size_t columns)
{
    size_t i = 0, n;

    while (i < s.len) {
        n = text_sequence(veil_str_from(s, i));
        if (n == 0) {
            if (columns-- == 0) {
                break;
            }
            for (n = 1; i + n < s.len
                        && ((unsigned char) s.data[i + n] & 0xc0) == 0x80;
                 n++)
            {
                /* the rest of the character */
            }
        }
        i += n;
    }
    return veil_str_n(s.data, i);
}

size_t
veil_ctl_text_width(veil_str_t s)
{
    size_t i, n, width = 0;

    for (i = 0; i < s.len; i += n == 0 ? 1 : n) {
        n = text_sequence(veil_str_from(s, i));
        if (n == 0 && ((unsigned char) s.data[i] & 0xc0) != 0x80) {
            width++;
        }
    }
    return width;
}
