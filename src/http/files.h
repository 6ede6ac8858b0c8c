/*
 * files.h -- looking up files for a request, with its location's settings.
 */

#ifndef VEIL_HTTP_FILES_H
#define VEIL_HTTP_FILES_H

#include "event/filecache.h"
#include "http/request.h"

/* Embedded in, or allocated from, the request's memory. */
typedef struct {
    veil_file_lookup_t lookup;
    veil_http_request_t *r;
    bool waiting; /* the answer is not there yet */
} veil_http_lookup_t;

/*
 * Asks what is at the path (zero-terminated after its length); root_len bytes
 * of it are the location's root.  True: l->lookup.file is there.  False:
 * return veil_http_wait(r, NULL); the handler is called again then, and asks
 * veil_http_lookup_is_done().  The file is given back with the request.
 */
bool veil_http_lookup(veil_http_request_t *r, veil_http_lookup_t *l,
                      veil_str_t path, size_t root_len, bool want_fd);
/* The status for an error of the file: 404, 403, 500; logs it. */
int veil_http_lookup_status(veil_http_request_t *r, const veil_file_t *file,
                            veil_str_t path);
/*
 * Describes the response: length, times, entity tag, type, and a body from
 * the file's content or descriptor.
 */
void veil_http_describe_file(veil_http_request_t *r, veil_file_t *file);

/*
 * A header filter's: sends what veil_http_describe_file() described by
 * sendfile or through memory, as file_mode, sendfile and the length say.
 */
void veil_http_files_choose(veil_http_request_t *r);

/* The worker's caches: made when first needed; at the end given back. */
void veil_http_files_done(void);

#endif
