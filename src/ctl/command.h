/*
 * command.h -- the command line of veilctl, as data.
 */

#ifndef VEIL_CTL_COMMAND_H
#define VEIL_CTL_COMMAND_H

#include "ctl/verbs.h"

typedef enum {
    VEIL_CTL_CALL,    /* of verb */
    VEIL_CTL_HELP,    /* of verb, of noun, or of all */
    VEIL_CTL_VERSION, /* and these print what they are called */
    VEIL_CTL_MAN,
    VEIL_CTL_COMPLETION
} veil_ctl_action_t;

typedef struct {
    veil_ctl_action_t action;
    const char *socket; /* -s; NULL: see where.h */
    const char *conf;   /* -c; NULL: configure's */
    const char *prefix; /* -p; NULL: configure's */
    bool json;
    int64_t timeout_ms; /* -1: not asked for */
    int64_t watch_ms;   /* -1: once */
    const veil_control_verb_t *verb;
    veil_str_t noun; /* of VEIL_CTL_HELP, in error */
    json_t *args;    /* an object: what the server gets */
    bool dry_run;
    bool persist;
    int64_t if_gen; /* -1: not asked for */
    bool strict;    /* of "config check --running": warnings fail, too */
    json_t *paths;  /* what conf and prefix are in */
    /* What is wrong, and the usage that helps; empty: nothing is. */
    veil_ctl_text_t error;
} veil_ctl_command_t;

/*
 * Reads the words behind argv[0].  False when they make no sense: then error
 * has lines that say why.  veil_ctl_command_done() in any case.
 */
bool veil_ctl_command_parse(veil_ctl_command_t *c, char *const *argv);
void veil_ctl_command_done(veil_ctl_command_t *c);

/* An option of the client, for help, man page and completion. */
typedef struct {
    char letter;       /* 0: none */
    const char *name;  /* NULL ends the table */
    const char *value; /* as in the help; NULL: takes none */
    const char *help;
} veil_ctl_option_t;

/* Those of all calls; those of calls that change something. */
extern const veil_ctl_option_t veil_ctl_options[];

#endif
