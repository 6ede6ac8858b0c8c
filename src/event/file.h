/*
 * file.h -- finding out what is at a path, and the file objects made of it.
 *
 * A probe is the blocking part of a look-up: plain data in, plain data out,
 * no pools, no logs, so that it runs on the loop as well as on a thread.
 * Inline, it asks the kernel to answer from memory only and gives up with
 * EAGAIN when that is not possible.
 */

#ifndef VEIL_EVENT_FILE_H
#define VEIL_EVENT_FILE_H

#include <sys/stat.h>

#include "event/filecache.h"

typedef struct {
    const char *path;
    size_t path_len;
    size_t symlinks_from;
    veil_symlinks_t symlinks;
    bool want_fd;
    size_t content_max;
    /* What is known about the path: when it is still so, is_same is set. */
    const veil_file_t *known;
    /* The answer. */
    bool is_same;
    int fd; /* -1: none */
    int err;
    const char *failed;
    struct stat st;
    veil_block_t *content;
} veil_file_probe_t;

/* False: not without blocking (inline only), nothing was kept. */
bool veil_file_probe(veil_file_probe_t *p, bool is_inline);

/* A file object with one reference; takes over descriptor and content. */
veil_file_t *veil_file_create(const veil_file_probe_t *p);

#endif
