/*
 * ctl.c -- main() of veilctl, which asks a running veil and tells it.
 *
 * The order of things: command.c reads the command line by the verbs' tables
 * (verbs.c), where.c finds the socket, link.c speaks to it, call.c carries
 * out the call, show.c and render.c make its answer readable.  man.c and
 * completion.c write the manual page and the completion from the same tables.
 *
 * It is a program of its own on veil's library: that has the tables of all
 * modules of this build, which is the one that is installed with it.
 */

#include "core/platform.h"

#include "core/module.h"
#include "core/time.h"
#include "core/version.h"
#include "ctl/call.h"
#include "ctl/config.h"
#include "ctl/man.h"
#include "ctl/output.h"
#include "ctl/top.h"

const veil_control_verb_t veil_ctl_local_verbs[] = {
    { .name = "help",
      .args = (const veil_control_arg_t[]){ { "verb", VEIL_CONTROL_STRING,
                                              VEIL_CONTROL_POSITION, NULL,
                                              "of which more is to be told" },
                                            { .name = NULL } },
      .help = "Lists the verbs, or tells about one of them." },

    { .name = "top",
      .args = veil_ctl_top_args,
      .help = "Shows what the server does, live, until \"q\" is pressed." },

    { .name = "config.check",
      .args = veil_ctl_config_check_args,
      .help = "Looks for what a configuration says and hardly means." },

    { .name = "config.explain",
      .args = veil_ctl_config_explain_args,
      .help = "Says what would become of a request, without sending it." },

    { .name = NULL },
};

static veil_ctl_code_t
ctl_print(veil_ctl_text_t *t)
{
    bool written = veil_ctl_output_write(STDOUT_FILENO, t);

    veil_ctl_text_done(t);
    return written ? VEIL_CTL_OK : VEIL_CTL_FAILED;
}

static veil_ctl_code_t
ctl_help(const veil_ctl_command_t *c)
{
    veil_ctl_text_t t = { 0 };

    if (c->verb != NULL) {
        veil_ctl_verb_help(&t, c->verb);
    } else if (c->noun.len != 0) {
        (void) veil_ctl_verb_list(&t, c->noun);
    } else {
        veil_ctl_help(&t);
    }
    return ctl_print(&t);
}

static veil_ctl_code_t
ctl_call(const veil_ctl_command_t *c)
{
    veil_pool_t *pool = veil_pool_create("ctl", 4096);
    veil_ctl_link_t link = { .fd = -1 };
    veil_ctl_code_t code;

    if (veil_ctl_call_connect(pool, &link, c, &code)) {
        code = veil_ctl_call(&link, c);
    }
    veil_ctl_link_close(&link);
    veil_pool_destroy(&pool);
    return code;
}

static veil_ctl_code_t
ctl_run(veil_ctl_command_t *c)
{
    veil_ctl_text_t t = { 0 };
    int code = -1;

    switch (c->action) {
    case VEIL_CTL_CALL:
        if (strcmp(c->verb->name, "top") == 0) {
            return veil_ctl_top(c);
        }
        if (veil_ctl_is_config(c)) {
            code = veil_ctl_config(c);
        }
        return code >= 0 ? (veil_ctl_code_t) code : ctl_call(c);
    case VEIL_CTL_HELP:
        return ctl_help(c);
    case VEIL_CTL_VERSION:
        veil_ctl_text_z(&t, "veilctl/" VEIL_VERSION "\n");
        break;
    case VEIL_CTL_MAN:
        veil_ctl_man(&t);
        break;
    case VEIL_CTL_COMPLETION:
        veil_ctl_completion(&t);
        break;
    }
    return ctl_print(&t);
}

static void
ctl_complain(veil_ctl_command_t *c)
{
    veil_ctl_text_t t = { 0 };

    veil_ctl_text_z(&t, "veilctl: ");
    veil_ctl_text_add(&t, veil_ctl_text_str(&c->error));
    (void) veil_ctl_output_write(STDERR_FILENO, &t);
    veil_ctl_text_done(&t);
}

int
main(int argc VEIL_UNUSED, char **argv)
{
    veil_ctl_code_t code = VEIL_CTL_USAGE;
    veil_ctl_command_t c;

    json_set_alloc_funcs(veil_alloc, veil_free);
    veil_log_set_pid();
    veil_time_update();
    if (veil_modules_init() != VEIL_OK) {
        return VEIL_CTL_FAILED;
    }
    if (veil_ctl_command_parse(&c, argv)) {
        code = ctl_run(&c);
    } else {
        ctl_complain(&c);
    }
    veil_ctl_command_done(&c);
    veil_pool_trim();
    return (int) code;
}
