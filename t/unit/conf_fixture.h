/*
 * conf_fixture.h -- for tests of the configuration: a cycle whose lines of
 * the log are kept in memory, without date and process number.
 */

#ifndef VEIL_UNIT_CONF_FIXTURE_H
#define VEIL_UNIT_CONF_FIXTURE_H

#include "core/cycle.h"

static char fixture_lines[16384];
static size_t fixture_len;
static veil_cycle_t *fixture_cycle;

static VEIL_UNUSED void
fixture_write(const veil_log_sink_t *sink VEIL_UNUSED, veil_log_level_t level,
              const char *line, size_t len)
{
    const char *text = memmem(line, len, "#", 1);

    text = strstr(text, ": ") + 2;
    fixture_len += veil_snprintf(fixture_lines + fixture_len,
                                 sizeof(fixture_lines) - fixture_len,
                                 "%s: %.*s", veil_log_level_name(level),
                                 (int) (line + len - text), text);
}

static veil_log_sink_t fixture_sink = { .level = VEIL_LOG_NOTICE,
                                        .write = fixture_write };

static VEIL_UNUSED veil_conf_t
fixture_conf(const char *prefix)
{
    veil_conf_t cf = { .errors = 0 };

    cr_assert(veil_modules_init() == VEIL_OK);
    fixture_len = 0;
    fixture_lines[0] = '\0';
    fixture_cycle = veil_cycle_create(veil_str_z(prefix), VEIL_STR("c"),
                                      VEIL_STR("stderr"), VEIL_STR_NULL);
    veil_log_use_sinks(&fixture_cycle->log, &fixture_sink);
    fixture_cycle->testing = true;
    cf.cycle = fixture_cycle;
    cf.pool = fixture_cycle->pool;
    cf.temp_pool = veil_pool_create("temp", 4096);
    cf.log = &fixture_cycle->log;
    return cf;
}

static VEIL_UNUSED void
fixture_done(veil_conf_t *cf)
{
    veil_pool_destroy(&cf->temp_pool);
    veil_cycle_destroy(&fixture_cycle);
    cr_assert_eq(veil_pool_count(NULL, NULL), 0);
    veil_pool_trim();
}

#endif
