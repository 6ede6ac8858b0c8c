/*
 * config.h -- verbs about configurations in files, which need no server.
 */

#ifndef VEIL_CTL_CONFIG_H
#define VEIL_CTL_CONFIG_H

#include "ctl/command.h"
#include "ctl/ctl.h"

/*
 * "config check" and "config explain" look at a file by themselves, and ask
 * the server when they are told "--running": then they are its verbs of the
 * same names, with the arguments that these have.
 */
extern const veil_control_arg_t veil_ctl_config_check_args[];
extern const veil_control_arg_t veil_ctl_config_explain_args[];

/* Whether it is one of them. */
bool veil_ctl_is_config(const veil_ctl_command_t *c);
/*
 * Carries it out and writes to standard output: the code.  -1: the server is
 * to be asked, as c says now.
 */
int veil_ctl_config(veil_ctl_command_t *c);

/*
 * What a server's answer means for the exit code, as it would of a file; for
 * any verb.
 */
veil_ctl_code_t veil_ctl_config_judge(const veil_ctl_command_t *c,
                                      const json_t *data);

#endif
