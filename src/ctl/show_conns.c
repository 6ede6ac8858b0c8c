/*
 * show_conns.c -- answers about connections and requests.
 */

#include "core/platform.h"

#include "ctl/show_impl.h"
#include "ctl/units.h"

bool
veil_ctl_show_conn_list(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                        const json_t *data)
{
    static const veil_ctl_column_t columns[] = {
        { "id", "ID" },         { "client", "CLIENT" },
        { "listener", "AT" },   { "protocol", "PROTO" },
        { "tls", "TLS" },       { "state", "STATE" },
        { "age_ms", "AGE" },    { "idle_ms", "IDLE" },
        { "requests", "REQS" }, { "bytes_in", "IN" },
        { "bytes_out", "OUT" }, { "upstream", "UPSTREAM" },
        { "peer", "PEER" },     { "request", "REQUEST" },
        { NULL, NULL },
    };
    const json_t *rows = json_object_get(data, "connections");
    long long matched =
        (long long) json_integer_value(json_object_get(data, "matched"));
    long long total =
        (long long) json_integer_value(json_object_get(data, "total"));

    if (!json_is_array(rows)) {
        return false;
    }
    veil_ctl_show_rows(out, rows, columns);
    if (matched > (long long) json_array_size(rows)) {
        veil_ctl_text_printf(out, "and %lld more; ",
                             matched - (long long) json_array_size(rows));
    }
    veil_ctl_text_printf(out, "%lld of %lld connection%s\n", matched, total,
                         total == 1 ? "" : "s");
    return true;
}

/* The bytes of a request, and a mark below the one that was wrong. */
static void
show_conns_excerpt(veil_ctl_text_t *out, const json_t *row)
{
    veil_str_t s = veil_ctl_show_str(row, "excerpt");
    const json_t *offset = json_object_get(row, "offset");
    json_int_t first = json_integer_value(json_object_get(row, "first"));
    json_int_t at = json_integer_value(offset) - first;
    json_int_t seen;
    size_t i = 0;

    if (s.len == 0) {
        return;
    }
    veil_ctl_text_z(out, "    ");
    veil_ctl_text_safe(out, s, false);
    veil_ctl_text_z(out, "\n");
    if (!json_is_integer(offset) || at < 0) {
        return;
    }
    /* A byte is shown as one character, or as "\x0a", or as "\\". */
    for (seen = 0; seen < at && i < s.len; seen++) {
        i += s.data[i] != '\\'                       ? 1
             : i + 1 < s.len && s.data[i + 1] == 'x' ? 4
                                                     : 2;
    }
    if (i <= s.len) {
        veil_ctl_text_fill(out, ' ', 4 + i);
        veil_ctl_text_styled(out, VEIL_CTL_RED, "^");
        veil_ctl_text_z(out, "\n");
    }
}

/* Of a handshake there are no bytes to show, but what it was about. */
static void
show_conns_handshake(veil_ctl_text_t *out, const json_t *row)
{
    veil_str_t kind = veil_ctl_show_str(row, "kind");
    veil_str_t sni = veil_ctl_show_str(row, "sni");

    if (kind.len == 0 && sni.len == 0) {
        return;
    }
    veil_ctl_text_z(out, "    ");
    veil_ctl_text_safe(out, kind, false);
    if (sni.len != 0) {
        veil_ctl_text_z(out,
                        kind.len == 0 ? "it asked for " : ", it asked for ");
        veil_ctl_text_safe(out, sni, false);
    }
    veil_ctl_text_z(out, "\n");
}

static void
show_conns_error(veil_ctl_text_t *out, const json_t *row)
{
    const json_t *status = json_object_get(row, "status");
    const json_t *offset = json_object_get(row, "offset");
    char buf[VEIL_CTL_UNIT];

    veil_ctl_text_z(
        out,
        veil_ctl_unit_date(
            buf, json_number_value(json_object_get(row, "time_ms")) / 1000));
    veil_ctl_text_z(out, "  ");
    veil_ctl_text_safe(out, veil_ctl_show_str(row, "client"), false);
    veil_ctl_text_z(out, " > ");
    veil_ctl_text_safe(out, veil_ctl_show_str(row, "listener"), false);
    veil_ctl_text_z(out, "  ");
    if (json_is_integer(status)) {
        veil_ctl_text_printf(out, "%lld ",
                             (long long) json_integer_value(status));
    }
    veil_ctl_text_style(out, VEIL_CTL_BOLD);
    veil_ctl_text_safe(out, veil_ctl_show_str(row, "reason"), false);
    veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    if (json_is_integer(offset)) {
        veil_ctl_text_printf(out, " at byte %lld",
                             (long long) json_integer_value(offset));
    }
    veil_ctl_text_z(out, "\n");
    show_conns_handshake(out, row);
    show_conns_excerpt(out, row);
}

bool
veil_ctl_show_errors(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                     const json_t *data)
{
    const json_t *rows = json_object_get(data, "errors");
    size_t i;

    if (!json_is_array(rows)) {
        return false;
    }
    for (i = 0; i < json_array_size(rows); i++) {
        show_conns_error(out, json_array_get(rows, i));
    }
    veil_ctl_text_z(out, i == 0 ? "none\n" : "");
    return true;
}
