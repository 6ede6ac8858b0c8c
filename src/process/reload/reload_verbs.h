/*
 * reload_verbs.h -- "reload", "config.diff", "config.dump" and "status".
 */

#ifndef VEIL_PROCESS_RELOAD_VERBS_H
#define VEIL_PROCESS_RELOAD_VERBS_H

#include "core/module.h"

extern veil_module_t veil_core_reload_module;

/*
 * A generation accepts no more, or is gone: somebody may have waited for
 * that.
 */
void veil_reload_look_again(void);

#endif
