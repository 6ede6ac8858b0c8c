/*
 * handover.h -- what one master hands over to the next program, as bytes.
 *
 * The two may be different versions of veil, so nothing is written as it
 * lies in memory: there are fields with a type and a length, and a reader
 * skips those it does not know.  Descriptors are numbers in here; who sends
 * sees to it that they are open in the other process.
 */

#ifndef VEIL_PROCESS_HANDOVER_H
#define VEIL_PROCESS_HANDOVER_H

#include "process/hold.h"

/*
 * Goes up when a field changes its meaning; new fields need no new version.
 * A program reads versions from FIRST to VERSION.
 */
#define VEIL_HANDOVER_VERSION 1
#define VEIL_HANDOVER_FIRST 1

/* Bytes of all of it at most: 100,000 addresses are less. */
#define VEIL_HANDOVER_MAX (64u * 1024 * 1024)

/* What the old master does when the new one serves. */
typedef enum {
    VEIL_UPGRADE_LEAVES, /* drains and ends */
    VEIL_UPGRADE_KEEPS,  /* drains and stays, for a way back */
    VEIL_UPGRADE_SERVES, /* goes on serving beside it, as nginx's */
    VEIL_UPGRADE_MODES
} veil_upgrade_mode_t;

typedef struct {
    veil_list_t link;
    veil_hold_listen_t key;
    unsigned steered;
    unsigned n;
    int *fds;
} veil_handover_listen_t;

typedef struct {
    veil_list_t link;
    veil_hold_zone_t key;
    int fd;
} veil_handover_zone_t;

/* Something else, by name: a descriptor (or -1), bytes (or none). */
typedef struct {
    veil_list_t link;
    char *name;
    int fd;
    char *data; /* zero-terminated beyond its length */
    size_t len;
} veil_handover_extra_t;

typedef struct {
    uint64_t generation; /* the last number that was given */
    pid_t pid;           /* of the master that wrote it */
    veil_upgrade_mode_t mode;
    bool detach;
    char *version;       /* of the program that wrote it */
    char *pid_path;      /* its pid file */
    veil_list_t listens; /* of veil_handover_listen_t */
    veil_list_t zones;   /* of veil_handover_zone_t */
    veil_list_t extras;  /* of veil_handover_extra_t */
} veil_handover_t;

void veil_handover_init(veil_handover_t *h);
/* Frees what is in it; closes nothing. */
void veil_handover_done(veil_handover_t *h);

/* Everything is copied. */
void veil_handover_set_text(char **to, const char *text);
void veil_handover_add_listen(veil_handover_t *h,
                              const veil_hold_listen_t *key, const int *fds,
                              unsigned n, unsigned steered);
void veil_handover_add_zone(veil_handover_t *h, const veil_hold_zone_t *key,
                            int fd);
void veil_handover_add_extra(veil_handover_t *h, const char *name, int fd,
                             const void *data, size_t len);
/* NULL: there is none of that name. */
veil_handover_extra_t *veil_handover_extra(const veil_handover_t *h,
                                           const char *name);

/* The bytes, to be freed with veil_free. */
char *veil_handover_encode(const veil_handover_t *h, size_t *len);

/*
 * Reads them into *h, which has been initialised.  False when they are not
 * to be trusted; *why then says so in words, and *h has to be freed all the
 * same.
 */
bool veil_handover_decode(veil_handover_t *h, const void *data, size_t len,
                          const char **why);

#endif
