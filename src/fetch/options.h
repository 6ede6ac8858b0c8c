/*
 * options.h -- the command line of veil-fetch, as data.
 */

#ifndef VEIL_FETCH_OPTIONS_H
#define VEIL_FETCH_OPTIONS_H

#include "core/array.h"
#include "core/inet.h"
#include "fetch/fetch.h"
#include "fetch/url.h"

typedef enum {
    VEIL_FETCH_NO_DATA,
    VEIL_FETCH_TEXT, /* -d TEXT */
    VEIL_FETCH_PATH, /* -d @FILE */
    VEIL_FETCH_STDIN /* -d @- */
} veil_fetch_data_t;

typedef enum {
    VEIL_FETCH_KTLS_AUTO, /* the kernel's where it has it */
    VEIL_FETCH_KTLS_ON,   /* or no connection */
    VEIL_FETCH_KTLS_OFF
} veil_fetch_ktls_t;

typedef struct {
    veil_array_t urls; /* of veil_fetch_url_t */
    veil_str_t method; /* as sent */
    veil_fetch_data_t data_kind;
    veil_str_t data;     /* the text, or the path */
    int64_t data_length; /* a Content-Length given with -H; -1: none */
    bool chunked;        /* a Transfer-Encoding given with -H */
    bool expect;         /* Expect: 100-continue, likewise */
    veil_array_t fields; /* of veil_fetch_field_t: -H */
    const char *output;  /* -o; NULL: standard output */
    bool summary;
    bool verbose;
    bool quiet;
    bool fail;
    bool reconnect;
    bool epoll;
    bool help;
    bool version;
    bool has_connect;
    veil_hostport_t connect; /* --connect: instead of the URL's */
    uint64_t timeout_ms;     /* 0: none */
    uint64_t max_time_ms;
    /* TLS */
    bool insecure;
    bool has_sni;
    veil_str_t sni;
    veil_str_t cacert; /* empty: the system's */
    veil_str_t cert;
    veil_str_t key;
    unsigned protocols; /* VEIL_TLS_1_...; 0: the usual ones */
    veil_str_t ciphers;
    veil_array_t alpn; /* of veil_str_t */
    veil_fetch_ktls_t ktls;
} veil_fetch_options_t;

/* False after saying what is wrong; everything lives in the pool. */
bool veil_fetch_options_parse(veil_pool_t *pool, char **argv,
                              veil_fetch_options_t *o);

/* The help, to standard output. */
void veil_fetch_options_help(void);

#endif
