/*
 * man.c -- the help and the manual page, made from the tables.
 *
 * Nothing is written twice: the options come from command.c's table, the
 * verbs from the modules'.  The page uses the macros of man(7), which every
 * formatter knows; what it says besides the tables is the text below.
 */

#include "core/platform.h"

#include "core/version.h"
#include "ctl/man.h"
#include "ctl/where.h"

/* --- help -----------------------------------------------------------------*/

static void
man_help_option(veil_ctl_text_t *t, const veil_ctl_option_t *o)
{
    char left[48];
    size_t n;

    n = veil_snprintf(
        left, sizeof(left), "%c%c%c --%s%s%s", o->letter != 0 ? '-' : ' ',
        o->letter != 0 ? o->letter : ' ', o->letter != 0 ? ',' : ' ', o->name,
        o->value != NULL ? "=" : "", o->value != NULL ? o->value : "");
    veil_ctl_text_printf(t, "  %s", left);
    veil_ctl_text_fill(t, ' ', n < 24 ? 24 - n : 2);
    veil_ctl_text_printf(t, "%s\n", o->help);
}

void
veil_ctl_help(veil_ctl_text_t *t)
{
    const veil_ctl_option_t *o;

    veil_ctl_text_z(t, "usage: veilctl [options] VERB [arguments]\n\n");
    for (o = veil_ctl_options; o->name != NULL; o++) {
        man_help_option(t, o);
    }
    veil_ctl_text_z(t, "\nVerbs (\"veilctl help VERB\" tells more):\n");
    (void) veil_ctl_verb_list(t, VEIL_STR_NULL);
    veil_ctl_text_z(t,
                    "\nThe exit code is 0, or 1 refused or failed, 2 usage, "
                    "3 done by some workers\nonly, 4 timeout.\n");
}

/* --- the manual page ------------------------------------------------------*/

/* Text, with what roff would take for its own escaped. */
static void
man_text(veil_ctl_text_t *t, const char *z)
{
    bool begin = t->len == 0 || t->data[t->len - 1] == '\n';

    for (; *z != '\0'; z++) {
        if (begin && (*z == '.' || *z == '\'')) {
            veil_ctl_text_z(t, "\\&");
        }
        if (*z == '\\') {
            veil_ctl_text_z(t, "\\e");
        } else if (*z == '-') {
            veil_ctl_text_z(t, "\\-");
        } else {
            veil_ctl_text_add(t, veil_str_n(z, 1));
        }
        begin = *z == '\n';
    }
}

/* The same as the argument of a macro, which quotes would end. */
static void
man_argument(veil_ctl_text_t *t, const char *z)
{
    veil_ctl_text_z(t, "\"");
    for (; *z != '\0'; z++) {
        if (*z == '"') {
            veil_ctl_text_z(t, "\\(dq");
        } else {
            char one[2] = { *z, '\0' };

            man_text(t, one);
        }
    }
    veil_ctl_text_z(t, "\"");
}

/* A sentence of its own, from the help of a table. */
static void
man_sentence(veil_ctl_text_t *t, const char *z)
{
    size_t n = strlen(z);

    char first[2] = { n == 0 ? '\0' : z[0], '\0' };

    if (n == 0) {
        return;
    }
    if (first[0] >= 'a' && first[0] <= 'z') {
        first[0] = (char) (first[0] - ('a' - 'A'));
    }
    man_text(t, first);
    man_text(t, z + 1);
    veil_ctl_text_z(t, z[n - 1] == '.' ? "\n" : ".\n");
}

static void
man_option(veil_ctl_text_t *t, const veil_ctl_option_t *o)
{
    veil_ctl_text_z(t, ".TP\n\\fB");
    if (o->letter != 0) {
        veil_ctl_text_printf(t, "\\-%c\\fR, \\fB", o->letter);
    }
    veil_ctl_text_z(t, "\\-\\-");
    man_text(t, o->name);
    veil_ctl_text_z(t, "\\fR");
    if (o->value != NULL) {
        veil_ctl_text_printf(t, "=\\fI%s\\fR", o->value);
    }
    veil_ctl_text_z(t, "\n");
    man_sentence(t, o->help);
}

static void
man_arg(veil_ctl_text_t *t, const veil_control_verb_t *verb,
        const veil_control_arg_t *a)
{
    char buf[VEIL_CTL_WORDS], shown[VEIL_CTL_WORDS];
    const char *name = veil_ctl_arg_name(verb, a, shown);
    const char *value = veil_ctl_arg_value(a, buf, sizeof(buf));
    veil_ctl_text_t help = { 0 };

    veil_ctl_text_z(t, ".TP\n");
    if (a->type == VEIL_CONTROL_FLAG) {
        veil_ctl_text_z(t, "\\fB\\-\\-");
        man_text(t, name);
        veil_ctl_text_z(t, "\\fR");
    } else if ((a->flags & VEIL_CONTROL_POSITION) != 0) {
        veil_ctl_text_z(t, "\\fI");
        man_text(t, value);
        veil_ctl_text_z(t, "\\fR");
    } else {
        veil_ctl_text_z(t, "\\fB");
        man_text(t, name);
        veil_ctl_text_z(t, "\\fR=\\fI");
        man_text(t, value);
        veil_ctl_text_z(t, "\\fR");
    }
    veil_ctl_text_z(t, "\n");
    veil_ctl_arg_help(&help, verb, a);
    veil_ctl_text_add(&help, veil_str_n("", 1));
    man_sentence(t, help.data);
    veil_ctl_text_done(&help);
}

static void
man_verb(veil_ctl_text_t *t, const veil_control_verb_t *v)
{
    static const char *const roles[] = { "read", "operate", "admin" };
    veil_ctl_text_t usage = { 0 };
    char words[VEIL_CTL_WORDS];
    const veil_control_arg_t *a;

    veil_ctl_text_z(t, ".SS ");
    man_argument(t, veil_ctl_verb_words(v, words));
    veil_ctl_text_z(t, "\n");
    veil_ctl_verb_usage(&usage, v);
    usage.data[usage.len - 1] = '\0'; /* its line feed */
    veil_ctl_text_z(t, "\\fB");
    man_text(t, usage.data);
    veil_ctl_text_z(t, "\\fR\n.PP\n");
    veil_ctl_text_done(&usage);
    man_sentence(t, v->help);
    if (!veil_ctl_verb_is_local(v)) {
        veil_ctl_text_printf(t, "Role: %s.\n", roles[v->role]);
    }
    for (a = v->args; a != NULL && a->name != NULL; a++) {
        man_arg(t, v, a);
    }
}

static const char man_description[] =
    ".SH DESCRIPTION\n"
    ".B veilctl\n"
    "asks a running\n"
    ".BR veil (8)\n"
    "for something over its control socket and prints what it says.\n"
    "A verb is one word or more;\n"
    "its arguments are written \\fIname\\fR=\\fIvalue\\fR,\n"
    "\\fB\\-\\-\\fIname\\fR=\\fIvalue\\fR or\n"
    "\\fB\\-\\-\\fIname value\\fR, and those shown in capitals without a "
    "name.\n"
    "In names\n"
    ".RB \\(dq _ \\(dq\n"
    "and\n"
    ".RB \\(dq \\- \\(dq\n"
    "are the same.\n"
    "Options may stand anywhere.\n"
    ".PP\n"
    "Answers go to standard output; errors, notes and progress to standard "
    "error.\n"
    "What an answer has from outside is printed without control characters.\n";

static const char man_changes[] =
    ".PP\n"
    "Verbs that change something take these as well:\n"
    ".TP\n"
    "\\fB\\-\\-dry\\-run\\fR\n"
    "Check everything, change nothing.\n"
    ".TP\n"
    "\\fB\\-\\-if\\-gen\\fR=\\fIN\\fR\n"
    "Only while generation N of the configuration serves.\n"
    ".TP\n"
    "\\fB\\-\\-persist\\fR\n"
    "Keep the change across restarts, where the verb can.\n"
    "Without it a restart (of certificates and listeners: a reload) undoes\n"
    "the change, and that is said.\n";

static const char man_end[] =
    ".SH EXIT STATUS\n"
    ".TP\n"
    ".B 0\n"
    "Done.\n"
    ".TP\n"
    ".B 1\n"
    "Refused or failed, or there is no server.\n"
    ".TP\n"
    ".B 2\n"
    "The command line makes no sense; nothing was sent.\n"
    ".TP\n"
    ".B 3\n"
    "Some workers did it and some did not.\n"
    ".TP\n"
    ".B 4\n"
    "The time was up.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n"
    ".B " VEIL_CTL_ENV "\n"
    "The control socket, if neither \\fB\\-s\\fR nor \\fB\\-c\\fR is given.\n"
    ".TP\n"
    ".B NO_COLOR\n"
    "If it is set, nothing is printed in colours.\n"
    ".SH FILES\n"
    ".TP\n"
    ".I " VEIL_CONF_PATH "\n"
    "The configuration.\n"
    "Its \\fBcontrol_socket\\fR, or else its \\fBpid\\fR, says where the "
    "socket is.\n"
    ".SH SEE ALSO\n"
    ".BR veil (8)\n";

void
veil_ctl_man(veil_ctl_text_t *t)
{
    const veil_control_verb_t *v;
    const veil_ctl_option_t *o;
    unsigned i;

    veil_ctl_text_z(t,
                    ".\\\" Made by \"veilctl --man\"; not for editing.\n"
                    ".TH VEILCTL 8 \"\" \"veil " VEIL_VERSION "\" \"veil\"\n"
                    ".ad l\n"
                    ".nh\n"
                    ".SH NAME\n"
                    "veilctl \\- ask a running veil, and tell it\n"
                    ".SH SYNOPSIS\n"
                    ".B veilctl\n"
                    "[\\fIoptions\\fR] \\fIverb\\fR [\\fIarguments\\fR]\n");
    veil_ctl_text_z(t, man_description);
    veil_ctl_text_z(t, ".SH OPTIONS\n");
    for (o = veil_ctl_options; o->name != NULL; o++) {
        man_option(t, o);
    }
    veil_ctl_text_z(t, man_changes);
    veil_ctl_text_z(t, ".SH VERBS\n");
    for (i = 0; (v = veil_ctl_verb_at(i)) != NULL; i++) {
        man_verb(t, v);
    }
    veil_ctl_text_z(t, man_end);
}
