/*
 * veil.c -- main(): the command line, and what it asks for.
 *
 * Options are nginx's, read as nginx reads them: in clusters ("-tq"), with
 * the value behind the letter or in the next word.  Long ones are an addition.
 * What they ask for is one of
 *
 *     tell something   -h -v -V -m --doc
 *     test             -t -T: load the configuration, start nothing
 *     look             --lint: the same, and say what may not be meant;
 *                      --explain: what would become of a request
 *     signal           -s: to the master whose pid file is configured
 *     run              without any of these
 *
 * With "daemon on" a child becomes the server and this process waits until
 * it serves.  So the exit status tells whether the start worked, and what
 * was wrong is on the terminal it was started from.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/assert.h"
#include "core/conf.h"
#include "core/control.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/main_conf.h"
#include "core/module.h"
#include "core/pool.h"
#include "core/time.h"
#include "core/version.h"
#include "process/inspect/check.h"
#include "process/inspect/explain.h"
#include "process/inspect/lint.h"
#include "process/master.h"
#include "process/peek.h"
#include "process/pidfile.h"
#include "process/signal.h"
#include "process/single.h"
#include "process/spawn.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade_exec.h"
#include "process/upgrade/upgrade_preflight.h"

/* -H options of --explain. */

static struct {
    veil_launch_t launch;
    bool help;
    bool version;
    bool configure;
    bool test;
    bool dump;
    bool quiet;
    bool modules;
    bool doc;
    bool preflight;
    bool lint;
    bool json;
    veil_lint_options_t lint_options; /* its launch is filled in last */
    veil_explain_options_t explain;   /* without a request: not asked */
    veil_str_t fields[VEIL_EXPLAIN_FIELDS];
    int signo;            /* of -s; 0: none */
    const char *sig_word; /* its name */
} veil;

static void
veil_usage(FILE *out)
{
    fputs(
        "usage: veil [-?hvVtTqm] [-s signal] [-p prefix] [-e file]\n"
        "            [-c file] [-g directives]\n"
        "\n"
        "  -h, -?, --help   this help\n"
        "  -v               the version\n"
        "  -V, --version    the version and how it was configured\n"
        "  -t               test the configuration and exit\n"
        "  -T               test the configuration, print it and exit\n"
        "  -q               with -t: print errors only\n"
        "  --lint           test the configuration and look for what is "
        "hardly meant\n"
        "     --strict      warnings fail, too\n"
        "     --notes       tell what is only worth knowing, too\n"
        "     --expires-in TIME\n"
        "                   tell of certificates that end within (14d)\n"
        "     --json        as JSON\n"
        "  --explain 'METHOD URL'\n"
        "                   say what would become of this request, without "
        "sending it\n"
        "     --header 'NAME: VALUE'\n"
        "                   a field of the request, any number of times\n"
        "     --client ADDRESS\n"
        "                   where it comes from (127.0.0.1)\n"
        "     --listen ADDRESS:PORT\n"
        "                   which listener it comes to (any of the URL's "
        "port)\n"
        "  -m               print the modules in their effective order\n"
        "  --doc            print the reference of all directives, as "
        "Markdown\n"
        "  --preflight      say whether this program could take over from a "
        "running one\n"
        "  -s signal        signal a running server: stop, quit, reopen or "
        "reload\n"
        "  -p prefix        where relative paths begin\n"
        "                   (" VEIL_PREFIX ")\n"
        "  -e file          the error log; \"stderr\" is standard error\n"
        "                   (" VEIL_ERROR_LOG_PATH ")\n"
        "  -c file, --config file\n"
        "                   the configuration\n"
        "                   (" VEIL_CONF_PATH ")\n"
        "  -g directives    directives for the main context, before those of "
        "the\n"
        "                   file\n",
        out);
}

/* --- reading the command line ------------------------------------------- */

static int
veil_bad_option(const char *what, const char *word)
{
    fprintf(stderr, "veil: %s \"%s\"\nveil: \"veil -h\" lists the options\n",
            what, word);
    return -1;
}

/* An option's value: the rest of the word, or the next word. */
static const char *
veil_value(const char *rest, char **argv, int *i, const char *option)
{
    if (*rest != '\0') {
        return rest;
    }
    if (argv[*i + 1] != NULL) {
        return argv[++*i];
    }
    fprintf(stderr, "veil: the option \"%s\" requires a value\n", option);
    return NULL;
}

static int
veil_set_signal(const char *word)
{
    veil.sig_word = word;
    veil.signo = veil_signal_of_word(word);
    if (veil.signo == 0) {
        fprintf(stderr,
                "veil: invalid option: \"-s %s\" (there are stop, quit, "
                "reopen, reload)\n",
                word);
        return -1;
    }
    return 0;
}

/* An option with a value: 0, or -1 after reporting. */
static int
veil_set_value(char letter, const char *value)
{
    switch (letter) {
    case 'p':
        if (*value == '\0') {
            fputs("veil: the option \"-p\" requires a directory\n", stderr);
            return -1;
        }
        veil.launch.prefix = veil_str_z(value);
        return 0;
    case 'e':
        veil.launch.error_log_path = veil_str_z(value);
        return 0;
    case 'c':
        if (*value == '\0') {
            fputs("veil: the option \"-c\" requires a file\n", stderr);
            return -1;
        }
        veil.launch.conf_path = veil_str_z(value);
        return 0;
    case 'g':
        veil.launch.globals = veil_str_z(value);
        return 0;
    default:
        return veil_set_signal(value);
    }
}

/* An option without a value; false when it is none. */
static bool
veil_set_flag(char letter)
{
    switch (letter) {
    case 'h':
    case '?':
        veil.help = true;
        return true;
    case 'v':
    case 'V':
        veil.version = true;
        veil.configure = veil.configure || letter == 'V';
        return true;
    case 't':
    case 'T':
        veil.test = true;
        veil.dump = veil.dump || letter == 'T';
        return true;
    case 'q':
        veil.quiet = true;
        return true;
    case 'm':
        veil.modules = true;
        return true;
    default:
        return false;
    }
}

static int
veil_set_expires_in(const char *value)
{
    int64_t ms = value == NULL ? -1 : veil_str_to_msec(veil_str_z(value));

    if (ms <= 0) {
        return value == NULL ? -1 : veil_bad_option("invalid time", value);
    }
    veil.lint_options.expires_in_ms = (uint64_t) ms;
    return 0;
}

static int
veil_add_field(veil_str_t field)
{
    if (veil_str_chr(field, ':') <= 0 || veil_str_chr(field, '\n') >= 0) {
        return veil_bad_option("invalid field", field.data);
    }
    if (veil.explain.nfields == VEIL_EXPLAIN_FIELDS) {
        return veil_bad_option("too many fields, with", field.data);
    }
    veil.fields[veil.explain.nfields++] = field;
    veil.explain.fields = veil.fields;
    return 0;
}

/* Options with a value that go with --explain; 1: it is none of them. */
static int
veil_explain_option(char **argv, int *i)
{
    static const struct {
        const char *name;
        veil_str_t *to; /* NULL: a field */
    } options[] = {
        { "--explain", &veil.explain.request },
        { "--client", &veil.explain.client },
        { "--listen", &veil.explain.listen },
        { "--header", NULL },
    };
    const char *value;
    unsigned k;

    for (k = 0; k < veil_countof(options); k++) {
        if (strcmp(argv[*i], options[k].name) != 0) {
            continue;
        }
        value = veil_value("", argv, i, options[k].name);
        if (value == NULL) {
            return -1;
        }
        if (options[k].to == NULL) {
            return veil_add_field(veil_str_z(value));
        }
        *options[k].to = veil_str_z(value);
        return 0;
    }
    return 1;
}

/* Options that go with --lint; false: it is none of them. */
static bool
veil_lint_option(veil_str_t word)
{
    static const struct {
        const char *name;
        bool *to;
    } flags[] = {
        { "--lint", &veil.lint },
        { "--json", &veil.json },
        { "--strict", &veil.lint_options.strict },
        { "--notes", &veil.lint_options.notes },
    };
    unsigned i;

    for (i = 0; i < veil_countof(flags); i++) {
        if (veil_str_eq_z(word, flags[i].name)) {
            *flags[i].to = true;
            return true;
        }
    }
    return false;
}

static int
veil_long_option(char **argv, int *i)
{
    veil_str_t word = veil_str_z(argv[*i]);
    const char *value;

    int rc;

    if (veil_lint_option(word)) {
        return 0;
    }
    rc = veil_explain_option(argv, i);
    if (rc <= 0) {
        return rc;
    }

    if (veil_str_eq_z(word, "--help")) {
        veil.help = true;
    } else if (veil_str_eq_z(word, "--version")) {
        veil.version = true;
        veil.configure = true;
    } else if (veil_str_eq_z(word, "--doc")) {
        veil.doc = true;
    } else if (veil_str_eq_z(word, VEIL_PREFLIGHT_OPTION)) {
        veil.preflight = true;
    } else if (veil_str_starts(word, VEIL_STR("--config="))) {
        return veil_set_value('c', argv[*i] + sizeof("--config=") - 1);
    } else if (veil_str_eq_z(word, "--config")) {
        value = veil_value("", argv, i, "--config");
        return value == NULL ? -1 : veil_set_value('c', value);
    } else if (veil_str_eq_z(word, "--expires-in")) {
        return veil_set_expires_in(veil_value("", argv, i, "--expires-in"));
    } else {
        return veil_bad_option("unknown option", argv[*i]);
    }
    return 0;
}

static int
veil_short_options(char **argv, int *i)
{
    const char *p = argv[*i] + 1;
    char option[3] = "-x";
    const char *value;

    for (; *p != '\0'; p++) {
        if (strchr("pecgs", *p) != NULL) {
            option[1] = *p;
            value = veil_value(p + 1, argv, i, option);
            return value == NULL ? -1 : veil_set_value(option[1], value);
        }
        if (!veil_set_flag(*p)) {
            option[1] = *p;
            return veil_bad_option("unknown option", option);
        }
    }
    return 0;
}

static int
veil_options(char **argv)
{
    int i, rc;

    for (i = 1; argv[i] != NULL; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            return veil_bad_option("unexpected argument", argv[i]);
        }
        rc = argv[i][1] == '-' ? veil_long_option(argv, &i)
                               : veil_short_options(argv, &i);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

/* --- telling ------------------------------------------------------------ */

static int
veil_tell_version(void)
{
    fputs("veil version: " VEIL_SERVER_NAME "\n", stderr);
    if (veil.configure) {
        fputs("built by " VEIL_COMPILER "\n", stderr);
#if VEIL_HAVE_TLS
        fputs("built with " VEIL_TLS_LIBRARY "\n", stderr);
#endif
        fputs("configure arguments:" VEIL_CONFIGURE_ARGS "\n", stderr);
    }
    return 0;
}

static int
veil_tell_modules(void)
{
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        printf("%-8s%s\n", veil_module_layer(veil_modules[i]),
               veil_modules[i]->name);
    }
    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->core != NULL
            && veil_modules[i]->core->describe != NULL) {
            veil_modules[i]->core->describe(stdout);
        }
    }
    return 0;
}

/* --- signalling --------------------------------------------------------- */

static veil_cycle_t *
veil_new_cycle(void)
{
    return veil_cycle_create(veil.launch.prefix, veil.launch.conf_path,
                             veil.launch.error_log_path, veil.launch.globals);
}

static int
veil_send_signal(void)
{
    veil_cycle_t *cycle = veil_new_cycle();
    veil_peek_t peek;
    pid_t pid;

    if (veil_peek(cycle, &peek) != VEIL_OK) {
        fprintf(stderr, "veil: without the configuration the pid file is not "
                        "known, no signal was sent\n");
        return 1;
    }
    pid = veil_pidfile_read(peek.pid_path.data);
    if (pid == -ENOENT) {
        fprintf(stderr,
                "veil: there is no pid file \"%s\": the server is not "
                "running\n",
                peek.pid_path.data);
        return 1;
    }
    if (pid == -EINVAL) {
        fprintf(stderr, "veil: \"%s\" holds no process id\n",
                peek.pid_path.data);
        return 1;
    }
    if (pid < 0) {
        fprintf(stderr, "veil: reading \"%s\" failed (%d: %s)\n",
                peek.pid_path.data, -pid, strerror(-pid));
        return 1;
    }
    if (kill(pid, veil.signo) != 0) {
        int err = errno;

        if (err == ESRCH) {
            fprintf(stderr,
                    "veil: no process has the id %d of \"%s\": the server is "
                    "not running\n",
                    (int) pid, peek.pid_path.data);
        } else {
            fprintf(stderr,
                    "veil: sending \"%s\" to process %d failed (%d: %s)\n",
                    veil.sig_word, (int) pid, err, strerror(err));
        }
        return 1;
    }
    return 0;
}

/* --- running ------------------------------------------------------------ */

/* Waits until the server, our child, serves or ends. */
static int
veil_wait_for_start(pid_t pid, int fd)
{
    int status;
    ssize_t n;
    char byte;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) {
        return 0;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        /* again */
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr,
                "veil: the server ended by signal %d while it "
                "started\n",
                WTERMSIG(status));
        return 1;
    }
    return WEXITSTATUS(status) == 0 ? 1 : WEXITSTATUS(status);
}

static int
veil_serve(const veil_peek_t *peek, veil_master_options_t *o)
{
    return peek->master_process ? veil_master_run(o) : veil_single_run(o);
}

/* In the place of another master: as it was, and nobody waits for it. */
static int
veil_take_over(const veil_peek_t *peek, veil_master_options_t *o)
{
    o->detach = veil_takeover_detach();
    if (!peek->master_process) {
        veil_takeover_failed("with \"master_process off\" there is no master "
                             "that could take over");
        return 1;
    }
    return veil_master_run(o);
}

static int
veil_run(void)
{
    veil_master_options_t o = { .launch = &veil.launch, .ready_fd = -1 };
    veil_cycle_t *cycle = veil_new_cycle();
    const char *why;
    veil_peek_t peek;
    veil_rc_t rc;
    int ends[2];
    pid_t pid;

    if (veil_takeover_open(&why) < 0) {
        fprintf(stderr, "veil: cannot take over: %s\n", why);
        return 1;
    }
    /* Errors are the keeper's to report: it finds all there are. */
    cycle->log.level = VEIL_LOG_OFF;
    rc = veil_peek(cycle, &peek);
    veil_cycle_destroy(&cycle);

    if (veil_takeover_is()) {
        return veil_take_over(&peek, &o);
    }
    if (rc != VEIL_OK || !peek.daemon) {
        return veil_serve(&peek, &o);
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fprintf(stderr, "veil: pipe() failed: %s\n", strerror(errno));
        return 1;
    }
    pid = veil_spawn();
    if (pid < 0) {
        fprintf(stderr, "veil: fork() failed: %s\n", strerror(-pid));
        return 1;
    }
    if (pid > 0) {
        close(ends[1]);
        return veil_wait_for_start(pid, ends[0]);
    }
    close(ends[0]);
    (void) setsid(); /* fails for a group's leader only, which we are not */
    veil_detach_standard_fds();
    o.ready_fd = ends[1];
    o.detach = true;
    return veil_serve(&peek, &o);
}

int
main(int argc, char **argv)
{
    veil_open_standard_fds();
    json_set_alloc_funcs(veil_alloc, veil_free);
    veil_fault_init();
    veil_takeover_environment();
    veil_title_init(argc, argv);
    veil_upgrade_remember(argv);
    veil_panic_catch_signals();
    veil_log_set_pid();
    veil_time_update();

    if (veil_modules_init() != VEIL_OK || veil_options(argv) < 0) {
        return 1;
    }
    if (veil.help) {
        veil_usage(stdout);
        return 0;
    }
    if (veil.version) {
        return veil_tell_version();
    }
    if (veil.modules) {
        return veil_tell_modules();
    }
    if (veil.doc) {
        veil_conf_doc(stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (veil.explain.request.len != 0) {
        return veil_explain_run(&veil.launch, &veil.explain, stdout,
                                veil.json);
    }
    if (veil.lint) {
        veil.lint_options.launch = veil.launch;
        return veil_lint_run(&veil.lint_options, stdout, veil.json);
    }
    if (veil.preflight) {
        return veil_upgrade_preflight(&veil.launch);
    }
    if (veil.test) {
        return veil_check(&veil.launch, veil.dump, veil.quiet);
    }
    if (veil.signo != 0) {
        return veil_send_signal();
    }
    return veil_run();
}
