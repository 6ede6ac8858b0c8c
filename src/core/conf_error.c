/*
 * conf_error.c -- messages about the configuration.
 *
 * A message is three lines of the log at one level:
 *
 *     unknown directive "lisen" in /etc/veil.conf:3:5 (did you mean "listen"?)
 *         lisen 80;
 *         ^
 *
 * The first begins with nginx's text and place, so that what searches logs
 * for it finds it; column and hint come behind.  Columns count characters,
 * not bytes, and a tab is one character: the excerpt shows tabs as a blank,
 * so that the caret stands right in every terminal.  Of a long line a window
 * around the caret is shown.
 *
 * All errors of a load are reported, VEIL_CONF_MAX_ERRORS at most.
 */

#include "core/platform.h"

#include "core/conf.h"
#include "core/cycle.h"

static bool
conf_is_continuation(char c)
{
    return ((unsigned char) c & 0xc0) == 0x80;
}

veil_str_t
veil_conf_line(const veil_conf_file_t *file, unsigned line)
{
    veil_str_t text = file->text;
    ptrdiff_t end;

    while (line > 1) {
        end = veil_str_chr(text, '\n');
        if (end < 0) {
            return VEIL_STR_NULL;
        }
        text = veil_str_from(text, (size_t) end + 1);
        line--;
    }
    end = veil_str_chr(text, '\n');
    if (end >= 0) {
        text.len = (size_t) end;
    }
    if (text.len > 0 && text.data[text.len - 1] == '\r') {
        text.len--;
    }
    return text;
}

bool
veil_conf_excerpt(veil_conf_excerpt_t *to, const veil_conf_file_t *file,
                  unsigned line, unsigned column)
{
    veil_str_t text = veil_conf_line(file, line);
    unsigned from = column > VEIL_CONF_BEFORE ? column - VEIL_CONF_BEFORE : 1;
    unsigned at = 0;
    size_t i, n = 0;

    /* At the end of a file there is nothing to see. */
    if (veil_str_trim(text).len == 0) {
        return false;
    }
    if (line == 1 && veil_str_starts(text, VEIL_STR("\xef\xbb\xbf"))) {
        text = veil_str_from(text, 3);
    }
    for (i = 0; i < text.len && n < sizeof(to->line) - 1; i++) {
        if (!conf_is_continuation(text.data[i])) {
            at++;
        }
        if (at >= column + VEIL_CONF_BEHIND) {
            break;
        }
        if (at >= from) {
            to->line[n++] =
                (unsigned char) text.data[i] < 0x20 || text.data[i] == 0x7f
                    ? ' '
                    : text.data[i];
        }
    }
    to->line[n] = '\0';
    memset(to->caret, ' ', column - from);
    to->caret[column - from] = '^';
    to->caret[column - from + 1] = '\0';
    return true;
}

static void
conf_excerpt(const veil_log_t *log, veil_log_level_t level,
             const veil_conf_file_t *file, unsigned line, unsigned column)
{
    veil_conf_excerpt_t e;

    if (veil_conf_excerpt(&e, file, line, column)) {
        veil_log(log, level, 0, "    %s", e.line);
        veil_log(log, level, 0, "    %s", e.caret);
    }
}

/* Whether an error may still be reported; says once that it is enough. */
static bool
conf_count(veil_conf_t *cf, veil_log_level_t level)
{
    if (level != VEIL_LOG_EMERG) {
        cf->warnings++;
        return true;
    }
    cf->errors++;
    if (cf->errors == VEIL_CONF_MAX_ERRORS + 1) {
        veil_log(cf->log, VEIL_LOG_EMERG, 0,
                 "too many errors in the configuration, giving up");
    }
    return cf->errors <= VEIL_CONF_MAX_ERRORS;
}

static void
conf_report(veil_conf_t *cf, veil_log_level_t level,
            const veil_conf_file_t *file, unsigned line, unsigned column,
            const char *hint, const char *fmt, va_list ap)
{
    char text[1024];
    size_t n;

    if (!conf_count(cf, level)) {
        return;
    }
    n = veil_vsnprintf(text, sizeof(text), fmt, ap);
    if (cf->cycle != NULL && cf->cycle->conf_report != NULL) {
        if (hint != NULL) {
            n += veil_snprintf(text + n, sizeof(text) - n, " (%s)", hint);
        }
        cf->cycle->conf_report(cf->cycle->conf_report_data, level, file, line,
                               column, veil_str_n(text, n));
        return;
    }
    if (file == NULL) {
        veil_log(cf->log, level, 0, "%.*s%s%s%s", (int) n, text,
                 hint == NULL ? "" : " (", hint == NULL ? "" : hint,
                 hint == NULL ? "" : ")");
        return;
    }
    veil_log(cf->log, level, 0, "%.*s in %.*s:%u:%u%s%s%s", (int) n, text,
             VEIL_STR_ARG(file->name), line, column, hint == NULL ? "" : " (",
             hint == NULL ? "" : hint, hint == NULL ? "" : ")");
    conf_excerpt(cf->log, level, file, line, column);
}

static void
conf_report_node(veil_conf_t *cf, veil_log_level_t level,
                 const veil_conf_node_t *node, unsigned arg, const char *hint,
                 const char *fmt, va_list ap)
{
    const veil_conf_word_t *w;

    /* The root has no name; so have nodes that a test makes up. */
    if (node == NULL || node->nargs == 0) {
        conf_report(cf, level, NULL, 0, 0, hint, fmt, ap);
        return;
    }
    w = &node->args[arg < node->nargs ? arg : 0];
    conf_report(cf, level, node->file, w->line, w->column, hint, fmt, ap);
}

veil_rc_t
veil_conf_error(veil_conf_t *cf, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    conf_report_node(cf, VEIL_LOG_EMERG, cf->node, 0, NULL, fmt, ap);
    va_end(ap);
    return VEIL_ERROR;
}

veil_rc_t
veil_conf_error_at(veil_conf_t *cf, unsigned arg, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    conf_report_node(cf, VEIL_LOG_EMERG, cf->node, arg, NULL, fmt, ap);
    va_end(ap);
    return VEIL_ERROR;
}

veil_rc_t
veil_conf_error_node(veil_conf_t *cf, const veil_conf_node_t *node,
                     unsigned arg, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    conf_report_node(cf, VEIL_LOG_EMERG, node, arg, NULL, fmt, ap);
    va_end(ap);
    return VEIL_ERROR;
}

veil_rc_t
veil_conf_error_place(veil_conf_t *cf, const veil_conf_file_t *file,
                      unsigned line, unsigned column, const char *hint,
                      const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    conf_report(cf, VEIL_LOG_EMERG, file, line, column, hint, fmt, ap);
    va_end(ap);
    return VEIL_ERROR;
}

void
veil_conf_warn(veil_conf_t *cf, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    conf_report_node(cf, VEIL_LOG_WARN, cf->node, 0, NULL, fmt, ap);
    va_end(ap);
}

void
veil_conf_warn_node(veil_conf_t *cf, const veil_conf_node_t *node,
                    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    conf_report_node(cf, VEIL_LOG_WARN, node, 0, NULL, fmt, ap);
    va_end(ap);
}

void
veil_conf_nearest(veil_str_t word, const char *candidate, const char **best,
                  unsigned *distance)
{
    unsigned max = (unsigned) veil_min_size(3, (word.len + 2) / 3);
    unsigned d;

    if (*best != NULL) {
        /* The first of two equally near ones stays. */
        max = *distance == 0 ? 0 : *distance - 1;
    }
    d = veil_str_distance(word, veil_str_z(candidate), max);
    if (d <= max && (*best == NULL || d < *distance)) {
        *best = candidate;
        *distance = d;
    }
}

/* "it must be "a", "b" or "c"": only when the list is short. */
static size_t
conf_list_words(char *buf, size_t n, const char *const *words)
{
    size_t len = 0;
    unsigned i, count = 0;

    while (words[count] != NULL) {
        count++;
    }
    if (count == 0 || count > 8) {
        return 0;
    }
    for (i = 0; i < count; i++) {
        const char *sep = ", ";

        if (i == 0) {
            sep = ", it must be ";
        } else if (i == count - 1) {
            sep = " or ";
        }
        len += veil_snprintf(buf + len, n - len, "%s\"%s\"", sep, words[i]);
    }
    return len;
}

veil_rc_t
veil_conf_error_word(veil_conf_t *cf, unsigned arg, const char *const *words)
{
    const veil_conf_word_t *w = &cf->node->args[arg];
    const char *best = NULL;
    unsigned i, distance = 0;
    char hint[128], list[512];
    size_t n;

    for (i = 0; words[i] != NULL; i++) {
        veil_conf_nearest(w->str, words[i], &best, &distance);
    }
    if (best != NULL) {
        veil_snprintf(hint, sizeof(hint), "did you mean \"%s\"?", best);
    }
    n = conf_list_words(list, sizeof(list), words);
    return veil_conf_error_place(
        cf, cf->node->file, w->line, w->column, best == NULL ? NULL : hint,
        "invalid value \"%.*s\" in \"%.*s\" directive%.*s",
        VEIL_STR_ARG(w->str), VEIL_STR_ARG(cf->node->args[0].str), (int) n,
        list);
}
