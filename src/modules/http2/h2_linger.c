/*
 * h2_linger.c -- an upload that goes on after its answer.
 *
 * A server that has answered may end the upload by RST_STREAM with NO_ERROR
 * (RFC 9113, 8.1), and a client should then still take the answer.  Not all
 * do: so what comes is read and dropped first, as on a connection of HTTP/1,
 * until nothing has come for lingering_timeout or lingering_time is over.
 * The request is logged and gone by then; only its number is kept here.
 */

#include "modules/http2/h2.h"

typedef struct {
    veil_h2_t *h2;
    int32_t id;
    uint64_t timeout_ms;
    uint64_t until_ms;
    veil_list_t link;
    veil_timer_t timer;
} h2_linger_t;

static void
h2_linger_end(h2_linger_t *l)
{
    veil_timer_cancel(&l->timer);
    veil_list_remove(&l->link);
    veil_free(l);
}

static void
h2_linger_timed_out(veil_timer_t *t)
{
    h2_linger_t *l = veil_container_of(t, h2_linger_t, timer);
    veil_h2_t *h2 = l->h2;

    (void) nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, l->id,
                                     NGHTTP2_NO_ERROR);
    h2_linger_end(l);
    veil_h2_wake(h2);
}

static void
h2_linger_set(h2_linger_t *l)
{
    uint64_t now = veil_now_ms();
    uint64_t left = l->until_ms > now ? l->until_ms - now : 0;

    veil_timer_set(l->h2->hc->c.handle.loop, &l->timer,
                   l->timeout_ms < left ? l->timeout_ms : left);
}

bool
veil_h2_linger(veil_h2_stream_t *s)
{
    const veil_http_core_loc_t *conf;
    h2_linger_t *l;

    if (!s->answered || s->r->loc_conf == NULL) {
        return false;
    }
    conf = veil_http_core_loc(s->r);
    if (conf->lingering_close == VEIL_LINGER_OFF || s->h2->closed
        || s->r->in.expect_continue)
    {
        return false;
    }
    l = veil_zalloc(sizeof(*l));
    l->h2 = s->h2;
    l->id = s->id;
    l->timeout_ms = conf->lingering_timeout;
    l->until_ms = veil_now_ms() + conf->lingering_time;
    veil_list_append(&s->h2->lingers, &l->link);
    veil_timer_init(&l->timer, h2_linger_timed_out);
    h2_linger_set(l);
    return true;
}

static h2_linger_t *
h2_linger_find(veil_h2_t *h2, int32_t id)
{
    veil_list_t *n, *tmp;
    h2_linger_t *l;

    veil_list_foreach_safe (n, tmp, &h2->lingers) {
        l = veil_list_entry(n, h2_linger_t, link);
        if (l->id == id) {
            return l;
        }
    }
    return NULL;
}

void
veil_h2_linger_data(veil_h2_t *h2, int32_t id)
{
    h2_linger_t *l = h2_linger_find(h2, id);

    if (l != NULL) {
        h2_linger_set(l);
    }
}

void
veil_h2_linger_over(veil_h2_t *h2, int32_t id)
{
    h2_linger_t *l = h2_linger_find(h2, id);

    if (l != NULL) {
        h2_linger_end(l);
    }
}

void
veil_h2_linger_free(veil_h2_t *h2)
{
    while (!veil_list_is_empty(&h2->lingers)) {
        h2_linger_end(veil_list_first(&h2->lingers, h2_linger_t, link));
    }
}
