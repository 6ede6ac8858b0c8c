/*
 * command.c -- reading the command line of veilctl.
 *
 *     veilctl [options] VERB WORDS ... [options]
 *
 * A verb is as many words as make the longest name that a table has; "server
 * set" and "server.set" are the same.  What follows is read by the verb's
 * table: "name=value", "--name=value" and "--name value" for an argument,
 * "--name" for a flag, and a word without a name is the next argument that
 * has a position.  A name that the verb has not is one of the client's
 * options, so those may stand anywhere.
 *
 * Everything that the table can tell is checked here, so a mistake is told
 * before anything is sent, with the usage of the verb it is about.  The
 * server checks again: it trusts nobody.
 */

#include "core/platform.h"

#include "core/conf.h"
#include "core/pool.h"
#include "ctl/command.h"

/* Words of a verb's name. */
#define COMMAND_WORDS 3

const veil_ctl_option_t veil_ctl_options[] = {
    { 's', "socket", "PATH", "the server's control socket" },
    { 'c', "config", "FILE", "the configuration that names it" },
    { 'p', "prefix", "DIR", "where its relative paths begin" },
    { 'j', "json", NULL, "print the answer's data as JSON" },
    { 't', "timeout", "TIME", "give up after this time" },
    { 'w', "watch", "TIME", "ask again and again, so often" },
    { 'h', "help", NULL, "help, of a verb if one is given" },
    { 'V', "version", NULL, "print the version" },
    { 0, "man", NULL, "print the manual page" },
    { 0, "completion", "SHELL", "print the completion for a shell: bash" },
    { 0, NULL, NULL, NULL }
};

typedef struct {
    veil_ctl_command_t *c;
    char *const *argv;
    int i;
    bool plain; /* after "--": no options any more */
} command_reader_t;

/* --- mistakes -------------------------------------------------------------*/

static bool VEIL_PRINTF(2, 3)
    command_error(command_reader_t *r, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    (void) veil_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    veil_ctl_text_safe(&r->c->error, veil_str_z(line), false);
    veil_ctl_text_z(&r->c->error, "\n");
    if (r->c->verb != NULL) {
        veil_ctl_text_z(&r->c->error, "usage: ");
        veil_ctl_verb_usage(&r->c->error, r->c->verb);
    } else if (r->c->noun.len == 0) {
        veil_ctl_text_z(&r->c->error, "\"veilctl help\" lists the verbs\n");
    }
    return false;
}

static const veil_control_arg_t *
command_arg(const veil_control_verb_t *verb, veil_str_t name)
{
    const veil_control_arg_t *a;

    if (verb == NULL) {
        return NULL;
    }
    for (a = verb->args; a != NULL && a->name != NULL; a++) {
        if (veil_ctl_name_eq(name, veil_str_z(a->name))) {
            return a;
        }
    }
    return NULL;
}

static bool
command_unknown_name(command_reader_t *r, veil_str_t name)
{
    const veil_control_arg_t *a;
    const veil_ctl_option_t *o;
    char words[VEIL_CTL_WORDS], shown[VEIL_CTL_WORDS];
    const char *best = NULL;
    unsigned distance = 0;

    if (r->c->verb != NULL) {
        for (a = r->c->verb->args; a != NULL && a->name != NULL; a++) {
            veil_conf_nearest(name, a->name, &best, &distance);
        }
        a = best == NULL ? NULL : command_arg(r->c->verb, veil_str_z(best));
        best = a == NULL ? best : veil_ctl_arg_name(r->c->verb, a, shown);
    }
    for (o = veil_ctl_options; o->name != NULL; o++) {
        veil_conf_nearest(name, o->name, &best, &distance);
    }
    if (r->c->verb == NULL) {
        return command_error(
            r, "unknown option \"--%.*s\"%s%s%s", VEIL_STR_ARG(name),
            best == NULL ? "" : "; did you mean \"--",
            best == NULL ? "" : best, best == NULL ? "" : "\"?");
    }
    return command_error(r, "\"%s\" has no argument \"%.*s\"%s%s%s",
                         veil_ctl_verb_words(r->c->verb, words),
                         VEIL_STR_ARG(name),
                         best == NULL ? "" : "; did you mean \"",
                         best == NULL ? "" : best, best == NULL ? "" : "\"?");
}

/* --- values ---------------------------------------------------------------*/

static bool
command_msec(command_reader_t *r, const char *name, veil_str_t value,
             int64_t *ms)
{
    *ms = veil_str_to_msec(value);
    if (*ms <= 0) {
        *ms = -1;
        return command_error(
            r, "\"%s\" takes a time, as 30s or 500ms, not \"%.*s\"", name,
            VEIL_STR_ARG(value));
    }
    return true;
}

/* One of "a|b|c"? */
static bool
command_is_word(const char *words, veil_str_t value)
{
    veil_str_t rest = veil_str_z(words);

    while (rest.data != NULL) {
        if (veil_str_eq(veil_str_cut(&rest, '|'), value)) {
            return true;
        }
    }
    return false;
}

/* Of a file, from here: the server has another working directory. */
static json_t *
command_path(veil_str_t value)
{
    char dir[4096], path[8192];

    if (value.len == 0 || value.data[0] == '/'
        || getcwd(dir, sizeof(dir)) == NULL) {
        return json_stringn(value.data, value.len);
    }
    (void) veil_snprintf(path, sizeof(path), "%s%s%.*s", dir,
                         strcmp(dir, "/") == 0 ? "" : "/",
                         VEIL_STR_ARG(value));
    return json_string(path);
}

/* The same for an option of the client's. */
static const char *
command_own_path(veil_ctl_command_t *c, veil_str_t value)
{
    json_t *path = command_path(value);

    if (path == NULL) {
        return value.data; /* no UTF-8: as it is */
    }
    json_array_append_new(c->paths, path);
    return json_string_value(path);
}

static json_t *
command_flag(veil_str_t value)
{
    if (value.data == NULL || command_is_word("true|on|yes|1", value)) {
        return json_true();
    }
    return command_is_word("false|off|no|0", value) ? json_false() : NULL;
}

/* The value as the server wants it; NULL after complaining. */
static json_t *
command_value(command_reader_t *r, const veil_control_arg_t *a,
              veil_str_t value)
{
    const char *what = "text in UTF-8";
    char shown[VEIL_CTL_WORDS];
    json_t *v = NULL;
    int64_t n;

    switch (a->type) {
    case VEIL_CONTROL_STRING:
        v = (a->flags & VEIL_CONTROL_FILE) != 0
                ? command_path(value)
                : json_stringn(value.data, value.len);
        break;
    case VEIL_CONTROL_NUMBER:
        n = veil_str_to_int(value);
        v = n < 0 ? NULL : json_integer(n);
        what = "a whole number";
        break;
    case VEIL_CONTROL_FLAG:
        v = command_flag(value);
        what = "true or false";
        break;
    case VEIL_CONTROL_TIME:
        v = veil_str_to_msec(value) < 0 ? NULL
                                        : json_stringn(value.data, value.len);
        what = "a time, as 30s or \"1h 30m\"";
        break;
    case VEIL_CONTROL_WORD:
        v = command_is_word(a->words, value)
                ? json_stringn(value.data, value.len)
                : NULL;
        what = NULL;
        break;
    }
    if (v == NULL && what == NULL) {
        (void) command_error(r, "\"%s\" takes one of %s, not \"%.*s\"",
                             veil_ctl_arg_name(r->c->verb, a, shown), a->words,
                             VEIL_STR_ARG(value));
    } else if (v == NULL) {
        (void) command_error(r, "\"%s\" takes %s, not \"%.*s\"",
                             veil_ctl_arg_name(r->c->verb, a, shown), what,
                             VEIL_STR_ARG(value));
    }
    return v;
}

static bool
command_set(command_reader_t *r, const veil_control_arg_t *a, veil_str_t value)
{
    char shown[VEIL_CTL_WORDS];
    json_t *v;

    if (json_object_get(r->c->args, a->name) != NULL) {
        return command_error(r, "\"%s\" is given twice",
                             veil_ctl_arg_name(r->c->verb, a, shown));
    }
    v = command_value(r, a, value);
    if (v == NULL) {
        return false;
    }
    json_object_set_new(r->c->args, a->name, v);
    return true;
}

/* What stands behind "=", or the next word; data NULL: there is none. */
static veil_str_t
command_next_value(command_reader_t *r, veil_str_t name, veil_str_t behind)
{
    const char *next;

    if (behind.data != NULL) {
        return behind;
    }
    next = r->argv[r->i + 1];
    if (next == NULL || strncmp(next, "--", 2) == 0) {
        (void) command_error(r, "\"%.*s\" needs a value", VEIL_STR_ARG(name));
        return VEIL_STR_NULL;
    }
    r->i++;
    return veil_str_z(next);
}

/* --- options of the client ------------------------------------------------*/

static bool
command_apply(command_reader_t *r, const veil_ctl_option_t *o,
              veil_str_t value)
{
    veil_ctl_command_t *c = r->c;

    switch (o->letter) {
    case 's':
        c->socket = value.data;
        return true;
    case 'c':
        c->conf = command_own_path(c, value);
        return true;
    case 'p':
        c->prefix = command_own_path(c, value);
        return true;
    case 'j':
        c->json = true;
        return true;
    case 't':
        return command_msec(r, "--timeout", value, &c->timeout_ms);
    case 'w':
        return command_msec(r, "--watch", value, &c->watch_ms);
    case 'h':
        c->action = VEIL_CTL_HELP;
        return true;
    case 'V':
        c->action = VEIL_CTL_VERSION;
        return true;
    default:
        if (o->value == NULL) {
            c->action = VEIL_CTL_MAN;
            return true;
        }
        c->action = VEIL_CTL_COMPLETION;
        return veil_str_eq_z(value, "bash")
               || command_error(r,
                                "there is a completion for bash, none for "
                                "\"%.*s\"",
                                VEIL_STR_ARG(value));
    }
}

static bool
command_option(command_reader_t *r, const veil_ctl_option_t *o,
               veil_str_t name, veil_str_t behind)
{
    if (o->value == NULL) {
        if (behind.data != NULL) {
            return command_error(r, "\"--%s\" takes no value", o->name);
        }
        return command_apply(r, o, VEIL_STR_NULL);
    }
    behind = command_next_value(r, name, behind);
    return behind.data != NULL && command_apply(r, o, behind);
}

/* Of calls that change something: 1 it was one, 0 not, -1 it was wrong. */
static int
command_change_option(command_reader_t *r, veil_str_t name, veil_str_t behind)
{
    unsigned flags = r->c->verb->flags;
    char words[VEIL_CTL_WORDS];
    unsigned needs = VEIL_CONTROL_CHANGES;

    if (veil_ctl_name_eq(name, VEIL_STR("persist"))) {
        needs = VEIL_CONTROL_PERSISTS;
        r->c->persist = true;
    } else if (veil_ctl_name_eq(name, VEIL_STR("dry_run"))) {
        r->c->dry_run = true;
    } else if (!veil_ctl_name_eq(name, VEIL_STR("if_gen"))) {
        return 0;
    }
    if ((flags & needs) == 0) {
        (void) command_error(
            r, "\"%s\" takes no \"--%.*s\": %s",
            veil_ctl_verb_words(r->c->verb, words), VEIL_STR_ARG(name),
            needs == VEIL_CONTROL_CHANGES ? "it changes nothing"
                                          : "there is nothing to be kept");
        return -1;
    }
    if (!veil_ctl_name_eq(name, VEIL_STR("if_gen"))) {
        if (behind.data != NULL) {
            (void) command_error(r, "\"--%.*s\" takes no value",
                                 VEIL_STR_ARG(name));
            return -1;
        }
        return 1;
    }
    behind = command_next_value(r, VEIL_STR("--if-gen"), behind);
    r->c->if_gen = behind.data == NULL ? -1 : veil_str_to_int(behind);
    if (behind.data != NULL && r->c->if_gen < 0) {
        (void) command_error(r,
                             "\"--if-gen\" takes a generation's number, "
                             "not \"%.*s\"",
                             VEIL_STR_ARG(behind));
    }
    return r->c->if_gen < 0 ? -1 : 1;
}

/* --- words ----------------------------------------------------------------*/

static bool
command_long(command_reader_t *r)
{
    veil_str_t rest = veil_str_z(r->argv[r->i] + 2);
    veil_str_t name = veil_str_cut(&rest, '=');
    const veil_control_arg_t *a = command_arg(r->c->verb, name);
    const veil_ctl_option_t *o;
    int rc;

    if (a != NULL) {
        if (a->type != VEIL_CONTROL_FLAG) {
            rest = command_next_value(r, name, rest);
            return rest.data != NULL && command_set(r, a, rest);
        }
        return command_set(r, a, rest);
    }
    if (r->c->verb != NULL) {
        rc = command_change_option(r, name, rest);
        if (rc != 0) {
            return rc > 0;
        }
    }
    for (o = veil_ctl_options; o->name != NULL; o++) {
        if (veil_ctl_name_eq(name, veil_str_z(o->name))) {
            return command_option(r, o, name, rest);
        }
    }
    return command_unknown_name(r, name);
}

/* "-j", "-s PATH", "-sPATH"; "-n 5" where the verb has an argument "n". */
static bool
command_short(command_reader_t *r)
{
    const char *p = r->argv[r->i] + 1;
    const veil_control_arg_t *a = command_arg(r->c->verb, veil_str_n(p, 1));
    const veil_ctl_option_t *o;
    veil_str_t behind = p[1] == '\0' ? VEIL_STR_NULL : veil_str_z(p + 1);
    char name[3] = { '-', *p, '\0' };

    if (a != NULL && a->type != VEIL_CONTROL_FLAG) {
        behind = command_next_value(r, veil_str_z(name), behind);
        return behind.data != NULL && command_set(r, a, behind);
    }
    for (o = veil_ctl_options; o->name != NULL; o++) {
        if (o->letter == *p && o->letter != 0) {
            return command_option(r, o, veil_str_z(name), behind);
        }
    }
    return command_error(r, "unknown option \"%s\"", name);
}

/* The first argument with a position that has no value yet. */
static const veil_control_arg_t *
command_position(const veil_ctl_command_t *c)
{
    const veil_control_arg_t *a;

    for (a = c->verb->args; a != NULL && a->name != NULL; a++) {
        if ((a->flags & VEIL_CONTROL_POSITION) != 0
            && json_object_get(c->args, a->name) == NULL)
        {
            return a;
        }
    }
    return NULL;
}

/* Whether it is near to an argument's name, and so a slip. */
static bool
command_is_slip(const veil_control_verb_t *verb, veil_str_t name)
{
    const veil_control_arg_t *a;
    const char *best = NULL;
    unsigned distance = 0;

    for (a = verb->args; a != NULL && a->name != NULL; a++) {
        veil_conf_nearest(name, a->name, &best, &distance);
    }
    return best != NULL;
}

static bool
command_word(command_reader_t *r)
{
    veil_str_t word = veil_str_z(r->argv[r->i]);
    veil_str_t rest = word;
    veil_str_t name = veil_str_cut(&rest, '=');
    const veil_control_arg_t *a = NULL;
    char words[VEIL_CTL_WORDS];

    if (rest.data != NULL && !r->plain) {
        a = command_arg(r->c->verb, name);
        if (a != NULL) {
            return command_set(r, a, rest);
        }
    }
    a = command_position(r->c);
    if (a != NULL
        && (rest.data == NULL || r->plain
            || !command_is_slip(r->c->verb, name)))
    {
        return command_set(r, a, word);
    }
    if (rest.data != NULL && !r->plain) {
        return command_unknown_name(r, name);
    }
    return command_error(r, "\"%s\" takes no \"%.*s\"",
                         veil_ctl_verb_words(r->c->verb, words),
                         VEIL_STR_ARG(word));
}

/* --- the verb -------------------------------------------------------------*/

/* The longest verb that the next words make; 0: none.  *n: how many. */
static const veil_control_verb_t *
command_find_verb(char *const *words, int *n)
{
    const veil_control_verb_t *v, *found = NULL;
    char name[VEIL_CTL_WORDS];
    size_t len = 0;
    int i;

    for (i = 0; i < COMMAND_WORDS && words[i] != NULL; i++) {
        len += veil_snprintf(name + len, sizeof(name) - len, "%s%s",
                             i == 0 ? "" : ".", words[i]);
        v = veil_ctl_verb_find(veil_str_n(name, len));
        if (v != NULL) {
            found = v;
            *n = i + 1;
        }
    }
    return found;
}

/* Verbs of a noun without one of its verbs. */
static bool
command_noun(command_reader_t *r, const char *noun, const char *next)
{
    const veil_control_verb_t *v;
    char words[VEIL_CTL_WORDS];
    const char *best = NULL;
    unsigned distance = 0, i;
    veil_str_t rest;

    r->c->noun = veil_str_z(noun);
    if (next == NULL || next[0] == '-') {
        (void) command_error(r, "\"%s\" needs one of its verbs:", noun);
        return veil_ctl_verb_list(&r->c->error, r->c->noun) && false;
    }
    for (i = 0; (v = veil_ctl_verb_at(i)) != NULL; i++) {
        rest = veil_str_z(v->name);
        if (veil_ctl_name_eq(veil_str_cut(&rest, '.'), r->c->noun)
            && rest.data != NULL)
        {
            veil_conf_nearest(veil_str_z(next), rest.data, &best, &distance);
        }
    }
    (void) veil_snprintf(words, sizeof(words), "%s %s", noun,
                         best == NULL ? "" : best);
    (void) command_error(r, "\"%s\" has no verb \"%s\"%s%s%s", noun, next,
                         best == NULL ? "; it has:" : "; did you mean \"",
                         best == NULL ? "" : words, best == NULL ? "" : "\"?");
    return veil_ctl_verb_list(&r->c->error, r->c->noun) && false;
}

static bool
command_is_noun(const char *word)
{
    const veil_control_verb_t *v;
    veil_str_t rest;
    unsigned i;

    for (i = 0; (v = veil_ctl_verb_at(i)) != NULL; i++) {
        rest = veil_str_z(v->name);
        if (veil_ctl_name_eq(veil_str_cut(&rest, '.'), veil_str_z(word))) {
            return true;
        }
    }
    return false;
}

/*
 * The verb that is nearest to what was typed: to both words, or to the first
 * if that is a verb or a noun; *noun says which.
 */
static const veil_control_verb_t *
command_nearest_verb(const char *word, const char *next, bool *noun)
{
    const veil_control_verb_t *v, *found = NULL;
    char typed[VEIL_CTL_WORDS], name[VEIL_CTL_WORDS];
    const char *best = NULL;
    unsigned distance = 0, i;

    *noun = false;
    (void) veil_snprintf(typed, sizeof(typed), "%s.%s", word,
                         next == NULL ? "" : next);
    for (i = 0; next != NULL && (v = veil_ctl_verb_at(i)) != NULL; i++) {
        veil_conf_nearest(veil_str_z(typed), v->name, &best, &distance);
    }
    if (best != NULL) {
        return veil_ctl_verb_find(veil_str_z(best));
    }
    for (i = 0; (v = veil_ctl_verb_at(i)) != NULL; i++) {
        (void) veil_str_copy_z(name, sizeof(name),
                               veil_str_n(v->name, strcspn(v->name, ".")));
        best = found == NULL ? NULL : "";
        veil_conf_nearest(veil_str_z(word), name, &best, &distance);
        /* Of a short word half of the letters is no likeness. */
        if (best == name && 2 * distance < strlen(word)) {
            found = v;
            *noun = strchr(v->name, '.') != NULL;
        }
    }
    return found;
}

/* Nothing of this name: the nearest verb, with its usage. */
static bool
command_unknown_verb(command_reader_t *r, const char *word, const char *next)
{
    char words[VEIL_CTL_WORDS];
    const veil_control_verb_t *v;
    bool noun, both;

    v = command_nearest_verb(word, next, &noun);
    if (v == NULL) {
        return command_error(r, "there is no verb \"%s\"", word);
    }
    if (noun) {
        return command_error(
            r, "there is no verb \"%s\"; did you mean \"%.*s ...\"?", word,
            (int) strcspn(v->name, "."), v->name);
    }
    both = strchr(v->name, '.') != NULL;
    r->c->verb = v; /* for the usage */
    return command_error(
        r, "there is no verb \"%s%s%s\"; did you mean \"%s\"?", word,
        both ? " " : "", both ? next : "", veil_ctl_verb_words(v, words));
}

static bool
command_verb(command_reader_t *r)
{
    char *const *words = r->argv + r->i;
    int n = 0;

    r->c->verb = command_find_verb(words, &n);
    if (r->c->verb == NULL) {
        return command_is_noun(words[0])
                   ? command_noun(r, words[0], words[1])
                   : command_unknown_verb(r, words[0], words[1]);
    }
    r->i += n - 1;
    return true;
}

/* "help", "help server", "help server set". */
static bool
command_help(command_reader_t *r)
{
    char *const *words = r->argv + r->i + 1;
    int n = 0;

    r->c->action = VEIL_CTL_HELP;
    r->c->verb = NULL;
    if (words[0] == NULL) {
        return true;
    }
    r->c->verb = command_find_verb(words, &n);
    if (r->c->verb != NULL && words[n] == NULL) {
        return true;
    }
    if (command_is_noun(words[0]) && words[1] == NULL) {
        r->c->noun = veil_str_z(words[0]);
        return true;
    }
    r->c->verb = NULL;
    return command_is_noun(words[0])
               ? command_noun(r, words[0], words[1])
               : command_unknown_verb(r, words[0], words[1]);
}

/* --- the whole ------------------------------------------------------------*/

static bool
command_complete(command_reader_t *r)
{
    veil_ctl_command_t *c = r->c;
    const veil_control_arg_t *a;
    char buf[VEIL_CTL_WORDS], words[VEIL_CTL_WORDS];

    if (c->action != VEIL_CTL_CALL) {
        return true;
    }
    if (c->verb == NULL) {
        return command_error(r, "what shall be done?");
    }
    (void) veil_ctl_verb_words(c->verb, words);
    for (a = c->verb->args; a != NULL && a->name != NULL; a++) {
        if ((a->flags & VEIL_CONTROL_REQUIRED) != 0
            && json_object_get(c->args, a->name) == NULL)
        {
            return command_error(r, "\"%s\" needs %s: %s", words,
                                 (a->flags & VEIL_CONTROL_POSITION) != 0
                                     ? veil_ctl_arg_value(a, buf, sizeof(buf))
                                     : veil_ctl_arg_name(c->verb, a, buf),
                                 a->help);
        }
    }
    if (c->watch_ms >= 0
        && (c->verb->role != VEIL_CONTROL_READ
            || (c->verb->flags & VEIL_CONTROL_STREAMS) != 0))
    {
        return command_error(r, "\"%s\" cannot be watched: %s", words,
                             c->verb->role != VEIL_CONTROL_READ
                                 ? "it is no question"
                                 : "it goes on by itself");
    }
    return true;
}

static bool
command_next(command_reader_t *r)
{
    const char *word = r->argv[r->i];

    if (!r->plain && strcmp(word, "--") == 0) {
        r->plain = true;
        return true;
    }
    if (!r->plain && word[0] == '-' && word[1] != '\0') {
        return word[1] == '-' ? command_long(r) : command_short(r);
    }
    if (r->c->verb == NULL) {
        return command_verb(r);
    }
    return command_word(r);
}

bool
veil_ctl_command_parse(veil_ctl_command_t *c, char *const *argv)
{
    command_reader_t r = { .c = c, .argv = argv };

    memset(c, 0, sizeof(*c));
    c->timeout_ms = -1;
    c->watch_ms = -1;
    c->if_gen = -1;
    c->args = json_object();
    c->paths = json_array();
    for (r.i = 1; argv[r.i] != NULL; r.i++) {
        if (!command_next(&r)) {
            return false;
        }
        if (c->verb != NULL && strcmp(c->verb->name, "help") == 0) {
            return command_help(&r);
        }
    }
    return command_complete(&r);
}

void
veil_ctl_command_done(veil_ctl_command_t *c)
{
    json_decref(c->args);
    c->args = NULL;
    json_decref(c->paths);
    c->paths = NULL;
    veil_ctl_text_done(&c->error);
}
