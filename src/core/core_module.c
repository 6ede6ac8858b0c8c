/*
 * core_module.c -- the module "main": directives of the main context and of
 * events {}.
 *
 * Only data is made here; what the values mean for processes and loops is
 * done in src/process and src/event.  Directives that steer something veil
 * does not have (nginx's accept mutex, thread pools, the tick of its timers)
 * are accepted, so that a file of nginx's runs, and say that they do nothing.
 */

#include "core/platform.h"

#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>

#include "core/inet.h"
#include "core/main_conf.h"
#include "core/overlay.h"

#define CORE_DEFAULT_CONNECTIONS 512
#define CORE_MAX_WORKERS 1024

/* --- values ---------------------------------------------------------------
 */

static unsigned
core_usable_cpus(void)
{
    cpu_set_t set;
    int n;

    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return 1;
    }
    n = CPU_COUNT(&set);
    return n < 1 ? 1 : (unsigned) n;
}

static veil_rc_t
core_set_workers(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                 void *conf)
{
    veil_main_conf_t *mcf = conf;
    int64_t n;

    if (veil_str_eq(veil_conf_arg(cf, 1), VEIL_STR("auto"))) {
        mcf->workers = 0;
        return VEIL_OK;
    }
    n = veil_str_to_int(veil_conf_arg(cf, 1));
    if (n < 0) {
        return veil_conf_error_at(
            cf, 1,
            "invalid value \"%.*s\" in \"worker_processes\" directive, it "
            "must be a number or \"auto\"",
            VEIL_STR_ARG(veil_conf_arg(cf, 1)));
    }
    if (n > CORE_MAX_WORKERS) {
        return veil_conf_error_at(
            cf, 1, "\"worker_processes\" must not be greater than %d",
            CORE_MAX_WORKERS);
    }
    mcf->workers = (unsigned) n;
    return VEIL_OK;
}

/* nginx's masks: the last digit is CPU 0. */
static veil_rc_t
core_cpu_mask(veil_conf_t *cf, unsigned arg, cpu_set_t *set)
{
    veil_str_t mask = veil_conf_arg(cf, arg);
    size_t i;

    CPU_ZERO(set);
    if (mask.len > CPU_SETSIZE) {
        return veil_conf_error_at(
            cf, arg, "\"worker_cpu_affinity\" supports up to %d CPUs only",
            CPU_SETSIZE);
    }
    for (i = 0; i < mask.len; i++) {
        if (mask.data[i] == '1') {
            CPU_SET(mask.len - 1 - i, set);
        } else if (mask.data[i] != '0') {
            return veil_conf_error_at(
                cf, arg, "invalid character \"%c\" in \"worker_cpu_affinity\"",
                mask.data[i]);
        }
    }
    return VEIL_OK;
}

static veil_rc_t
core_set_affinity_auto(veil_conf_t *cf, veil_main_conf_t *mcf)
{
    if (veil_conf_nargs(cf) > 3) {
        return veil_conf_error(cf, "invalid number of arguments in "
                                   "\"worker_cpu_affinity\" directive");
    }
    mcf->affinity_auto = true;
    mcf->has_cpu_limit = veil_conf_nargs(cf) == 3;
    return mcf->has_cpu_limit ? core_cpu_mask(cf, 2, &mcf->cpu_limit)
                              : VEIL_OK;
}

static veil_rc_t
core_set_affinity(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                  void *conf)
{
    veil_main_conf_t *mcf = conf;
    cpu_set_t *set;
    unsigned i;

    mcf->affinity_default = false;
    if (veil_str_eq(veil_conf_arg(cf, 1), VEIL_STR("auto"))) {
        return core_set_affinity_auto(cf, mcf);
    }
    mcf->affinity_auto = false;
    if (veil_str_eq(veil_conf_arg(cf, 1), VEIL_STR("off"))
        && veil_conf_nargs(cf) == 2)
    {
        return VEIL_OK;
    }
    for (i = 1; i < veil_conf_nargs(cf); i++) {
        set = veil_conf_array_push(cf, &mcf->cpus, sizeof(*set));
        if (core_cpu_mask(cf, i, set) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

static veil_rc_t
core_set_nofile(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                void *conf)
{
    veil_main_conf_t *mcf = conf;

    if (veil_str_eq(veil_conf_arg(cf, 1), VEIL_STR("auto"))) {
        mcf->rlimit_nofile = VEIL_RLIMIT_AUTO;
        return VEIL_OK;
    }
    mcf->rlimit_nofile = veil_conf_arg_num(cf, 1);
    return mcf->rlimit_nofile < 0 ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
core_set_priority(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                  void *conf)
{
    veil_main_conf_t *mcf = conf;
    veil_str_t arg = veil_conf_arg(cf, 1);
    bool minus = arg.len != 0 && arg.data[0] == '-';
    int64_t n;

    if (minus || (arg.len != 0 && arg.data[0] == '+')) {
        arg = veil_str_from(arg, 1);
    }
    n = veil_str_to_int(arg);
    if (n < 0) {
        return veil_conf_error_at(
            cf, 1, "invalid number \"%.*s\" in \"worker_priority\" directive",
            VEIL_STR_ARG(veil_conf_arg(cf, 1)));
    }
    if (n > 20) {
        return veil_conf_error_at(cf, 1, "value must be between -20 and 20");
    }
    mcf->priority = minus ? -(int) n : (int) n;
    return VEIL_OK;
}

/* The group's id; false after reporting. */
static bool
core_group(veil_conf_t *cf, const char *name, unsigned arg, gid_t *gid)
{
    const struct group *gr;

    errno = 0;
    gr = getgrnam(name);
    if (gr == NULL) {
        veil_conf_error_at(cf, arg, "there is no group \"%s\"", name);
        return false;
    }
    *gid = gr->gr_gid;
    return true;
}

static veil_rc_t
core_set_overlay(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                 void *conf)
{
    veil_main_conf_t *mcf = conf;
    veil_str_t path = veil_conf_arg(cf, 1);

    mcf->overlay = veil_str_eq_z(path, "off")
                       ? VEIL_STR("")
                       : veil_conf_full_path(cf, path, false);
    return VEIL_OK;
}

static veil_rc_t
core_set_user(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
              void *conf)
{
    veil_main_conf_t *mcf = conf;
    const struct passwd *pw;
    const char *name = veil_conf_arg(cf, 1).data;
    unsigned group_arg = veil_conf_nargs(cf) == 3 ? 2 : 1;

    if (geteuid() != 0) {
        veil_conf_warn(cf, "the \"user\" directive makes sense only if the "
                           "master process runs with super-user privileges, "
                           "ignored");
        return VEIL_OK;
    }
    pw = getpwnam(name);
    if (pw == NULL) {
        return veil_conf_error_at(cf, 1, "there is no user \"%s\"", name);
    }
    mcf->uid = pw->pw_uid;
    if (!core_group(cf, veil_conf_arg(cf, group_arg).data, group_arg,
                    &mcf->gid)) {
        return VEIL_ERROR;
    }
    mcf->user = veil_conf_arg(cf, 1);
    return VEIL_OK;
}

static veil_rc_t
core_set_env(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
             void *conf)
{
    veil_main_conf_t *mcf = conf;
    veil_str_t *s;

    if (veil_conf_arg(cf, 1).len == 0 || veil_conf_arg(cf, 1).data[0] == '=') {
        return veil_conf_error_at(cf, 1, "invalid name of a variable");
    }
    s = veil_conf_array_push(cf, &mcf->env, sizeof(*s));
    *s = veil_conf_arg(cf, 1);
    return VEIL_OK;
}

static veil_rc_t
core_set_error_log(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                   void *conf)
{
    veil_main_conf_t *mcf = conf;

    return veil_conf_set_error_log_sinks(cf, &mcf->error_log);
}

static veil_rc_t
core_set_load_module(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                     void *conf VEIL_UNUSED)
{
    return veil_conf_error(
        cf, "there are no dynamic modules: build it in with "
            "\"./configure --add-module=DIR\" and remove \"load_module\"");
}

/* conf_tree.c replaces the directive by the file: it never gets here. */
static veil_rc_t
core_set_include(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                 void *conf VEIL_UNUSED)
{
    return veil_conf_error(cf, "\"include\" directive is not allowed here");
}

/* --- events ---------------------------------------------------------------
 */

static veil_rc_t
core_events(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
            void *conf VEIL_UNUSED)
{
    /* No conf of its own: what is set inside is a part of main's. */
    return veil_conf_apply(cf, veil_conf_scope_create(cf, cf->scope->layer,
                                                      cf->scope,
                                                      VEIL_CONF_EVENTS, 0));
}

static veil_rc_t
core_set_connections(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    veil_main_conf_t *mcf = conf;
    veil_str_t arg = veil_conf_arg(cf, 1);
    int64_t n = veil_str_to_int(arg);

    if (n < 0) {
        return veil_conf_error_at(cf, 1, "invalid number \"%.*s\"",
                                  VEIL_STR_ARG(arg));
    }
    if (n < 8) {
        return veil_conf_error_at(
            cf, 1, "\"%s\" must be equal to or greater than 8", cmd->name);
    }
    mcf->events.worker_connections = n;
    return VEIL_OK;
}

static veil_rc_t
core_set_use(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
             void *conf)
{
    static const struct {
        const char *name;
        veil_use_t use;
    } types[] = { { "auto", VEIL_USE_AUTO },
                  { "io_uring", VEIL_USE_IO_URING },
                  { "epoll", VEIL_USE_EPOLL } };
    veil_main_conf_t *mcf = conf;
    veil_str_t arg = veil_conf_arg(cf, 1);
    size_t i;

    for (i = 0; i < veil_countof(types); i++) {
        if (veil_str_eq_z(arg, types[i].name)) {
            mcf->events.use = types[i].use;
            return VEIL_OK;
        }
    }
    return veil_conf_error_place(
        cf, cf->node->file, cf->node->args[1].line, cf->node->args[1].column,
        "there are: auto, io_uring, epoll", "invalid event type \"%.*s\"",
        VEIL_STR_ARG(arg));
}

static veil_rc_t
core_set_buffers(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    veil_main_conf_t *mcf = conf;
    int64_t n;

    if (veil_conf_set_num(cf, cmd, conf) != VEIL_OK) {
        return VEIL_ERROR;
    }
    n = mcf->events.io_buffers;
    if ((n & (n - 1)) != 0) {
        return veil_conf_error_at(cf, 1, "value must be a power of 2");
    }
    return VEIL_OK;
}

static veil_rc_t
core_set_debug_connection(veil_conf_t *cf,
                          const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    veil_main_conf_t *mcf = conf;
    veil_cidr_t cidr;

    if (!VEIL_DEBUG) {
        veil_conf_warn(cf, "\"debug_connection\" is ignored, you need to "
                           "rebuild veil using --with-debug option to enable "
                           "it");
        return VEIL_OK;
    }
    if (!veil_cidr_parse(&cidr, veil_conf_arg(cf, 1))) {
        return veil_conf_error_at(cf, 1,
                                  "\"%.*s\" is neither an address nor a range",
                                  VEIL_STR_ARG(veil_conf_arg(cf, 1)));
    }
    *(veil_cidr_t *) veil_conf_array_push(cf, &mcf->events.debug,
                                          sizeof(cidr)) = cidr;
    return VEIL_OK;
}

static const veil_conf_enum_t core_reuseport[] = {
    { "kernel", VEIL_REUSEPORT_KERNEL },
    { "cbpf", VEIL_REUSEPORT_CBPF },
    { NULL, 0 },
};

/* --- defaults -------------------------------------------------------------
 */

static void
core_init(void *conf)
{
    veil_main_conf_t *mcf = conf;

    mcf->daemon = true;
    mcf->master_process = true;
    mcf->affinity_auto = true;
    mcf->affinity_default = true;
    mcf->rlimit_nofile = VEIL_RLIMIT_AUTO;
    mcf->rlimit_core = VEIL_RLIMIT_UNSET;
    mcf->worker_shutdown_timeout_ms = 3600 * 1000;
    mcf->shutdown_timeout_ms = 30 * 1000;
    mcf->events.worker_connections = CORE_DEFAULT_CONNECTIONS;
    mcf->events.io_buffer_size = 64 * 1024;
    mcf->events.io_buffers = 256;
}

/* Root's workers are never root unless that is written down. */
static veil_rc_t
core_default_user(veil_conf_t *cf, veil_main_conf_t *mcf)
{
    const struct passwd *pw;
    const struct group *gr;

    if (mcf->user.len != 0 || geteuid() != 0) {
        return VEIL_OK;
    }
    pw = getpwnam(VEIL_USER);
    gr = getgrnam(VEIL_GROUP);
    if (pw == NULL || gr == NULL) {
        return veil_conf_error(cf,
                               "there is no %s \"%s\" for the workers, set "
                               "the \"user\" directive",
                               pw == NULL ? "user" : "group",
                               pw == NULL ? VEIL_USER : VEIL_GROUP);
    }
    mcf->user = veil_str_z(VEIL_USER);
    mcf->uid = pw->pw_uid;
    mcf->gid = gr->gr_gid;
    return VEIL_OK;
}

static veil_rc_t
core_finish(veil_conf_t *cf, void *conf, const void *parent VEIL_UNUSED)
{
    veil_main_conf_t *mcf = conf;
    veil_log_sink_t *sink;

    if (mcf->workers == 0) {
        mcf->workers = core_usable_cpus();
    }
    if (mcf->pid.len == 0) {
        mcf->pid = veil_conf_full_path(cf, veil_str_z(VEIL_PID_PATH), false);
    }
    if (mcf->overlay.data == NULL) {
        mcf->overlay =
            veil_conf_full_path(cf, VEIL_STR("run/overlay.ini"), false);
    }
    if (mcf->overlay.len != 0 && veil_overlay_declare(cf) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (mcf->error_log == NULL) {
        sink = VEIL_POOL_NEW(cf->pool, veil_log_sink_t);
        sink->level = VEIL_LOG_INFO;
        sink->file = veil_cycle_log_file(cf->cycle, cf->cycle->error_log_path);
        mcf->error_log = sink;
    }
    return core_default_user(cf, mcf);
}

/* --- tables ---------------------------------------------------------------
 */

static const veil_conf_limits_t core_buffer_size = { 1024, 1024 * 1024 };
static const veil_conf_limits_t core_buffers = { 8, 32768 };

#define CORE_FIELD(f) .offset = offsetof(veil_main_conf_t, f)

static const veil_command_t core_commands[] = {
    { .name = "include",
      .where = VEIL_CONF_ANYWHERE,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = core_set_include,
      .syntax = "file | mask",
      .help = "Is replaced by the content of the file, or of all files that "
              "match the mask, in the order of their names." },

    { .name = "daemon",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      CORE_FIELD(daemon),
      .syntax = "on | off",
      .def = "on",
      .help = "Goes to the background after the start." },

    { .name = "master_process",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      CORE_FIELD(master_process),
      .syntax = "on | off",
      .def = "on",
      .help = "With \"off\" one process is master, keeper and worker: for "
              "development." },

    { .name = "worker_processes",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = core_set_workers,
      .syntax = "number | auto",
      .def = "auto",
      .nginx = "1",
      .help = "The number of workers; \"auto\" and 0 mean one for each usable "
              "CPU." },

    { .name = "worker_cpu_affinity",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1MORE,
      .set = core_set_affinity,
      .syntax = "auto [mask] | off | mask ...",
      .help = "Binds workers to CPUs: in turn to those usable, or each to the "
              "CPUs of its mask, whose last digit is CPU 0.  By default they "
              "are bound if there is one for each usable CPU." },

    { .name = "worker_rlimit_nofile",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = core_set_nofile,
      .syntax = "number | auto",
      .def = "auto",
      .help = "The limit of open files of a worker; \"auto\" raises the soft "
              "limit to the hard one." },

    { .name = "worker_rlimit_core",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_size,
      CORE_FIELD(rlimit_core),
      .syntax = "size",
      .help = "The limit of the size of a worker's core file." },

    { .name = "worker_priority",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = core_set_priority,
      .syntax = "number",
      .def = "0",
      .help = "The nice value of workers, -20 to 20." },

    { .name = "worker_shutdown_timeout",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_msec,
      CORE_FIELD(worker_shutdown_timeout_ms),
      .syntax = "time",
      .def = "1h",
      .nginx = "none",
      .help = "How long workers of a replaced configuration may take to "
              "finish what they are doing." },

    { .name = "shutdown_timeout",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_msec,
      CORE_FIELD(shutdown_timeout_ms),
      .syntax = "time",
      .def = "30s",
      .help = "How long workers may take to finish when the server ends." },

    { .name = "draining_memory",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_size,
      CORE_FIELD(draining_memory),
      .syntax = "size",
      .def = "an eighth of the memory there is",
      .help = "With more memory in the processes of replaced configurations "
              "that still have connections there is a warning." },

    { .name = "reuseport_balancing",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_enum,
      CORE_FIELD(reuseport_balancing),
      .data = core_reuseport,
      .syntax = "kernel | cbpf",
      .def = "kernel",
      .help = "Who gets a connection where each worker has a socket of its "
              "own: whom the kernel's hash picks, or with \"cbpf\" always "
              "the same worker for one client address.  The latter implies "
              "\"reuseport\" for every \"listen\" on TCP." },

    { .name = "working_directory",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_path,
      CORE_FIELD(working_directory),
      .syntax = "directory",
      .help = "The current directory of workers; core files go there." },

    { .name = "user",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS(1, 2),
      .set = core_set_user,
      .syntax = "user [group]",
      .def = "as configured",
      .help = "Whom workers run as if the server was started by root; the "
              "group is by default the one with the user's name." },

    { .name = "pid",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_path,
      CORE_FIELD(pid),
      .syntax = "file",
      .def = "as configured",
      .help = "The file with the master's process number." },

    { .name = "control_overlay",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = core_set_overlay,
      .syntax = "file | off",
      .def = "run/overlay.ini",
      .help = "Where changes of the run time that are to stay are kept; read "
              "after the configuration." },

    { .name = "lock_file",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "locks are in shared memory",
      .syntax = "file",
      .help = "Accepted without effect: locks are in shared memory." },

    { .name = "env",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = core_set_env,
      .syntax = "variable[=value]",
      .def = "TZ",
      .help = "Keeps a variable of the environment for the workers, or sets "
              "it." },

    { .name = "error_log",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_MULTI,
      .set = core_set_error_log,
      .syntax = "file | stderr | syslog:server=address[,parameter=value] "
                "[level]",
      .def = "the configured file, info",
      .help = "Where lines about errors go, and from which level on: emerg, "
              "alert, crit, error, warn, notice, info, debug, trace." },

    { .name = "debug_points",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "a broken invariant always stops the process with a report",
      .syntax = "abort | stop",
      .help = "Accepted without effect: a broken invariant always stops the "
              "process with a report." },

    { .name = "load_module",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = core_set_load_module,
      .syntax = "file",
      .help = "An error: modules are compiled in." },

    { .name = "timer_resolution",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .data = "the clock is read once in each turn of the loop",
      .syntax = "interval",
      .help = "No effect." },

    { .name = "thread_pool",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS(2, 3),
      .flags = VEIL_CONF_NOOP | VEIL_CONF_MULTI,
      .data = "threads for blocking calls are started as needed",
      .syntax = "name threads=number [max_queue=number]",
      .help = "No effect." },

    { .name = "pcre_jit",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .data = "regular expressions are always compiled",
      .syntax = "on | off",
      .help = "No effect." },

    { .name = "ssl_engine",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .data = "the TLS library has no engines",
      .syntax = "device",
      .help = "No effect." },

    { .name = "ssl_object_cache_inheritable",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .data = "each generation reads its own certificates",
      .syntax = "on | off",
      .help = "No effect." },

    { .name = "quic_bpf",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .data = "datagrams reach their worker without it",
      .syntax = "on | off",
      .help = "No effect." },

    { .name = "events",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_0,
      .flags = VEIL_CONF_BLOCK,
      .set = core_events,
      .help = "Directives about connections; may be left out." },

    { .name = "worker_connections",
      .where = VEIL_CONF_EVENTS,
      .args = VEIL_ARGS_1,
      .set = core_set_connections,
      .syntax = "number",
      .def = "512",
      .help = "How many connections a worker may have, those to backends "
              "included." },

    { .name = "use",
      .where = VEIL_CONF_EVENTS,
      .args = VEIL_ARGS_1,
      .set = core_set_use,
      .syntax = "auto | io_uring | epoll",
      .def = "auto",
      .help = "The interface to the kernel." },

    { .name = "client_io_buffer_size",
      .where = VEIL_CONF_EVENTS,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_size,
      CORE_FIELD(events.io_buffer_size),
      .data = &core_buffer_size,
      .syntax = "size",
      .def = "64k",
      .help = "The size of the buffers that a worker receives into." },

    { .name = "client_io_buffers",
      .where = VEIL_CONF_EVENTS,
      .args = VEIL_ARGS_1,
      .set = core_set_buffers,
      CORE_FIELD(events.io_buffers),
      .data = &core_buffers,
      .syntax = "number",
      .def = "256",
      .help = "How many buffers to receive into each worker has; a power of "
              "2." },

    { .name = "debug_connection",
      .where = VEIL_CONF_EVENTS,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = core_set_debug_connection,
      .syntax = "address | CIDR",
      .help = "Logs connections of these clients at the level debug." },

    { .name = "multi_accept",
      .where = VEIL_CONF_EVENTS,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .data = "all waiting connections are always accepted",
      .syntax = "on | off",
      .help = "No effect." },

    { .name = "accept_mutex",
      .where = VEIL_CONF_EVENTS,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .data = "the kernel spreads connections among workers",
      .syntax = "on | off",
      .help = "No effect." },

    { .name = "accept_mutex_delay",
      .where = VEIL_CONF_EVENTS,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .data = "the kernel spreads connections among workers",
      .syntax = "time",
      .help = "No effect." },

    { .name = NULL },
};

static const veil_core_module_t core_module = {
    .conf = {
        .size = sizeof(veil_main_conf_t),
        .init = core_init,
        .finish = core_finish,
    },
    .init_keeper = veil_overlay_init_keeper,
};

veil_module_t veil_core_main_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "main",
    .commands = core_commands,
    .core = &core_module,
};
