/*
 * explain.h -- notes on the way of a request that is explained.
 *
 * In a process that serves there is no explainer, and a note costs one
 * comparison.  In one that explains, there is one request, and whoever decides
 * something about it says so:
 *
 *     veil_http_explain("if", op->node, "%s", holds ? "true" : "false");
 *
 * What would leave this machine (a connection to an upstream) is not begun:
 * its handler asks veil_http_is_explained(), describes what it would do, and
 * answers as if the other side had said 200.
 */

#ifndef VEIL_HTTP_EXPLAIN_H
#define VEIL_HTTP_EXPLAIN_H

#include "core/explain.h"
#include "http/http.h"

typedef struct veil_http_explainer_s veil_http_explainer_t;

/* NULL: nothing is explained. */
extern veil_http_explainer_t *veil_http_explainer;

static inline bool
veil_http_is_explained(void)
{
    return veil_unlikely(veil_http_explainer != NULL);
}

/* A note of the step under way; node: the directive (NULL: none). */
#define veil_http_explain(about, node, ...)                                   \
    do {                                                                      \
        if (veil_http_is_explained()) {                                       \
            veil_http_explain_note(about, node, __VA_ARGS__);                 \
        }                                                                     \
    } while (0)

void veil_http_explain_note(const char *about, const veil_conf_node_t *node,
                            const char *fmt, ...) VEIL_PRINTF(3, 4);
/* A sentence on what only the time of the request can tell. */
void veil_http_explain_unknown(const char *fmt, ...) VEIL_PRINTF(1, 2);
/*
 * What answers: kind is "file", "proxy" ...; the latest counts.  Then what is
 * worth knowing about it.
 */
void veil_http_explain_target(const char *kind);
void veil_http_explain_target_add(const char *name, veil_str_t value);

/* pipeline.c, response.c, request.c: a step begins, it has a result; the */
/* response is described and filtered; the request ends. */
void veil_http_explain_enter(const veil_http_step_t *step);
void veil_http_explain_leave(veil_http_request_t *r, veil_http_rc_t rc);
void veil_http_explain_response(veil_http_request_t *r);
void veil_http_explain_end(veil_http_request_t *r);

/* The http layer's hook for veil_explain() (explain_run.c). */
json_t *veil_http_explain_run(veil_cycle_t *cycle,
                              const veil_explain_options_t *o);

/* Private to explain.c and explain_run.c. */
struct veil_http_explainer_s {
    json_t *steps;
    json_t *step; /* under way; borrowed from steps */
    json_t *target;
    json_t *unknown;
    json_t *server; /* filled in at the end: of the request */
    json_t *location;
    json_t *limits;
    json_t *filters;
    int log_fd;    /* a memfd that takes what would be logged */
    bool waits;    /* the step is called again */
    bool answered; /* the head is on its way */
    bool ended;
};

/* Adds "file" and "line". */
void veil_http_explain_place(json_t *o, const veil_conf_node_t *node);

#endif
