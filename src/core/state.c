/*
 * state.c -- the state of the run time in a file.
 *
 * A file is written whole and takes the place of another only if that is a
 * saved state as well: a path that was mistyped costs no configuration.
 * Nothing of what is read is believed before the checksum is right and all
 * parts have said that they can be loaded.
 */

#include "core/platform.h"

#include <sys/stat.h>

#include <fcntl.h>

#include "core/file_replace.h"
#include "core/sha256.h"
#include "core/state.h"
#include "core/time.h"
#include "core/version.h"

#define STATE_VERSION 1
#define STATE_FILE_MAX (16 * 1024 * 1024)

extern veil_module_t veil_core_state_module;

static veil_state_part_t *state_parts;

void
veil_state_add(veil_state_part_t *part)
{
    part->next = state_parts;
    state_parts = part;
}

static void
state_sum(const json_t *state, char hex[2 * VEIL_SHA256_SIZE + 1])
{
    char *text = json_dumps(state, JSON_COMPACT | JSON_SORT_KEYS);

    veil_sha256_hex(hex, text, strlen(text));
    veil_free(text);
}

/* {"servers": 3} */
static json_t *
state_counts(const json_t *state)
{
    json_t *counts = json_object();
    const veil_state_part_t *p;

    for (p = state_parts; p != NULL; p = p->next) {
        json_object_set_new(counts, p->name,
                            json_integer((json_int_t) json_array_size(
                                json_object_get(state, p->name))));
    }
    return counts;
}

/* --- reading -------------------------------------------------------------
 */

/* The bytes of a file, with a zero behind them; NULL after writing why. */
static char *
state_read(const char *path, size_t *n, char *why, size_t size, int *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    char *text;
    ssize_t got;

    *err = fd < 0 ? errno : 0;
    if (fd < 0) {
        (void) veil_snprintf(why, size, "\"%s\" cannot be opened: %s", path,
                             strerror(*err));
        return NULL;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)
        || st.st_size > STATE_FILE_MAX) {
        close(fd);
        (void) veil_snprintf(why, size, "\"%s\" is no file of a saved state",
                             path);
        return NULL;
    }
    text = veil_zalloc((size_t) st.st_size + 1);
    for (*n = 0; *n < (size_t) st.st_size; *n += (size_t) got) {
        got = read(fd, text + *n, (size_t) st.st_size - *n);
        if (got <= 0) {
            break; /* it became shorter: its checksum will tell */
        }
    }
    close(fd);
    return text;
}

/* A saved state, a new reference; NULL: it is none. */
static json_t *
state_parse(const char *text, size_t n)
{
    json_t *file = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_integer(json_object_get(file, "veil_state"))
        && json_is_object(json_object_get(file, "state"))
        && json_is_string(json_object_get(file, "sha256")))
    {
        return file;
    }
    json_decref(file);
    return NULL;
}

static bool
state_is_whole(veil_control_call_t *call, const char *path, const json_t *file)
{
    char hex[2 * VEIL_SHA256_SIZE + 1];
    json_int_t version =
        json_integer_value(json_object_get(file, "veil_state"));

    if (version != STATE_VERSION) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "\"%s\" is of version %lld, this is %d", path,
                                 (long long) version, STATE_VERSION);
        return false;
    }
    state_sum(json_object_get(file, "state"), hex);
    if (strcmp(hex, json_string_value(json_object_get(file, "sha256"))) != 0) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "\"%s\" was changed since it was saved: its "
                                 "checksum is another",
                                 path);
        return false;
    }
    return true;
}

static const veil_state_part_t *
state_part(const char *name)
{
    const veil_state_part_t *p;

    for (p = state_parts; p != NULL; p = p->next) {
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

static bool
state_has_known_parts(veil_control_call_t *call, const json_t *state)
{
    const char *name;
    const json_t *v;
    void *it;

    for (it = json_object_iter(json_object_get(state, "state")); it != NULL;
         it = json_object_iter_next(json_object_get(state, "state"), it))
    {
        name = json_object_iter_key(it);
        v = json_object_iter_value(it);
        if (state_part(name) == NULL || !json_is_array(v)) {
            (void) veil_control_fail(call, VEIL_E_INVALID,
                                     "the part \"%s\" of the saved state is "
                                     "not known here",
                                     name);
            return false;
        }
    }
    return true;
}

/* The file that the call names, whole; NULL after failing the call. */
static json_t *
state_open(veil_control_call_t *call)
{
    const char *path = veil_control_text(call, "file");
    char why[512], *text;
    json_t *file;
    size_t n = 0;
    int err;

    text = state_read(path, &n, why, sizeof(why), &err);
    if (text == NULL) {
        (void) veil_control_fail(call, err != 0 ? VEIL_E_IO : VEIL_E_INVALID,
                                 "%s", why);
        return NULL;
    }
    file = state_parse(text, n);
    veil_free(text);
    if (file == NULL) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "\"%s\" is no saved state", path);
        return NULL;
    }
    if (!state_is_whole(call, path, file)
        || !state_has_known_parts(call, file)) {
        json_decref(file);
        return NULL;
    }
    return file;
}

static bool
state_check(veil_control_call_t *call, const json_t *file, json_t *changes)
{
    const veil_state_part_t *p;
    json_t *none = json_array(), *saved;
    bool ok = true;

    for (p = state_parts; ok && p != NULL; p = p->next) {
        saved = json_object_get(json_object_get(file, "state"), p->name);
        ok = p->check(call, saved != NULL ? saved : none, changes);
    }
    json_decref(none);
    return ok;
}

static void
state_forget(void)
{
    const veil_state_part_t *p;

    for (p = state_parts; p != NULL; p = p->next) {
        p->forget();
    }
}

/* All that was checked; what workers have to load of it, by part. */
static json_t *
state_load_parts(void)
{
    json_t *parts = json_object(), *part;
    const veil_state_part_t *p;

    for (p = state_parts; p != NULL; p = p->next) {
        part = p->load();
        if (part != NULL) {
            json_object_set_new(parts, p->name, part);
        }
    }
    return parts;
}

static veil_control_rc_t
state_load_or_diff(veil_control_call_t *call, bool load)
{
    json_t *file = state_open(call), *changes = json_array(), *parts;

    if (file == NULL || !state_check(call, file, changes)) {
        state_forget();
        json_decref(changes);
        json_decref(file);
        return VEIL_CONTROL_FAILED;
    }
    call->data = json_pack(
        "{s:O, s:o, s:o}", "sha256", json_object_get(file, "sha256"), "counts",
        state_counts(json_object_get(file, "state")), "changes", changes);
    json_decref(file);
    call->is_volatile = load;
    if (!load || call->dry_run) {
        state_forget();
        return VEIL_CONTROL_DONE;
    }
    parts = state_load_parts();
    state_forget();
    if (json_object_size(parts) == 0) {
        json_decref(parts);
        return VEIL_CONTROL_DONE;
    }
    return veil_control_forward(
        call, json_pack("{s:O, s:o}", "answer", call->data, "parts", parts));
}

static veil_control_rc_t
state_load_worker(veil_control_call_t *call)
{
    const json_t *parts = json_object_get(call->args, "parts");
    const veil_state_part_t *p;
    const json_t *part;

    for (p = state_parts; p != NULL; p = p->next) {
        part = json_object_get(parts, p->name);
        if (part != NULL && !p->load_worker(call, part)) {
            return VEIL_CONTROL_FAILED;
        }
    }
    call->data = json_incref(json_object_get(call->args, "answer"));
    call->is_volatile = true;
    return VEIL_CONTROL_DONE;
}

static veil_control_rc_t
state_load(veil_control_call_t *call)
{
    return state_load_or_diff(call, true);
}

/* "app/10.0.0.1:80.weight": what each change is about, and of it what. */
static void
state_flatten(json_t *to, const char *subject, const json_t *values)
{
    char name[256];
    const char *field;
    json_t *v;

    json_object_foreach((json_t *) (uintptr_t) values, field, v)
    {
        (void) veil_snprintf(name, sizeof(name), "%s.%s", subject, field);
        json_object_set(to, name, v);
    }
}

/* For the audit record.  A change is {"server": NAME, "before", "after"}. */
static json_t *
state_changed(const json_t *args VEIL_UNUSED, const json_t *data)
{
    json_t *before = json_object(), *after = json_object();
    const char *subject, *name;
    json_t *change, *v;
    size_t i;

    json_array_foreach(json_object_get(data, "changes"), i, change)
    {
        subject = "?";
        json_object_foreach(change, name, v)
        {
            if (json_is_string(v)) {
                subject = json_string_value(v);
                break;
            }
        }
        state_flatten(before, subject, json_object_get(change, "before"));
        state_flatten(after, subject, json_object_get(change, "after"));
    }
    return json_pack("{s:o, s:o}", "before", before, "after", after);
}

static veil_control_rc_t
state_diff(veil_control_call_t *call)
{
    return state_load_or_diff(call, false);
}

/* --- writing -------------------------------------------------------------
 */

/* Whether the path is free, or has a saved state. */
static bool
state_may_replace(veil_control_call_t *call, const char *path)
{
    char why[512], *text;
    json_t *file = NULL;
    size_t n = 0;
    int err;

    text = state_read(path, &n, why, sizeof(why), &err);
    if (text == NULL && err == ENOENT) {
        return true;
    }
    if (text != NULL) {
        file = state_parse(text, n);
        veil_free(text);
    }
    if (file == NULL) {
        (void) veil_control_fail(call, VEIL_E_CONFLICT,
                                 "\"%s\" is there, and no saved state: it is "
                                 "not written over",
                                 path);
        return false;
    }
    json_decref(file);
    return true;
}

bool
veil_state_in_force(const veil_overlay_line_t *line)
{
    veil_state_force_t force = VEIL_STATE_NOT_MINE;
    const veil_state_part_t *p;

    for (p = state_parts; force == VEIL_STATE_NOT_MINE && p != NULL;
         p = p->next) {
        force = p->in_force(line);
    }
    return force != VEIL_STATE_NOT_IN_FORCE;
}

/* Levels are of this run, and often of a few minutes. */
static void
state_log_levels(json_t *left_out)
{
    veil_log_rules_t rules;
    const veil_log_rule_t *r;
    unsigned i;

    veil_log_get_rules(&rules);
    for (i = 0; i < rules.n; i++) {
        r = &rules.rules[i];
        json_array_append_new(
            left_out,
            json_pack("{s:o, s:s, s:s}", "part",
                      r->part[0] == '\0' ? json_null() : json_string(r->part),
                      "level",
                      veil_log_level_name((veil_log_level_t) r->level),
                      "reason", "the levels of logs are not saved"));
    }
}

json_t *
veil_state_now(json_t *left_out)
{
    json_t *state = json_object();
    const veil_state_part_t *p;

    for (p = state_parts; p != NULL; p = p->next) {
        json_object_set_new(state, p->name, p->save(left_out));
    }
    state_log_levels(left_out);
    return state;
}

static veil_control_rc_t
state_save(veil_control_call_t *call)
{
    const char *path = veil_control_text(call, "file");
    char hex[2 * VEIL_SHA256_SIZE + 1], *text;
    json_t *state, *file, *left_out;
    int rc = 0;

    if (path[0] != '/') {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"%s\" is no absolute path", path);
    }
    if (!state_may_replace(call, path)) {
        return VEIL_CONTROL_FAILED;
    }
    left_out = json_array();
    state = veil_state_now(left_out);
    state_sum(state, hex);
    call->data =
        json_pack("{s:s, s:s, s:o, s:o}", "file", path, "sha256", hex,
                  "counts", state_counts(state), "left_out", left_out);
    file =
        json_pack("{s:i, s:s, s:I, s:s, s:o}", "veil_state", STATE_VERSION,
                  "by", "veil/" VEIL_VERSION, "saved",
                  (json_int_t) veil_clock.sec, "sha256", hex, "state", state);
    text = json_dumps(file, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (!call->dry_run) {
        rc = veil_file_replace(path, text, strlen(text));
    }
    veil_free(text);
    json_decref(file);
    if (rc < 0) {
        return veil_control_fail(call, VEIL_E_IO,
                                 "\"%s\" cannot be written: %s", path,
                                 strerror(-rc));
    }
    return VEIL_CONTROL_DONE;
}

/* --- tables --------------------------------------------------------------
 */

static const veil_control_arg_t state_args[] = {
    { "file", VEIL_CONTROL_STRING,
      VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION | VEIL_CONTROL_FILE, NULL,
      "the file" },
    { .name = NULL },
};

static const veil_control_verb_t state_verbs[] = {
    { .name = "state.save",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = VEIL_CONTROL_CHANGES,
      .args = state_args,
      .run = state_save,
      .help = "Saves what was changed at run time in a file." },

    { .name = "state.load",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = VEIL_CONTROL_CHANGES,
      .args = state_args,
      .run = state_load,
      .worker = state_load_worker,
      .gather = veil_control_gather_first,
      .changed = state_changed,
      .help = "Makes what was changed at run time that of a file." },

    { .name = "state.diff",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .args = state_args,
      .run = state_diff,
      .help = "Tells what loading a file would change." },

    { .name = NULL },
};

static const veil_core_module_t state_core = {
    .conf = { .size = 0 },
};

veil_module_t veil_core_state_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "state",
    .core = &state_core,
    .control = state_verbs,
};
