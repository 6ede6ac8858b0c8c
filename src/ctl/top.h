/*
 * top.h -- a live view of the server.
 */

#ifndef VEIL_CTL_TOP_H
#define VEIL_CTL_TOP_H

#include "ctl/call.h"
#include "ctl/command.h"
#include "ctl/link.h"
#include "ctl/text.h"

/* The verb "top"; on a terminal until "q", with --snapshot one frame. */
veil_ctl_code_t veil_ctl_top(const veil_ctl_command_t *c);
/* Its arguments. */
extern const veil_control_arg_t veil_ctl_top_args[];

/* --- samples: top_sample.c ------------------------------------------------*/

/* What the server said at one time; members that it did not are NULL. */
typedef struct {
    int64_t at_ms;   /* 0: there is no such sample */
    json_t *status;  /* of "status" */
    json_t *metrics; /* of "metrics", process by process */
    json_t *groups;  /* of "upstream show" */
    json_t *workers; /* of "worker list" */
    json_t *cpu;     /* {"PID": ticks, ...}, from this machine's /proc */
    bool late;       /* some of it is missing, as the time was up */
} veil_ctl_sample_t;

/*
 * Asks for all of it, each with this time (-1: a second).  Only what the
 * connection cannot do is a failure: a verb that is refused, or answered too
 * late by the workers, is a member that is NULL.
 */
veil_ctl_got_t veil_ctl_sample_take(veil_ctl_link_t *link, int64_t timeout_ms,
                                    veil_ctl_sample_t *s);
void veil_ctl_sample_done(veil_ctl_sample_t *s);

/*
 * The sum of a metric over all processes, where label has this value (NULL:
 * any) and "pid" this one (0: any).
 */
double veil_ctl_sample_sum(const veil_ctl_sample_t *s, const char *metric,
                           const char *label, const char *value, int64_t pid);
/* The same as growth in a second since the other sample; never below 0. */
double veil_ctl_sample_rate(const veil_ctl_sample_t *now,
                            const veil_ctl_sample_t *then, const char *metric,
                            const char *label, const char *value, int64_t pid);
/*
 * The value that this share of those seen in between does not exceed, of a
 * histogram; -1: there were none.
 */
double veil_ctl_sample_quantile(const veil_ctl_sample_t *now,
                                const veil_ctl_sample_t *then,
                                const char *metric, double share);
/* Per cent of one processor that the process had in between; -1: unknown. */
double veil_ctl_sample_cpu(const veil_ctl_sample_t *now,
                           const veil_ctl_sample_t *then, int64_t pid);

/*
 * What "top" shows, as one object, a new reference: rates since the other
 * sample, and the rows of workers and upstreams as the server told them.
 */
json_t *veil_ctl_sample_json(const veil_ctl_sample_t *now,
                             const veil_ctl_sample_t *then);

/* A member by the first of these names that there is; names end with NULL. */
const json_t *veil_ctl_sample_member(const json_t *o,
                                     const char *const *names);

/* --- frames: top_view.c ---------------------------------------------------*/

typedef enum {
    VEIL_CTL_TOP_BY_NAME,
    VEIL_CTL_TOP_BY_RATE,
    VEIL_CTL_TOP_BY_CONNS
} veil_ctl_top_sort_t;

#define VEIL_CTL_TOP_HISTORY 240

typedef struct {
    unsigned columns;
    unsigned rows; /* 0: as many as there are */
    veil_ctl_top_sort_t sort;
    bool paused;
    bool bars;         /* the terminal shows Unicode */
    int64_t every_ms;  /* between samples */
    const char *error; /* there are no answers, and why; NULL */
    /* Requests a second, the latest last; for the bars. */
    double history[VEIL_CTL_TOP_HISTORY];
    unsigned nhistory;
} veil_ctl_top_view_t;

/*
 * A frame, each line ended by a line feed, none wider or more than the view
 * has.  then: the sample before.
 */
void veil_ctl_top_frame(veil_ctl_text_t *out, const veil_ctl_top_view_t *view,
                        const veil_ctl_sample_t *now,
                        const veil_ctl_sample_t *then);

#endif
