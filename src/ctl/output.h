/*
 * output.h -- where veilctl's words go.
 */

#ifndef VEIL_CTL_OUTPUT_H
#define VEIL_CTL_OUTPUT_H

#include "ctl/command.h"
#include "ctl/text.h"

/* Whether colours are wanted there: a terminal, and no NO_COLOR. */
bool veil_ctl_output_has_color(int fd);
/* The size of the terminal; 80 x 24 when there is none that says. */
void veil_ctl_output_size(int fd, unsigned *columns, unsigned *rows);

/* Writes all of it and empties it; false when it did not get out. */
bool veil_ctl_output_write(int fd, veil_ctl_text_t *t);

/* "veilctl: text", on standard error; made safe. */
void veil_ctl_say(const char *fmt, ...) VEIL_PRINTF(1, 2);

/*
 * What went wrong: with --json an object on standard output, else lines on
 * standard error.  err: {"code", "msg", "hint"}; workers: NULL or an array of
 * those that failed.
 */
void veil_ctl_output_error(const veil_ctl_command_t *c, const json_t *err,
                           const json_t *workers);
/* The same from its parts. */
void veil_ctl_output_failure(const veil_ctl_command_t *c, const char *code,
                             const char *msg, const char *hint);

#endif
