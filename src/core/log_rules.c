/*
 * log_rules.c -- other levels than the configured ones, for a while.
 *
 * The level of a log is copied into connections and requests, of which there
 * may be a hundred thousand, so a change of it goes past them: a rule is one
 * variable of the process, which veil_log() compares when the log's own level
 * says no.  What it costs is that comparison, and looking for the rule that
 * is meant while there is one.
 *
 * A rule is for a part of the source: the name of a directory, or of a file
 * without its ".c".  The more exact one wins.  Which parts there are is known
 * from the section "veil_log_files", in which each file that includes log.h
 * leaves its name.
 *
 * A rule that has an end is not taken away by a timer, of which a keeper has
 * none: it is not seen any more, and whoever looks last notes that there are
 * none.
 *
 * Threads may log while the rules are set, so those are read from one of two
 * places and written to the other.
 */

#include "core/platform.h"

#include "core/log.h"
#include "core/time.h"

/* From the linker: the section has a name of C. */
extern const char *const __start_veil_log_files[];
extern const char *const __stop_veil_log_files[];

int veil_log_rules_max;

static veil_log_rules_t log_rules_places[2];
static veil_log_rules_t *log_rules = &log_rules_places[0];

static bool
log_rules_holds(const veil_log_rule_t *rule, uint64_t now)
{
    return rule->until_ms == 0 || now < rule->until_ms;
}

void
veil_log_set_rules(const veil_log_rules_t *rules)
{
    veil_log_rules_t *place = &log_rules_places[0];
    uint64_t now = veil_now_ms();
    int max = 0;
    unsigned i;

    if (log_rules == place) {
        place = &log_rules_places[1];
    }
    place->n = 0;
    for (i = 0; i < rules->n && i < VEIL_LOG_RULES; i++) {
        if (log_rules_holds(&rules->rules[i], now)) {
            place->rules[place->n++] = rules->rules[i];
            max = rules->rules[i].level > max ? rules->rules[i].level : max;
        }
    }
    __atomic_store_n(&log_rules, place, __ATOMIC_RELEASE);
    __atomic_store_n(&veil_log_rules_max, max, __ATOMIC_RELEASE);
}

void
veil_log_get_rules(veil_log_rules_t *rules)
{
    uint64_t now = veil_now_ms();
    unsigned i;

    rules->n = 0;
    for (i = 0; i < log_rules->n; i++) {
        if (log_rules_holds(&log_rules->rules[i], now)) {
            rules->rules[rules->n++] = log_rules->rules[i];
        }
    }
}

/* --- parts --------------------------------------------------------------- */

/* The file's path without what lies before "src/", and without ".c". */
static veil_str_t
log_rules_path(const char *file)
{
    veil_str_t path = veil_str_z(file);
    ptrdiff_t i = veil_str_find(path, VEIL_STR("src/"));

    if (i >= 0) {
        path = veil_str_from(path, (size_t) i + 4);
    }
    if (veil_str_ends(path, VEIL_STR(".c"))) {
        path.len -= 2;
    }
    return path;
}

/* How far into the file's path the part is named, from 1 on; 0: nowhere. */
static unsigned
log_rules_depth(const char *file, veil_str_t part)
{
    veil_str_t rest = log_rules_path(file);
    unsigned depth = 0;
    unsigned found = 0;

    while (rest.data != NULL) {
        depth++;
        if (veil_str_eq(veil_str_cut(&rest, '/'), part)) {
            found = depth;
        }
    }
    return found;
}

bool
veil_log_is_part(veil_str_t part)
{
    const char *const *file;

    for (file = __start_veil_log_files; file < __stop_veil_log_files; file++) {
        if (log_rules_depth(*file, part) != 0) {
            return true;
        }
    }
    return false;
}

int
veil_log_rule_level(const char *file)
{
    veil_log_rules_t *rules = __atomic_load_n(&log_rules, __ATOMIC_ACQUIRE);
    uint64_t now = veil_now_ms();
    const veil_log_rule_t *r;
    unsigned depth, best = 0;
    bool any = false;
    int level = -1;
    unsigned i;

    if (__atomic_load_n(&veil_log_rules_max, __ATOMIC_ACQUIRE) == 0) {
        return -1;
    }
    for (i = 0; i < rules->n; i++) {
        r = &rules->rules[i];
        if (!log_rules_holds(r, now)) {
            continue;
        }
        any = true;
        if (r->part[0] == '\0') {
            level = best == 0 ? r->level : level;
            continue;
        }
        depth = log_rules_depth(file, veil_str_z(r->part));
        if (depth > best) {
            best = depth;
            level = r->level;
        }
    }
    if (!any && rules == __atomic_load_n(&log_rules, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&veil_log_rules_max, 0, __ATOMIC_RELEASE);
    }
    return level;
}
