/*
 * render.h -- JSON as people read it, whatever it is about.
 */

#ifndef VEIL_CTL_RENDER_H
#define VEIL_CTL_RENDER_H

#include "ctl/ctl.h"
#include "ctl/table.h"

/*
 * Any value: an array of objects is a table, an object lines of "key: value",
 * a text is itself, with its lines.  Ends with a line feed, unless there is
 * nothing.
 */
void veil_ctl_render(veil_ctl_text_t *out, const json_t *data);
/* The same, each line behind so many blanks. */
void veil_ctl_render_at(veil_ctl_text_t *out, const json_t *data,
                        unsigned indent);
/* "a=1 b=text": for lines of streams; no line feed. */
void veil_ctl_render_line(veil_ctl_text_t *out, const json_t *data);

/* One value as a cell; name: what it is called, for its unit. */
void veil_ctl_render_cell(veil_ctl_table_t *t, const char *name,
                          const json_t *v);
/* How a word about a state is shown: "up" in green, "down" in red. */
veil_ctl_style_t veil_ctl_render_state(veil_str_t word);

/* JSON in one line, harmless to terminals; no line feed. */
void veil_ctl_render_json(veil_ctl_text_t *out, const json_t *data);

#endif
