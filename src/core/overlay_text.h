/*
 * overlay_text.h -- the text of the file of changes: sections of lines.
 *
 *     [server backend/10.0.0.1:8080]
 *     state = drain
 *
 * It is read, found in, edited and written here, in memory; where it comes
 * from and what it means is overlay.h's.
 */

#ifndef VEIL_CORE_OVERLAY_TEXT_H
#define VEIL_CORE_OVERLAY_TEXT_H

#include <stdio.h>

#include "core/list.h"
#include "core/pool.h"

/* A line "key = value". */
typedef struct {
    veil_list_t link;
    const char *section; /* "server backend/10.0.0.1:8080" */
    const char *key;
    const char *value;
    unsigned line;
    bool bad; /* it was told why */
} veil_overlay_line_t;

/* A change; key NULL: of the whole section, value NULL: it is removed. */
typedef struct {
    const char *section;
    const char *key;
    const char *value;
} veil_overlay_edit_t;

/* Zeroed: freed.  Lists are rings through their heads: it is not copied. */
typedef struct {
    veil_list_t lines; /* of veil_overlay_line_t, as they stand there */
    veil_pool_t *pool; /* has the lines; NULL: freed */
} veil_overlay_text_t;

/* What is malformed; the line counts from 1. */
typedef void veil_overlay_tell_fn(const char *why, unsigned line, void *data);
/* Whether what the line says is so. */
typedef bool veil_overlay_in_force_fn(const veil_overlay_line_t *line);

/* Empty, with a pool. */
void veil_overlay_text_init(veil_overlay_text_t *text);
/* Once more is nothing. */
void veil_overlay_text_free(veil_overlay_text_t *text);
/* Gives *to what *from has, which is freed then; what *to had is as well. */
void veil_overlay_text_move(veil_overlay_text_t *to,
                            veil_overlay_text_t *from);

/*
 * Appends the lines of the file, and closes it; what is malformed is told
 * and left out.  tell NULL: nobody is told.
 */
void veil_overlay_text_read(veil_overlay_text_t *text, FILE *file,
                            veil_overlay_tell_fn *tell, void *data);
/*
 * As it is read again, with the prefix before each line; in_force NULL: no
 * remarks.  The caller frees it with free(); NULL: no memory.
 */
char *veil_overlay_text_write(const veil_overlay_text_t *text,
                              const char *prefix,
                              veil_overlay_in_force_fn *in_force, size_t *len);

/* The value in a list of lines; NULL: there is no such line. */
const char *veil_overlay_text_find(veil_list_t *lines, const char *section,
                                   const char *key);
/* Whether a change would be read as it is written. */
bool veil_overlay_text_can_have(const veil_overlay_edit_t *edit);
/* Carries it out; new lines stand at the end of their section. */
void veil_overlay_text_edit(veil_overlay_text_t *text,
                            const veil_overlay_edit_t *edit);
/* Makes the changes that were made from one list of lines to the other. */
void veil_overlay_text_follow(veil_overlay_text_t *text, veil_list_t *from,
                              veil_list_t *now);

#endif
