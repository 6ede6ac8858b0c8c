/*
 * show_upstreams.c -- upstream.show: a table of addresses for each upstream,
 * and below it what went wrong with them.
 */

#include "core/platform.h"

#include "ctl/show_impl.h"

static const veil_ctl_column_t show_upstreams_columns[] = {
    { "address", "ADDRESS" },    { "server", "SERVER" },
    { "state", "STATE" },        { "healthy", "HEALTHY" },
    { "weight", "WEIGHT" },      { "max_conns", "MAX" },
    { "backup", "BACKUP" },      { "in_flight", "IN FLIGHT" },
    { "idle", "IDLE" },          { "requests", "REQUESTS" },
    { "failures", "FAILURES" },  { "response_ms", "RESPONSE" },
    { "last_status", "STATUS" }, { NULL, NULL },
};

static const veil_ctl_column_t show_upstreams_deleted[] = {
    { "server", "DELETED" },
    { NULL, NULL },
};

static void
show_upstreams_errors(veil_ctl_text_t *out, const json_t *peers)
{
    const json_t *peer, *err;
    size_t i;

    for (i = 0; i < json_array_size(peers); i++) {
        peer = json_array_get(peers, i);
        err = json_object_get(peer, "last_error");
        if (!json_is_object(err)) {
            continue;
        }
        veil_ctl_text_safe(out, veil_ctl_show_str(peer, "address"), false);
        veil_ctl_text_z(out, ": ");
        veil_ctl_text_safe(out, veil_ctl_show_str(err, "text"), false);
        veil_ctl_text_z(out, "\n");
    }
}

/* Those that no peer stands for. */
static void
show_upstreams_gone(veil_ctl_text_t *out, const json_t *servers)
{
    json_t *rows = json_array();
    size_t i;

    for (i = 0; i < json_array_size(servers); i++) {
        json_t *s = json_array_get(servers, i);

        if (veil_str_eq_z(veil_ctl_show_str(s, "state"), "deleted")) {
            json_array_append(rows, s);
        }
    }
    if (json_array_size(rows) != 0) {
        veil_ctl_show_rows(out, rows, show_upstreams_deleted);
    }
    json_decref(rows);
}

bool
veil_ctl_show_upstreams(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                        const json_t *data)
{
    const json_t *row, *peers;
    size_t i;

    if (!json_is_array(data) || json_array_size(data) == 0) {
        return false;
    }
    for (i = 0; i < json_array_size(data); i++) {
        row = json_array_get(data, i);
        peers = json_object_get(row, "peers");
        if (!json_is_array(peers)) {
            return false;
        }
        if (i != 0) {
            veil_ctl_text_z(out, "\n");
        }
        veil_ctl_text_style(out, VEIL_CTL_BOLD);
        veil_ctl_text_safe(out, veil_ctl_show_str(row, "upstream"), false);
        veil_ctl_text_style(out, VEIL_CTL_PLAIN);
        veil_ctl_text_z(out, " (");
        veil_ctl_text_safe(out, veil_ctl_show_str(row, "method"), false);
        veil_ctl_text_z(out, ")\n");
        veil_ctl_show_rows(out, peers, show_upstreams_columns);
        show_upstreams_gone(out, json_object_get(row, "server_list"));
        show_upstreams_errors(out, peers);
    }
    return true;
}
