/*
 * peer_id.h -- who is at the other end of a unix socket.
 *
 * What the kernel says (uid, gid, pid) decides who may do what; the names
 * beside it (user, command) are for people who read an audit record.
 */

#ifndef VEIL_PROCESS_PEER_ID_H
#define VEIL_PROCESS_PEER_ID_H

#include "core/log.h"

/* What stands for what could not be found out. */
#define VEIL_PEER_UNKNOWN "unknown"

/* Supplementary groups; of more, none are known. */
#define VEIL_PEER_GROUPS 128

typedef struct {
    bool known; /* uid and gid are the kernel's word; else they are -1 */
    uid_t uid;
    gid_t gid;
    pid_t pid; /* 0: of a process this namespace cannot see, or unknown */
    unsigned ngroups;
    gid_t groups[VEIL_PEER_GROUPS]; /* besides gid, at connect(2) */
    char user[33];                  /* never empty */
    char comm[17];                  /* never empty */
} veil_peer_id_t;

/*
 * Reads who connected to the socket, once, at accept.  It never fails and
 * never waits for another process: what is not to be had is "unknown", for
 * which there is one line at "warn" in the log.
 *
 * The kernel notes uid, gid and pid at connect(2).  The command is read from
 * /proc, and dropped unless that process is certain to have lived all the
 * while (SO_PEERPIDFD, Linux 6.5; before that its time of start).  What was
 * executed in between cannot be seen.
 */
void veil_peer_id_read(int fd, veil_peer_id_t *id, const veil_log_t *log);

/* It was in the group when it connected, by the kernel's word. */
bool veil_peer_is_in_group(const veil_peer_id_t *id, gid_t gid);

/*
 * The name of a user in /etc/passwd; NULL when it has none there.  Never
 * asks the name service, which may wait for a network.  Valid until the next
 * call.
 */
const char *veil_peer_user(uid_t uid);

#endif
