/*
 * test_cycle.c -- loading a configuration: -g and the file, the directives
 * of the main context and of events, log files, the reference of directives.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "conf_fixture.h"
#include "core/inet.h"
#include "core/main_conf.h"

static veil_rc_t refuse(veil_conf_t *cf);
static bool refusing;

static const veil_core_module_t checking = { .check = refuse };
static veil_module_t checking_module = { .abi = VEIL_MODULE_ABI,
                                         .name = "checking",
                                         .core = &checking };
veil_module_t *const veil_modules[] = { &veil_core_main_module,
                                        &checking_module, NULL };

static veil_rc_t
refuse(veil_conf_t *cf)
{
    cr_assert_eq(cf->module, &checking_module);
    return refusing ? VEIL_ERROR : VEIL_OK;
}

/* The cycle of the text; what was logged must be this. */
static veil_cycle_t *
load(const char *globals, const char *text, const char *logged)
{
    veil_str_t s = veil_str_z(text);
    veil_cycle_t *cycle;
    veil_rc_t rc;

    cr_assert(veil_modules_init() == VEIL_OK);
    fixture_len = 0;
    fixture_lines[0] = '\0';
    cycle = veil_cycle_create(VEIL_STR("/prefix"), VEIL_STR("conf/f"),
                              VEIL_STR("logs/e"), veil_str_z(globals));
    veil_log_use_sinks(&cycle->log, &fixture_sink);
    cycle->testing = true;
    rc = veil_cycle_load(cycle, &s);
    cr_assert_str_eq(fixture_lines, logged, "got:\n%s\nwanted:\n%s",
                     fixture_lines, logged);
    cr_assert_eq(rc, strstr(logged, "emerg:") == NULL ? VEIL_OK : VEIL_ERROR);
    return cycle;
}

static void
done(veil_cycle_t *cycle)
{
    veil_cycle_destroy(&cycle);
    cr_assert_eq(cycle, NULL);
    cr_assert_eq(veil_pool_count(NULL, NULL), 0);
    veil_pool_trim();
}

static void
errors(const char *text, const char *logged)
{
    done(load("", text, logged));
}

Test(cycle, paths)
{
    veil_cycle_t *cycle = load("", "", "");
    char cwd[4096], wanted[4200];

    cr_assert_str_eq(cycle->prefix.data, "/prefix/");
    cr_assert_str_eq(cycle->conf_path.data, "/prefix/conf/f");
    cr_assert_str_eq(cycle->conf_dir.data, "/prefix/conf/");
    done(cycle);

    cycle = veil_cycle_create(VEIL_STR("x"), VEIL_STR_NULL, VEIL_STR_NULL,
                              VEIL_STR_NULL);
    cr_assert_neq(getcwd(cwd, sizeof(cwd)), NULL);
    veil_snprintf(wanted, sizeof(wanted), "%s/x/", cwd);
    cr_assert_str_eq(cycle->prefix.data, wanted);
    cr_assert_eq(cycle->conf_path.data[0], '/');
    done(cycle);
}

Test(cycle, defaults)
{
    veil_cycle_t *cycle = load("", "# nothing\n", "");
    const veil_main_conf_t *m = veil_main_conf(cycle);

    cr_assert(m->daemon);
    cr_assert(m->master_process);
    cr_assert_geq(m->workers, 1);
    cr_assert(m->affinity_auto);
    cr_assert_eq(m->rlimit_nofile, VEIL_RLIMIT_AUTO);
    cr_assert_eq(m->rlimit_core, VEIL_RLIMIT_UNSET);
    cr_assert_eq(m->worker_shutdown_timeout_ms, 3600000);
    cr_assert_eq(m->shutdown_timeout_ms, 30000);
    cr_assert_str_eq(geteuid() == 0 ? m->user.data : VEIL_USER, VEIL_USER);
    cr_assert_eq(m->pid.data[0], '/');
    cr_assert_eq(m->error_log->level, VEIL_LOG_INFO);
    cr_assert_str_eq(m->error_log->file->path.data, "/prefix/logs/e");
    cr_assert_eq(m->events.worker_connections, 512);
    cr_assert_eq(m->events.use, VEIL_USE_AUTO);
    cr_assert_eq(m->events.io_buffer_size, 65536);
    done(cycle);
}

Test(cycle, all_of_main)
{
    veil_cycle_t *cycle =
        load("",
             "daemon off; master_process off; worker_processes 3;\n"
             "worker_cpu_affinity 01 10 1100; worker_rlimit_nofile 99;\n"
             "worker_rlimit_core 5m; worker_priority -5;\n"
             "worker_shutdown_timeout 10s; shutdown_timeout 1m;\n"
             "working_directory /w; pid run/p;\n"
             "env A; env B=c;\n"
             "error_log stderr; error_log x debug;\n"
             "events { worker_connections 2048; use epoll;\n"
             "client_io_buffer_size 16k; client_io_buffers 64; }\n",
             "");
    const veil_main_conf_t *m = veil_main_conf(cycle);
    const cpu_set_t *third = veil_array_at(m->cpus, cpu_set_t, 2);

    cr_assert_not(m->daemon);
    cr_assert_not(m->master_process);
    cr_assert_eq(m->workers, 3);
    cr_assert_not(m->affinity_auto);
    cr_assert_eq(m->cpus->n, 3);
    cr_assert_eq(CPU_COUNT(third), 2);
    cr_assert(CPU_ISSET(3, third));
    cr_assert(CPU_ISSET(2, third));
    cr_assert_eq(m->rlimit_nofile, 99);
    cr_assert_eq(m->rlimit_core, 5 * 1024 * 1024);
    cr_assert_eq(m->priority, -5);
    cr_assert_eq(m->worker_shutdown_timeout_ms, 10000);
    cr_assert_eq(m->shutdown_timeout_ms, 60000);
    cr_assert_str_eq(m->working_directory.data, "/w");
    cr_assert_str_eq(m->pid.data, "/prefix/run/p");
    cr_assert_eq(m->env->n, 2);
    cr_assert_eq(m->error_log->file->path.len, 0);
    cr_assert_eq(m->error_log->level, VEIL_LOG_ERR);
    cr_assert_eq(m->error_log->next->level, VEIL_LOG_DEBUG);
    cr_assert_eq(m->events.worker_connections, 2048);
    cr_assert_eq(m->events.use, VEIL_USE_EPOLL);
    cr_assert_eq(m->events.io_buffer_size, 16384);
    cr_assert_eq(m->events.io_buffers, 64);
    done(cycle);
}

Test(cycle, workers_auto_and_zero)
{
    veil_cycle_t *cycle = load("", "worker_processes auto;", "");
    unsigned n = veil_main_conf(cycle)->workers;

    done(cycle);
    cycle = load("", "worker_processes 0; worker_cpu_affinity auto 0101;", "");
    cr_assert_eq(veil_main_conf(cycle)->workers, n);
    cr_assert(veil_main_conf(cycle)->affinity_auto);
    cr_assert(veil_main_conf(cycle)->has_cpu_limit);
    cr_assert_eq(CPU_COUNT(&veil_main_conf(cycle)->cpu_limit), 2);
    done(cycle);
}

Test(cycle, globals_come_first_and_count_for_duplicates)
{
    veil_cycle_t *cycle =
        load("daemon off; worker_processes 2;", "master_process off;", "");

    cr_assert_not(veil_main_conf(cycle)->daemon);
    cr_assert_not(veil_main_conf(cycle)->master_process);
    done(cycle);
    done(load("daemon off;", "\ndaemon on;",
              "emerg: \"daemon\" directive is duplicate in "
              "/prefix/conf/f:2:1\n"
              "emerg:     daemon on;\n"
              "emerg:     ^\n"));
    done(load("daemon maybe;", "",
              "emerg: invalid value \"maybe\" in \"daemon\" directive, it "
              "must be \"on\" or \"off\" in command line:1:8\n"
              "emerg:     daemon maybe;\n"
              "emerg:            ^\n"));
}

#define AT(column, line)                                                      \
    " in /prefix/conf/f:1:" column "\nemerg:     " line "\nemerg:     "

Test(cycle, texts_of_errors)
{
    errors("worker_processes x;",
           "emerg: invalid value \"x\" in \"worker_processes\" directive, it "
           "must be a number or \"auto\"" AT(
               "18", "worker_processes x;") "                 ^\n");
    errors("worker_cpu_affinity 012;",
           "emerg: invalid character \"2\" in \"worker_cpu_affinity\"" AT(
               "21", "worker_cpu_affinity 012;") "                    ^\n");
    errors("worker_priority x;",
           "emerg: invalid number \"x\" in \"worker_priority\" directive" AT(
               "17", "worker_priority x;") "                ^\n");
    errors("worker_priority 21;",
           "emerg: value must be between -20 and 20" AT(
               "17", "worker_priority 21;") "                ^\n");
    errors("worker_rlimit_core 1z;",
           "emerg: invalid size \"1z\" in \"worker_rlimit_core\" directive" AT(
               "20", "worker_rlimit_core 1z;") "                   ^\n");
    errors("events { worker_connections x; }",
           "emerg: invalid number \"x\"" AT(
               "29", "events { worker_connections x; }") "                "
                                                         "            ^\n");
    errors("events { } events { }",
           "emerg: \"events\" directive is duplicate" AT(
               "12", "events { } events { }") "           ^\n");
    errors("events { client_io_buffers 9; }",
           "emerg: value must be a power of 2" AT(
               "28",
               "events { client_io_buffers 9; }") "                           "
                                                  "^\n");
    errors("load_module x.so;",
           "emerg: there are no dynamic modules: build it in with "
           "\"./configure --add-module=DIR\" and remove \"load_module\"" AT(
               "1", "load_module x.so;") "^\n");
    errors("env =x;",
           "emerg: invalid name of a variable" AT("5", "env =x;") "    ^\n");
    errors("error_log memory:1m;",
           "emerg: logging to memory is not supported" AT(
               "11", "error_log memory:1m;") "          ^\n");
    errors("pid \"\";", "emerg: invalid path \"\" in \"pid\" directive" AT(
                            "5", "pid \"\";") "    ^\n");
}

Test(cycle, event_types)
{
    errors("events { use kqueue; }",
           "emerg: invalid event type \"kqueue\" in /prefix/conf/f:1:14 "
           "(there are: auto, io_uring, epoll)\n"
           "emerg:     events { use kqueue; }\n"
           "emerg:                  ^\n");
}

Test(cycle, what_nginx_has_and_veil_does_not_need)
{
    done(load("",
              "timer_resolution 100ms; pcre_jit on; thread_pool a threads=1; "
              "thread_pool b threads=1; events { multi_accept on; }",
              "notice: \"timer_resolution\" directive has no effect: the "
              "clock is read once in each turn of the loop in "
              "/prefix/conf/f:1:1\n"
              "notice: \"pcre_jit\" directive has no effect: regular "
              "expressions are always compiled in /prefix/conf/f:1:25\n"
              "notice: \"thread_pool\" directive has no effect: threads for "
              "blocking calls are started as needed in "
              "/prefix/conf/f:1:38\n"
              "notice: \"multi_accept\" directive has no effect: all waiting "
              "connections are always accepted in /prefix/conf/f:1:97\n"));
}

Test(cycle, user)
{
    veil_cycle_t *cycle;

    if (geteuid() != 0) {
        done(load("", "user root;",
                  "warn: the \"user\" directive makes sense only if the "
                  "master process runs with super-user privileges, ignored "
                  "in /prefix/conf/f:1:1\n"
                  "warn:     user root;\n"
                  "warn:     ^\n"));
        return;
    }
    cycle = load("", "user daemon root;", "");
    cr_assert_str_eq(veil_main_conf(cycle)->user.data, "daemon");
    cr_assert_neq(veil_main_conf(cycle)->uid, 0);
    cr_assert_eq(veil_main_conf(cycle)->gid, 0);
    done(cycle);
    errors("user no-such-one;", "emerg: there is no user \"no-such-one\"" AT(
                                    "6", "user no-such-one;") "     ^\n");
    errors("user daemon no-such-one;",
           "emerg: there is no group \"no-such-one\"" AT(
               "13", "user daemon no-such-one;") "            ^\n");
}

Test(cycle, debug_connection)
{
#if VEIL_DEBUG
    veil_cycle_t *cycle =
        load("", "events { debug_connection 10.0.0.0/8; }", "");
    veil_cidr_t *cidr =
        veil_array_at(veil_main_conf(cycle)->events.debug, veil_cidr_t, 0);

    cr_assert_eq(cidr->bits, 8);
    done(cycle);
    errors("events { debug_connection x; }",
           "emerg: \"x\" is neither an address nor a range" AT(
               "27",
               "events { debug_connection x; }") "                          ^"
                                                 "\n");
#else
    done(load("", "events { debug_connection 10.0.0.0/8; }",
              "warn: \"debug_connection\" is ignored, you need to rebuild "
              "veil using --with-debug option to enable it in "
              "/prefix/conf/f:1:10\n"
              "warn:     events { debug_connection 10.0.0.0/8; }\n"
              "warn:              ^\n"));
#endif
}

Test(cycle, a_module_may_refuse)
{
    refusing = true;
    errors("", "emerg: module \"checking\" refuses the configuration\n");
    refusing = false;
}

Test(cycle, logs_are_opened_and_reopened)
{
    char dir[] = "/tmp/veil-cycle-XXXXXX", path[64], command[64];
    veil_str_t text = VEIL_STR("error_log e warn;");
    veil_cycle_t *cycle;
    FILE *f;

    cr_assert(veil_modules_init() == VEIL_OK);
    cr_assert_neq(mkdtemp(dir), NULL);
    cycle = veil_cycle_create(veil_str_z(dir), VEIL_STR("f"), VEIL_STR_NULL,
                              VEIL_STR_NULL);
    cr_assert_eq(veil_cycle_load(cycle, &text), VEIL_OK);
    cr_assert_eq(cycle->log.level, VEIL_LOG_WARN);
    veil_log(&cycle->log, VEIL_LOG_WARN, 0, "one");
    veil_snprintf(path, sizeof(path), "%s/e", dir);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(veil_cycle_open_logs(cycle), VEIL_OK);
    veil_log(&cycle->log, VEIL_LOG_WARN, 0, "two");
    f = fopen(path, "r");
    cr_assert_neq(f, NULL);
    cr_assert_neq(fgets(command, sizeof(command), f), NULL);
    cr_assert_neq(strstr(command, ": two\n"), NULL);
    fclose(f);
    veil_cycle_destroy(&cycle);
    veil_pool_trim();
    veil_snprintf(command, sizeof(command), "rm -r '%s'", dir);
    cr_assert_eq(system(command), 0);
}

Test(cycle, reference_of_directives)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    cr_assert(veil_modules_init() == VEIL_OK);
    veil_conf_doc(out);
    fclose(out);
    cr_assert_neq(strstr(text, "\n## core: main\n"), NULL);
    cr_assert_neq(strstr(text,
                         "\n### worker_processes\n\n"
                         "    Syntax:   worker_processes number | auto;\n"
                         "    Default:  auto\n"
                         "    Context:  main\n\n"
                         "The number of workers;"),
                  NULL);
    cr_assert_neq(strstr(text, "    Syntax:   events { ... }\n"), NULL);
    cr_assert_neq(strstr(text, "    Context:  any\n"), NULL);
    cr_assert_neq(strstr(text, "Accepted without effect: "), NULL);
    free(text);
}
