/*
 * spool.h -- a body that pulls its source by itself, ahead of its readers.
 *
 * Into blocks of memory first, then a temporary file, then it stops pulling.
 * Any number of readers, each with an offset of its own; replayable while
 * held.  Buffering of requests and responses, a retried request body, and
 * later mirror, store and cache fill are this one object.  A full disk is a
 * value: the spool stops at what it has and streams from there, or fails
 * when everything has to be kept.
 */

#ifndef VEIL_HTTP_SPOOL_H
#define VEIL_HTTP_SPOOL_H

#include "http/body.h"

typedef struct veil_http_spool_s veil_http_spool_t;

/* What becomes of the temporary file's name. */
typedef enum {
    VEIL_SPOOL_NAMELESS, /* there is none from the beginning */
    VEIL_SPOOL_NAMED,    /* it goes when the spool does */
    VEIL_SPOOL_LEFT      /* the file stays */
} veil_spool_name_t;

typedef struct {
    size_t memory;        /* bytes kept in memory */
    size_t block;         /* size of one block */
    int64_t max_file;     /* bytes in the temporary file; 0: no file */
    veil_str_t temp_path; /* directory */
    unsigned levels[3];
    veil_spool_name_t name;
    bool replay; /* keep everything so that a reader may start over */
    const veil_log_t *log;
    /*
     * The source has ended or failed; may be NULL.  From the loop, never from
     * inside veil_http_spool_create(): ask is_complete and error after it.
     */
    void (*complete)(void *owner);
    void *owner;
} veil_http_spool_options_t;

/*
 * Takes the source over and starts pulling, at once.  The spool lives in the
 * pool and ends with it; its file has no name unless one is asked for.  The
 * source's trailers become its readers', and must live as long.
 */
veil_http_spool_t *veil_http_spool_create(veil_pool_t *pool, veil_loop_t *loop,
                                          veil_http_body_t *source,
                                          const veil_http_spool_options_t *o);
/*
 * A reader from offset 0 (replay) or from what is not consumed yet.  Without
 * replay there is one, and its abort ends the spool.
 */
veil_http_body_t *veil_http_spool_reader(veil_http_spool_t *s);
bool veil_http_spool_is_complete(const veil_http_spool_t *s);
/* The source failed: its error status, or 500; 0: it did not. */
int veil_http_spool_error(const veil_http_spool_t *s);
/* Bytes pulled so far. */
uint64_t veil_http_spool_size(const veil_http_spool_t *s);
/* Bytes in the temporary file. */
uint64_t veil_http_spool_file_size(const veil_http_spool_t *s);
/*
 * The whole content as one string in the pool, when it is complete and all in
 * memory; NULL data if not.
 */
veil_str_t veil_http_spool_text(veil_http_spool_t *s);
/* Its temporary file's name; empty: none, or no file. */
veil_str_t veil_http_spool_path(const veil_http_spool_t *s);
/* No replay from here on: memory is freed as readers consume. */
void veil_http_spool_release(veil_http_spool_t *s);
/* Source and readers are given up; harmless twice. */
void veil_http_spool_abort(veil_http_spool_t *s);

#endif
