/*
 * access_log.c -- one line for each request, in a format of variables.
 *
 * A format is compiled to literals and variables; at the end of a request it
 * is written into one buffer on the stack (or the request's pool, when it is
 * long) and goes out with one write(2), or into the file's buffer when one is
 * configured.  Files are the cycle's: shared by all directives that name them
 * and reopened on USR1.  A path with variables is opened for each line, as
 * one cannot know what it will be; as in nginx nothing is written when the
 * request's root does not exist, so that a client cannot make up names.
 *
 * A line that cannot be written is lost: a full disk must not stop requests.
 * The error log says so, at most once a minute in a worker.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "core/cycle.h"
#include "core/syslog.h"
#include "core/time.h"
#include "http/http.h"

typedef enum { ESCAPE_DEFAULT, ESCAPE_JSON, ESCAPE_NONE } access_log_escape_t;

typedef struct {
    veil_str_t literal; /* data NULL: a variable */
    unsigned index;
} access_log_part_t;

typedef struct {
    veil_str_t name;
    veil_array_t parts; /* of access_log_part_t */
    access_log_escape_t escape;
    const veil_conf_node_t *node;
} access_log_format_t;

/* What a file collects before it is written; veil_log_file_t.data. */
typedef struct {
    char *data;
    size_t len;
    size_t size;
    uint64_t flush_ms; /* 0: only when full */
    veil_timer_t timer;
    veil_log_file_t *file;
} access_log_buffer_t;

/* One of file, path and syslog is set. */
typedef struct {
    veil_log_file_t *file;
    const veil_http_value_t *path; /* with variables */
    veil_syslog_t *syslog;
    access_log_format_t *format;
    veil_str_t format_name;             /* until it is known */
    const veil_http_value_t *condition; /* "if=" */
    const veil_conf_node_t *node;
} access_log_target_t;

typedef struct {
    veil_array_t *targets; /* of access_log_target_t; NULL: not configured */
    bool off;
} access_log_conf_t;

typedef struct {
    veil_array_t *formats; /* of access_log_format_t * */
    veil_array_t *pending; /* of access_log_target_t *: formats to be found */
} access_log_main_t;

extern veil_module_t veil_http_access_log_module;

/* --- formats -------------------------------------------------------------
 */

static access_log_main_t *
access_log_main(veil_conf_t *cf)
{
    veil_http_main_t *main = cf->cycle->http;

    return veil_conf_write_of(cf, main->scope, &veil_http_access_log_module,
                              VEIL_CONF_OF_MAIN);
}

static bool
access_log_is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '_';
}

static veil_rc_t
access_log_compile(veil_conf_t *cf, access_log_format_t *f, veil_str_t s)
{
    access_log_part_t *part;
    size_t i = 0, start;
    bool braces;

    while (i < s.len) {
        start = i;
        while (i < s.len && s.data[i] != '$') {
            i++;
        }
        if (i > start) {
            part = veil_array_push(&f->parts);
            part->literal =
                veil_pool_str(cf->pool, veil_str_n(s.data + start, i - start));
        }
        if (i == s.len) {
            break;
        }
        braces = ++i < s.len && s.data[i] == '{';
        start = i += braces ? 1 : 0;
        while (i < s.len && access_log_is_name(s.data[i])) {
            i++;
        }
        if (i == start || (braces && (i == s.len || s.data[i] != '}'))) {
            return veil_conf_error(cf, "invalid variable name in a format");
        }
        part = veil_array_push(&f->parts);
        part->index =
            veil_http_var_index(cf, veil_str_n(s.data + start, i - start));
        i += braces ? 1 : 0;
    }
    return VEIL_OK;
}

static access_log_format_t *
access_log_find_format(const access_log_main_t *main, veil_str_t name)
{
    access_log_format_t *f;
    unsigned i;

    for (i = 0; main->formats != NULL && i < main->formats->n; i++) {
        f = *veil_array_at(main->formats, access_log_format_t *, i);
        if (veil_str_eq(f->name, name)) {
            return f;
        }
    }
    return NULL;
}

static access_log_format_t *
access_log_add_format(veil_conf_t *cf, access_log_main_t *main,
                      veil_str_t name)
{
    access_log_format_t *f = VEIL_POOL_NEW(cf->pool, access_log_format_t);

    if (main->formats == NULL) {
        main->formats = veil_array_create(cf->pool, sizeof(f), 4);
    }
    f->name = name;
    f->node = cf->node;
    veil_array_init(&f->parts, cf->pool, sizeof(access_log_part_t), 16);
    *(access_log_format_t **) veil_array_push(main->formats) = f;
    return f;
}

/* log_format NAME [escape=default|json|none] TEXT ... */
static veil_rc_t
access_log_set_format(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                      void *conf)
{
    access_log_main_t *main = conf;
    veil_str_t name = veil_conf_arg(cf, 1), value;
    access_log_format_t *f;
    unsigned i = 2;

    if (veil_str_eq(name, VEIL_STR("combined"))
        || access_log_find_format(main, name) != NULL)
    {
        return veil_conf_error_at(cf, 1,
                                  "duplicate \"log_format\" name \"%.*s\"",
                                  VEIL_STR_ARG(name));
    }
    f = access_log_add_format(cf, main, name);
    if (veil_conf_arg_is(cf, 2, "escape", &value)) {
        static const char *const words[] = { "default", "json", "none", NULL };

        if (veil_str_eq(value, VEIL_STR("json"))) {
            f->escape = ESCAPE_JSON;
        } else if (veil_str_eq(value, VEIL_STR("none"))) {
            f->escape = ESCAPE_NONE;
        } else if (!veil_str_eq(value, VEIL_STR("default"))) {
            return veil_conf_error_word(cf, 2, words);
        }
        i = 3;
    }
    for (; i < veil_conf_nargs(cf); i++) {
        if (access_log_compile(cf, f, veil_conf_arg(cf, i)) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

/* nginx's "combined" is always there. */
static veil_rc_t
access_log_init(veil_conf_t *cf)
{
    access_log_format_t *f =
        access_log_add_format(cf, access_log_main(cf), VEIL_STR("combined"));

    return access_log_compile(
        cf, f,
        VEIL_STR("$remote_addr - $remote_user [$time_local] \"$request\" "
                 "$status $body_bytes_sent \"$http_referer\" "
                 "\"$http_user_agent\""));
}

/* --- access_log ----------------------------------------------------------
 */

static void access_log_flush(veil_log_file_t *file);

static veil_rc_t
access_log_set_buffer(veil_conf_t *cf, veil_log_file_t *file, int64_t size,
                      int64_t flush_ms)
{
    access_log_buffer_t *b = file->data;

    if (size < 0 && flush_ms < 0) {
        return VEIL_OK;
    }
    if (size < 0) {
        return veil_conf_error(
            cf, "\"flush\" needs \"buffer\" in access_log \"%.*s\"",
            VEIL_STR_ARG(veil_conf_arg(cf, 1)));
    }
    if (b != NULL) {
        if (b->size != (size_t) size
            || b->flush_ms != (uint64_t) (flush_ms < 0 ? 0 : flush_ms))
        {
            return veil_conf_error(
                cf,
                "access_log \"%.*s\" already defined with conflicting "
                "parameters",
                VEIL_STR_ARG(veil_conf_arg(cf, 1)));
        }
        return VEIL_OK;
    }
    b = VEIL_POOL_NEW(cf->pool, access_log_buffer_t);
    b->data = veil_pool_chars(cf->pool, (size_t) size);
    b->size = (size_t) size;
    b->flush_ms = flush_ms < 0 ? 0 : (uint64_t) flush_ms;
    b->file = file;
    file->data = b;
    file->flush = access_log_flush;
    return VEIL_OK;
}

static veil_rc_t
access_log_set_parameters(veil_conf_t *cf, access_log_target_t *t)
{
    static const char *const words[] = { "buffer=", "flush=", "if=", NULL };
    int64_t size = -1, flush_ms = -1;
    veil_str_t value;
    unsigned i;

    for (i = 3; i < veil_conf_nargs(cf); i++) {
        if (veil_conf_arg_is(cf, i, "buffer", &value)) {
            size = veil_str_to_size(value);
            if (size <= 0) {
                return veil_conf_error_at(cf, i,
                                          "invalid buffer size \"%.*s\"",
                                          VEIL_STR_ARG(value));
            }
        } else if (veil_conf_arg_is(cf, i, "flush", &value)) {
            flush_ms = veil_str_to_msec(value);
            if (flush_ms <= 0) {
                return veil_conf_error_at(cf, i, "invalid flush time \"%.*s\"",
                                          VEIL_STR_ARG(value));
            }
        } else if (veil_conf_arg_is(cf, i, "if", &value)) {
            t->condition = veil_http_value_compile(cf, value);
            if (t->condition == NULL) {
                return VEIL_ERROR;
            }
        } else if (veil_str_starts(veil_conf_arg(cf, i), VEIL_STR("gzip"))) {
            return veil_conf_error_at(
                cf, i,
                "access_log does not compress: \"gzip\" is not supported, "
                "let the rotation of logs do it");
        } else {
            return veil_conf_error_word(cf, i, words);
        }
    }
    if (t->file == NULL) {
        return size < 0 && flush_ms < 0
                   ? VEIL_OK
                   : veil_conf_error(cf, "a log to syslog, or whose path has "
                                         "variables, cannot have a buffer");
    }
    return access_log_set_buffer(cf, t->file, size, flush_ms);
}

/* The first directive of a block replaces what is inherited. */
static void
access_log_begin(veil_conf_t *cf, access_log_conf_t *acf)
{
    if (acf->targets == NULL || !veil_conf_is_begun(cf, acf->targets)) {
        acf->targets =
            veil_array_create(cf->pool, sizeof(access_log_target_t *), 2);
        veil_conf_begin(cf, acf->targets);
        acf->off = false;
    }
}

/* "off" wins over others of its block, before and behind it, as in nginx. */
static veil_rc_t
access_log_set_log(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                   void *conf)
{
    access_log_main_t *main = access_log_main(cf);
    veil_str_t path = veil_conf_arg(cf, 1);
    access_log_conf_t *acf = conf;
    access_log_target_t *t;

    if (veil_str_eq(path, VEIL_STR("off"))) {
        if (veil_conf_nargs(cf) != 2) {
            return veil_conf_error_at(cf, 2, "nothing follows \"off\"");
        }
        access_log_begin(cf, acf);
        acf->off = true;
        return VEIL_OK;
    }
    access_log_begin(cf, acf);
    t = VEIL_POOL_NEW(cf->pool, access_log_target_t);
    *(access_log_target_t **) veil_array_push(acf->targets) = t;
    t->node = cf->node;
    t->format_name =
        veil_conf_nargs(cf) > 2 ? veil_conf_arg(cf, 2) : VEIL_STR("combined");
    if (veil_str_starts(path, VEIL_STR("syslog:"))) {
        t->syslog = veil_syslog_create(cf, 1);
        if (t->syslog == NULL) {
            return VEIL_ERROR;
        }
    } else if (veil_str_chr(path, '$') >= 0) {
        t->path = veil_http_value_compile(
            cf,
            path.data[0] == '$' ? path : veil_conf_full_path(cf, path, false));
        if (t->path == NULL) {
            return VEIL_ERROR;
        }
    } else {
        t->file = veil_cycle_log_file(cf->cycle,
                                      veil_conf_full_path(cf, path, false));
    }
    if (main->pending == NULL) {
        main->pending = veil_array_create(cf->pool, sizeof(t), 4);
    }
    *(access_log_target_t **) veil_array_push(main->pending) = t;
    return access_log_set_parameters(cf, t);
}

/* A format may be defined behind its use. */
static veil_rc_t
access_log_check(veil_conf_t *cf)
{
    access_log_main_t *main = access_log_main(cf);
    veil_rc_t rc = VEIL_OK;
    access_log_target_t *t;
    unsigned i;

    for (i = 0; main->pending != NULL && i < main->pending->n; i++) {
        t = *veil_array_at(main->pending, access_log_target_t *, i);
        t->format = access_log_find_format(main, t->format_name);
        if (t->format == NULL) {
            rc = veil_conf_error_node(cf, t->node, 2,
                                      "unknown log format \"%.*s\"",
                                      VEIL_STR_ARG(t->format_name));
        }
    }
    return rc;
}

static veil_rc_t
access_log_finish(veil_conf_t *cf, void *conf, const void *parent)
{
    access_log_conf_t *acf = conf;
    access_log_main_t *main;
    access_log_target_t *t;

    if (acf->targets != NULL || acf->off || parent != NULL) {
        return VEIL_OK;
    }
    /* Nothing is said in http {}: the log that configure named. */
    main = access_log_main(cf);
    t = VEIL_POOL_NEW(cf->pool, access_log_target_t);
    t->node = cf->node;
    t->format_name = VEIL_STR("combined");
    t->format = access_log_find_format(main, t->format_name);
    t->file = veil_cycle_log_file(cf->cycle, VEIL_STR(VEIL_HTTP_LOG_PATH));
    acf->targets = veil_array_create(cf->pool, sizeof(t), 1);
    *(access_log_target_t **) veil_array_push(acf->targets) = t;
    return VEIL_OK;
}

/* --- writing -------------------------------------------------------------
 */

static void
access_log_write_out(const veil_log_t *log, veil_log_file_t *file,
                     const char *data, size_t len)
{
    static int64_t said; /* at most one complaint a minute */
    ssize_t n = write(file->fd, data, len);

    if (n == (ssize_t) len || (said != 0 && veil_clock.sec - said < 60)) {
        return;
    }
    said = veil_clock.sec;
    if (n < 0) {
        veil_log(log, VEIL_LOG_ALERT, errno, "write() to \"%.*s\" failed",
                 VEIL_STR_ARG(file->path));
    } else {
        veil_log(log, VEIL_LOG_ALERT, 0,
                 "write() to \"%.*s\" was incomplete: %zd of %zu",
                 VEIL_STR_ARG(file->path), n, len);
    }
}

static void
access_log_flush(veil_log_file_t *file)
{
    access_log_buffer_t *b = file->data;

    if (b->len != 0) {
        access_log_write_out(&veil_cycle->log, file, b->data, b->len);
        b->len = 0;
    }
    if (b->timer.fired != NULL) {
        veil_timer_cancel(&b->timer);
    }
}

static void
access_log_flush_due(veil_timer_t *timer)
{
    access_log_buffer_t *b =
        veil_container_of(timer, access_log_buffer_t, timer);

    access_log_flush(b->file);
}

static void
access_log_emit(veil_http_request_t *r, veil_log_file_t *file,
                const char *line, size_t len)
{
    access_log_buffer_t *b = file->data;

    if (b == NULL) {
        access_log_write_out(&r->log, file, line, len);
        return;
    }
    if (b->len + len > b->size) {
        access_log_flush(file);
    }
    if (len > b->size) {
        access_log_write_out(&r->log, file, line, len);
        return;
    }
    memcpy(b->data + b->len, line, len);
    b->len += len;
    if (b->flush_ms != 0 && b->len == len) {
        veil_timer_init(&b->timer, access_log_flush_due);
        veil_timer_set(r->loop, &b->timer, b->flush_ms);
    }
}

/* Whether the root of the request's location is a directory. */
static bool
access_log_has_root(veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    const veil_http_value_t *root =
        conf->alias != NULL ? conf->alias : conf->root;
    struct stat st;

    return root != NULL && stat(veil_http_eval_z(r, root).data, &st) == 0
           && S_ISDIR(st.st_mode);
}

/* A path made for this request: opened, written, closed. */
static void
access_log_emit_path(veil_http_request_t *r, const veil_http_value_t *path,
                     const char *line, size_t len)
{
    veil_log_file_t file = { .fd = -1 };

    if (!access_log_has_root(r)) {
        return;
    }
    file.path = veil_http_eval_z(r, path);
    file.fd =
        open(file.path.data, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file.fd < 0) {
        veil_log(&r->log, VEIL_LOG_CRIT, errno, "open() \"%.*s\" failed",
                 VEIL_STR_ARG(file.path));
        return;
    }
    access_log_write_out(&r->log, &file, line, len);
    (void) close(file.fd); /* what was to be written is written */
}

/* --- lines ---------------------------------------------------------------
 */

/* nginx's escaping: quotes, backslashes and what is not ASCII text. */
static char *
access_log_escape(char *p, veil_str_t s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t i;

    for (i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.data[i];

        if (c < 32 || c > 126 || c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = 'x';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        } else {
            *p++ = (char) c;
        }
    }
    return p;
}

static size_t
access_log_measure(veil_http_request_t *r, const access_log_format_t *f,
                   veil_str_t *values)
{
    size_t len = 1;
    unsigned i;

    for (i = 0; i < f->parts.n; i++) {
        const access_log_part_t *part =
            veil_array_at(&f->parts, access_log_part_t, i);

        if (part->literal.data != NULL) {
            values[i] = part->literal;
            len += part->literal.len;
            continue;
        }
        if (!veil_http_var(r, part->index, &values[i])) {
            values[i] =
                f->escape == ESCAPE_DEFAULT ? VEIL_STR("-") : VEIL_STR("");
        }
        len +=
            f->escape == ESCAPE_JSON ? 6 * values[i].len : 4 * values[i].len;
    }
    return len;
}

static char *
access_log_format(char *p, const access_log_format_t *f,
                  const veil_str_t *values)
{
    unsigned i;

    for (i = 0; i < f->parts.n; i++) {
        const access_log_part_t *part =
            veil_array_at(&f->parts, access_log_part_t, i);

        if (part->literal.data != NULL || f->escape == ESCAPE_NONE) {
            p = veil_fmt_str(p, values[i]);
        } else if (f->escape == ESCAPE_JSON) {
            p += veil_str_escape_json(p, values[i]);
        } else {
            p = access_log_escape(p, values[i]);
        }
    }
    *p++ = '\n';
    return p;
}

static void
access_log_to(veil_http_request_t *r, const access_log_target_t *t)
{
    char stack[1024], *line = stack, *end;
    veil_str_t *values, s;
    size_t len;

    if (t->condition != NULL) {
        s = veil_http_eval(r, t->condition);
        if (s.len == 0 || (s.len == 1 && s.data[0] == '0')) {
            return;
        }
    }
    values = veil_pool_alloc(r->pool, t->format->parts.n * sizeof(*values));
    len = access_log_measure(r, t->format, values);
    if (len > sizeof(stack)) {
        line = veil_pool_chars(r->pool, len);
    }
    end = access_log_format(line, t->format, values);
    len = (size_t) (end - line);
    if (t->syslog != NULL) {
        veil_syslog_send(t->syslog, VEIL_LOG_OFF, line, len - 1);
    } else if (t->path != NULL) {
        access_log_emit_path(r, t->path, line, len);
    } else {
        access_log_emit(r, t->file, line, len);
    }
}

static veil_http_rc_t
access_log_handler(veil_http_request_t *r)
{
    const access_log_conf_t *conf =
        veil_http_loc_conf(r, &veil_http_access_log_module);
    unsigned i;

    if (conf->off || conf->targets == NULL) {
        return VEIL_HTTP_NEXT;
    }
    if (r->parent != NULL && !veil_http_core_loc(r)->log_subrequest) {
        return VEIL_HTTP_NEXT;
    }
    for (i = 0; i < conf->targets->n; i++) {
        access_log_to(r,
                      *veil_array_at(conf->targets, access_log_target_t *, i));
    }
    return VEIL_HTTP_NEXT;
}

static void
access_log_exit_worker(veil_cycle_t *cycle)
{
    veil_cycle_flush_logs(cycle);
}

static const veil_command_t access_log_commands[] = {
    { .name = "log_format",
      .where = VEIL_CONF_HTTP,
      .args = VEIL_ARGS_2MORE,
      .flags = VEIL_CONF_DEFINITION | VEIL_CONF_MULTI,
      .kind = VEIL_CONF_OF_MAIN,
      .set = access_log_set_format,
      .syntax = "name [escape=default | json | none] string ...",
      .def = "combined \"...\"",
      .help = "A format of lines for access_log." },

    { .name = "access_log",
      .where =
          VEIL_CONF_HTTP_ANY | VEIL_CONF_IF_LOCATION | VEIL_CONF_LIMIT_EXCEPT,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_MULTI,
      .set = access_log_set_log,
      .syntax = "path | syslog:server=address[,parameter=value] [format "
                "[buffer=size] [flush=time] [if=condition]] | off",
      .def = "the configured path, combined",
      .help = "Where a line for each request goes." },

    { .name = "open_log_file_cache",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS(1, 4),
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "a log whose path has variables is opened for each line",
      .syntax = "max=number [inactive=time] [min_uses=number] [valid=time] "
                "| off",
      .def = "off",
      .help = "Accepted without effect: a log whose path has variables is "
              "opened for each line." },

    { .name = NULL },
};

static const veil_http_module_t access_log_http = {
    .main_conf_size = sizeof(access_log_main_t),
    .loc_conf_size = sizeof(access_log_conf_t),
    .loc_conf_finish = access_log_finish,
    .init = access_log_init,
    .check = access_log_check,
    .handler = { VEIL_PHASE_LOG, access_log_handler },
    .exit_worker = access_log_exit_worker,
};

veil_module_t veil_http_access_log_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "access_log",
    .commands = access_log_commands,
    .http = &access_log_http,
};
