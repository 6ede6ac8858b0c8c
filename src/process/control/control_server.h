/*
 * control_server.h -- the control socket and its clients, in the master.
 */

#ifndef VEIL_PROCESS_CONTROL_SERVER_H
#define VEIL_PROCESS_CONTROL_SERVER_H

#include <poll.h>

#include "process/control/control.h"
#include "process/control/control_audit.h"
#include "process/control/control_conf.h"

/* Of one socket at a time, and of one client. */
#define VEIL_CONTROL_CLIENTS 32
#define VEIL_CONTROL_LINE_MAX ((size_t) 1 << 20)
#define VEIL_CONTROL_QUEUE_MAX ((size_t) 1 << 20)
#define VEIL_CONTROL_IDLE_MS 600000

typedef struct {
    veil_list_t link;
    int fd;
    veil_control_session_t session;
    char *in; /* of the line being read */
    size_t in_len;
    size_t in_size;
    char *out; /* what the client has not read */
    size_t out_off;
    size_t out_len;
    size_t out_size;
    size_t out_long; /* of the one line in it that is longer than the limit */
    uint64_t active_ms; /* of the last request or answer */
    unsigned tasks;     /* requests under way */
    bool eof;           /* it sends no more */
    bool moved;         /* another master serves: nothing is read any more */
    bool closing;       /* nothing is read or said any more */
} veil_control_client_t;

/*
 * Listens as the settings say, in place of what was before: opened when it is
 * new, closed when it is "off" or another.  0 or -errno after logging; then
 * nothing has changed.
 */
int veil_control_server_open(const veil_control_settings_t *settings,
                             const veil_log_t *log);
/* What stands at the path that is no socket, in words; NULL: nothing. */
const char *veil_control_server_obstacle(const char *path);
/* Ends all; unlink_path: nobody else uses the path. */
void veil_control_server_close(bool unlink_path);

/*
 * For an upgrade: the descriptors of the socket and of its lock, both -1 when
 * there is none; they stay the server's.  path is valid until the next open.
 */
void veil_control_server_fds(int *socket, int *lock, const char **path);
/* In the new master, before the first open. */
void veil_control_server_adopt(const char *path, int socket, int lock);

/* The socket's path. */
const char *veil_control_server_path(void);
/*
 * Whether new clients are accepted, as they are at first; else they are for
 * another master that has the same socket.
 */
void veil_control_server_listen(bool on);

/*
 * This one serves from now on: clients are told so, when what they wait for
 * is answered, and disconnected.
 */
void veil_control_server_move(pid_t master);

/* At most VEIL_CONTROL_CLIENTS + 1 entries; returns how many. */
unsigned veil_control_server_poll(struct pollfd *fds);
void veil_control_server_polled(const struct pollfd *fds, unsigned n,
                                const veil_log_t *log);
/* Milliseconds until something is due; -1: nothing is. */
int veil_control_server_timeout(uint64_t now_ms);
void veil_control_server_run_due(uint64_t now_ms);

/*
 * Queues one line.  A client that does not read is disconnected when its
 * queue is full: then this returns false, and the client must not be used.
 */
bool veil_control_client_send(veil_control_client_t *c, const json_t *line);

/* --- what control_master.c does with them -------------------------------- */

void veil_control_request(veil_control_client_t *c, const char *line,
                          size_t len);
/* The peer's role, a veil_control_role_t; -1: none at all. */
int veil_control_role(const veil_peer_id_t *peer);
/* "none", "read" ... */
const char *veil_control_role_name(int role);
void veil_control_client_gone(veil_control_client_t *c);
/* Its requests that change nothing are answered VEIL_E_MOVED. */
void veil_control_client_moved(veil_control_client_t *c);
int veil_control_tasks_timeout(uint64_t now_ms);
void veil_control_tasks_run_due(uint64_t now_ms);

/* Once, in the master. */
void veil_control_master_init(void);
/* Who may what, of the generation that serves. */
void veil_control_master_settings(const veil_control_settings_t *settings);

#endif
