/*
 * show_upgrade.c -- what became of an upgrade, and of the way back.
 *
 *     veil/0.4.0, process 100 -> veil/0.5.0, process 200 (/usr/sbin/veil)
 *     generation 3 serves after 412ms
 *     the old master stays for a way back: ...
 *
 * Whoever asked for a way to go back reads here how, and how to end it.
 */

#include "core/platform.h"

#include "ctl/show_impl.h"
#include "ctl/units.h"

static long long
show_upgrade_pid(const json_t *master)
{
    return (long long) json_integer_value(json_object_get(master, "pid"));
}

/* "veil/0.4.0, process 100". */
static void
show_upgrade_master(veil_ctl_text_t *out, const json_t *master)
{
    veil_ctl_text_safe(out, veil_ctl_show_str(master, "version"), false);
    veil_ctl_text_printf(out, ", process %lld", show_upgrade_pid(master));
}

static void
show_upgrade_serves(veil_ctl_text_t *out, const json_t *data)
{
    const json_t *elapsed = json_object_get(data, "elapsed_ms");
    char buf[VEIL_CTL_UNIT];

    veil_ctl_text_printf(
        out, "generation %lld serves",
        (long long) json_integer_value(json_object_get(data, "generation")));
    if (json_is_number(elapsed)) {
        veil_ctl_text_printf(
            out, " after %s",
            veil_ctl_unit_duration(buf, json_number_value(elapsed) / 1000));
    }
    veil_ctl_text_z(out, "\n");
}

static void
show_upgrade_old(veil_ctl_text_t *out, const json_t *data)
{
    veil_str_t old = veil_ctl_show_str(data, "old_master");

    if (veil_str_eq_z(old, "is kept")) {
        veil_ctl_text_printf(
            out,
            "the old master stays, without workers: \"veilctl upgrade "
            "--rollback\" goes back to it, \"kill -QUIT %lld\" ends it\n",
            show_upgrade_pid(json_object_get(data, "old")));
    } else if (veil_str_eq_z(old, "leaves")) {
        veil_ctl_text_z(out, "the old master ends with its last connection\n");
    } else if (old.len != 0) {
        veil_ctl_text_z(out, "the old master ");
        veil_ctl_text_safe(out, old, false);
        veil_ctl_text_z(out, "\n");
    }
}

static bool
show_upgrade_back(veil_ctl_text_t *out, const json_t *data)
{
    show_upgrade_master(out, json_object_get(data, "serves"));
    veil_ctl_text_styled(out, VEIL_CTL_GREEN, " serves again\n");
    show_upgrade_serves(out, data);
    show_upgrade_master(out, json_object_get(data, "left"));
    veil_ctl_text_z(out, " ends with its last connection\n");
    return true;
}

/* A dry run: what was looked at. */
static bool
show_upgrade_could(veil_ctl_text_t *out, const json_t *data)
{
    veil_ctl_text_safe(out, veil_ctl_show_str(data, "program"), false);
    veil_ctl_text_z(out, ", ");
    veil_ctl_text_safe(out, veil_ctl_show_str(data, "version"), false);
    veil_ctl_text_z(out, ", could take over\n");
    return true;
}

bool
veil_ctl_show_upgrade(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                      const json_t *data)
{
    const json_t *was = json_object_get(data, "old");
    const json_t *is = json_object_get(data, "new");
    veil_str_t program = veil_ctl_show_str(is, "program");

    if (json_is_object(json_object_get(data, "serves"))
        && json_is_object(json_object_get(data, "left")))
    {
        return show_upgrade_back(out, data);
    }
    if (json_is_true(json_object_get(data, "dry_run"))
        && veil_ctl_show_str(data, "program").len != 0)
    {
        return show_upgrade_could(out, data);
    }
    if (!json_is_object(was) || !json_is_object(is)) {
        return false;
    }
    show_upgrade_master(out, was);
    veil_ctl_text_z(out, " -> ");
    show_upgrade_master(out, is);
    if (program.len != 0) {
        veil_ctl_text_z(out, " (");
        veil_ctl_text_safe(out, program, false);
        veil_ctl_text_z(out, ")");
    }
    veil_ctl_text_z(out, "\n");
    show_upgrade_serves(out, data);
    show_upgrade_old(out, data);
    return true;
}
