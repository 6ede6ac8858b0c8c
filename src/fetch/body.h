/*
 * body.h -- where the body of a request comes from: the command line, a file
 * or standard input.
 *
 * A source is read piece by piece, at the pace of the connection: a read is
 * asked for, its answer comes from the loop, and the piece stays where it is
 * until the next one is asked for.
 */

#ifndef VEIL_FETCH_BODY_H
#define VEIL_FETCH_BODY_H

#include "event/loop.h"
#include "fetch/options.h"

#define VEIL_FETCH_PIECE 65536

typedef struct veil_fetch_body_s veil_fetch_body_t;

/* n bytes at b->piece; 0: that was all; -errno. */
typedef void veil_fetch_piece_fn(veil_fetch_body_t *b, int n);

struct veil_fetch_body_s {
    veil_handle_t handle;
    veil_op_t op;
    veil_fetch_piece_fn *got;
    void *owner;
    int fd;
    bool regular; /* a file, read from offset on */
    bool lent;    /* fd was made non-blocking, for all who have it */
    uint64_t offset;
    unsigned char *piece;
};

/*
 * Opens the path, or takes standard input; NULL after saying what is wrong.
 * It lives in the pool, and pins it until it is closed.  *length becomes what
 * a file still has to give, -1 when that is not known.
 */
veil_fetch_body_t *veil_fetch_body_open(veil_loop_t *loop, veil_pool_t *pool,
                                        const veil_fetch_options_t *o,
                                        int64_t *length);
/* got() will be called, from the loop, unless the source is closed before. */
void veil_fetch_body_read(veil_fetch_body_t *b, veil_fetch_piece_fn *got);
/* got() is not called any more. */
void veil_fetch_body_close(veil_fetch_body_t *b);

#endif
