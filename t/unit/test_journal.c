/* test_journal.c -- what goes on from master to master. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "../../src/process/control/journal.c"

static veil_hold_t hold;

static void
setup(void)
{
    veil_hold_init(&hold);
}

static void
teardown(void)
{
    veil_hold_done(&hold, false);
}

TestSuite(journal, .init = setup, .fini = teardown);

/* A text of that length that says which it is. */
static char *
text_of(unsigned n, size_t len)
{
    char *text = veil_alloc(len + 1);

    memset(text, 'x', len);
    (void) veil_snprintf(text, len, "{\"n\":%u,\"pad\":\"", n);
    text[strlen(text)] = 'x';
    memcpy(text + len - 2, "\"}", 3);
    return text;
}

static uint64_t
add(veil_journal_ring_t ring, unsigned n, size_t len)
{
    uint64_t seq = veil_journal_begin(ring);
    char *text = text_of(n, len);

    veil_journal_end(ring, "kind", text, len);
    veil_free(text);
    return seq;
}

/* What is there under this number; 0: nothing. */
static unsigned
kept(veil_journal_ring_t ring, uint64_t n)
{
    json_t *o = veil_journal_read(ring, n);
    unsigned found = (unsigned) json_integer_value(json_object_get(o, "n"));

    json_decref(o);
    return found;
}

static void
has(veil_journal_ring_t ring, uint64_t first, uint64_t last)
{
    uint64_t f, l;

    veil_journal_range(ring, &f, &l);
    cr_assert_eq(f, first, "first %llu", (unsigned long long) f);
    cr_assert_eq(l, last, "last %llu", (unsigned long long) l);
}

/* As another program that got the memory. */
static void
another_master(void)
{
    veil_hold_zone_t keys[VEIL_JOURNAL_ZONES];
    int fds[VEIL_JOURNAL_ZONES];
    unsigned i;

    for (i = 0; i < VEIL_JOURNAL_ZONES; i++) {
        fds[i] = dup(veil_journal_zone(i, &keys[i]));
    }
    (void) munmap(journal, sizeof(*journal));
    (void) munmap(journal_numbers, sizeof(*journal_numbers));
    journal_forget();
    veil_hold_done(&hold, false);
    for (i = 0; i < VEIL_JOURNAL_ZONES; i++) {
        veil_hold_adopt_zone(&hold, &keys[i], fds[i]);
    }
    veil_journal_open(&hold, &veil_log_stderr);
}

Test(journal, another_master_goes_on)
{
    veil_log_rules_t rules = { .n = 1, .rules = { { "core", 6, 0 } } };
    veil_log_rules_t none = { .n = 0 };

    veil_journal_open(&hold, &veil_log_stderr);
    has(VEIL_JOURNAL_EVENTS, 1, 0);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 11, 40), 1);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 12, 50), 2);
    cr_assert_eq(veil_journal_begin(VEIL_JOURNAL_AUDIT), 1);
    veil_journal_end(VEIL_JOURNAL_AUDIT, "audit", NULL, 0);
    cr_assert_eq(add(VEIL_JOURNAL_AUDIT, 21, 60), 2);
    cr_assert_eq(veil_journal_client(), 1);
    veil_journal_keep_rules(&rules);
    veil_log_set_rules(&none);

    another_master();
    has(VEIL_JOURNAL_EVENTS, 1, 2);
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 1), 11);
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 2), 12);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 13, 40), 3);
    has(VEIL_JOURNAL_AUDIT, 1, 1);
    cr_assert_eq(add(VEIL_JOURNAL_AUDIT, 22, 40), 3);
    cr_assert_eq(veil_journal_client(), 2);
    veil_log_get_rules(&rules);
    cr_assert_eq(rules.n, 1);
    cr_assert_str_eq(rules.rules[0].part, "core");
}

Test(journal, another_layout_goes_on_with_the_numbers)
{
    journal_t *old;

    veil_journal_open(&hold, &veil_log_stderr);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 11, 40), 1);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 12, 40), 2);
    cr_assert_eq(add(VEIL_JOURNAL_AUDIT, 21, 40), 1);
    cr_assert_eq(veil_journal_client(), 1);

    /* A new program, which finds no ring of its own. */
    old = journal;
    journal = NULL;
    journal_zones[JOURNAL_RECORDS].layout = 99;
    veil_journal_open(&hold, &veil_log_stderr);
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 1), 0);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 13, 40), 3);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 14, 40), 4);
    has(VEIL_JOURNAL_EVENTS, 3, 4);
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 3), 13);
    cr_assert_eq(add(VEIL_JOURNAL_AUDIT, 22, 40), 2);
    has(VEIL_JOURNAL_AUDIT, 1, 1);
    cr_assert_eq(veil_journal_client(), 2);

    /* And back. */
    (void) munmap(journal, sizeof(*journal));
    journal = old;
    journal_zones[JOURNAL_RECORDS].layout = 1;
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 15, 40), 5);
    has(VEIL_JOURNAL_EVENTS, 5, 5);
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 2), 0, "it does not know 3 and 4");
    cr_assert_eq(add(VEIL_JOURNAL_AUDIT, 23, 40), 3);
    has(VEIL_JOURNAL_AUDIT, 1, 2);
    cr_assert_eq(veil_journal_client(), 3);
}

Test(journal, without_memory_to_share)
{
    veil_journal_record_t r;

    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 11, 40), 1);
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 1), 11);
    cr_assert(veil_journal_look(VEIL_JOURNAL_EVENTS, 1, &r));
    cr_assert_str_eq(r.kind, "kind");
    cr_assert_eq(r.seq, 1);
    cr_assert_not(veil_journal_look(VEIL_JOURNAL_EVENTS, 0, &r));
    cr_assert_not(veil_journal_look(VEIL_JOURNAL_EVENTS, 2, &r));
    veil_free(journal);
    journal = NULL;
}

Test(journal, bytes_are_limited)
{
    size_t len = VEIL_JOURNAL_TEXT - 3;
    unsigned room = (unsigned) (VEIL_JOURNAL_BYTES / len);
    unsigned i;

    veil_journal_open(&hold, &veil_log_stderr);
    for (i = 1; i <= 5 * room; i++) {
        cr_assert_eq(add(VEIL_JOURNAL_EVENTS, i, len), i);
        cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, i), i, "across the end");
    }
    has(VEIL_JOURNAL_EVENTS, 4 * room + 1, 5 * room);
    for (i = 4 * room + 1; i <= 5 * room; i++) {
        cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, i), i);
    }
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 4 * room), 0);
}

Test(journal, what_is_too_long_is_not_kept)
{
    veil_journal_open(&hold, &veil_log_stderr);
    cr_assert_eq(add(VEIL_JOURNAL_AUDIT, 1, VEIL_JOURNAL_TEXT + 1), 1);
    has(VEIL_JOURNAL_AUDIT, 1, 0);
    cr_assert_eq(add(VEIL_JOURNAL_AUDIT, 2, VEIL_JOURNAL_TEXT), 2);
    has(VEIL_JOURNAL_AUDIT, 1, 1);
    cr_assert_eq(kept(VEIL_JOURNAL_AUDIT, 1), 2);
}

/* Ends in the middle of a record. */
static void
die_in_it(void)
{
    (void) veil_journal_begin(VEIL_JOURNAL_EVENTS);
    (void) raise(SIGKILL);
}

Test(journal, one_that_was_killed_blocks_nobody)
{
    int status;
    pid_t pid;
    void *mem;

    veil_journal_open(&hold, &veil_log_stderr);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 1, 40), 1);
    pid = fork();
    if (pid == 0) {
        mem =
            journal_map(journal_zones[JOURNAL_RECORDS].fd, sizeof(journal_t));
        journal = mem;
        die_in_it();
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    cr_assert_eq(add(VEIL_JOURNAL_EVENTS, 2, 40), 2);
    has(VEIL_JOURNAL_EVENTS, 1, 2);
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 2), 2);
}

Test(journal, children_have_none_of_it)
{
    const journal_t *mine;
    int status;
    pid_t pid;

    veil_journal_open(&hold, &veil_log_stderr);
    mine = journal;
    (void) add(VEIL_JOURNAL_EVENTS, 1, 40);
    pid = fork();
    if (pid == 0) {
        /* Not the mapping, and not the descriptor when it is closed. */
        bool gone =
            journal == NULL
            && madvise((void *) (uintptr_t) mine, sizeof(*mine), MADV_NORMAL)
                   != 0;
        int fd = journal_zones[JOURNAL_RECORDS].fd;

        veil_journal_close();
        _exit(gone && fcntl(fd, F_GETFD) < 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert_eq(kept(VEIL_JOURNAL_EVENTS, 1), 1);
}
