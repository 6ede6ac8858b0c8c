/*
 * verbs.h -- the verbs of veilctl: those of the modules' tables, and a few
 * that the client carries out by itself.
 */

#ifndef VEIL_CTL_VERBS_H
#define VEIL_CTL_VERBS_H

#include "ctl/ctl.h"
#include "ctl/text.h"

/* Room for a verb in words. */
#define VEIL_CTL_WORDS 64

/* Verbs of the client alone. */
extern const veil_control_verb_t veil_ctl_local_verbs[];

/* All verbs, sorted by name; NULL: the end. */
const veil_control_verb_t *veil_ctl_verb_at(unsigned i);
/* By its name with dots; "_" and "-" are the same.  NULL: there is none. */
const veil_control_verb_t *veil_ctl_verb_find(veil_str_t name);
/* Whether the client carries it out. */
bool veil_ctl_verb_is_local(const veil_control_verb_t *verb);

/* "server set" of "server.set"; buf has VEIL_CTL_WORDS bytes. */
const char *veil_ctl_verb_words(const veil_control_verb_t *verb, char *buf);
/* Whether two names are the same, "_" being "-". */
bool veil_ctl_name_eq(veil_str_t a, veil_str_t b);

/* "keep-old" of "keep_old"; buf has VEIL_CTL_WORDS bytes. */
const char *veil_ctl_name_dashed(const char *name, char *buf);
/*
 * An argument's name as help shows it: settings as in the configuration,
 * "max_fails", options with dashes.
 */
const char *veil_ctl_arg_name(const veil_control_verb_t *verb,
                              const veil_control_arg_t *a, char *buf);
/* What stands for a value: "N", "TIME", "FILE", "VALUE", "ready|drain". */
const char *veil_ctl_arg_value(const veil_control_arg_t *a, char *buf,
                               size_t n);
/* What the argument is for; the words, if they are too many for a usage. */
void veil_ctl_arg_help(veil_ctl_text_t *t, const veil_control_verb_t *verb,
                       const veil_control_arg_t *a);
/* "veilctl server set SERVER [weight=N] ..." and a line feed. */
void veil_ctl_verb_usage(veil_ctl_text_t *t, const veil_control_verb_t *verb);
/* All there is to say of one verb. */
void veil_ctl_verb_help(veil_ctl_text_t *t, const veil_control_verb_t *verb);
/* Its verbs, one a line; an empty noun: all.  False: there are none. */
bool veil_ctl_verb_list(veil_ctl_text_t *t, veil_str_t noun);

#endif
