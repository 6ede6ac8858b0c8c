/*
 * output.h -- what veil-fetch prints: responses, notes, complaints.
 */

#ifndef VEIL_FETCH_OUTPUT_H
#define VEIL_FETCH_OUTPUT_H

#include "fetch/exchange.h"

typedef struct {
    int head_fd; /* -1: heads are not printed */
    int body_fd; /* -1: nor are bodies */
    bool owns_body_fd;
    bool midline;     /* what was printed on head_fd has not ended its line */
    const char *path; /* of body_fd; NULL: standard output */
} veil_fetch_output_t;

/* "veil-fetch: text", on standard error. */
void veil_fetch_say(const char *fmt, ...) VEIL_PRINTF(1, 2);
/* "* text", on standard error: for --verbose. */
void veil_fetch_note(const char *fmt, ...) VEIL_PRINTF(1, 2);
/* The lines of a head on standard error, each behind the mark. */
void veil_fetch_note_head(const char *mark, veil_str_t head);

/* What a line of the log says, without its date, process and connection. */
veil_str_t veil_fetch_log_text(const char *line, size_t len);

/*
 * path: of the bodies; NULL: standard output, or nowhere with summary.  0, or
 * -errno after saying so; so do those below.
 */
int veil_fetch_output_open(veil_fetch_output_t *out, const char *path,
                           bool summary);
int veil_fetch_output_head(veil_fetch_output_t *out,
                           const veil_fetch_response_t *r);
int veil_fetch_output_body(veil_fetch_output_t *out, const void *data,
                           size_t len);
/* The line of a summary; a line feed is added. */
int veil_fetch_output_line(veil_fetch_output_t *out, const char *fmt, ...)
    VEIL_PRINTF(2, 3);
/* Only now is it known whether a file took all of it. */
int veil_fetch_output_close(veil_fetch_output_t *out);

#endif
