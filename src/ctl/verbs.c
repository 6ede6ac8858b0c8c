/*
 * verbs.c -- the verbs of veilctl, and their help.
 *
 * The library that veilctl is linked with has the same tables of modules as
 * the server, so the command line, the help, the completion and the man page
 * are made from what the server checks by.  A verb of the client's own hides
 * one of the same name.
 *
 * All are kept sorted by name, so that verbs of one noun stand together.
 */

#include "core/platform.h"

#include "ctl/hint.h"

#define VERBS_MAX 256
/* Of the help. */
#define VERBS_COLUMNS 79
/* Of the words of an argument in a usage; more stand in its help. */
#define VERBS_WORDS 32

static struct {
    const veil_control_verb_t *verb[VERBS_MAX];
    unsigned n;
} verbs;

static int
verbs_compare(const void *a, const void *b)
{
    const veil_control_verb_t *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static void
verbs_add(const veil_control_verb_t *v)
{
    unsigned i;

    for (i = 0; i < verbs.n; i++) {
        if (strcmp(verbs.verb[i]->name, v->name) == 0) {
            return;
        }
    }
    VEIL_ASSERT(verbs.n < VERBS_MAX);
    verbs.verb[verbs.n++] = v;
}

const veil_control_verb_t *
veil_ctl_verb_at(unsigned i)
{
    const veil_control_verb_t *v;
    unsigned k;

    if (verbs.n == 0) {
        for (v = veil_ctl_local_verbs; v->name != NULL; v++) {
            verbs_add(v);
        }
        for (k = 0; (v = veil_control_verb_at(k)) != NULL; k++) {
            verbs_add(v);
        }
        qsort(verbs.verb, verbs.n, sizeof(verbs.verb[0]), verbs_compare);
    }
    return i < verbs.n ? verbs.verb[i] : NULL;
}

bool
veil_ctl_verb_is_local(const veil_control_verb_t *verb)
{
    return verb->run == NULL;
}

bool
veil_ctl_name_eq(veil_str_t a, veil_str_t b)
{
    size_t i;

    if (a.len != b.len) {
        return false;
    }
    for (i = 0; i < a.len; i++) {
        if ((a.data[i] == '-' ? '_' : a.data[i])
            != (b.data[i] == '-' ? '_' : b.data[i]))
        {
            return false;
        }
    }
    return true;
}

const veil_control_verb_t *
veil_ctl_verb_find(veil_str_t name)
{
    const veil_control_verb_t *v;
    unsigned i;

    for (i = 0; (v = veil_ctl_verb_at(i)) != NULL; i++) {
        if (veil_ctl_name_eq(name, veil_str_z(v->name))) {
            return v;
        }
    }
    return NULL;
}

const char *
veil_ctl_verb_words(const veil_control_verb_t *verb, char *buf)
{
    char *p;

    (void) veil_str_copy_z(buf, VEIL_CTL_WORDS, veil_str_z(verb->name));
    for (p = buf; *p != '\0'; p++) {
        if (*p == '.') {
            *p = ' ';
        }
    }
    return buf;
}

const char *
veil_ctl_name_dashed(const char *name, char *buf)
{
    char *p;

    (void) veil_str_copy_z(buf, VEIL_CTL_WORDS, veil_str_z(name));
    for (p = buf; *p != '\0'; p++) {
        *p = *p == '_' ? '-' : *p;
    }
    return buf;
}

const char *
veil_ctl_arg_name(const veil_control_verb_t *verb, const veil_control_arg_t *a,
                  char *buf)
{
    return a->type != VEIL_CONTROL_FLAG
                   && (verb->flags & VEIL_CONTROL_CHANGES) != 0
               ? a->name
               : veil_ctl_name_dashed(a->name, buf);
}

/* --- help -----------------------------------------------------------------*/

const char *
veil_ctl_arg_value(const veil_control_arg_t *a, char *buf, size_t n)
{
    size_t i;

    if (a->type == VEIL_CONTROL_WORD && strlen(a->words) <= VERBS_WORDS) {
        return a->words;
    }
    if (a->type == VEIL_CONTROL_NUMBER
        && (a->flags & VEIL_CONTROL_POSITION) == 0) {
        return "N";
    }
    if (a->type == VEIL_CONTROL_TIME) {
        return "TIME";
    }
    if ((a->flags & VEIL_CONTROL_FILE) != 0) {
        return "FILE";
    }
    if ((a->flags & VEIL_CONTROL_POSITION) == 0
        && strchr(a->name, '_') != NULL) {
        return "VALUE"; /* the name says enough */
    }
    n = veil_str_copy_z(buf, n, veil_str_z(a->name));
    for (i = 0; i < n; i++) {
        if (buf[i] >= 'a' && buf[i] <= 'z') {
            buf[i] = (char) (buf[i] - ('a' - 'A'));
        }
    }
    return buf;
}

/* "SERVER", "[state=ready|drain]", "[--force]". */
static void
verbs_usage_arg(veil_ctl_text_t *t, const veil_control_verb_t *verb,
                const veil_control_arg_t *a)
{
    bool optional = (a->flags & VEIL_CONTROL_REQUIRED) == 0;
    char buf[VEIL_CTL_WORDS], shown[VEIL_CTL_WORDS];
    const char *name = veil_ctl_arg_name(verb, a, shown);
    const char *value = veil_ctl_arg_value(a, buf, sizeof(buf));

    veil_ctl_text_z(t, optional ? " [" : " ");
    if (a->type == VEIL_CONTROL_FLAG) {
        veil_ctl_text_z(t, "--");
        veil_ctl_text_z(t, name);
    } else if ((a->flags & VEIL_CONTROL_POSITION) != 0) {
        veil_ctl_text_z(t, value);
    } else {
        veil_ctl_text_printf(t, "%s=%s", name, value);
    }
    veil_ctl_text_z(t, optional ? "]" : "");
}

void
veil_ctl_verb_usage(veil_ctl_text_t *t, const veil_control_verb_t *verb)
{
    char words[VEIL_CTL_WORDS];
    const veil_control_arg_t *a;

    veil_ctl_text_printf(t, "veilctl %s", veil_ctl_verb_words(verb, words));
    for (a = verb->args; a != NULL && a->name != NULL; a++) {
        if ((a->flags & VEIL_CONTROL_POSITION) != 0) {
            verbs_usage_arg(t, verb, a);
        }
    }
    for (a = verb->args; a != NULL && a->name != NULL; a++) {
        if ((a->flags & VEIL_CONTROL_POSITION) == 0) {
            verbs_usage_arg(t, verb, a);
        }
    }
    if ((verb->flags & VEIL_CONTROL_CHANGES) != 0) {
        veil_ctl_text_z(t, " [--dry-run] [--if-gen=N]");
    }
    if ((verb->flags & VEIL_CONTROL_PERSISTS) != 0) {
        veil_ctl_text_z(t, " [--persist]");
    }
    veil_ctl_text_z(t, "\n");
}

/* Words of a sentence, in lines that end before the column. */
static void
verbs_wrap(veil_ctl_text_t *t, const char *z, size_t indent)
{
    veil_str_t rest = veil_str_z(z), word;
    size_t column = indent;

    while (rest.data != NULL) {
        word = veil_str_cut(&rest, ' ');
        if (column != indent && column + 1 + word.len > VERBS_COLUMNS) {
            veil_ctl_text_z(t, "\n");
            veil_ctl_text_fill(t, ' ', indent);
            column = indent;
        }
        veil_ctl_text_z(t, column == indent ? "" : " ");
        veil_ctl_text_add(t, word);
        column += word.len + (column == indent ? 0 : 1);
    }
    veil_ctl_text_z(t, "\n");
}

void
veil_ctl_arg_help(veil_ctl_text_t *t, const veil_control_verb_t *verb,
                  const veil_control_arg_t *a)
{
    veil_str_t rest = veil_str_z(a->words);
    const char *before = ": ";

    veil_ctl_hint(t, verb, veil_str_z(a->help == NULL ? a->name : a->help));
    if (a->type != VEIL_CONTROL_WORD || rest.len <= VERBS_WORDS) {
        return;
    }
    while (rest.data != NULL) {
        veil_ctl_text_z(t, before);
        veil_ctl_text_add(t, veil_str_cut(&rest, '|'));
        before =
            rest.data != NULL && veil_str_chr(rest, '|') < 0 ? " or " : ", ";
    }
}

static void
verbs_help_row(veil_ctl_text_t *t, const char *left, const char *help)
{
    size_t n = strlen(left);

    veil_ctl_text_printf(t, "  %s", left);
    if (n > 22) {
        veil_ctl_text_z(t, "\n");
        n = 0;
        veil_ctl_text_fill(t, ' ', 2);
    }
    veil_ctl_text_fill(t, ' ', 24 - n);
    verbs_wrap(t, help == NULL ? "" : help, 26);
}

static void
verbs_help_arg(veil_ctl_text_t *t, const veil_control_verb_t *verb,
               const veil_control_arg_t *a)
{
    char buf[VEIL_CTL_WORDS], shown[VEIL_CTL_WORDS], left[160];
    const char *name = veil_ctl_arg_name(verb, a, shown);
    const char *value = veil_ctl_arg_value(a, buf, sizeof(buf));
    veil_ctl_text_t help = { 0 };

    if (a->type == VEIL_CONTROL_FLAG) {
        (void) veil_snprintf(left, sizeof(left), "--%s", name);
    } else if ((a->flags & VEIL_CONTROL_POSITION) != 0) {
        (void) veil_snprintf(left, sizeof(left), "%s", value);
    } else {
        (void) veil_snprintf(left, sizeof(left), "%s=%s", name, value);
    }
    veil_ctl_arg_help(&help, verb, a);
    veil_ctl_text_add(&help, veil_str_n("", 1));
    verbs_help_row(t, left, help.data);
    veil_ctl_text_done(&help);
}

static const char *
verbs_role(const veil_control_verb_t *verb)
{
    switch (verb->role) {
    case VEIL_CONTROL_READ:
        return "read";
    case VEIL_CONTROL_OPERATE:
        return "operate";
    case VEIL_CONTROL_ADMIN:
        break;
    }
    return "admin";
}

void
veil_ctl_verb_help(veil_ctl_text_t *t, const veil_control_verb_t *verb)
{
    const veil_control_arg_t *a;

    veil_ctl_text_z(t, "usage: ");
    veil_ctl_verb_usage(t, verb);
    veil_ctl_text_z(t, "\n");
    verbs_wrap(t, verb->help, 0);
    if ((verb->args != NULL && verb->args->name != NULL)
        || (verb->flags & VEIL_CONTROL_CHANGES) != 0)
    {
        veil_ctl_text_z(t, "\n");
    }
    for (a = verb->args; a != NULL && a->name != NULL; a++) {
        verbs_help_arg(t, verb, a);
    }
    if ((verb->flags & VEIL_CONTROL_CHANGES) != 0) {
        verbs_help_row(t, "--dry-run", "check everything, change nothing");
        verbs_help_row(t, "--if-gen=N",
                       "only while generation N of the configuration serves");
    }
    if ((verb->flags & VEIL_CONTROL_PERSISTS) != 0) {
        verbs_help_row(t, "--persist", "keep the change across restarts");
    }
    if (!veil_ctl_verb_is_local(verb)) {
        veil_ctl_text_printf(t, "\nNeeds the role \"%s\".%s\n",
                             verbs_role(verb),
                             (verb->flags & VEIL_CONTROL_STREAMS) != 0
                                 ? "  Goes on until it is interrupted."
                                 : "");
    }
}

bool
veil_ctl_verb_list(veil_ctl_text_t *t, veil_str_t noun)
{
    const veil_control_verb_t *v;
    char words[VEIL_CTL_WORDS];
    bool any = false;
    veil_str_t rest;
    unsigned i;

    for (i = 0; (v = veil_ctl_verb_at(i)) != NULL; i++) {
        rest = veil_str_z(v->name);
        if (noun.len == 0 || veil_ctl_name_eq(noun, veil_str_cut(&rest, '.')))
        {
            verbs_help_row(t, veil_ctl_verb_words(v, words), v->help);
            any = true;
        }
    }
    return any;
}
