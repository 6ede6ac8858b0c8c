/*
 * link.h -- the line between an old and a new master.
 *
 * The two may be different versions of veil, so what they say are words: one
 * packet is "WORD name=value name=value", with a descriptor beside it or
 * without.  A word that is not known is not answered.
 *
 *     new to old   READY                    its workers are ready
 *     old to new   GO                       serve
 *     new to old   SERVING gen= pid= v=     with its state: it serves
 *     new to old   FAIL why=                it cannot, and ends
 *     new to old   SLOT at=                 with a socket: one more of an
 * address that both have old to new   MAIN                     the service
 * manager knows of it new to old   REOPEN                   logs were rotated
 *     new to old   STOP ms=                 the server is to end
 *     new to old   RELEASE back=            there is a newer one; no return
 *     new to old   LEAVING                  the new one ends by itself
 *     new to old   ROLLBACK gen=            serve again
 *     old to new   BACK gen= pid= v=        it does
 *     old to new   STAY why=                it cannot
 */

#ifndef VEIL_PROCESS_LINK_H
#define VEIL_PROCESS_LINK_H

#include "core/str.h"

typedef struct {
    char text[1024]; /* zero-terminated */
    int fd;          /* the reader's; -1: none */
} veil_link_message_t;

/*
 * Sends a packet; fd (-1: none) stays the caller's.  Never waits: a master
 * that has not read some dozens of these is lost.  0 or -errno.
 */
int veil_link_send(int link, int fd, const char *fmt, ...) VEIL_PRINTF(3, 4);

/* 1: there is one; 0: the other end is closed; -EAGAIN: none now. */
int veil_link_recv(int link, veil_link_message_t *m);

bool veil_link_is(const veil_link_message_t *m, const char *word);
/*
 * What follows "name=" up to the next blank; for "why" up to the end.  Empty
 * when it is not there.
 */
veil_str_t veil_link_value(const veil_link_message_t *m, const char *name);
/* The value as a number; 0 when it is none. */
uint64_t veil_link_number(const veil_link_message_t *m, const char *name);

#endif
