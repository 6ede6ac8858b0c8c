/*
 * log_verbs.c -- the verbs about error logs: log.level and log.reopen.
 *
 * A level is a rule (core/log.h) of the master, which sends all of them to
 * all keepers; those pass them on.  Who is forked later, by a reload or in
 * the place of a worker that died, has its parent's.  An end needs no timer:
 * it is a time of the clock that all processes share.
 *
 * The journal has the rules for the master of an upgrade, or of a way back.
 *
 * Files are opened by master and keepers; workers get descriptors.  A call
 * that goes to the workers behind those comes to them after them, so what
 * they answer is how it went.
 */

#include "core/platform.h"

#include "core/time.h"
#include "process/control/audit_module.h"
#include "process/control/journal.h"
#include "process/master_state.h"

/* --- log.level ----------------------------------------------------------- */

/* "[part=]level", "[part=]default". */
typedef struct {
    char part[VEIL_LOG_PART];
    int level; /* -1: as configured */
} log_wish_t;

static bool
log_parse_wish(veil_control_call_t *call, log_wish_t *w)
{
    veil_str_t rest = veil_str_z(veil_control_text(call, "level"));
    veil_str_t part = VEIL_STR("");
    veil_str_t word = veil_str_cut(&rest, '=');

    if (rest.data != NULL) {
        part = word;
        word = rest;
        if (part.len >= sizeof(w->part) || !veil_log_is_part(part)) {
            (void) veil_control_fail(call, VEIL_E_NOT_FOUND,
                                     "nothing in the source is called "
                                     "\"%.*s\"",
                                     VEIL_STR_ARG(part));
            veil_control_hint(call, "names are those of directories and "
                                    "files: proxy, upstream, event, http ...");
            return false;
        }
    }
    (void) veil_str_copy_z(w->part, sizeof(w->part), part);
    w->level = -1;
    if (veil_str_eq(word, VEIL_STR("default"))) {
        return true;
    }
    w->level = veil_log_level_parse(word);
    if (w->level < 0) {
        (void) veil_control_fail(
            call, VEIL_E_ARGUMENT,
            "\"%.*s\" is no level: emerg, alert, crit, error, warn, notice, "
            "info, debug, trace or default",
            VEIL_STR_ARG(word));
        return false;
    }
    return true;
}

static veil_log_rule_t *
log_find_rule(veil_log_rules_t *rules, const char *part)
{
    unsigned i;

    for (i = 0; i < rules->n; i++) {
        if (strcmp(rules->rules[i].part, part) == 0) {
            return &rules->rules[i];
        }
    }
    return NULL;
}

/* The level that holds; of all of it without a rule, the log's own. */
static const char *
log_level_of(const veil_log_rule_t *rule, const char *part)
{
    if (rule != NULL) {
        return veil_log_level_name((veil_log_level_t) rule->level);
    }
    return part[0] == '\0' ? veil_log_level_name(veil_master.log.level)
                           : "default";
}

static void
log_use(const veil_log_rules_t *rules)
{
    veil_generation_t *g;
    veil_list_t *n;

    veil_log_set_rules(rules);
    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        veil_generation_send(g, VEIL_MSG_RULES, rules, sizeof(*rules),
                             &veil_master.log);
    }
}

static void
log_tell_all(const veil_log_rules_t *rules)
{
    veil_journal_keep_rules(rules);
    log_use(rules);
}

void
veil_log_rules_again(void)
{
    veil_log_rules_t rules;

    veil_journal_rules(&rules);
    log_use(&rules);
}

static json_t *
log_rules_json(const veil_log_rules_t *rules)
{
    json_t *list = json_array();
    const veil_log_rule_t *r;
    unsigned i;

    for (i = 0; i < rules->n; i++) {
        r = &rules->rules[i];
        json_array_append_new(
            list,
            json_pack("{s:o, s:s, s:o}", "part",
                      r->part[0] == '\0' ? json_null() : json_string(r->part),
                      "level",
                      veil_log_level_name((veil_log_level_t) r->level),
                      "left_ms",
                      r->until_ms == 0
                          ? json_null()
                          : json_integer(
                              (json_int_t) (r->until_ms - veil_now_ms()))));
    }
    return list;
}

static void
log_drop_rule(veil_log_rules_t *rules, veil_log_rule_t *rule)
{
    if (rule != NULL) {
        *rule = rules->rules[--rules->n];
    }
}

/* False: there are too many. */
static bool
log_apply(veil_log_rules_t *rules, const log_wish_t *w, uint64_t until_ms)
{
    veil_log_rule_t *rule = log_find_rule(rules, w->part);

    if (w->level < 0 && w->part[0] == '\0') {
        rules->n = 0; /* all of them */
        return true;
    }
    if (w->level < 0) {
        log_drop_rule(rules, rule);
        return true;
    }
    if (rule == NULL) {
        if (rules->n == VEIL_LOG_RULES) {
            return false;
        }
        rule = &rules->rules[rules->n++];
        memset(rule, 0, sizeof(*rule));
        memcpy(rule->part, w->part, sizeof(rule->part));
    }
    rule->level = w->level;
    rule->until_ms = until_ms;
    return true;
}

veil_control_rc_t
veil_log_verb_level(veil_control_call_t *call)
{
    int64_t time = veil_control_number(call, "for", 0);
    veil_log_rules_t rules;
    const char *before;
    log_wish_t w;

    veil_log_get_rules(&rules);
    if (!veil_control_has(call, "level")) {
        call->data = json_pack("{s:s, s:o}", "level",
                               log_level_of(log_find_rule(&rules, ""), ""),
                               "rules", log_rules_json(&rules));
        return VEIL_CONTROL_DONE;
    }
    if (!log_parse_wish(call, &w)) {
        return VEIL_CONTROL_FAILED;
    }
    before = log_level_of(log_find_rule(&rules, w.part), w.part);
    if (!log_apply(&rules, &w,
                   time == 0 ? 0 : veil_now_ms() + (uint64_t) time)) {
        return veil_control_fail(call, VEIL_E_CONFLICT,
                                 "there are %d rules already", VEIL_LOG_RULES);
    }
    if (!call->dry_run) {
        log_tell_all(&rules);
    }
    call->is_volatile = w.level >= 0; /* rules end with the server */
    call->data =
        json_pack("{s:o, s:{s:s}, s:{s:s}, s:o, s:o}", "part",
                  w.part[0] == '\0' ? json_null() : json_string(w.part),
                  "before", "level", before, "after", "level",
                  log_level_of(log_find_rule(&rules, w.part), w.part),
                  "for_ms", time == 0 ? json_null() : json_integer(time),
                  "rules", log_rules_json(&rules));
    return VEIL_CONTROL_DONE;
}

/* --- log.reopen ---------------------------------------------------------- */

static unsigned log_reopened;                /* in a worker */
static veil_master_reopened_t log_of_master; /* in the master */

void
veil_log_reopened(unsigned n)
{
    log_reopened += n;
}

void
veil_log_reopen_before(const json_t *args VEIL_UNUSED, bool dry_run)
{
    memset(&log_of_master, 0, sizeof(log_of_master));
    if (!dry_run) {
        veil_master_reopen_logs(&log_of_master);
    }
}

/* In a worker: what it was given since it was last asked. */
veil_control_rc_t
veil_log_verb_reopen(veil_control_call_t *call)
{
    const veil_log_file_t *file;
    unsigned files = 0;
    unsigned got = log_reopened;
    veil_list_t *n;

    log_reopened = 0;
    veil_list_foreach (n, &veil_cycle->log_files) {
        file = veil_list_entry(n, veil_log_file_t, link);
        files += file->path.len != 0 && file->fd >= 0;
    }
    if (!call->dry_run && got < files) {
        return veil_control_fail(call, VEIL_E_IO,
                                 "%u of %u logs could not be opened anew",
                                 files - got, files);
    }
    call->data = json_pack("{s:i}", "files", (int) files);
    return VEIL_CONTROL_DONE;
}

json_t *
veil_log_reopen_gather(const json_t *args VEIL_UNUSED, const json_t *answers)
{
    return json_pack("{s:{s:i, s:i, s:i}, s:o}", "master", "files",
                     (int) log_of_master.files, "failed",
                     (int) log_of_master.failed, "pid", (int) getpid(),
                     "workers", json_deep_copy(answers));
}
