/*
 * listeners.h -- what the files of the listeners module share.
 */

#ifndef VEIL_MODULES_LISTENERS_LISTENERS_H
#define VEIL_MODULES_LISTENERS_LISTENERS_H

#include "core/control.h"
#include "http/config.h"
#include "http/server.h"

#define VEIL_LISTENERS_SETTINGS 22
/* Arguments of listener.set: the listener, the settings, the end. */
#define VEIL_LISTENERS_FIRST 1
extern const veil_control_arg_t
    veil_listeners_args[VEIL_LISTENERS_SETTINGS + 2];

typedef enum {
    VEIL_LISTENERS_MSEC,
    VEIL_LISTENERS_SIZE,
    VEIL_LISTENERS_NUM
} veil_listeners_type_t;

/* A setting with its value, found to be right. */
typedef struct {
    const veil_module_command_t *found;
    veil_listeners_type_t type;
    size_t offset;
    int64_t value;
} veil_listeners_setting_t;

/* --- listeners_change.c */

/* Whether listener.set can set it. */
bool veil_listeners_is_setting(const char *name);
/* Without a value.  False: this build has none of that name. */
bool veil_listeners_setting_find(const char *name,
                                 veil_listeners_setting_t *s);
/* With that of a text.  False after failing the call. */
bool veil_listeners_setting_parse(veil_control_call_t *call, const char *name,
                                  const char *text,
                                  veil_listeners_setting_t *s);

/* As listener.list shows it; its length. */
size_t veil_listeners_name(const veil_http_port_t *port, char *buf, size_t n);
/* Whether it is meant by "127.0.0.1:80", "*:80", "80", "unix:/path". */
bool veil_listeners_is(const veil_http_port_t *port, const char *what);
/* The first that is; NULL: none. */
const veil_http_port_t *veil_listeners_find(const char *what);

/* What a server has now, and what it would have if nothing was changed. */
int64_t veil_listeners_value(veil_http_server_t *s,
                             const veil_listeners_setting_t *set);
int64_t veil_listeners_configured(veil_http_server_t *s,
                                  const veil_listeners_setting_t *set);

/*
 * Changes the setting on every port that is meant, in this process; text is
 * the value as it was given.  The number of servers.
 */
unsigned veil_listeners_set(const char *what,
                            const veil_listeners_setting_t *set,
                            const char *text);
/* All is as configured. */
void veil_listeners_reset(void);

/* What was changed of one port, the oldest change first. */
typedef struct {
    veil_list_t link;
    char listener[VEIL_ADDR_TEXT_MAX];
    veil_listeners_setting_t setting;
    char text[]; /* its value */
} veil_listeners_change_t;

veil_list_t *veil_listeners_changes(void);
/* NULL: it was not changed. */
const veil_listeners_change_t *veil_listeners_changed(const char *listener,
                                                      const char *name);

/* --- listeners_state.c: in the keeper, saved and loaded. */

void veil_listeners_state_init(void);

#endif
