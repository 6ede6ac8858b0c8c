/*
 * lines.h -- bytes of a stream as lines.
 */

#ifndef VEIL_CTL_LINES_H
#define VEIL_CTL_LINES_H

#include "core/str.h"

/*
 * A list of a hundred thousand connections is long; nothing that veil says
 * is longer than this.
 */
#define VEIL_CTL_LINE_MAX ((size_t) 64 << 20)

/* Zeroed at first; veil_ctl_lines_done() frees what it has. */
typedef struct {
    char *data;
    size_t begin; /* of what was not taken yet */
    size_t seen;  /* up to here there is no line feed */
    size_t len;
    size_t cap;
} veil_ctl_lines_t;

/*
 * Room for bytes to be read, *n of them (more than 0); NULL when a line is
 * longer than the limit.
 */
char *veil_ctl_lines_room(veil_ctl_lines_t *l, size_t *n);
/* So many bytes are there now. */
void veil_ctl_lines_fed(veil_ctl_lines_t *l, size_t n);
/*
 * Takes the next line, without its line feed; false: there is none yet.  It
 * is valid until the next call of veil_ctl_lines_room().
 */
bool veil_ctl_lines_next(veil_ctl_lines_t *l, veil_str_t *line);
/* Whether a line was begun that has no end yet. */
bool veil_ctl_lines_is_midline(const veil_ctl_lines_t *l);
void veil_ctl_lines_done(veil_ctl_lines_t *l);

#endif
