/*
 * upstream_change.h -- servers changed at run time, by the keeper.
 *
 * The verbs of upstream_control.c, the overlay and saved states say what they
 * want as an edit of a subject.  It is applied to copies first, so that a
 * call can be checked, shown and persisted before anything has changed.
 */

#ifndef VEIL_HTTP_UPSTREAM_CHANGE_H
#define VEIL_HTTP_UPSTREAM_CHANGE_H

#include "core/control.h"
#include "core/overlay.h"
#include "http/upstream/upstream_impl.h"

/* Whom "U/S", "U/ADDRESS" or "U/S/ADDRESS" names. */
typedef struct {
    veil_upstream_group_t *group;
    const veil_upstream_server_t *conf; /* its line; NULL: it was added */
    veil_str_t server;                  /* its name */
    veil_str_t addr; /* one of its addresses; empty: all of it */
    char name[VEIL_UPSTREAM_TEXT_MAX + VEIL_ADDR_TEXT_MAX + 2];
    /* Copies of what the zone has of it: zeros where it has nothing. */
    veil_upstream_slot_t entry; /* of the server */
    veil_upstream_slot_t peer;  /* of the address */
} veil_upstream_subject_t;

/* What is wanted of it. */
typedef struct {
    uint32_t set; /* VEIL_UPSTREAM_HAS_... */
    veil_upstream_params_t value;
    char addr[VEIL_ADDR_TEXT_MAX]; /* "": where it says itself */
    bool reset;                    /* all of it is as configured */
} veil_upstream_edit_t;

/* False after saying so, with the nearest name, in call (which may be NULL).
 */
bool veil_upstream_subject_find(veil_control_call_t *call, const char *text,
                                veil_upstream_subject_t *to);
/* Copies the names; false: they are too long. */
bool veil_upstream_subject_name(veil_upstream_subject_t *s, veil_str_t server,
                                veil_str_t addr);
/* The same for an upstream. */
veil_upstream_group_t *veil_upstream_group_named(veil_control_call_t *call,
                                                 const char *name);
/* The group that begins the text, *rest what follows "/"; NULL: none does. */
veil_upstream_group_t *veil_upstream_group_in(const char *text,
                                              veil_str_t *rest);
/* A configured server of the group; NULL: there is no such line. */
const veil_upstream_server_t *
veil_upstream_server_line(const veil_upstream_group_t *g, veil_str_t name);

/* "state" and the like, as texts.  False after writing why. */
bool veil_upstream_edit_set(veil_upstream_edit_t *edit, const char *key,
                            const char *value, char *why, size_t size);
/* Those arguments of the call.  False after failing it. */
bool veil_upstream_edit_of(veil_control_call_t *call,
                           veil_upstream_edit_t *edit);

/* Its parameters of now; conf: as if nothing was changed of it. */
void veil_upstream_subject_params(const veil_upstream_subject_t *s,
                                  veil_upstream_params_t *now,
                                  veil_upstream_params_t *conf);
bool veil_upstream_subject_is_deleted(const veil_upstream_subject_t *s);
/* Exchanges under way with it, of all workers. */
uint32_t veil_upstream_subject_conns(const veil_upstream_subject_t *s);
json_t *veil_upstream_subject_json(const veil_upstream_subject_t *s);
json_t *veil_upstream_params_json(const veil_upstream_params_t *p);

/* As one that is to be added to s->group, with what others agree on. */
void veil_upstream_subject_new(veil_upstream_subject_t *s, veil_str_t name);
/* Takes all that was changed away, and the server itself. */
void veil_upstream_subject_delete(veil_upstream_subject_t *s);
/* Changes the copies.  False after writing why. */
bool veil_upstream_subject_edit(veil_upstream_subject_t *s,
                                const veil_upstream_edit_t *edit, char *why,
                                size_t size);
/* The copies' texts; false: together they are too long. */
bool veil_upstream_subject_texts(veil_upstream_subject_t *s, veil_str_t sni,
                                 veil_str_t addr);
/*
 * Makes sure that there is room in the zone for what write() will write;
 * false: there is none.
 */
bool veil_upstream_subject_reserve(const veil_upstream_subject_t *s);
/* Writes the copies to the zone; all workers see them.  cleared: bits that
 * no address of the server has of its own any more. */
void veil_upstream_subject_write(const veil_upstream_subject_t *s,
                                 uint32_t cleared);

/* "ready", "drain", "down" */
const char *veil_upstream_admin_name(unsigned admin);
/* One parameter as text, as edit_set() reads it. */
void veil_upstream_param_print(const veil_upstream_params_t *p, uint32_t bit,
                               char *buf, size_t n);
/* The name of a bit: "weight". */
const char *veil_upstream_param_name(uint32_t bit);
/* All of them in one line. */
void veil_upstream_params_print(const veil_upstream_params_t *p, char *buf,
                                size_t n);
/* What servers of the group agree on is what an added one begins with. */
void veil_upstream_group_defaults(const veil_upstream_group_t *g,
                                  veil_upstream_scheme_t scheme,
                                  veil_upstream_params_t *params,
                                  veil_str_t *sni);
/* Whether a configured server has the scheme: TLS is prepared for it. */
bool veil_upstream_group_has_scheme(const veil_upstream_group_t *g,
                                    veil_upstream_scheme_t scheme);
/* Primary servers that are not deleted, but for this one. */
unsigned veil_upstream_group_others(const veil_upstream_subject_t *s);

/* --- upstream_overlay.c: what stays. */

/*
 * Writes those bits of the subject to the file, or takes them out.  False
 * after failing the call.
 */
bool veil_upstream_overlay_note(veil_control_call_t *call,
                                const veil_upstream_subject_t *s,
                                uint32_t bits);
bool veil_upstream_overlay_forget(veil_control_call_t *call,
                                  const veil_upstream_subject_t *s);
bool veil_upstream_overlay_note_added(veil_control_call_t *call,
                                      const veil_upstream_subject_t *s);
bool veil_upstream_overlay_note_deleted(veil_control_call_t *call,
                                        const veil_upstream_subject_t *s);

#endif
