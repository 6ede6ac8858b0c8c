/*
 * call.h -- carrying out a verb: asked, answered, printed.
 */

#ifndef VEIL_CTL_CALL_H
#define VEIL_CTL_CALL_H

#include "ctl/command.h"
#include "ctl/link.h"

/* With a connection made; prints everything there is to say. */
veil_ctl_code_t veil_ctl_call(veil_ctl_link_t *link,
                              const veil_ctl_command_t *c);

/*
 * Connects to where the command says; false after saying why not, and then
 * *code is how the program ends.
 */
bool veil_ctl_call_connect(veil_pool_t *pool, veil_ctl_link_t *link,
                           const veil_ctl_command_t *c, veil_ctl_code_t *code);
/* What a failure of the link means, after saying so. */
veil_ctl_code_t veil_ctl_call_failed(const veil_ctl_command_t *c,
                                     const veil_ctl_link_t *link,
                                     veil_ctl_got_t got);
/* From now on SIGINT and SIGTERM end a wait, not the program. */
void veil_ctl_call_catch_signals(void);

#endif
