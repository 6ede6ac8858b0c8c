/*
 * conf_log.c -- the arguments of error_log.
 *
 *     error_log FILE | stderr | syslog:server=... [LEVEL] ...;
 *
 * Every layer that has the directive calls veil_conf_set_error_log_sinks()
 * with its own list.  The first error_log of a block begins a new list, the
 * following add to it.  Without a level it is "error", as in nginx.
 */

#include "core/platform.h"

#include "core/cycle.h"
#include "core/syslog.h"

/* nginx's kinds of debug lines; veil has one. */
static bool
conf_is_debug_kind(veil_str_t word)
{
    static const char *const kinds[] = { "debug_core",  "debug_alloc",
                                         "debug_mutex", "debug_event",
                                         "debug_http",  "debug_mail",
                                         "debug_stream" };
    size_t i;

    for (i = 0; i < veil_countof(kinds); i++) {
        if (veil_str_eq_z(word, kinds[i])) {
            return true;
        }
    }
    return false;
}

static veil_rc_t
conf_bad_level(veil_conf_t *cf, unsigned i)
{
    const veil_conf_word_t *w = &cf->node->args[i];
    const char *best = NULL;
    unsigned lv, distance = 0;
    char hint[64];

    for (lv = VEIL_LOG_EMERG; lv <= VEIL_LOG_TRACE; lv++) {
        veil_conf_nearest(w->str, veil_log_level_name(lv), &best, &distance);
    }
    if (best != NULL) {
        veil_snprintf(hint, sizeof(hint), "did you mean \"%s\"?", best);
    }
    return veil_conf_error_place(
        cf, cf->node->file, w->line, w->column, best == NULL ? NULL : hint,
        "invalid log level \"%.*s\"", VEIL_STR_ARG(w->str));
}

/* The level of arguments 2 on; VEIL_LOG_OFF after reporting. */
static veil_log_level_t
conf_level(veil_conf_t *cf)
{
    veil_log_level_t level = VEIL_LOG_OFF;
    unsigned i;
    int n;

    for (i = 2; i < veil_conf_nargs(cf); i++) {
        n = veil_log_level_parse(veil_conf_arg(cf, i));
        if (n < 0 && conf_is_debug_kind(veil_conf_arg(cf, i))) {
            n = VEIL_LOG_DEBUG;
        }
        if (n < 0) {
            conf_bad_level(cf, i);
            return VEIL_LOG_OFF;
        }
        if (level != VEIL_LOG_OFF && n != VEIL_LOG_DEBUG) {
            veil_conf_error_at(cf, i, "duplicate log level \"%.*s\"",
                               VEIL_STR_ARG(veil_conf_arg(cf, i)));
            return VEIL_LOG_OFF;
        }
        level = (veil_log_level_t) n;
    }
    return level == VEIL_LOG_OFF ? VEIL_LOG_ERR : level;
}

static void
conf_add_sink(veil_conf_t *cf, veil_log_sink_t **sinks, veil_log_sink_t *sink)
{
    veil_log_sink_t *s;

    /* The head of the list stands for it, so additions go to the end. */
    if (!veil_conf_is_begun(cf, *sinks)) {
        *sinks = sink;
        veil_conf_begin(cf, sink);
        return;
    }
    for (s = *sinks; s->next != NULL; s = s->next) {
        /* to the last */
    }
    s->next = sink;
}

/* The line feed stays behind. */
static void
conf_write_syslog(const veil_log_sink_t *sink, veil_log_level_t level,
                  const char *line, size_t len)
{
    veil_syslog_send(sink->data, level, line, len == 0 ? 0 : len - 1);
}

veil_rc_t
veil_conf_set_error_log_sinks(veil_conf_t *cf, veil_log_sink_t **sinks)
{
    veil_str_t target = veil_conf_arg(cf, 1);
    veil_log_level_t level = conf_level(cf);
    veil_log_sink_t *sink;

    if (level == VEIL_LOG_OFF) {
        return VEIL_ERROR;
    }
    if (veil_str_starts(target, VEIL_STR("memory:"))) {
        return veil_conf_error_at(cf, 1, "logging to memory is not supported");
    }
    if (target.len == 0) {
        return veil_conf_error_at(cf, 1, "empty name of a log file");
    }
    sink = VEIL_POOL_NEW(cf->pool, veil_log_sink_t);
    sink->level = level;
    if (veil_str_starts(target, VEIL_STR("syslog:"))) {
        sink->write = conf_write_syslog;
        sink->data = veil_syslog_create(cf, 1);
        if (sink->data == NULL) {
            return VEIL_ERROR;
        }
    } else {
        sink->file = veil_cycle_log_file(cf->cycle, target);
    }
    conf_add_sink(cf, sinks, sink);
    return VEIL_OK;
}
