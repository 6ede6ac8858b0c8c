/*
 * lines.c -- bytes of a stream as lines.
 *
 * One buffer: bytes come in at its end, lines are taken at its beginning, and
 * what is left moves to the front when room is wanted.  Each byte is looked
 * at once for a line feed, however small the pieces are.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/pool.h"
#include "ctl/lines.h"

#define LINES_ROOM 65536

char *
veil_ctl_lines_room(veil_ctl_lines_t *l, size_t *n)
{
    if (l->begin != 0) {
        memmove(l->data, l->data + l->begin, l->len - l->begin);
        l->len -= l->begin;
        l->seen -= l->begin;
        l->begin = 0;
    }
    if (l->len == l->cap) {
        if (l->len >= VEIL_CTL_LINE_MAX) {
            return NULL;
        }
        l->cap = l->cap == 0 ? LINES_ROOM : l->cap * 2;
        l->data = veil_realloc(l->data, l->cap);
    }
    *n = l->cap - l->len;
    return l->data + l->len;
}

void
veil_ctl_lines_fed(veil_ctl_lines_t *l, size_t n)
{
    VEIL_ASSERT(n <= l->cap - l->len);
    l->len += n;
}

bool
veil_ctl_lines_next(veil_ctl_lines_t *l, veil_str_t *line)
{
    veil_str_t rest;
    ptrdiff_t at;

    if (l->seen == l->len) {
        return false;
    }
    rest = veil_str_n(l->data + l->seen, l->len - l->seen);
    at = veil_str_chr(rest, '\n');
    if (at < 0) {
        l->seen = l->len;
        return false;
    }
    *line = veil_str_n(l->data + l->begin, l->seen + (size_t) at - l->begin);
    l->begin = l->seen + (size_t) at + 1;
    l->seen = l->begin;
    return true;
}

bool
veil_ctl_lines_is_midline(const veil_ctl_lines_t *l)
{
    return l->begin != l->len;
}

void
veil_ctl_lines_done(veil_ctl_lines_t *l)
{
    veil_free(l->data);
    memset(l, 0, sizeof(*l));
}
