/*
 * audit.h -- the record of an attempt to use the control socket.
 *
 * Every attempt leaves one, refused ones too; a verb that goes to workers
 * leaves two, when it is accepted and when it is finished, with the same
 * session and request.  A record is data until it is written: as one line of
 * text and as one object of JSON, cleaned (core/clean.h) at that moment.
 *
 * This is the record and its forms; audit_log.h has where they go.
 */

#ifndef VEIL_PROCESS_AUDIT_H
#define VEIL_PROCESS_AUDIT_H

#include "core/control.h"
#include "process/control/peer_id.h"

typedef enum {
    VEIL_AUDIT_ACCEPTED, /* goes to the workers; a second record follows */
    VEIL_AUDIT_OK,
    VEIL_AUDIT_REFUSED, /* nothing was tried */
    VEIL_AUDIT_FAILED,
    VEIL_AUDIT_TIMEOUT,
    VEIL_AUDIT_PARTIAL /* some workers failed */
} veil_audit_result_t;

/* Absent texts are NULL; nothing is owned. */
typedef struct {
    /* Set by veil_audit_log(). */
    uint64_t seq;
    int64_t sec; /* wall clock */
    unsigned msec;
    uint64_t mono_ms;

    /* Who, since when, over what. */
    const char *session; /* ULID */
    uint64_t client;     /* number of the connection; 0: none */
    int64_t connect_sec; /* 0: unknown */
    unsigned connect_msec;
    const veil_peer_id_t *actor; /* NULL: unknown */
    const char *socket;
    const char *role;   /* that the actor has; "none" */
    const char *needed; /* for the verb; NULL: it is not known */

    /* What. */
    const char *request;              /* the client's id of the request */
    const char *verb;                 /* as it was sent */
    const veil_control_verb_t *table; /* NULL: there is no such verb */
    json_t *args;                     /* an object, or NULL */
    const char *target;               /* NULL: the first positional argument */
    bool dry_run;

    /* How it went. */
    veil_audit_result_t result;
    const char *code; /* "E_TIMEOUT" */
    const char *reason;
    int64_t elapsed_ms; /* -1: it has not begun */
    unsigned workers_ok;
    unsigned workers_err;
    unsigned workers_expected;  /* 0: it was not for workers */
    uint64_t generation_before; /* 0: none serves */
    uint64_t generation_after;
    uint64_t generation_boot; /* the first of this master; 0: none yet */
    json_t *before;           /* objects of values by name, or NULL */
    json_t *after;
} veil_audit_record_t;

/* A line of text at most, with the terminating zero byte. */
#define VEIL_AUDIT_LINE 4096
/* Bytes at most of one value, and of the reason. */
#define VEIL_AUDIT_VALUE 256

/*
 * One line without a line feed, "AUDIT name=value name=value ...", of n - 1
 * bytes at most; returns its length.  Values that hold anything but letters,
 * digits and harmless signs are quoted; a quote, a comma, an equals sign or a
 * backslash in them is "?": whoever splits the line, however simply, finds no
 * pair that is not ours.  Pairs that do not fit are left out, and "more=" says
 * how many.
 */
size_t veil_audit_text(const veil_audit_record_t *r, char *buf, size_t n);

/* The same as an object, a new reference: always all names, null for none. */
json_t *veil_audit_json(const veil_audit_record_t *r);

/* "ok", "refused" ... */
const char *veil_audit_result_name(veil_audit_result_t result);

/* "2026-11-21T14:28:38.123Z" (RFC 3339), 24 characters and a zero byte. */
#define VEIL_AUDIT_TIME 25
void veil_audit_time(char dst[VEIL_AUDIT_TIME], int64_t sec, unsigned msec);

#endif
