/*
 * message.h -- the payloads of the messages in channel.h.
 *
 * Plain structs, sent as they lie in memory: both ends are one program.
 */

#ifndef VEIL_PROCESS_MESSAGE_H
#define VEIL_PROCESS_MESSAGE_H

#include "core/syslog.h"
#include "process/control/control_conf.h"
#include "process/hold.h"

#define VEIL_MESSAGE_PATH 1024

/* SETTINGS: what the master needs to know of a configuration. */
typedef struct {
    uint64_t worker_shutdown_timeout_ms;
    uint64_t shutdown_timeout_ms;
    uint64_t draining_memory; /* 0: by the machine's */
    bool has_log;             /* LOG messages follow */
    unsigned workers;
    char pid_path[VEIL_MESSAGE_PATH];
    veil_control_settings_t control;
} veil_settings_message_t;

/* LOG: one file of the main error log. */
typedef struct {
    int level;
    char path[VEIL_MESSAGE_PATH]; /* empty: standard error */
} veil_log_message_t;

/* AUDIT: one audit log, with its descriptor. */
typedef struct {
    bool json;
    bool syslog; /* to this server; there is no descriptor */
    veil_syslog_spec_t server;
    bool reads; /* what only looked is recorded as well */
    char path[VEIL_MESSAGE_PATH];
} veil_audit_message_t;

/* LISTEN */
typedef struct {
    veil_hold_listen_t listen;
    char where[VEIL_MESSAGE_PATH]; /* "veil.conf:12", for messages */
} veil_listen_message_t;

/* SOCKETS: the answer; several when there are many descriptors. */
typedef struct {
    int err;        /* 0, or the errno; already logged by the master */
    unsigned total; /* of descriptors */
    unsigned first; /* of this message */
} veil_sockets_message_t;

/* MEMORY: the answer to ZONE. */
typedef struct {
    int err;
    bool fresh;
    /* Whose it is, when that is why: EEXIST. */
    char tag[VEIL_HOLD_NAME];
    char key[VEIL_HOLD_KEY];
} veil_memory_message_t;

/* WORKER */
typedef struct {
    unsigned slot;
    pid_t pid;
    bool ended;
} veil_worker_message_t;

/* DRAIN */
typedef struct {
    uint64_t timeout_ms; /* 0: at once */
} veil_drain_message_t;

/* REOPEN, to a worker: descriptors of log files, in the cycle's order. */
typedef struct {
    unsigned first;
} veil_reopen_message_t;

/* ADOPT, RELEASE */
typedef struct {
    unsigned slot;
} veil_slot_message_t;

#endif
