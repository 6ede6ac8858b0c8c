/*
 * channel.h -- typed messages between master, keeper and workers.
 *
 * A channel is a pair of SOCK_SEQPACKET sockets: one message is one packet,
 * with descriptors beside it when it has any.  Both ends run the same
 * program (one is the other's fork), so payloads are plain structs.
 *
 * Master and keeper use the blocking calls below; a worker receives through
 * its loop: veil_message_prepare(), veil_op_recvmsg(), veil_message_take().
 */

#ifndef VEIL_PROCESS_CHANNEL_H
#define VEIL_PROCESS_CHANNEL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "core/types.h"

/* Payload and descriptors of one message at most. */
#define VEIL_MESSAGE_MAX 4096
#define VEIL_MESSAGE_FDS 64

typedef enum {
    VEIL_MSG_NONE,
    /* keeper to master */
    VEIL_MSG_SETTINGS, /* veil_settings_t */
    VEIL_MSG_LOG,      /* veil_log_message_t, the log's descriptor */
    VEIL_MSG_AUDIT,    /* veil_audit_message_t, the log's descriptor */
    VEIL_MSG_LISTEN,   /* veil_hold_listen_t: asks for its sockets */
    VEIL_MSG_ZONE,     /* veil_hold_zone_t: asks for its memory */
    VEIL_MSG_TEXT,     /* the configuration's text in a memfd */
    VEIL_MSG_FACTS,    /* memfds: facts, and a diff if there is one */
    VEIL_MSG_WORKER,   /* veil_worker_message_t: a worker came or went */
    /* either way, upwards */
    VEIL_MSG_READY,      /* all is prepared; waits for START */
    VEIL_MSG_QUIET,      /* accepts no more connections, after DRAIN */
    VEIL_MSG_DIAGNOSTIC, /* veil_diagnostic_message_t: a line of the log */
    VEIL_MSG_ANSWER,     /* veil_answer_message_t of control.h, JSON */
    VEIL_MSG_EVENT,      /* veil_event_message_t, JSON */
    /* master to keeper */
    VEIL_MSG_SOCKETS, /* veil_sockets_message_t, descriptors */
    VEIL_MSG_MEMORY,  /* veil_memory_message_t, a descriptor */
    /* downwards */
    VEIL_MSG_START,   /* accept */
    VEIL_MSG_DRAIN,   /* veil_drain_message_t */
    VEIL_MSG_CONTROL, /* veil_control_message_t of control.h, JSON */
    VEIL_MSG_CANCEL,  /* veil_cancel_message_t */
    VEIL_MSG_REOPEN,  /* master to keeper: empty; to a worker:
                         veil_reopen_message_t, new descriptors of logs */
    VEIL_MSG_RULES,   /* veil_log_rules_t: other levels of logs */
    /* keeper to worker */
    VEIL_MSG_ADOPT,   /* veil_slot_message_t: accept for an absent worker */
    VEIL_MSG_RELEASE, /* veil_slot_message_t: it is back */
    VEIL_MSG_LOOK,    /* whether clients wait that nobody was woken for */
    VEIL_MSG_KINDS
} veil_message_type_t;

/* A message received; large, so it lives in its reader's static memory. */
typedef struct {
    uint32_t type;
    size_t len;    /* of data */
    unsigned nfds; /* descriptors received; the reader owns them */
    int fds[VEIL_MESSAGE_FDS];
    _Alignas(16) unsigned char data[VEIL_MESSAGE_MAX];
    /* private to channel.c */
    struct msghdr msg;
    struct iovec iov[2];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int)
                                                     * VEIL_MESSAGE_FDS)];
} veil_message_t;

/* Two ends, non-blocking and close-on-exec; 0 or -errno. */
int veil_channel_pair(int ends[2]);

/*
 * Sends one message; descriptors stay the caller's.  Waits while the other
 * end does not read, for two seconds at most (-EAGAIN then).  0 or -errno;
 * -EPIPE when the other end is closed (no signal is raised).
 */
int veil_channel_send(int fd, veil_message_type_t type, const void *data,
                      size_t len, const int *fds, unsigned nfds);

/* The same without waiting: -EAGAIN while the other end does not read. */
int veil_channel_try_send(int fd, veil_message_type_t type, const void *data,
                          size_t len, const int *fds, unsigned nfds);

/* Bytes that were sent and not received yet. */
size_t veil_channel_queued(int fd);

/*
 * Receives one message.  1: there is one; 0: the other end is closed;
 * -EAGAIN: none now; other -errno: a broken message, whose descriptors are
 * closed.
 */
int veil_channel_recv(int fd, veil_message_t *m);
/* The same, waiting for as long as it takes. */
int veil_channel_recv_wait(int fd, veil_message_t *m);

/*
 * For recvmsg by other means: what to receive into; valid until the next
 * prepare.
 */
struct msghdr *veil_message_prepare(veil_message_t *m);
/* res as of recvmsg(2), or -errno; returns as veil_channel_recv. */
int veil_message_take(veil_message_t *m, int res);

/* Closes the descriptors received and not taken (taken: set to -1). */
void veil_message_close_fds(veil_message_t *m);

/* "START"; "?" for what is none. */
const char *veil_message_name(unsigned type);

#endif
