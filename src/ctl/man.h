/*
 * man.h -- what is made of the tables: help, a manual page, a completion.
 */

#ifndef VEIL_CTL_MAN_H
#define VEIL_CTL_MAN_H

#include "ctl/command.h"

/* What "veilctl help" prints. */
void veil_ctl_help(veil_ctl_text_t *t);
/* veilctl(8), in the macros of man(7). */
void veil_ctl_man(veil_ctl_text_t *t);
/* A completion for bash. */
void veil_ctl_completion(veil_ctl_text_t *t);

#endif
