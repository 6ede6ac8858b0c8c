/*
 * control_conf.h -- control_socket and control_allow, as data.
 */

#ifndef VEIL_PROCESS_CONTROL_CONF_H
#define VEIL_PROCESS_CONTROL_CONF_H

#include "core/control.h"
#include "core/cycle.h"

#define VEIL_CONTROL_PATH_MAX 108 /* of sockaddr_un */
#define VEIL_CONTROL_RULES 64

extern veil_module_t veil_core_control_module;

/* "control_allow ROLE who": who is a user's or a group's id. */
typedef struct {
    uint32_t id;
    uint8_t role; /* veil_control_role_t */
    bool group;
} veil_control_rule_t;

/* Verbs of the socket itself and of the master: control_verbs.c. */
extern const veil_control_verb_t veil_control_own_verbs[];

/* As the master needs it, without pointers. */
typedef struct {
    bool on;
    bool asked; /* by a directive: failing to listen is an error */
    bool has_group;
    gid_t group;
    unsigned mode; /* of the socket's file */
    char path[VEIL_CONTROL_PATH_MAX];
    unsigned nrules;
    veil_control_rule_t rules[VEIL_CONTROL_RULES];
} veil_control_settings_t;

/* The settings of this configuration. */
const veil_control_settings_t *
veil_control_settings(const veil_cycle_t *cycle);

#endif
