/*
 * control.c -- what all processes know of control calls: the table of verbs,
 * arguments, and how a call tells its result.
 *
 * JSON is jansson's.  Its values are counted references on the heap; a call
 * owns those it holds and frees them when it ends.  Allocation by jansson
 * goes through veil_alloc(), which does not fail, so no result is checked for
 * want of memory here.
 *
 * What this does not do: no sockets, no messages.  The process layer carries
 * calls about and fills in call->finish and call->say.
 */

#include "core/control.h"

#include "core/pool.h"

void (*veil_control_event_sink)(const char *kind, json_t *data);
int (*veil_control_gen_drained)(uint64_t generation);

veil_control_rc_t
veil_control_fail(veil_control_call_t *call, const char *code, const char *fmt,
                  ...)
{
    va_list ap;

    call->code = code;
    va_start(ap, fmt);
    (void) vsnprintf(call->msg, sizeof(call->msg), fmt, ap);
    va_end(ap);
    return VEIL_CONTROL_FAILED;
}

void
veil_control_hint(veil_control_call_t *call, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void) vsnprintf(call->hint, sizeof(call->hint), fmt, ap);
    va_end(ap);
}

veil_control_rc_t
veil_control_forward(veil_control_call_t *call, json_t *args)
{
    json_decref(call->forward);
    call->forward = args;
    return VEIL_CONTROL_FORWARD;
}

void
veil_control_done(veil_control_call_t *call, veil_control_rc_t rc)
{
    call->finish(call, rc);
}

void
veil_control_say(veil_control_call_t *call, json_t *line)
{
    call->say(call, line);
}

bool
veil_control_is_behind(const veil_control_call_t *call)
{
    return call->is_behind != NULL && call->is_behind(call);
}

void
veil_control_event(const char *kind, json_t *data)
{
    if (veil_control_event_sink == NULL) {
        json_decref(data);
        return;
    }
    veil_control_event_sink(kind, data);
}

/* --- arguments ----------------------------------------------------------- */

const char *
veil_control_text(const veil_control_call_t *call, const char *name)
{
    return json_string_value(json_object_get(call->args, name));
}

int64_t
veil_control_number(const veil_control_call_t *call, const char *name,
                    int64_t absent)
{
    const json_t *v = json_object_get(call->args, name);

    return json_is_integer(v) ? json_integer_value(v) : absent;
}

bool
veil_control_flag(const veil_control_call_t *call, const char *name)
{
    return json_is_true(json_object_get(call->args, name));
}

bool
veil_control_has(const veil_control_call_t *call, const char *name)
{
    return json_object_get(call->args, name) != NULL;
}

/* Whether the word is one of "a|b|c". */
static bool
control_is_word(const char *words, const char *word)
{
    veil_str_t w = veil_str_z(word);
    veil_str_t rest = veil_str_z(words);
    size_t n;

    for (;;) {
        const char *bar = memchr(rest.data, '|', rest.len);

        n = bar == NULL ? rest.len : (size_t) (bar - rest.data);
        if (veil_str_eq(veil_str_n(rest.data, n), w)) {
            return true;
        }
        if (bar == NULL) {
            return false;
        }
        rest = veil_str_from(rest, n + 1);
    }
}

static bool
control_bad_arg(veil_control_call_t *call, const veil_control_arg_t *a,
                const char *what)
{
    (void) veil_control_fail(call, VEIL_E_ARGUMENT, "\"%s\" must be %s",
                             a->name, what);
    return false;
}

/* A time as text or as a number of seconds becomes milliseconds. */
static bool
control_check_time(veil_control_call_t *call, const veil_control_arg_t *a,
                   const json_t *v)
{
    int64_t ms = -1;

    if (json_is_string(v)) {
        ms = veil_str_to_msec(veil_str_z(json_string_value(v)));
    } else if (json_is_integer(v) && json_integer_value(v) >= 0
               && json_integer_value(v) <= INT32_MAX)
    {
        ms = json_integer_value(v) * 1000;
    }
    if (ms < 0) {
        return control_bad_arg(call, a, "a time, as \"30s\" or \"1h 30m\"");
    }
    json_object_set_new(call->args, a->name, json_integer(ms));
    return true;
}

static bool
control_check_arg(veil_control_call_t *call, const veil_control_arg_t *a,
                  const json_t *v)
{
    char what[256];

    switch (a->type) {
    case VEIL_CONTROL_STRING:
        return json_is_string(v) ? true : control_bad_arg(call, a, "a string");
    case VEIL_CONTROL_NUMBER:
        return json_is_integer(v) && json_integer_value(v) >= 0
                   ? true
                   : control_bad_arg(call, a, "a whole number");
    case VEIL_CONTROL_FLAG:
        return json_is_boolean(v) ? true
                                  : control_bad_arg(call, a, "true or false");
    case VEIL_CONTROL_TIME:
        return control_check_time(call, a, v);
    case VEIL_CONTROL_WORD:
        if (json_is_string(v)
            && control_is_word(a->words, json_string_value(v))) {
            return true;
        }
        (void) veil_snprintf(what, sizeof(what), "one of %s", a->words);
        return control_bad_arg(call, a, what);
    }
    return false;
}

static const veil_control_arg_t *
control_find_arg(const veil_control_verb_t *verb, const char *name)
{
    const veil_control_arg_t *a;

    for (a = verb->args; a != NULL && a->name != NULL; a++) {
        if (strcmp(a->name, name) == 0) {
            return a;
        }
    }
    return NULL;
}

/* A name that the verb has not: says so, with the nearest that it has. */
static void
control_unknown_arg(veil_control_call_t *call, const char *name)
{
    const veil_control_arg_t *a;
    const char *best = NULL;
    unsigned distance = 0;

    (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                             "\"%s\" has no argument \"%s\"", call->verb->name,
                             name);
    for (a = call->verb->args; a != NULL && a->name != NULL; a++) {
        veil_conf_nearest(veil_str_z(name), a->name, &best, &distance);
    }
    if (best != NULL) {
        veil_control_hint(call, "did you mean \"%s\"?", best);
    }
}

bool
veil_control_check_args(veil_control_call_t *call)
{
    const veil_control_arg_t *a;
    const char *name;
    json_t *v;
    void *tmp;

    json_object_foreach_safe(call->args, tmp, name, v)
    {
        a = control_find_arg(call->verb, name);
        if (a == NULL) {
            control_unknown_arg(call, name);
            return false;
        }
        if (!control_check_arg(call, a, v)) {
            return false;
        }
    }
    for (a = call->verb->args; a != NULL && a->name != NULL; a++) {
        if ((a->flags & VEIL_CONTROL_REQUIRED) != 0
            && !veil_control_has(call, a->name))
        {
            (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                     "\"%s\" needs \"%s\": %s",
                                     call->verb->name, a->name, a->help);
            return false;
        }
    }
    return true;
}

json_t *
veil_control_string(veil_str_t s)
{
    json_t *text = json_stringn(s.data == NULL ? "" : s.data, s.len);
    char *copy;
    size_t i;

    if (text != NULL) {
        return text;
    }
    copy = veil_alloc(s.len + 1);
    for (i = 0; i < s.len; i++) {
        copy[i] = (unsigned char) s.data[i] < 0x80 ? s.data[i] : '?';
    }
    text = json_stringn(copy, s.len);
    veil_free(copy);
    return text;
}

json_t *
veil_control_gather_first(const json_t *args VEIL_UNUSED,
                          const json_t *answers)
{
    json_t *o = json_copy(json_object_get(json_array_get(answers, 0), "data"));

    json_object_set_new(o, "workers",
                        json_integer((json_int_t) json_array_size(answers)));
    return o;
}

/* --- verbs --------------------------------------------------------------- */

const veil_control_verb_t *
veil_control_verb_at(unsigned i)
{
    const veil_control_verb_t *v;
    unsigned m;

    for (m = 0; veil_modules[m] != NULL; m++) {
        for (v = veil_modules[m]->control; v != NULL && v->name != NULL; v++) {
            if (i-- == 0) {
                return v;
            }
        }
    }
    return NULL;
}

const veil_control_verb_t *
veil_control_verb(veil_str_t name)
{
    const veil_control_verb_t *v;
    unsigned i;

    for (i = 0; (v = veil_control_verb_at(i)) != NULL; i++) {
        if (veil_str_eq_z(name, v->name)) {
            return v;
        }
    }
    return NULL;
}
