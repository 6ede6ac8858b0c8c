/*
 * lint.c -- runs the rules of all modules over a loaded configuration.
 *
 * The modules know what is wrong; this file keeps what they find, lets
 * comments silence it and puts it into the order of the files.  Findings are
 * about directives, so the same directive included into ten servers is told
 * once for each rule, not ten times.
 *
 * What a load itself has to say (a root that does not exist, a name that two
 * servers want) comes first, as findings of one rule of its own.
 */

#include "core/platform.h"

#include "core/lint.h"

#include "core/assert.h"

static const veil_lint_rule_t lint_load = { "L001", "configuration",
                                            VEIL_LINT_WARNING };

/* What is said of many places must not be compared with all the others. */
#define LINT_HASH 4096

void
veil_lint_init(veil_lint_t *lint, veil_cycle_t *cycle, veil_pool_t *pool)
{
    memset(lint, 0, sizeof(*lint));
    lint->cycle = cycle;
    lint->pool = pool;
    lint->expires_in_ms = (uint64_t) 14 * 24 * 3600 * 1000;
    veil_array_init(&lint->findings, pool, sizeof(veil_lint_finding_t), 8);
    lint->known = veil_pool_zalloc(pool, LINT_HASH * sizeof(*lint->known));
}

/* --- findings --------------------------------------------------------------
 */

static unsigned
lint_hash(const veil_lint_finding_t *f)
{
    uintptr_t n = (uintptr_t) f->rule / 16 + (uintptr_t) f->file / 16;

    n += f->line * (uintptr_t) 31 + f->column;
    return (unsigned) (n % LINT_HASH);
}

static bool
lint_is_known(const veil_lint_t *lint, const veil_lint_finding_t *f)
{
    const veil_lint_finding_t *g;
    unsigned i;

    for (i = lint->known[lint_hash(f)]; i != 0; i = g->next) {
        g = veil_array_at(&lint->findings, veil_lint_finding_t, i - 1);
        if (g->rule == f->rule && g->file == f->file && g->line == f->line
            && g->column == f->column && veil_str_eq(g->what, f->what))
        {
            return true;
        }
    }
    return false;
}

/* Of one that is there already, the advice that follows is known, too. */
static void
lint_keep(veil_lint_t *lint, const veil_lint_finding_t *f)
{
    unsigned *first = &lint->known[lint_hash(f)];
    veil_lint_finding_t *to;

    lint->latest = NULL;
    if (!lint_is_known(lint, f)) {
        to = veil_array_push(&lint->findings);
        *to = *f;
        to->next = *first;
        *first = lint->findings.n;
        lint->latest = to;
    }
}

static void
lint_on_report(void *data, veil_log_level_t level,
               const veil_conf_file_t *file, unsigned line, unsigned column,
               veil_str_t text)
{
    veil_lint_t *lint = data;
    veil_lint_finding_t f = {
        .rule = &lint_load,
        .severity =
            level <= VEIL_LOG_ERR ? VEIL_LINT_ERROR : VEIL_LINT_WARNING,
        .file = file,
        .line = line,
        .column = column,
        .what = veil_pool_str(lint->pool, text),
    };

    lint_keep(lint, &f);
}

void
veil_lint_watch_load(veil_lint_t *lint)
{
    lint->cycle->conf_report = lint_on_report;
    lint->cycle->conf_report_data = lint;
}

static veil_str_t
lint_text(veil_lint_t *lint, const char *fmt, va_list ap)
{
    char text[2048];
    size_t n = veil_vsnprintf(text, sizeof(text), fmt, ap);

    return veil_pool_str(lint->pool, veil_str_n(text, n));
}

void
veil_lint_add(veil_lint_t *lint, const veil_lint_rule_t *rule,
              const veil_conf_node_t *node, unsigned arg, const char *fmt, ...)
{
    veil_lint_finding_t f = { .rule = rule, .severity = rule->severity };
    const veil_conf_word_t *w;
    va_list ap;

    if (node != NULL && node->nargs != 0) {
        w = &node->args[arg < node->nargs ? arg : 0];
        f.file = node->file;
        f.line = w->line;
        f.column = w->column;
    }
    va_start(ap, fmt);
    f.what = lint_text(lint, fmt, ap);
    va_end(ap);
    lint_keep(lint, &f);
}

void
veil_lint_advise(veil_lint_t *lint, const char *fmt, ...)
{
    va_list ap;

    if (lint->latest == NULL) {
        return;
    }
    va_start(ap, fmt);
    lint->latest->advice = lint_text(lint, fmt, ap);
    va_end(ap);
}

unsigned
veil_lint_count(const veil_lint_t *lint, veil_lint_severity_t severity)
{
    unsigned i, n = 0;

    for (i = 0; i < lint->findings.n; i++) {
        n += veil_array_at(&lint->findings, veil_lint_finding_t, i)->severity
             == severity;
    }
    return n;
}

/* --- silence ---------------------------------------------------------------
 */

static bool
lint_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static const veil_str_t lint_mark = VEIL_STR_INIT("lint-ignore:");

/* Most files have no such comment, and lines are far from their beginning. */
static bool
lint_file_ignores(veil_lint_t *lint, const veil_conf_file_t *file)
{
    if (lint->looked != file) {
        lint->looked = file;
        lint->looked_has = veil_str_find(file->text, lint_mark) >= 0;
    }
    return lint->looked_has;
}

/* Whether the line has "lint-ignore:" and behind it the rule's code or name.
 */
static bool
lint_line_ignores(const veil_lint_finding_t *f, unsigned line)
{
    veil_str_t text = veil_conf_line(f->file, line), word;
    ptrdiff_t at = veil_str_find(text, lint_mark);
    size_t n;

    if (at < 0 || veil_str_chr(veil_str_n(text.data, (size_t) at), '#') < 0) {
        return false;
    }
    text = veil_str_from(text, (size_t) at + lint_mark.len);
    while (text.len != 0) {
        for (n = 0; n < text.len && lint_is_word(text.data[n]); n++) {
            /* to the word's end */
        }
        word = veil_str_n(text.data, n);
        if (veil_str_eq_z(word, f->rule->code)
            || veil_str_eq_z(word, f->rule->name)) {
            return true;
        }
        text = veil_str_from(text, n == 0 ? 1 : n);
    }
    return false;
}

static bool
lint_is_ignored(veil_lint_t *lint, const veil_lint_finding_t *f)
{
    return f->file != NULL && f->rule != &lint_load
           && lint_file_ignores(lint, f->file)
           && (lint_line_ignores(f, f->line)
               || (f->line > 1 && lint_line_ignores(f, f->line - 1)));
}

/* What a rule says of a line is more than what the load said of it. */
static bool
lint_is_said_again(const veil_lint_t *lint, const veil_lint_finding_t *f)
{
    const veil_lint_finding_t *g;
    unsigned i;

    if (f->rule != &lint_load || f->severity == VEIL_LINT_ERROR) {
        return false;
    }
    for (i = 0; i < lint->findings.n; i++) {
        g = veil_array_at(&lint->findings, veil_lint_finding_t, i);
        if (g->rule != &lint_load && g->file == f->file && g->line == f->line
            && g->severity != VEIL_LINT_NOTE)
        {
            return true;
        }
    }
    return false;
}

static void
lint_drop_ignored(veil_lint_t *lint)
{
    veil_lint_finding_t *all = lint->findings.elts;
    unsigned i, n = 0;

    for (i = 0; i < lint->findings.n; i++) {
        all[i].dropped = lint_is_ignored(lint, &all[i])
                         || lint_is_said_again(lint, &all[i]);
    }
    for (i = 0; i < lint->findings.n; i++) {
        if (!all[i].dropped) {
            all[n++] = all[i];
        }
    }
    lint->findings.n = n;
}

/* --- order -----------------------------------------------------------------
 */

/* Files are told apart by where they stand in the list of files. */
static unsigned
lint_file_number(const veil_lint_t *lint, const veil_conf_file_t *file)
{
    unsigned i;

    for (i = 0; i < lint->cycle->conf_files.n; i++) {
        if (*veil_array_at(&lint->cycle->conf_files, veil_conf_file_t *, i)
            == file) {
            return i + 1;
        }
    }
    return 0;
}

static int
lint_cmp(const void *a, const void *b, void *data)
{
    const veil_lint_finding_t *x = a, *y = b;
    unsigned fx = lint_file_number(data, x->file);
    unsigned fy = lint_file_number(data, y->file);

    if (fx != fy) {
        return fx < fy ? -1 : 1;
    }
    if (x->line != y->line) {
        return x->line < y->line ? -1 : 1;
    }
    if (x->column != y->column) {
        return x->column < y->column ? -1 : 1;
    }
    return strcmp(x->rule->code, y->rule->code);
}

void
veil_lint_look(veil_lint_t *lint)
{
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->core != NULL
            && veil_modules[i]->core->lint != NULL) {
            veil_modules[i]->core->lint(lint);
        }
    }
    lint_drop_ignored(lint);
    qsort_r(lint->findings.elts, lint->findings.n, sizeof(veil_lint_finding_t),
            lint_cmp, lint);
}

/* --- looking at directives -------------------------------------------------
 */

bool
veil_lint_is(const veil_conf_node_t *node, const char *name)
{
    return node->nargs != 0 && veil_str_eq_z(node->args[0].str, name);
}

const veil_conf_node_t *
veil_lint_next(const veil_conf_node_t *block, const veil_conf_node_t *after)
{
    const veil_list_t *next =
        after == NULL ? block->children.next : after->link.next;

    if (!block->is_block || next == &block->children) {
        return NULL;
    }
    return (const veil_conf_node_t *) (const void *) next;
}

_Static_assert(offsetof(veil_conf_node_t, link) == 0,
               "a directive's link is its beginning");

const veil_conf_node_t *
veil_lint_child(const veil_conf_node_t *block, const char *name,
                const veil_conf_node_t *after)
{
    const veil_conf_node_t *node = after;

    while ((node = veil_lint_next(block, node)) != NULL) {
        if (veil_lint_is(node, name)) {
            return node;
        }
    }
    return NULL;
}

veil_str_t
veil_lint_arg(const veil_conf_node_t *node, unsigned i)
{
    return i < node->nargs ? node->args[i].str : VEIL_STR_NULL;
}

static bool
lint_is_name(char c)
{
    return lint_is_word(c) && c != '-';
}

bool
veil_lint_uses(veil_str_t text, const char *name)
{
    size_t n = strlen(name);
    ptrdiff_t at;

    while ((at = veil_str_chr(text, '$')) >= 0) {
        text = veil_str_from(text, (size_t) at + 1);
        if (text.len != 0 && text.data[0] == '{') {
            text = veil_str_from(text, 1);
        }
        if (text.len >= n && memcmp(text.data, name, n) == 0
            && (text.len == n || !lint_is_name(text.data[n])))
        {
            return true;
        }
    }
    return false;
}
