/*
 * diagnostic.c -- what a load logs, on its way to whoever asked for it.
 *
 * A sink in front of those of the log: what is logged while a configuration
 * is read and its workers start goes to the files as ever, and in a message
 * to the master, line by line.  So nothing that reports has to know of it,
 * and what is answered to "reload" is what the log says.
 *
 * A worker tells its keeper, which passes the message on.  A line that cannot
 * be sent is not lost: it is in the log.
 */

#include "core/platform.h"

#include "process/reload/diagnostic.h"

static int diagnostic_channel = -1;
static const veil_log_sink_t *diagnostic_sinks; /* of the log, before */
static veil_log_level_t diagnostic_level;

static void
diagnostic_write(const veil_log_sink_t *sink VEIL_UNUSED,
                 veil_log_level_t level, const char *line, size_t len)
{
    veil_str_t text = veil_diagnostic_text(line, len);
    veil_diagnostic_message_t m;

    if (diagnostic_channel < 0) {
        return;
    }
    m.level = (int) level;
    text.len = veil_min_size(text.len, sizeof(m.text));
    memcpy(m.text, text.data, text.len);
    (void) veil_channel_send(
        diagnostic_channel, VEIL_MSG_DIAGNOSTIC, &m,
        offsetof(veil_diagnostic_message_t, text) + text.len, NULL, 0);
}

static veil_log_sink_t diagnostic_sink = { .level = VEIL_LOG_WARN,
                                           .write = diagnostic_write };

void
veil_diagnostic_use(int channel)
{
    diagnostic_channel = channel;
}

void
veil_diagnostic_tell(veil_log_t *log, bool on)
{
    if (!on) {
        if (log->sinks == &diagnostic_sink) {
            log->sinks = diagnostic_sinks;
            log->level = diagnostic_level;
        }
        return;
    }
    diagnostic_sinks = log->sinks;
    diagnostic_level = log->level;
    /* The list is walked, never written to; its links have no const. */
    memcpy(&diagnostic_sink.next, &log->sinks, sizeof(log->sinks));
    log->sinks = &diagnostic_sink;
    if (log->level < VEIL_LOG_WARN) {
        log->level = VEIL_LOG_WARN;
    }
}

veil_str_t
veil_diagnostic_line(const veil_message_t *m, veil_log_level_t *level)
{
    const veil_diagnostic_message_t *d = (const void *) m->data;
    size_t head = offsetof(veil_diagnostic_message_t, text);

    if (m->len < head || d->level < VEIL_LOG_EMERG
        || d->level > VEIL_LOG_TRACE) {
        return VEIL_STR_NULL;
    }
    *level = (veil_log_level_t) d->level;
    return veil_str_n(d->text, m->len - head);
}

/* "2026/01/02 03:04:05 [emerg] 12#12: *7 text\n" */
veil_str_t
veil_diagnostic_text(const char *line, size_t len)
{
    veil_str_t s = veil_str_n(line, len);
    ptrdiff_t at;

    while (s.len != 0 && s.data[s.len - 1] == '\n') {
        s.len--;
    }
    at = veil_str_find(s, VEIL_STR("] "));
    if (at < 0) {
        return s;
    }
    len = (size_t) at;
    at = veil_str_find(veil_str_from(s, len), VEIL_STR(": "));
    return at < 0 ? s : veil_str_from(s, len + (size_t) at + 2);
}

/* --- the place ----------------------------------------------------------- */

/* Cuts ":NUMBER" off the end; 0: there is none. */
static unsigned
diagnostic_cut_number(veil_str_t *s)
{
    ptrdiff_t colon = veil_str_rchr(*s, ':');
    int64_t n;

    if (colon <= 0) {
        return 0;
    }
    n = veil_str_to_int(veil_str_from(*s, (size_t) colon + 1));
    if (n <= 0 || n > INT32_MAX) {
        return 0;
    }
    s->len = (size_t) colon;
    return (unsigned) n;
}

/* Whether all of it is "FILE:LINE[:COLUMN]". */
static bool
diagnostic_is_place(veil_str_t s, veil_diagnostic_place_t *place)
{
    unsigned last = diagnostic_cut_number(&s);
    unsigned before;

    if (last == 0) {
        return false;
    }
    before = diagnostic_cut_number(&s);
    place->line = before == 0 ? last : before;
    place->column = before == 0 ? 0 : last;
    place->file = s;
    return s.len != 0;
}

veil_diagnostic_place_t
veil_diagnostic_place(veil_str_t line)
{
    veil_diagnostic_place_t place = { .text = line };
    veil_str_t rest = line;
    veil_str_t hint = VEIL_STR_NULL;
    ptrdiff_t at;

    if (veil_str_ends(rest, VEIL_STR(")"))) {
        /* A hint may have parentheses of its own, so the first is meant. */
        size_t from = 0;

        while ((at = veil_str_find(veil_str_from(rest, from), VEIL_STR(" (")))
               >= 0) {
            from += (size_t) at;
            place = veil_diagnostic_place(veil_str_n(rest.data, from));
            if (place.file.len != 0) {
                hint = veil_str_from(rest, from + 2);
                hint.len--;
                place.hint = hint;
                return place;
            }
            from += 2;
        }
        return (veil_diagnostic_place_t){ .text = line };
    }
    for (;;) {
        at = veil_str_find(rest, VEIL_STR(" in "));
        if (at < 0) {
            return (veil_diagnostic_place_t){ .text = line };
        }
        rest = veil_str_from(rest, (size_t) at + 4);
        if (veil_str_find(rest, VEIL_STR(" in ")) < 0
            && diagnostic_is_place(rest, &place))
        {
            place.text.len = (size_t) (rest.data - line.data) - 4;
            return place;
        }
    }
}
