/*
 * overlay.h -- changes of the run time that stay: a file of sections.
 *
 * What is changed with "persist" is written to the file that control_overlay
 * names, by the keeper that serves, and read by every keeper after its
 * configuration.  A section is a verb's own:
 *
 *     [server backend/10.0.0.1:8080]
 *     state = drain
 *
 * Whose section it is applies it in its init_keeper hook, and says with
 * veil_overlay_bad() what it cannot use.  A file that is broken costs the
 * lines that are, and a warning each: it must not take a server down.  At a
 * reload there is one that goes on, so there it refuses the reload.
 *
 * What is applied to memory that all generations share must not be applied
 * before the reload has worked, nor again when a line is what it was: it may
 * have been changed at run time since.  So a zone has the file's text as the
 * servers know it, and start_keeper hooks compare (veil_overlay_was()).
 */

#ifndef VEIL_CORE_OVERLAY_H
#define VEIL_CORE_OVERLAY_H

#include <jansson.h>

#include "core/cycle.h"
#include "core/overlay_text.h"
#include "core/shm.h"

/* Declares the zone; while the configuration is read. */
veil_rc_t veil_overlay_declare(veil_conf_t *cf);
/*
 * Reads the file, which need not be there; an empty path: there is none.
 * Warns of what is malformed, and of a file that cannot be read; strict:
 * these are errors, and counted.
 */
void veil_overlay_load(veil_str_t path, const veil_log_t *log, bool strict);
/*
 * The core module's hook: loads the file that the configuration names, first
 * of all modules, which find their sections there.
 */
veil_rc_t veil_overlay_init_keeper(veil_cycle_t *cycle);
/* Of a strict load, and of those whose sections they are. */
unsigned veil_overlay_errors(void);

/* The generation serves: what is wrong from now on refuses nothing. */
void veil_overlay_settle(void);
/*
 * What the file said when it was carried out last, as this process found it
 * when it read the file; NULL: nothing.
 */
const char *veil_overlay_was(const char *section, const char *key);
/* All of that; of veil_overlay_line_t. */
veil_list_t *veil_overlay_known(void);
/*
 * What has changed since then was carried out.  What verbs have written in
 * between, they have carried out themselves.
 */
void veil_overlay_settled(void);

/* The lines of all sections, of veil_overlay_line_t, as they stand there. */
veil_list_t *veil_overlay_lines(void);
/* NULL: there is no such line. */
const char *veil_overlay_get(const char *section, const char *key);
/* Whether one of the lines is of the section. */
bool veil_overlay_has(veil_list_t *lines, const char *section);
/*
 * The rest of the section's name when it begins with the word; NULL: it does
 * not.  "server backend/a", "server": "backend/a".
 */
const char *veil_overlay_section_is(const char *section, const char *word);
/*
 * Tells, as veil_overlay_bad() does, of sections that no module of this
 * program has among the words of its veil_core_module_t.overlay.
 */
void veil_overlay_check_sections(void);
/* Whose section it is cannot use the line: warns with file, line and why. */
void veil_overlay_bad(veil_overlay_line_t *line, const char *fmt, ...)
    VEIL_PRINTF(2, 3);
/* The same where the line is right, and out of date: never an error. */
void veil_overlay_stale(veil_overlay_line_t *line, const char *fmt, ...)
    VEIL_PRINTF(2, 3);
/* Whether changes can stay. */
bool veil_overlay_is_on(void);

/*
 * Reads the file again, changes it and writes it in the place of the former
 * one, which stays if that fails.  0, or -errno after a sentence in why.
 * Sections and values are of one line each, keys have no "=" or ":".
 */
int veil_overlay_change(const veil_overlay_edit_t *edits, unsigned n,
                        char *why, size_t size);

/*
 * For "config.dump": the file as comments of a configuration, with the path;
 * empty when there is nothing.  Lines that are not in force are marked.  The
 * caller frees it with veil_free().
 */
char *veil_overlay_print(veil_overlay_in_force_fn *in_force);

#endif
