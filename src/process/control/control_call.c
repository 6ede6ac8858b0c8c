/*
 * control_call.c -- carrying out a call in this process, whichever it is.
 *
 * A call is made of a message, run by its verb, and answered through one
 * function: to the master itself, or by a message upwards.  Those that answer
 * later are in a list until they do, are cancelled or the process ends.
 *
 * A process that was stopped finds calls that were given up long ago.  They
 * are not begun, as nobody would know of it; it may have been stopped in the
 * middle of a turn, so the turn's time does not tell.  The second part of one
 * is begun: what the keeper has done holds in all its workers.
 *
 * JSON that does not fit a message goes in a memfd.  Its reader maps nothing
 * and trusts no length: it reads at most CONTROL_JSON_MAX bytes.
 */

#include "core/platform.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "core/due.h"
#include "core/pool.h"
#include "core/time.h"
#include "process/control/control.h"

/* JSON between processes at most: a list of all connections of a worker. */
#define CONTROL_JSON_MAX ((size_t) 64 << 20)

static struct {
    veil_control_calls_t o;
    veil_list_t calls; /* that answer later */
    int events;        /* the channel upwards; -1 */
    veil_event_message_t event;
    uint64_t lost; /* events nobody could be told of */
} control;

/* --- messages ------------------------------------------------------------ */

static int
control_memfd(const char *text, size_t len)
{
    int fd = memfd_create("veil control", MFD_CLOEXEC);
    size_t done = 0;
    ssize_t n;

    if (fd < 0) {
        return -errno;
    }
    while (done < len) {
        n = write(fd, text + done, len - done);
        if (n < 0 && errno != EINTR) {
            int err = errno;

            close(fd);
            return -err;
        }
        done += n > 0 ? (size_t) n : 0;
    }
    return fd;
}

int
veil_control_send(int fd, veil_message_type_t type, const void *head,
                  size_t head_len, const json_t *json)
{
    char data[VEIL_MESSAGE_MAX];
    char *text = NULL;
    size_t len = 0;
    int memfd = -1;
    int rc;

    memcpy(data, head, head_len);
    if (json != NULL) {
        text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        len = text == NULL ? 0 : strlen(text);
    }
    if (len > sizeof(data) - head_len) {
        memfd = control_memfd(text, len);
        if (memfd < 0) {
            veil_free(text);
            return memfd;
        }
        len = 0;
    } else if (len != 0) {
        memcpy(data + head_len, text, len);
    }
    rc = veil_channel_try_send(fd, type, data, head_len + len, &memfd,
                               memfd >= 0 ? 1 : 0);
    if (memfd >= 0) {
        close(memfd);
    }
    veil_free(text);
    return rc;
}

static json_t *
control_read_memfd(int fd)
{
    struct stat st;
    json_t *json;
    char *text;
    size_t done = 0;
    ssize_t n;

    if (fstat(fd, &st) != 0 || st.st_size < 0
        || (size_t) st.st_size > CONTROL_JSON_MAX)
    {
        return NULL;
    }
    text = veil_alloc((size_t) st.st_size + 1);
    while (done < (size_t) st.st_size) {
        n = pread(fd, text + done, (size_t) st.st_size - done, (off_t) done);
        if (n <= 0) {
            break;
        }
        done += (size_t) n;
    }
    json = json_loadb(text, done, JSON_DECODE_ANY, NULL);
    veil_free(text);
    return json;
}

json_t *
veil_control_take(const veil_message_t *m, size_t head_len)
{
    if (m->len < head_len) {
        return NULL;
    }
    if (m->nfds == 1) {
        return control_read_memfd(m->fds[0]);
    }
    if (m->len == head_len) {
        return json_null();
    }
    return json_loadb((const char *) m->data + head_len, m->len - head_len,
                      JSON_DECODE_ANY, NULL);
}

/* --- answering ----------------------------------------------------------- */

static void
control_answer(const veil_control_call_t *call, veil_answer_kind_t kind,
               const json_t *json)
{
    veil_answer_message_t head;

    memset(&head, 0, sizeof(head));
    head.id = call->id;
    head.generation = control.o.generation;
    head.worker = control.o.worker;
    head.pid = getpid();
    head.kind = kind;
    head.is_volatile = call->is_volatile;
    if (kind == VEIL_ANSWER_FAILED) {
        (void) veil_str_copy_z(head.code, sizeof(head.code),
                               veil_str_z(call->code));
    }
    control.o.answer(&head, json);
}

static void
control_answer_failed(const veil_control_call_t *call)
{
    json_t *json = json_object();

    json_object_set_new(json, "msg",
                        json_stringn_nocheck(call->msg, strlen(call->msg)));
    if (call->hint[0] != '\0') {
        json_object_set_new(json, "hint", json_string_nocheck(call->hint));
    }
    if (call->data != NULL) {
        json_object_set(json, "details", call->data);
    }
    control_answer(call, VEIL_ANSWER_FAILED, json);
    json_decref(json);
}

static void
control_free(veil_control_call_t *call)
{
    veil_list_remove(&call->link);
    json_decref(call->args);
    json_decref(call->data);
    json_decref(call->forward);
    if (call->owns_ctx) {
        veil_free(call->ctx);
    }
    veil_free(call);
}

static void
control_forward(veil_control_call_t *call)
{
    veil_control_message_t m;

    if (control.o.forward == NULL || call->verb->worker == NULL) {
        (void) veil_control_fail(call, VEIL_E_FAILED,
                                 "\"%s\" has no part in workers",
                                 call->verb->name);
        control_answer_failed(call);
        return;
    }
    memset(&m, 0, sizeof(m));
    m.id = call->id;
    m.deadline_ms = call->deadline_ms;
    m.dry_run = call->dry_run;
    m.persist = call->persist;
    m.second = true;
    (void) veil_str_copy_z(m.verb, sizeof(m.verb),
                           veil_str_z(call->verb->name));
    control.o.forward(&m, call->forward);
}

static void
control_finish(veil_control_call_t *call, veil_control_rc_t rc)
{
    json_t *empty;

    switch (rc) {
    case VEIL_CONTROL_DONE:
        empty = call->data == NULL ? json_object() : NULL;
        control_answer(call, VEIL_ANSWER_DONE,
                       call->data == NULL ? empty : call->data);
        json_decref(empty);
        break;
    case VEIL_CONTROL_FAILED:
        control_answer_failed(call);
        break;
    case VEIL_CONTROL_FORWARD:
        control_forward(call);
        break;
    case VEIL_CONTROL_LATER:
        return;
    }
    control_free(call);
}

static void
control_say(veil_control_call_t *call, json_t *line)
{
    control_answer(call, VEIL_ANSWER_LINE, line);
    json_decref(line);
}

static bool
control_is_behind(const veil_control_call_t *call)
{
    return control.o.is_behind != NULL && control.o.is_behind(call->id);
}

/* --- running ------------------------------------------------------------- */

void
veil_control_calls_init(const veil_control_calls_t *options)
{
    control.o = *options;
    veil_due_forget();
    if (control.calls.next == NULL) {
        veil_list_init(&control.calls);
    }
    /* What the parent has under way is not ours to end, but to forget. */
    while (!veil_list_is_empty(&control.calls)) {
        control_free(
            veil_list_first(&control.calls, veil_control_call_t, link));
    }
}

static bool
control_is_late(const veil_control_message_t *m)
{
    return m->deadline_ms != 0 && !m->second
           && m->deadline_ms <= veil_time_read_ms();
}

void
veil_control_calls_run(const veil_control_message_t *m, json_t *args)
{
    veil_control_call_t *call = veil_zalloc(sizeof(*call));
    veil_control_run_fn *run;

    veil_list_init(&call->link);
    call->id = m->id;
    call->verb = veil_control_verb(veil_str_z(m->verb));
    call->args = args;
    call->deadline_ms = m->deadline_ms;
    call->dry_run = m->dry_run;
    call->persist = m->persist;
    call->finish = control_finish;
    call->say = control_say;
    call->is_behind = control_is_behind;

    run = call->verb == NULL ? NULL
          : m->second        ? call->verb->worker
                             : call->verb->run;
    if (run == NULL) {
        (void) veil_control_fail(call, VEIL_E_FAILED,
                                 "this process does not know \"%s\"", m->verb);
        control_finish(call, VEIL_CONTROL_FAILED);
        return;
    }
    if (control_is_late(m)) {
        (void) veil_control_fail(call, VEIL_E_TIMEOUT,
                                 "its time was up before it was begun");
        control_finish(call, VEIL_CONTROL_FAILED);
        return;
    }
    /* It may be said done before run() returns: then it is gone. */
    veil_list_append(&control.calls, &call->link);
    control_finish(call, run(call));
}

void
veil_control_calls_message(const veil_message_t *m)
{
    veil_control_message_t head;
    json_t *args = veil_control_take(m, sizeof(head));

    if (!json_is_object(args)) {
        json_decref(args);
        args = json_object();
    }
    memcpy(&head, m->data, sizeof(head));
    head.verb[sizeof(head.verb) - 1] = '\0';
    veil_control_calls_run(&head, args);
}

static void
control_cancel(veil_control_call_t *call)
{
    if (call->cancel != NULL) {
        call->cancel(call);
    }
    control_free(call);
}

static veil_control_call_t *
control_find(uint64_t id)
{
    veil_control_call_t *call;
    veil_list_t *n;

    veil_list_foreach (n, &control.calls) {
        call = veil_list_entry(n, veil_control_call_t, link);
        if (call->id == id) {
            return call;
        }
    }
    return NULL;
}

void
veil_control_calls_cancel(uint64_t id)
{
    veil_control_call_t *call = control_find(id);

    if (call != NULL) {
        control_cancel(call);
    }
}

json_t *
veil_control_calls_moved(uint64_t id)
{
    const veil_control_call_t *call = control_find(id);

    return call == NULL || call->moved == NULL ? NULL : call->moved(call);
}

void
veil_control_calls_stop(void)
{
    while (control.calls.next != NULL && !veil_list_is_empty(&control.calls)) {
        control_cancel(
            veil_list_first(&control.calls, veil_control_call_t, link));
    }
}

/* --- events -------------------------------------------------------------- */

static void
control_send_event(const char *kind, json_t *data)
{
    (void) veil_str_copy_z(control.event.kind, sizeof(control.event.kind),
                           veil_str_z(kind));
    control.event.lost = control.lost;
    if (veil_channel_queued(control.events) > VEIL_CONTROL_EVENTS_QUEUED
        || veil_control_send(control.events, VEIL_MSG_EVENT, &control.event,
                             sizeof(control.event), data)
               < 0)
    {
        control.lost++;
    } else {
        control.lost = 0;
    }
    json_decref(data);
}

void
veil_control_events_to(int channel, uint64_t generation, unsigned worker)
{
    control.events = channel;
    control.event.generation = generation;
    control.event.worker = worker;
    control.event.pid = getpid();
    veil_control_event_sink = channel < 0 ? NULL : control_send_event;
}
