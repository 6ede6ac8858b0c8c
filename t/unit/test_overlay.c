/*
 * test_overlay.c -- the file of changes: read, changed, broken.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <sys/stat.h>

#include "../../src/core/overlay.c"

static char dir[] = "/tmp/veil-overlay-XXXXXX";
static char path[64];
static veil_log_t log_off = { .level = VEIL_LOG_OFF };
static char why[256];

static void
setup(void)
{
    cr_assert_not_null(mkdtemp(dir));
    (void) snprintf(path, sizeof(path), "%s/o.ini", dir);
}

static void
teardown(void)
{
    veil_overlay_load(VEIL_STR(""), &log_off, false);
    (void) unlink(path);
    (void) rmdir(dir);
}

static void
put(const char *text)
{
    FILE *f = fopen(path, "w");

    cr_assert_not_null(f);
    (void) fputs(text, f);
    (void) fclose(f);
}

static void
load(void)
{
    veil_overlay_load(veil_str_z(path), &log_off, false);
}

static unsigned
count(void)
{
    veil_list_t *l;
    unsigned n = 0;

    veil_list_foreach (l, veil_overlay_lines()) {
        n++;
    }
    return n;
}

TestSuite(overlay, .init = setup, .fini = teardown);

Test(overlay, a_file_that_is_not_there_is_empty)
{
    load();
    cr_assert_eq(count(), 0);
    cr_assert(veil_overlay_is_on());
    cr_assert_null(veil_overlay_get("server a/b", "state"));
}

Test(overlay, long_names_of_sections_are_whole)
{
    put("[server backend/a-name-that-is-longer.than-fifty.characters.example:"
        "8080]\nstate = drain\nweight=3\n; a comment\n[log]\nlevel = info\n");
    load();
    cr_assert_eq(count(), 3);
    cr_assert_str_eq(
        veil_overlay_get("server backend/a-name-that-is-longer.than-fifty."
                         "characters.example:8080",
                         "state"),
        "drain");
    cr_assert_str_eq(veil_overlay_get("log", "level"), "info");
}

Test(overlay, what_is_broken_costs_itself_only)
{
    char text[1024], lines[2048];

    memset(text, 'x', sizeof(text));
    text[600] = '\0';
    (void) snprintf(lines, sizeof(lines),
                    "early = 1\n[a]\nnonsense\nk = v\n%s\nk2 = v2\n", text);
    put(lines);
    load();
    cr_assert_eq(count(), 2);
    cr_assert_str_eq(veil_overlay_get("a", "k"), "v");
    cr_assert_str_eq(veil_overlay_get("a", "k2"), "v2");
}

Test(overlay, changes_are_written_and_hands_are_respected)
{
    veil_overlay_edit_t set[] = { { "server a/b", "state", "drain" },
                                  { "server a/b", "weight", "3" } };
    veil_overlay_edit_t other = { "log", "level", "info" };
    veil_overlay_edit_t gone = { "server a/b", "weight", NULL };
    veil_overlay_edit_t all = { "server a/b", NULL, NULL };
    struct stat st;

    load();
    cr_assert_eq(veil_overlay_change(set, 2, why, sizeof(why)), 0, "%s", why);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    put("[hand]\nmade = yes\n[server a/b]\nstate = drain\nweight = 3\n");
    cr_assert_eq(veil_overlay_change(&other, 1, why, sizeof(why)), 0);
    cr_assert_eq(veil_overlay_change(&gone, 1, why, sizeof(why)), 0);
    load();
    cr_assert_eq(count(), 3);
    cr_assert_str_eq(veil_overlay_get("hand", "made"), "yes");
    cr_assert_null(veil_overlay_get("server a/b", "weight"));
    cr_assert_eq(veil_overlay_change(&all, 1, why, sizeof(why)), 0);
    cr_assert_eq(count(), 2);
}

Test(overlay, what_cannot_be_written_is_refused)
{
    veil_overlay_edit_t two_lines = { "s", "k", "v\n[evil]" };
    veil_overlay_edit_t key = { "s", "a=b", "v" };
    veil_overlay_edit_t fine = { "s", "k", "v" };

    load();
    cr_assert_eq(veil_overlay_change(&two_lines, 1, why, sizeof(why)),
                 -EINVAL);
    cr_assert_eq(veil_overlay_change(&key, 1, why, sizeof(why)), -EINVAL);
    veil_overlay_load(VEIL_STR("/proc/none/such/file"), &log_off, false);
    cr_assert_lt(veil_overlay_change(&fine, 1, why, sizeof(why)), 0);
    cr_assert_not_null(strstr(why, "/proc/none/such/file"));
    veil_overlay_load(VEIL_STR(""), &log_off, false);
    cr_assert_eq(veil_overlay_change(&fine, 1, why, sizeof(why)), -ENOENT);
}

static bool
in_force(const veil_overlay_line_t *line)
{
    return strcmp(line->key, "weight") != 0;
}

Test(overlay, printed_as_comments)
{
    char *text;

    put("[server a/b]\nstate = drain\nweight = 5\nodd = 1\n");
    load();
    veil_overlay_bad(
        veil_list_entry(veil_overlay_lines()->prev, veil_overlay_line_t, link),
        "unknown");
    text = veil_overlay_print(in_force);
    cr_assert_not_null(strstr(text, "# [server a/b]\n# state = drain\n"));
    cr_assert_not_null(
        strstr(text, "# weight = 5 (changed since, not in force)\n"));
    cr_assert_not_null(strstr(text, "# odd = 1 (ignored)\n"));
    veil_free(text);
}

Test(overlay, strict)
{
    veil_overlay_line_t *line;

    put("key = 1\n[a]\nnonsense\nkey = 2\n");
    veil_overlay_load(veil_str_z(path), &log_off, true);
    cr_assert_eq(veil_overlay_errors(), 2);
    line =
        veil_list_entry(veil_overlay_lines()->next, veil_overlay_line_t, link);
    veil_overlay_stale(line, "it is out of date");
    cr_assert_eq(veil_overlay_errors(), 2);
    veil_overlay_bad(line, "it is wrong");
    cr_assert_eq(veil_overlay_errors(), 3);
    load();
    cr_assert_eq(veil_overlay_errors(), 0);
}

/* A hand's edit is seen; a verb's, made meanwhile, is none. */
Test(overlay, known)
{
    static _Alignas(8) char memory[OVERLAY_ZONE_SIZE];
    veil_shm_zone_t zone = { .addr = memory, .size = sizeof(memory) };
    veil_overlay_edit_t edit = { "b", "key", "5" };

    overlay.zone = &zone;
    cr_assert_eq(overlay_zone_init(&zone, true), VEIL_OK);
    put("[a]\nkey = 1\n[b]\nkey = 2\n");
    load();
    cr_assert_null(veil_overlay_was("a", "key"));
    veil_overlay_settled();
    put("[a]\nkey = 7\n[b]\nkey = 2\n");
    cr_assert_eq(veil_overlay_change(&edit, 1, why, sizeof(why)), 0);
    load();
    cr_assert_str_eq(veil_overlay_get("a", "key"), "7");
    cr_assert_str_eq(veil_overlay_was("a", "key"), "1");
    cr_assert_str_eq(veil_overlay_get("b", "key"), "5");
    cr_assert_str_eq(veil_overlay_was("b", "key"), "5");
    cr_assert(veil_overlay_has(veil_overlay_known(), "b"));
    cr_assert(!veil_overlay_has(veil_overlay_known(), "c"));
    veil_overlay_settled();
    load();
    cr_assert_str_eq(veil_overlay_was("a", "key"), "7");

    /* The writer died: no line is another one. */
    ((overlay_zone_t *) (void *) memory)->count |= 1;
    put("[a]\nkey = 8\n");
    load();
    cr_assert_str_eq(veil_overlay_was("a", "key"), "8");
    veil_overlay_settled();
    overlay.zone = NULL;
}

/* Sections of modules are fine; others are told once, with a line. */
Test(overlay, sections_that_nobody_knows)
{
    put("[server a/b]\nweight = 2\n[listener 80]\nkey = 1\n"
        "[sever a/b]\nweight = 2\nstate = drain\n[servers]\nkey = 1\n");
    veil_overlay_load(veil_str_z(path), &log_off, true);
    veil_overlay_check_sections();
    cr_assert_eq(veil_overlay_errors(), 2);
}
