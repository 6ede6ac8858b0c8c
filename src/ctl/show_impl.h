/*
 * show_impl.h -- between the files that show answers: show*.c.
 */

#ifndef VEIL_CTL_SHOW_IMPL_H
#define VEIL_CTL_SHOW_IMPL_H

#include "ctl/show.h"

/* Shows the data of a verb; false: its shape is another one. */
typedef bool veil_ctl_show_fn(veil_ctl_text_t *out, const json_t *args,
                              const json_t *data);

/* A member that is a text; empty if it is none. */
veil_str_t veil_ctl_show_str(const json_t *object, const char *name);

/* A column of a table of rows: the member, and its head. */
typedef struct {
    const char *name; /* NULL ends the list */
    const char *head;
} veil_ctl_column_t;

/*
 * A table with these columns, of those that any row has; what else rows have
 * is left out.  "none" if there are no rows.
 */
void veil_ctl_show_rows(veil_ctl_text_t *out, const json_t *rows,
                        const veil_ctl_column_t *columns);

/* show_conns.c */
veil_ctl_show_fn veil_ctl_show_conn_list;
veil_ctl_show_fn veil_ctl_show_errors;

/* show_config.c */
veil_ctl_show_fn veil_ctl_show_reload;
veil_ctl_show_fn veil_ctl_show_diff;
veil_ctl_show_fn veil_ctl_show_dump;
/* What was wrong with a configuration, an array; nothing when it is none. */
void veil_ctl_show_diagnostics(veil_ctl_text_t *out, const json_t *list);

/* show_upstreams.c */
veil_ctl_show_fn veil_ctl_show_upstreams;

/* show_server.c */
veil_ctl_show_fn veil_ctl_show_status;
veil_ctl_show_fn veil_ctl_show_workers;
veil_ctl_show_fn veil_ctl_show_listeners;
veil_ctl_show_fn veil_ctl_show_certs;
veil_ctl_show_fn veil_ctl_show_change;
veil_ctl_show_fn veil_ctl_show_changes;
veil_ctl_show_fn veil_ctl_show_verbs;
/* Of a line; without its line feed. */
veil_ctl_show_fn veil_ctl_show_event;
veil_ctl_show_fn veil_ctl_show_audit;
veil_ctl_show_fn veil_ctl_show_stopping;
/* Of several records, a line each. */
veil_ctl_show_fn veil_ctl_show_audits;

/* show_upgrade.c */
veil_ctl_show_fn veil_ctl_show_upgrade;

/* show_inspect.c */
veil_ctl_show_fn veil_ctl_show_config_check;
veil_ctl_show_fn veil_ctl_show_config_explain;

#endif
