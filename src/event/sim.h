/*
 * sim.h -- the back end for tests: all that may happen does.
 *
 * It works on real descriptors (socket pairs, pipes, files), so every test of
 * the contract and everything above it runs on it unchanged, but it decides
 * by a seeded dice how far each op gets: bytes in pieces, completions in
 * another order and turns later, cancels that come too late, receives that
 * find no block.  With unix sockets in one process the same seed gives the
 * same run.  Errors are injected by count.
 */

#ifndef VEIL_EVENT_SIM_H
#define VEIL_EVENT_SIM_H

#include "event/loop.h"

/* Chances in percent; all zero: it behaves. */
typedef struct {
    uint64_t seed;
    unsigned piece;       /* only 1 to 8 bytes move at a time */
    unsigned late;        /* an op gets no chance this turn */
    unsigned starve;      /* a RECV finds no block */
    unsigned late_cancel; /* a cancelled op is tried once more before */
    bool shuffle;         /* ops are tried in any order */
} veil_sim_script_t;

/* From now on; the loop's back end must be "sim". */
void veil_sim_script(veil_loop_t *loop, const veil_sim_script_t *script);

/*
 * The n-th op of that kind (1: the next) that is tried from now on ends with
 * -err instead.  One such order a kind; n == 0 takes it back.
 */
void veil_sim_fail(veil_loop_t *loop, veil_op_kind_t kind, unsigned n,
                   int err);

#endif
