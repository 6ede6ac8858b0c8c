/*
 * syslog.h -- lines of logs as datagrams to a syslog server (RFC 3164).
 *
 * The same for error_log and access_log:
 *
 *     syslog:server=ADDRESS[:port] | unix:PATH[,facility=F][,severity=S]
 *           [,tag=T][,nohostname]
 *
 * Sending never blocks and never fails: what the socket does not take is
 * lost, as datagrams are.
 */

#ifndef VEIL_CORE_SYSLOG_H
#define VEIL_CORE_SYSLOG_H

#include <sys/socket.h>

#include "core/conf.h"

typedef struct veil_syslog_s veil_syslog_t;

/*
 * Of argument arg of the current directive, which begins with "syslog:".
 * Lives in the configuration's pool.  A name is resolved now, blocking.  NULL
 * after reporting.
 */
veil_syslog_t *veil_syslog_create(veil_conf_t *cf, unsigned arg);

/*
 * What a server's description says, without pointers: for a process that has
 * no configuration.
 */
#define VEIL_SYSLOG_HOST 256
#define VEIL_SYSLOG_TAG 33
typedef struct {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    unsigned facility;
    unsigned severity;
    char host[VEIL_SYSLOG_HOST];
    char tag[VEIL_SYSLOG_TAG];
} veil_syslog_spec_t;
void veil_syslog_pack(const veil_syslog_t *s, veil_syslog_spec_t *spec);
/* One that belongs to nobody's pool. */
veil_syslog_t *veil_syslog_unpack(const veil_syslog_spec_t *spec);
/* Of veil_syslog_unpack(); *s becomes NULL, and may be. */
void veil_syslog_free(veil_syslog_t **s);

/*
 * Sends one line (without a line feed).  With the level VEIL_LOG_OFF it has
 * the severity of the configuration, else that of the level.  The socket is
 * opened at the first line.
 */
void veil_syslog_send(veil_syslog_t *s, veil_log_level_t level,
                      const char *line, size_t len);

/*
 * Closes the sockets of this process, which is about to end: what it then
 * finds open was forgotten.  A line sent later opens one again.
 */
void veil_syslog_close_all(void);

#endif
