/*
 * explain.h -- what would become of a request, without sending it.
 *
 * The layer that knows requests runs one for which there is no client, with
 * the loaded configuration, through its own code, notes what happens on the
 * way, and stops where something would leave this machine.  The report is an
 * object of JSON:
 *
 *   request    {"method", "url", "client"}
 *   listener   {"address", "tls", "file", "line"}
 *   server     {"name", "why", "file", "line"}
 *   steps      [{"phase", "module", "result",
 *               "notes": [{"about", "text", "file", "line"}]}]
 *   location   {"name", "kind", "file", "line"}; null: none
 *   target     {"kind": "file"|"proxy"|"text"|"redirect"|"error" ...}
 *   limits     {name: value}
 *   filters    [name]
 *   response   {"status", "fields": [[name, value]]}; null: none
 *   log        [line]: what the error log would have
 *   unknown    [sentence]: what only the time of the request can tell
 *   configuration  the path of the main file, when a file was looked at
 *
 * or {"error": sentence}: there is no such listener, the URL is none.
 */

#ifndef VEIL_CORE_EXPLAIN_H
#define VEIL_CORE_EXPLAIN_H

#include <jansson.h>
#include <stdio.h>

#include "core/cycle.h"

struct veil_explain_options_s {
    veil_str_t request; /* "GET https://host:port/path?query" or the URL */
    veil_str_t client;  /* its address; empty: 127.0.0.1 */
    veil_str_t listen;  /* "address:port" of the listener; empty: any with
                           the URL's port */
    const veil_str_t *fields; /* "Name: value" */
    unsigned nfields;
};

/* Fields at most. */
#define VEIL_EXPLAIN_FIELDS 64

/*
 * The same as arguments of a verb (core/control.h), which the server and
 * veilctl have; fields are lines.
 */
#define VEIL_EXPLAIN_ARGS                                                     \
    { "request", VEIL_CONTROL_STRING,                                         \
      VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION, NULL,                    \
      "as in \"GET https://host/path\"" },                                    \
        { "client", VEIL_CONTROL_STRING, 0, NULL,                             \
          "the address it comes from (127.0.0.1)" },                          \
        { "header", VEIL_CONTROL_STRING, 0, NULL,                             \
          "fields of the request, one a line" },                              \
    {                                                                         \
        "listen", VEIL_CONTROL_STRING, 0, NULL,                               \
            "address:port of the listener (any of the URL's port)"            \
    }

/* Of such arguments, for as long as they and the room for fields are there. */
veil_explain_options_t
veil_explain_options(const json_t *args,
                     veil_str_t fields[VEIL_EXPLAIN_FIELDS]);

/*
 * The report, a new reference.  Uses up the process: it has a loop and other
 * logs afterwards, so it is one that serves nothing, and it is asked once.
 */
json_t *veil_explain(veil_cycle_t *cycle, const veil_explain_options_t *o);
/* For people. */
void veil_explain_print(const json_t *report, FILE *out);

#endif
