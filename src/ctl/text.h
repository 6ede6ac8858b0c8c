/*
 * text.h -- text that grows, and what makes it fit for a terminal.
 */

#ifndef VEIL_CTL_TEXT_H
#define VEIL_CTL_TEXT_H

#include "core/str.h"

typedef enum {
    VEIL_CTL_PLAIN,
    VEIL_CTL_BOLD,
    VEIL_CTL_DIM,
    VEIL_CTL_RED,
    VEIL_CTL_GREEN,
    VEIL_CTL_YELLOW,
    VEIL_CTL_CYAN
} veil_ctl_style_t;

/* Zeroed at first; veil_ctl_text_done() frees what it has. */
typedef struct {
    char *data; /* not terminated; NULL: nothing yet */
    size_t len;
    size_t cap;
    bool color; /* styles are written */
} veil_ctl_text_t;

void veil_ctl_text_done(veil_ctl_text_t *t);

/* As it is: for what this program says. */
void veil_ctl_text_add(veil_ctl_text_t *t, veil_str_t s);
void veil_ctl_text_z(veil_ctl_text_t *t, const char *z);
void veil_ctl_text_printf(veil_ctl_text_t *t, const char *fmt, ...)
    VEIL_PRINTF(2, 3);
/* c, n times. */
void veil_ctl_text_fill(veil_ctl_text_t *t, char c, size_t n);

/*
 * For what others say: control characters of ASCII and of Unicode, those
 * that change the direction of writing, and what is no UTF-8 are written as
 * "\n", "\x1b", "\u202e".  With lines, line feeds and tabs stay.
 */
void veil_ctl_text_safe(veil_ctl_text_t *t, veil_str_t s, bool lines);

/* In this style, if there are colours. */
void veil_ctl_text_style(veil_ctl_text_t *t, veil_ctl_style_t style);
void veil_ctl_text_styled(veil_ctl_text_t *t, veil_ctl_style_t style,
                          const char *z);

/* Columns that s takes, without its escape sequences: its characters. */
size_t veil_ctl_text_width(veil_str_t s);
/* The beginning of s that takes no more than so many columns. */
veil_str_t veil_ctl_text_clip(veil_str_t s, size_t columns);

static inline veil_str_t
veil_ctl_text_str(const veil_ctl_text_t *t)
{
    return veil_str_n(t->data, t->len);
}

#endif
