/* test_handover.c -- what one master hands over, as bytes. */

#include <criterion/criterion.h>

#include "../../src/process/upgrade/handover.c"

static veil_handover_t given;
static veil_handover_t got;
static const char *why;

static void
setup(void)
{
    veil_handover_init(&given);
    veil_handover_init(&got);
    given.pid = 42;
}

static void
teardown(void)
{
    veil_handover_done(&given);
    veil_handover_done(&got);
}

TestSuite(handover, .init = setup, .fini = teardown);

/* Through bytes and back. */
static bool
travel(void)
{
    size_t len;
    char *bytes = veil_handover_encode(&given, &len);
    bool ok = veil_handover_decode(&got, bytes, len, &why);

    veil_free(bytes);
    return ok;
}

static veil_hold_listen_t
some_listen(void)
{
    veil_hold_listen_t l;

    memset(&l, 0, sizeof(l));
    l.type = SOCK_STREAM;
    l.family = 10;
    l.port = 443;
    l.scope_id = 3;
    l.ip[15] = 1;
    l.backlog = 511;
    l.ipv6only = -1;
    l.keepalive = -1;
    l.reuseport = true;
    l.cbpf = true;
    return l;
}

Test(handover, all_of_it_arrives)
{
    veil_hold_listen_t l = some_listen();
    veil_hold_zone_t z = { .name = "tickets",
                           .tag = "ssl",
                           .key = "$remote_addr",
                           .size = 65536,
                           .layout = 0x100000007 };
    int fds[] = { 7, 8, 300 };
    const veil_handover_listen_t *got_l;
    const veil_handover_zone_t *got_z;
    const veil_handover_extra_t *x;

    given.generation = 1ull << 40;
    given.mode = VEIL_UPGRADE_KEEPS;
    given.detach = true;
    veil_handover_set_text(&given.version, "0.0.0");
    veil_handover_set_text(&given.version, "veil/9.9.9");
    veil_handover_set_text(&given.pid_path, "/run/veil.pid");
    veil_handover_add_listen(&given, &l, fds, 3, 3);
    veil_handover_add_zone(&given, &z, 9);
    veil_handover_add_extra(&given, "control", 10, NULL, 0);
    veil_handover_add_extra(&given, "events", -1, "1\0002", 3);
    cr_assert(travel(), "%s", why);

    cr_assert_eq(got.generation, 1ull << 40);
    cr_assert_eq(got.pid, 42);
    cr_assert_eq(got.mode, VEIL_UPGRADE_KEEPS);
    cr_assert(got.detach);
    cr_assert_str_eq(got.version, "veil/9.9.9");
    cr_assert_str_eq(got.pid_path, "/run/veil.pid");

    got_l = veil_list_first(&got.listens, veil_handover_listen_t, link);
    l.nslots = 3;
    cr_assert_eq(memcmp(&got_l->key, &l, sizeof(l)), 0);
    cr_assert_eq(got_l->n, 3);
    cr_assert_eq(got_l->steered, 3);
    cr_assert_eq(memcmp(got_l->fds, fds, sizeof(fds)), 0);

    got_z = veil_list_first(&got.zones, veil_handover_zone_t, link);
    cr_assert_str_eq(got_z->key.name, "tickets");
    cr_assert_str_eq(got_z->key.tag, "ssl");
    cr_assert_str_eq(got_z->key.key, "$remote_addr");
    cr_assert_eq(got_z->key.size, 65536);
    cr_assert_eq(got_z->key.layout, 0x100000007);
    cr_assert_eq(got_z->fd, 9);

    x = veil_handover_extra(&got, "control");
    cr_assert_eq(x->fd, 10);
    x = veil_handover_extra(&got, "events");
    cr_assert_eq(x->fd, -1);
    cr_assert_eq(x->len, 3);
    cr_assert_eq(memcmp(x->data, "1\0002", 3), 0);
    cr_assert_null(veil_handover_extra(&got, "none"));
}

Test(handover, a_unix_path_and_many_slots)
{
    veil_hold_listen_t l;
    int fds[VEIL_HOLD_SLOTS];
    const veil_handover_listen_t *got_l;
    int i;

    memset(&l, 0, sizeof(l));
    l.family = 1;
    memset(l.path, 'a', sizeof(l.path) - 1);
    for (i = 0; i < VEIL_HOLD_SLOTS; i++) {
        fds[i] = i;
    }
    veil_handover_add_listen(&given, &l, fds, VEIL_HOLD_SLOTS, 0);
    cr_assert(travel(), "%s", why);
    got_l = veil_list_first(&got.listens, veil_handover_listen_t, link);
    cr_assert_str_eq(got_l->key.path, l.path);
    cr_assert_eq(got_l->n, VEIL_HOLD_SLOTS);
    cr_assert_eq(got_l->fds[VEIL_HOLD_SLOTS - 1], VEIL_HOLD_SLOTS - 1);
}

Test(handover, a_listener_without_a_socket_is_refused)
{
    veil_hold_listen_t l = some_listen();

    veil_handover_add_listen(&given, &l, NULL, 0, 0);
    cr_assert_not(travel());
    cr_assert_str_eq(why, "it has a field that makes no sense");
}

/* The bytes of `given`, changed by the caller and sealed anew. */
static bool
read_changed(void (*change)(char **bytes, size_t *len))
{
    size_t len;
    char *bytes = veil_handover_encode(&given, &len);
    bool ok;

    change(&bytes, &len);
    handover_u32_at(bytes + 8, (uint32_t) (len - HANDOVER_HEAD));
    handover_u32_at(bytes + 12,
                    veil_crc32(0, bytes + HANDOVER_HEAD, len - HANDOVER_HEAD));
    ok = veil_handover_decode(&got, bytes, len, &why);
    veil_free(bytes);
    return ok;
}

static void
add_unknown(char **bytes, size_t *len)
{
    handover_out_t out = { *bytes, *len, *len };

    handover_put_text(&out, 999, "from the future");
    *bytes = out.data;
    *len = out.len;
}

Test(handover, what_is_not_known_is_skipped)
{
    given.generation = 5;
    cr_assert(read_changed(add_unknown), "%s", why);
    cr_assert_eq(got.generation, 5);
}

static void
cut(char **bytes, size_t *len)
{
    (void) bytes;
    *len -= 1;
}

static void
other_version(char **bytes, size_t *len)
{
    (void) len;
    handover_u32_at(*bytes + 4, VEIL_HANDOVER_VERSION + 1);
}

static void
unknown_mode(char **bytes, size_t *len)
{
    handover_out_t out = { *bytes, *len, *len };

    handover_put_number(&out, HANDOVER_MODE, VEIL_UPGRADE_MODES);
    *bytes = out.data;
    *len = out.len;
}

Test(handover, what_is_wrong_is_refused)
{
    cr_assert_not(read_changed(cut));
    cr_assert_str_eq(why, "it has a field that makes no sense");
    cr_assert_not(read_changed(unknown_mode));
    cr_assert_not(read_changed(other_version));
    cr_assert_str_eq(why, "it has a version that this program does not read");
}

Test(handover, one_bit_is_noticed)
{
    size_t len;
    char *bytes = veil_handover_encode(&given, &len);
    size_t i;

    for (i = 0; i < len; i++) {
        bytes[i] ^= 4;
        cr_assert_not(veil_handover_decode(&got, bytes, len, &why), "byte %zu",
                      i);
        bytes[i] ^= 4;
        cr_assert_not(veil_handover_decode(&got, bytes, i, &why),
                      "%zu bytes of it", i);
    }
    cr_assert(veil_handover_decode(&got, bytes, len, &why));
    veil_free(bytes);
}
