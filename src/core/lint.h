/*
 * lint.h -- what a configuration says and its author hardly means.
 *
 * A load answers "can this run"; a lint looks at what was loaded and answers
 * "does it do what it seems to".  Each rule stands beside the directive it is
 * about: a module has a hook (veil_core_module_t.lint, or for each block of
 * http {} veil_http_module_t.lint), looks, and adds findings.
 *
 * A finding says where, what happens, and what to do.  Its code is never
 * given to another rule, so scripts may rely on it.  A comment silences it:
 *
 *     alias /data/;    # lint-ignore: L201
 *
 * on the line of the finding or on the one before, with codes or names.
 */

#ifndef VEIL_CORE_LINT_H
#define VEIL_CORE_LINT_H

#include <jansson.h>
#include <stdio.h>

#include "core/cycle.h"

typedef enum {
    VEIL_LINT_NOTE,    /* as it may be meant: shown if asked for */
    VEIL_LINT_WARNING, /* hardly meant */
    VEIL_LINT_ERROR    /* broken, or open to everybody */
} veil_lint_severity_t;

/* Static, of the module. */
typedef struct {
    const char *code; /* "L101" */
    const char *name; /* "add-header-hides" */
    veil_lint_severity_t severity;
} veil_lint_rule_t;

typedef struct {
    const veil_lint_rule_t *rule;
    veil_lint_severity_t severity; /* the rule's, or of a load's message */
    const veil_conf_file_t *file;  /* NULL: no place */
    unsigned line;
    unsigned column;
    veil_str_t what;   /* what happens; a sentence without its full stop */
    veil_str_t advice; /* what to do, the same; may be empty */
    /* Private to lint.c. */
    bool dropped;
    unsigned next; /* of the same hash; number from 1 */
} veil_lint_finding_t;

struct veil_lint_s {
    veil_cycle_t *cycle;
    veil_pool_t *pool;
    uint64_t expires_in_ms;      /* certificates that end within are told */
    veil_array_t findings;       /* of veil_lint_finding_t */
    veil_lint_finding_t *latest; /* that advice is for; NULL: known before */
    /* Private to lint.c. */
    unsigned *known;                /* by hash: the first, a number from 1 */
    const veil_conf_file_t *looked; /* the file last asked for comments */
    bool looked_has;                /* any */
};

/*
 * What a verb that looks may be told (core/control.h), the server's and
 * veilctl's.
 */
#define VEIL_LINT_ARGS                                                        \
    { "notes", VEIL_CONTROL_FLAG, 0, NULL,                                    \
      "what is only worth knowing, too" },                                    \
    {                                                                         \
        "expires_in", VEIL_CONTROL_TIME, 0, NULL,                             \
            "tell of certificates that end within (14d)"                      \
    }

/* Defaults; pool is where findings are made. */
void veil_lint_init(veil_lint_t *lint, veil_cycle_t *cycle, veil_pool_t *pool);
/*
 * The cycle's load reports to the lint from now on: its messages are
 * findings of the rule L001.
 */
void veil_lint_watch_load(veil_lint_t *lint);
/*
 * Asks all modules about the loaded configuration, drops what comments
 * silence, and sorts by place.
 */
void veil_lint_look(veil_lint_t *lint);

/*
 * Adds a finding at argument arg of the directive (0: the directive).  The
 * texts are copied.
 */
void veil_lint_add(veil_lint_t *lint, const veil_lint_rule_t *rule,
                   const veil_conf_node_t *node, unsigned arg, const char *fmt,
                   ...) VEIL_PRINTF(5, 6);
/* What to do about the latest finding. */
void veil_lint_advise(veil_lint_t *lint, const char *fmt, ...)
    VEIL_PRINTF(2, 3);

/* Findings of this severity. */
unsigned veil_lint_count(const veil_lint_t *lint,
                         veil_lint_severity_t severity);
const char *veil_lint_severity_name(veil_lint_severity_t severity);
/* For people: places, excerpts, advice, and a line that counts. */
void veil_lint_print(const veil_lint_t *lint, bool notes, FILE *out);
/*
 * {"findings": [{"code", "name", "severity", "file", "line", "column",
 * "message", "advice", "excerpt"}], "errors", "warnings", "notes"}; a new
 * reference.
 */
json_t *veil_lint_json(const veil_lint_t *lint, bool notes);

/* --- looking at directives ------------------------------------------------
 */

/* Whether it is this directive. */
bool veil_lint_is(const veil_conf_node_t *node, const char *name);
/*
 * The first directive of this name directly in the block, or the one after
 * `after` (NULL: the first); NULL: none.
 */
const veil_conf_node_t *veil_lint_child(const veil_conf_node_t *block,
                                        const char *name,
                                        const veil_conf_node_t *after);
/* The block's next directive after `after` (NULL: the first) of any name. */
const veil_conf_node_t *veil_lint_next(const veil_conf_node_t *block,
                                       const veil_conf_node_t *after);
/* Argument i, or empty. */
veil_str_t veil_lint_arg(const veil_conf_node_t *node, unsigned i);
/* Whether the text uses $name or ${name} (not $name_more). */
bool veil_lint_uses(veil_str_t text, const char *name);

#endif
