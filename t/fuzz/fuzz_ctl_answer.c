/*
 * fuzz_ctl_answer.c -- what a server may say to veilctl.
 *
 * The last two bytes choose the verb and the size of the pieces in which the
 * rest comes.  Each line is taken apart and shown as the verb's answer, line
 * or error; of what is shown no byte may be one that a terminal obeys, and
 * however the bytes are cut, the same is shown.
 */

#include "core/platform.h"

#include "core/conf.h"

#include "ctl/hint.c"
#include "ctl/lines.c"
#include "ctl/link.c"
#include "ctl/render.c"
#include "ctl/show.c"
#include "ctl/show_config.c"
#include "ctl/show_conns.c"
#include "ctl/show_inspect.c"
#include "ctl/show_server.c"
#include "ctl/show_upgrade.c"
#include "ctl/show_upstreams.c"
#include "ctl/table.c"
#include "ctl/text.c"
#include "ctl/units.c"
#include "ctl/verbs.c"

/* Those of the server do. */
const veil_control_verb_t veil_ctl_local_verbs[] = { { .name = NULL } };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
answer_check(const veil_ctl_text_t *t)
{
    size_t i, n;
    long c;

    for (i = 0; i < t->len; i += n) {
        c = text_decode((const unsigned char *) t->data + i, t->len - i, &n);
        VEIL_ASSERT(c == '\n' || c == '\t' || (c >= 0 && !text_is_unsafe(c)));
    }
}

static void
answer_show(veil_ctl_text_t *out, const veil_control_verb_t *verb,
            const json_t *v)
{
    veil_ctl_show(out, verb, NULL, json_object_get(v, "data"));
    veil_ctl_show_line(out, verb, v);
    veil_ctl_show_error(out, verb, json_object_get(v, "err"),
                        json_object_get(v, "workers"));
    veil_ctl_render_json(out, v);
}

static void
answer_feed(veil_ctl_text_t *out, const veil_control_verb_t *verb,
            const uint8_t *data, size_t size, size_t step)
{
    veil_ctl_link_t link = { .fd = -1, .id = 1 };
    veil_str_t line;
    size_t n, room;
    json_t *v;
    char *p;

    while (size != 0) {
        p = veil_ctl_lines_room(&link.lines, &room);
        n = veil_min_size(veil_min_size(size, step), room);
        memcpy(p, data, n);
        veil_ctl_lines_fed(&link.lines, n);
        data += n;
        size -= n;
        while (veil_ctl_lines_next(&link.lines, &line)) {
            (void) link_judge(&link, line, &v);
            if (v != NULL) {
                answer_show(out, verb, v);
            }
            json_decref(v);
        }
    }
    veil_ctl_lines_done(&link.lines);
    json_decref(link.again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    veil_ctl_text_t whole = { 0 }, cut = { 0 };
    veil_control_verb_t verb = { .name = "events" };
    size_t n = veil_countof(show_table);

    if (size < 3 || size > 8192) {
        return 0;
    }
    /* The last one of the table has no name. */
    if (data[size - 2] % n < n - 1) {
        verb.name = show_table[data[size - 2] % n].verb;
    } else if (data[size - 2] % 2 != 0) {
        verb.name = "audit";
    }
    answer_feed(&whole, &verb, data, size - 2, size);
    answer_feed(&cut, &verb, data, size - 2, data[size - 1] % 32 + 1u);
    answer_check(&whole);
    VEIL_ASSERT(
        veil_str_eq(veil_ctl_text_str(&whole), veil_ctl_text_str(&cut)));
    veil_ctl_text_done(&whole);
    veil_ctl_text_done(&cut);
    return 0;
}
