/*
 * send.h -- a request on its way: its head, then its body as it comes.
 */

#ifndef VEIL_FETCH_SEND_H
#define VEIL_FETCH_SEND_H

#include "event/conn.h"
#include "fetch/body.h"
#include "http/parse/parse.h"

typedef struct veil_fetch_send_s veil_fetch_send_t;

typedef enum {
    VEIL_FETCH_SENT,   /* all of it */
    VEIL_FETCH_UNSENT, /* the connection took no more; reading says why */
    VEIL_FETCH_UNREAD  /* the body could not be read, which has been said */
} veil_fetch_sent_t;

struct veil_fetch_send_s {
    veil_conn_t *conn;
    veil_str_t head;
    veil_str_t text;         /* a body of the command line; or */
    veil_fetch_body_t *body; /* a source; NULL: none */
    int64_t length;          /* of what the source is to give; -1: chunks */
    const char *name;        /* of the source, for messages */
    void (*over)(veil_fetch_send_t *s, veil_fetch_sent_t how);
    /* private to send.c */
    uint8_t state;
    bool paused; /* the body waits to be asked for */
    bool head_sent;
    uint64_t read;
    char line[VEIL_HTTP_CHUNK_HEAD_MAX];
};

/*
 * Starts; what stands above "private" is filled in.  paused: only the head
 * is sent until veil_fetch_send_go_on().  over() is called once, from the
 * loop.
 */
void veil_fetch_send_begin(veil_fetch_send_t *s, bool paused);
void veil_fetch_send_go_on(veil_fetch_send_t *s);
/* To be called by the connection's on_sent. */
void veil_fetch_send_moved(veil_fetch_send_t *s, ssize_t res);
/* over() is not called any more; the source is closed. */
void veil_fetch_send_stop(veil_fetch_send_t *s);
/* Nothing of it is left to be sent. */
bool veil_fetch_send_is_over(const veil_fetch_send_t *s);

#endif
