/*
 * units.h -- numbers as people read them.
 */

#ifndef VEIL_CTL_UNITS_H
#define VEIL_CTL_UNITS_H

#include "ctl/ctl.h"

/* Room for any of these. */
#define VEIL_CTL_UNIT 40

/* Each fills buf (VEIL_CTL_UNIT bytes) and returns it. */

/* "812", "99999", "1.2M", "3.4G": counts. */
const char *veil_ctl_unit_count(char *buf, double n);
/* "812", "3.1K", "2.0M": bytes, by 1024. */
const char *veil_ctl_unit_bytes(char *buf, double n);
/* "250us", "12ms", "3.4s", "3m20s", "2h05m", "4d03h". */
const char *veil_ctl_unit_duration(char *buf, double seconds);
/* "2026-11-21 14:30:05", in the local time zone; from seconds. */
const char *veil_ctl_unit_date(char *buf, double seconds);

/*
 * A number of the server's by its name: what ends in "_ms", "_us", "_bytes",
 * "_at" says so; what is no quantity ("pid", "id", "port") is not shortened.
 */
const char *veil_ctl_unit_number(char *buf, const char *name, const json_t *v);

#endif
