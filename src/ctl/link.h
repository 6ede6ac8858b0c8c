/*
 * link.h -- a connection to the control socket: requests and answers.
 */

#ifndef VEIL_CTL_LINK_H
#define VEIL_CTL_LINK_H

#include <signal.h>

#include "ctl/ctl.h"
#include "ctl/lines.h"

/* How much longer than the server is given its word is waited for. */
#define VEIL_CTL_GRACE_MS 1000

/* Zeroed, fd -1, at first. */
typedef struct {
    int fd; /* -1: not connected */
    const char *path;
    veil_ctl_lines_t lines;
    int64_t id;    /* of the last request */
    json_t *again; /* its arguments for another master; NULL: the same */
    /* What went wrong, as the server would have said it. */
    const char *code;
    char msg[512];
    char hint[512];
} veil_ctl_link_t;

/* What is asked. */
typedef struct {
    const char *verb;
    json_t *args; /* an object; stays the caller's */
    bool dry_run;
    bool persist;
    int64_t if_gen;     /* -1: whatever it is */
    int64_t timeout_ms; /* the server's; -1: its own */
} veil_ctl_request_t;

typedef enum {
    VEIL_CTL_GOT_ANSWER,   /* the last line of a call */
    VEIL_CTL_GOT_PROGRESS, /* and these are its only member's value */
    VEIL_CTL_GOT_LINE,
    VEIL_CTL_GOT_MOVED, /* another master serves: veil_ctl_link_again() */
    VEIL_CTL_GOT_TIMEOUT,
    VEIL_CTL_GOT_INTERRUPT, /* *veil_ctl_interrupted is set */
    VEIL_CTL_GOT_FAILURE    /* see code and msg */
} veil_ctl_got_t;

/* Set by a handler of signals: whoever waits stops. */
extern volatile sig_atomic_t veil_ctl_interrupted;
/* Readable from then on; -1: no signal is caught. */
extern int veil_ctl_wake;

/*
 * Connects to the path, within the time.  False after noting in the link why
 * not, with what its user could do.
 */
bool veil_ctl_link_open(veil_ctl_link_t *l, const char *path,
                        int64_t timeout_ms);
void veil_ctl_link_close(veil_ctl_link_t *l);

/* Sends a request; false after noting why not. */
bool veil_ctl_link_send(veil_ctl_link_t *l, const veil_ctl_request_t *r);
/*
 * The next line that belongs to it, a new reference in *v (NULL unless it is
 * an answer, progress or a line).  until_ms: of veil_ctl_link_now(); -1:
 * forever.
 */
veil_ctl_got_t veil_ctl_link_next(veil_ctl_link_t *l, int64_t until_ms,
                                  json_t **v);
/*
 * Connects anew, to the master that serves now, and sends the request, which
 * has not been carried out; its args become those with which it goes on there,
 * which belong to the link.  False after noting why not.
 */
bool veil_ctl_link_again(veil_ctl_link_t *l, veil_ctl_request_t *r);
/* Sends, and waits for the answer; lines before it are passed over. */
veil_ctl_got_t veil_ctl_link_call(veil_ctl_link_t *l,
                                  const veil_ctl_request_t *r,
                                  int64_t until_ms, json_t **v);

/* Milliseconds of the monotonic clock. */
int64_t veil_ctl_link_now(void);

#endif
