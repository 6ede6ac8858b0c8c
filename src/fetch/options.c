/*
 * options.c -- reading the command line of veil-fetch.
 *
 * One table has all options, and is the help too.  Long ones take their value
 * behind "=" or in the next word, short ones behind the letter or in the next
 * word, and short ones without a value may be joined.  Whatever is wrong is
 * said with the word it is about, before anything is sent.
 */

#include "core/platform.h"

#include <stdarg.h>

#include "core/conf.h"
#include "event/tls.h"
#include "fetch/exchange.h"
#include "fetch/options.h"
#include "fetch/output.h"
#include "http/parse/char_class.h"

typedef struct options_reader_s options_reader_t;

typedef struct {
    char letter; /* 0: none */
    const char *name;
    const char *value; /* as in the help; NULL: takes none */
    const char *help;
    bool (*set)(options_reader_t *r, veil_str_t value); /* or */
    size_t flag; /* the offset of a bool that becomes true */
} options_entry_t;

struct options_reader_s {
    veil_pool_t *pool;
    veil_fetch_options_t *o;
};

/* --- values ---------------------------------------------------------------*/

static bool
options_method(options_reader_t *r, veil_str_t value)
{
    size_t i;

    for (i = 0; i < value.len && veil_char_is(value.data[i], VEIL_CC_TOKEN);
         i++) {
        /* a good one */
    }
    if (i < value.len || value.len == 0 || value.len > 32) {
        veil_fetch_say("\"%.*s\" is no method", VEIL_STR_ARG(value));
        return false;
    }
    if (veil_str_eq(value, VEIL_STR("CONNECT"))) {
        veil_fetch_say("the method CONNECT makes a tunnel, of which nothing "
                       "can be fetched");
        return false;
    }
    r->o->method = value;
    return true;
}

static bool
options_data(options_reader_t *r, veil_str_t value)
{
    if (r->o->data_kind != VEIL_FETCH_NO_DATA) {
        veil_fetch_say("a request has one body: --data is given twice");
        return false;
    }
    r->o->data = value;
    r->o->data_kind = VEIL_FETCH_TEXT;
    if (value.len != 0 && value.data[0] == '@') {
        r->o->data = veil_str_from(value, 1);
        r->o->data_kind = veil_str_eq(value, VEIL_STR("@-")) ? VEIL_FETCH_STDIN
                                                             : VEIL_FETCH_PATH;
    }
    return true;
}

/* What a field means to the request's framing; false after saying why not. */
static bool
options_framing_field(options_reader_t *r, const veil_fetch_field_t *f)
{
    if (veil_str_caseeq(f->name, VEIL_STR("Content-Length"))) {
        r->o->data_length = veil_str_to_int(f->value);
        if (r->o->data_length < 0) {
            veil_fetch_say("Content-Length must be a number, not \"%.*s\"",
                           VEIL_STR_ARG(f->value));
            return false;
        }
    } else if (veil_str_caseeq(f->name, VEIL_STR("Transfer-Encoding"))) {
        if (!veil_str_caseeq(f->value, VEIL_STR("chunked"))) {
            veil_fetch_say("the only Transfer-Encoding is \"chunked\", not "
                           "\"%.*s\"",
                           VEIL_STR_ARG(f->value));
            return false;
        }
        r->o->chunked = true;
    } else if (veil_str_caseeq(f->name, VEIL_STR("Expect"))) {
        r->o->expect = veil_str_caseeq(f->value, VEIL_STR("100-continue"));
    } else if (veil_str_caseeq(f->name, VEIL_STR("Upgrade"))) {
        veil_fetch_say("veil-fetch speaks HTTP/1.1 and nothing else: there is "
                       "no use for an Upgrade field");
        return false;
    }
    return true;
}

static bool
options_field(options_reader_t *r, veil_str_t value)
{
    ptrdiff_t colon = veil_str_chr(value, ':');
    veil_fetch_field_t *f;
    size_t i;
    bool good = colon > 0;

    for (i = 0; good && i < value.len; i++) {
        good =
            i == (size_t) colon
            || veil_char_is(value.data[i], i < (size_t) colon ? VEIL_CC_TOKEN
                                                              : VEIL_CC_VALUE);
    }
    if (!good) {
        veil_fetch_say("\"%.*s\" is no header field: it must look like "
                       "\"Name: value\"",
                       VEIL_STR_ARG(value));
        return false;
    }
    f = veil_array_push(&r->o->fields);
    f->name = veil_str_n(value.data, (size_t) colon);
    f->value = veil_str_trim(veil_str_from(value, (size_t) colon + 1));
    return f->value.len == 0 || options_framing_field(r, f);
}

static bool
options_output(options_reader_t *r, veil_str_t value)
{
    r->o->output = veil_str_eq(value, VEIL_STR("-")) ? NULL : value.data;
    return true;
}

static bool
options_connect(options_reader_t *r, veil_str_t value)
{
    veil_hostport_t *hp = &r->o->connect;

    if (!veil_hostport_parse(hp, value)
        || (!hp->is_unix && (hp->host.len == 0 || hp->port == 0)))
    {
        veil_fetch_say("--connect takes an address and a port, or "
                       "\"unix:\" and a path, not \"%.*s\"",
                       VEIL_STR_ARG(value));
        return false;
    }
    r->o->has_connect = true;
    return true;
}

static bool
options_msec(veil_str_t value, const char *name, uint64_t *ms)
{
    int64_t n = veil_str_to_msec(value);

    if (n < 0) {
        veil_fetch_say("--%s takes a time, such as 30s or 500ms, not \"%.*s\"",
                       name, VEIL_STR_ARG(value));
        return false;
    }
    *ms = (uint64_t) n;
    return true;
}

static bool
options_timeout(options_reader_t *r, veil_str_t value)
{
    return options_msec(value, "timeout", &r->o->timeout_ms);
}

static bool
options_max_time(options_reader_t *r, veil_str_t value)
{
    return options_msec(value, "max-time", &r->o->max_time_ms);
}

/* --- values for TLS -------------------------------------------------------*/

static bool
options_cacert(options_reader_t *r, veil_str_t value)
{
    r->o->cacert = value;
    return true;
}

static bool
options_cert(options_reader_t *r, veil_str_t value)
{
    r->o->cert = value;
    return true;
}

static bool
options_key(options_reader_t *r, veil_str_t value)
{
    r->o->key = value;
    return true;
}

static bool
options_sni(options_reader_t *r, veil_str_t value)
{
    r->o->sni = value;
    r->o->has_sni = true;
    return true;
}

static bool
options_tls(options_reader_t *r, veil_str_t value)
{
    if (veil_str_eq(value, VEIL_STR("1.2"))) {
        r->o->protocols = VEIL_TLS_1_2;
    } else if (veil_str_eq(value, VEIL_STR("1.3"))) {
        r->o->protocols = VEIL_TLS_1_3;
    } else {
        veil_fetch_say("--tls takes 1.2 or 1.3, not \"%.*s\"",
                       VEIL_STR_ARG(value));
        return false;
    }
    return true;
}

static bool
options_ciphers(options_reader_t *r, veil_str_t value)
{
    r->o->ciphers = value;
    return true;
}

static bool
options_alpn(options_reader_t *r, veil_str_t value)
{
    veil_str_t name;

    r->o->alpn.n = 0;
    while (value.len != 0) {
        name = veil_str_trim(veil_str_cut(&value, ','));
        if (name.len == 0 || name.len > 255) {
            veil_fetch_say("--alpn takes names of protocols, as in "
                           "\"http/1.1\"");
            return false;
        }
        *(veil_str_t *) veil_array_push(&r->o->alpn) = name;
    }
    return true;
}

static bool
options_ktls(options_reader_t *r, veil_str_t value)
{
    if (veil_str_eq(value, VEIL_STR("auto"))) {
        r->o->ktls = VEIL_FETCH_KTLS_AUTO;
    } else if (veil_str_eq(value, VEIL_STR("on"))) {
        r->o->ktls = VEIL_FETCH_KTLS_ON;
    } else if (veil_str_eq(value, VEIL_STR("off"))) {
        r->o->ktls = VEIL_FETCH_KTLS_OFF;
    } else {
        veil_fetch_say("--ktls takes auto, on or off, not \"%.*s\"",
                       VEIL_STR_ARG(value));
        return false;
    }
    return true;
}

/* --- the table ------------------------------------------------------------*/

#define OPTIONS_FLAG(field) .flag = offsetof(veil_fetch_options_t, field)

static const options_entry_t options_table[] = {
    { 'X', "request", "METHOD", "GET, HEAD, POST, PUT, PATCH, DELETE, ...",
      .set = options_method },
    { 'd', "data", "DATA",
      "a body: text, @FILE, or @- for standard input; POST\n"
      "unless -X says otherwise",
      .set = options_data },
    { 'H', "header", "\"NAME: VALUE\"",
      "a field of the request; without a value one that\n"
      "veil-fetch would send is left out",
      .set = options_field },
    { 'o', "output", "FILE", "bodies go to this file, heads do not",
      .set = options_output },
    { 's', "summary", NULL, "one line for each URL instead of its response",
      OPTIONS_FLAG(summary) },
    { 'f', "fail", NULL, "a status of 400 or more is a failure (22)",
      OPTIONS_FLAG(fail) },
    { 0, "connect", "ADDRESS:PORT",
      "connect there instead of to the URL's host; also\n"
      "unix:PATH",
      .set = options_connect },
    { 0, "reconnect", NULL, "a connection of its own for each URL",
      OPTIONS_FLAG(reconnect) },
    { 0, "timeout", "TIME", "the longest wait without progress (30s)",
      .set = options_timeout },
    { 0, "max-time", "TIME", "the longest time in all (no limit)",
      .set = options_max_time },
    { 0, "epoll", NULL, "use epoll even if there is io_uring",
      OPTIONS_FLAG(epoll) },
    { 'k', "insecure", NULL, "do not verify the server's certificate",
      OPTIONS_FLAG(insecure) },
    { 0, "cacert", "FILE", "trust these authorities instead of the system's",
      .set = options_cacert },
    { 0, "cert", "FILE", "a certificate of the client, with its chain",
      .set = options_cert },
    { 0, "key", "FILE", "its key (the certificate's file)",
      .set = options_key },
    { 0, "sni", "NAME",
      "the name to ask for and to verify (the URL's host);\n"
      "\"\" asks for none",
      .set = options_sni },
    { 0, "tls", "VERSION", "1.2 or 1.3 only", .set = options_tls },
    { 0, "ciphers", "LIST", "ciphers of TLS 1.2, in OpenSSL's words",
      .set = options_ciphers },
    { 0, "alpn", "LIST", "protocols to offer (http/1.1); \"\" offers none",
      .set = options_alpn },
    { 0, "ktls", "auto|on|off", "TLS in the kernel: if it can, or nothing",
      .set = options_ktls },
    { 'q', "quiet", NULL, "do not say how the connection is made",
      OPTIONS_FLAG(quiet) },
    { 'v', "verbose", NULL, "say what happens, on standard error",
      OPTIONS_FLAG(verbose) },
    { 'h', "help", NULL, "print this help", OPTIONS_FLAG(help) },
    { 'V', "version", NULL, "print the version", OPTIONS_FLAG(version) },
};

void
veil_fetch_options_help(void)
{
    const options_entry_t *e;
    const char *line, *end;
    char left[48];
    size_t i, n;

    printf("usage: veil-fetch [options] URL ...\n\n");
    for (i = 0; i < veil_countof(options_table); i++) {
        e = &options_table[i];
        n = veil_snprintf(
            left, sizeof(left), "  %c%c%c --%s %s", e->letter != 0 ? '-' : ' ',
            e->letter != 0 ? e->letter : ' ', e->letter != 0 ? ',' : ' ',
            e->name, e->value != NULL ? e->value : "");
        if (n > 27) {
            printf("%s\n", left);
            left[0] = '\0';
        }
        line = e->help;
        while ((end = strchr(line, '\n')) != NULL) {
            printf("%-28s%.*s\n", left, (int) (end - line), line);
            left[0] = '\0';
            line = end + 1;
        }
        printf("%-28s%s\n", left, line);
    }
    printf("\nThe exit code is 0, or 1 usage, 2 no connection, 3 TLS failed, "
           "4 protocol\nerror, 5 truncated response, 6 timeout, 7 a local "
           "file, 22 status (--fail).\n");
}

/* --- words ----------------------------------------------------------------*/

static bool
options_apply(options_reader_t *r, const options_entry_t *e, const char *value)
{
    if (e->set == NULL) {
        *(bool *) (void *) ((char *) r->o + e->flag) = true;
        return true;
    }
    return e->set(r, veil_str_z(value));
}

static bool
options_unknown(veil_str_t word)
{
    const char *best = NULL;
    unsigned distance = 0;
    size_t i;

    for (i = 0; i < veil_countof(options_table); i++) {
        veil_conf_nearest(word, options_table[i].name, &best, &distance);
    }
    if (best == NULL) {
        veil_fetch_say("unknown option \"--%.*s\"; --help lists them",
                       VEIL_STR_ARG(word));
    } else {
        veil_fetch_say("unknown option \"--%.*s\"; did you mean \"--%s\"?",
                       VEIL_STR_ARG(word), best);
    }
    return false;
}

/* An option's value: what stands behind it, or the next word. */
static const char *
options_value(const char *behind, char **argv, int *i, const char *name)
{
    if (behind != NULL) {
        return behind;
    }
    if (argv[*i + 1] != NULL) {
        return argv[++*i];
    }
    veil_fetch_say("the option \"--%s\" needs a value", name);
    return NULL;
}

static bool
options_long(options_reader_t *r, char **argv, int *i)
{
    veil_str_t rest = veil_str_z(argv[*i] + 2);
    veil_str_t word = veil_str_cut(&rest, '=');
    const options_entry_t *e = NULL;
    const char *value;
    size_t k;

    for (k = 0; k < veil_countof(options_table); k++) {
        if (veil_str_eq_z(word, options_table[k].name)) {
            e = &options_table[k];
        }
    }
    if (e == NULL) {
        return options_unknown(word);
    }
    if (e->value == NULL) {
        if (rest.data != NULL) {
            veil_fetch_say("the option \"--%s\" takes no value", e->name);
            return false;
        }
        return options_apply(r, e, NULL);
    }
    value = options_value(rest.data, argv, i, e->name);
    return value != NULL && options_apply(r, e, value);
}

static bool
options_short(options_reader_t *r, char **argv, int *i)
{
    const options_entry_t *e;
    const char *p, *value;
    size_t k;

    for (p = argv[*i] + 1; *p != '\0'; p++) {
        e = NULL;
        for (k = 0; k < veil_countof(options_table); k++) {
            if (options_table[k].letter == *p) {
                e = &options_table[k];
            }
        }
        if (e == NULL) {
            veil_fetch_say("unknown option \"-%c\"; --help lists them", *p);
            return false;
        }
        if (e->value != NULL) {
            value =
                options_value(p[1] != '\0' ? p + 1 : NULL, argv, i, e->name);
            return value != NULL && options_apply(r, e, value);
        }
        (void) options_apply(r, e, NULL);
    }
    return true;
}

static bool
options_url(options_reader_t *r, const char *word)
{
    veil_fetch_url_t *url = veil_array_push(&r->o->urls);
    const char *error;

    error = veil_fetch_url_parse(r->pool, veil_str_z(word), url);
    if (error != NULL) {
        veil_fetch_say("the URL \"%s\" %s", word, error);
        return false;
    }
    if (url->tls && !veil_tls_is_built()) {
        veil_fetch_say("the URL \"%s\" needs TLS, which this veil-fetch was "
                       "built without",
                       word);
        return false;
    }
    return true;
}

/* --- the whole ------------------------------------------------------------*/

static bool
options_check_body(const veil_fetch_options_t *o)
{
    bool has_body = o->data_kind != VEIL_FETCH_NO_DATA;

    if (!has_body && (o->data_length > 0 || o->chunked || o->expect)) {
        veil_fetch_say("there is a field for a body, but no body: give one "
                       "with --data");
        return false;
    }
    if (o->data_length >= 0 && o->chunked) {
        veil_fetch_say("Content-Length and Transfer-Encoding exclude each "
                       "other");
        return false;
    }
    if (o->data_kind == VEIL_FETCH_TEXT && o->data_length >= 0
        && (size_t) o->data_length != o->data.len)
    {
        veil_fetch_say("Content-Length says %lld, but the body has %zu bytes",
                       (long long) o->data_length, o->data.len);
        return false;
    }
    if (o->data_kind == VEIL_FETCH_STDIN && o->urls.n > 1) {
        veil_fetch_say("standard input can be sent once: give one URL with "
                       "\"--data @-\"");
        return false;
    }
    return true;
}

static bool
options_check(veil_fetch_options_t *o)
{
    if (o->help || o->version) {
        return true;
    }
    if (o->urls.n == 0) {
        veil_fetch_say("there is no URL; --help lists the options");
        return false;
    }
    if (o->key.len != 0 && o->cert.len == 0) {
        veil_fetch_say("--key is of use with --cert only");
        return false;
    }
    if (o->insecure && o->cacert.len != 0) {
        veil_fetch_say("--insecure and --cacert exclude each other");
        return false;
    }
    if (o->key.len == 0) {
        o->key = o->cert;
    }
    if (o->method.len == 0) {
        o->method = o->data_kind == VEIL_FETCH_NO_DATA ? VEIL_STR("GET")
                                                       : VEIL_STR("POST");
    }
    return options_check_body(o);
}

bool
veil_fetch_options_parse(veil_pool_t *pool, char **argv,
                         veil_fetch_options_t *o)
{
    options_reader_t r = { .pool = pool, .o = o };
    bool only_urls = false, good;
    int i;

    memset(o, 0, sizeof(*o));
    o->data_length = -1;
    o->timeout_ms = 30000;
    veil_array_init(&o->urls, pool, sizeof(veil_fetch_url_t), 4);
    veil_array_init(&o->fields, pool, sizeof(veil_fetch_field_t), 4);
    veil_array_init(&o->alpn, pool, sizeof(veil_str_t), 2);
    *(veil_str_t *) veil_array_push(&o->alpn) = VEIL_STR("http/1.1");

    for (i = 1; argv[i] != NULL; i++) {
        if (only_urls || argv[i][0] != '-' || argv[i][1] == '\0') {
            good = options_url(&r, argv[i]);
        } else if (strcmp(argv[i], "--") == 0) {
            only_urls = true;
            good = true;
        } else if (argv[i][1] == '-') {
            good = options_long(&r, argv, &i);
        } else {
            good = options_short(&r, argv, &i);
        }
        if (!good) {
            return false;
        }
    }
    return options_check(o);
}
