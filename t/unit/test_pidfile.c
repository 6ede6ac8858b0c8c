/* test_pidfile.c -- the file with the master's process id. */

#include <criterion/criterion.h>

#include "../../src/process/pidfile.c"

static char pidfile_dir[] = "/tmp/veil-pidfile-XXXXXX";
static char pidfile_path[64];
static char pidfile_new[64];

static void
setup(void)
{
    cr_assert_not_null(mkdtemp(pidfile_dir));
    snprintf(pidfile_path, sizeof(pidfile_path), "%s/pid", pidfile_dir);
    snprintf(pidfile_new, sizeof(pidfile_new), "%s/pid.new", pidfile_dir);
}

static void
teardown(void)
{
    (void) unlink(pidfile_path);
    (void) unlink(pidfile_new);
    cr_assert_eq(rmdir(pidfile_dir), 0);
}

static void
put(const char *text)
{
    FILE *f = fopen(pidfile_path, "w");

    fputs(text, f);
    fclose(f);
}

TestSuite(pidfile, .init = setup, .fini = teardown);

Test(pidfile, written_read_removed)
{
    cr_assert_eq(veil_pidfile_write(pidfile_path), 0);
    cr_assert_eq(veil_pidfile_read(pidfile_path), getpid());
    cr_assert_neq(access(pidfile_new, F_OK), 0);
    /* Again, over itself. */
    cr_assert_eq(veil_pidfile_write(pidfile_path), 0);
    veil_pidfile_remove(pidfile_path);
    cr_assert_eq(veil_pidfile_read(pidfile_path), -ENOENT);
}

Test(pidfile, that_of_another_is_left)
{
    put("1\n");
    veil_pidfile_remove(pidfile_path);
    cr_assert_eq(veil_pidfile_read(pidfile_path), 1);
}

Test(pidfile, what_is_no_id)
{
    static const char *const texts[] = { "",       "\n",  "0\n", "-1\n",
                                         "12x\n",  "x",   "1 2", "4294967297",
                                         "1\n\n2", " 12", NULL };
    unsigned i;

    for (i = 0; texts[i] != NULL; i++) {
        put(texts[i]);
        cr_assert_eq(veil_pidfile_read(pidfile_path), -EINVAL, "\"%s\"",
                     texts[i]);
    }
    put("12");
    cr_assert_eq(veil_pidfile_read(pidfile_path), 12);
    put("12 \n");
    cr_assert_eq(veil_pidfile_read(pidfile_path), 12);
}

Test(pidfile, failures_leave_nothing)
{
    cr_assert_eq(veil_pidfile_write("/proc/none/pid"), -ENOENT);

    /* The name beside it is somebody's link: it is not followed. */
    cr_assert_eq(symlink(pidfile_path, pidfile_new), 0);
    cr_assert_eq(veil_pidfile_write(pidfile_path), -ELOOP);
    cr_assert_neq(access(pidfile_path, F_OK), 0);
}

Test(pidfile, what_is_no_file_stays)
{
    struct stat st;

    cr_assert_eq(veil_pidfile_write("/dev/null"), 0);
    veil_pidfile_remove("/dev/null");
    cr_assert_eq(stat("/dev/null", &st), 0);
    cr_assert(S_ISCHR(st.st_mode));
}
