/*
 * test_board.c -- the board: blocks, what is kept of the dead, programs with
 * other metrics, and processes that die while they fold.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Dies at the n-th place. */
static unsigned die_at;
static void
point(void)
{
    if (die_at != 0 && --die_at == 0) {
        kill(getpid(), SIGKILL);
    }
}
#include "core/fault.h"
#undef VEIL_FAULT
#define VEIL_FAULT(name) point()

#include "core/board.c"
#include "core/metric.c"

static const uint64_t times[] = { 1, 10 };
static veil_metric_t test_metrics[] = {
    VEIL_COUNTER("test_total", NULL, "A counter."),
    VEIL_GAUGE("test_gauge", NULL, "A gauge."),
    VEIL_HISTOGRAM("test_times", NULL, "Times.", times, 0.001),
};
VEIL_METRICS(test_metrics);
#define COUNTER (&test_metrics[0])
#define GAUGE (&test_metrics[1])
#define TIMES (&test_metrics[2])

static void
setup(void)
{
    void *mem = mmap(NULL, veil_board_size(), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(mem, MAP_FAILED);
    veil_board_open(mem, veil_board_size());
}

TestSuite(board, .init = setup, .timeout = 240);

static uint64_t
total(const char *name, unsigned i)
{
    uint64_t *cells = veil_board_read(), value;
    const veil_metric_t *m;
    unsigned cell = 0, k;

    for (k = 0; (m = veil_metric_at(k, &cell)) != NULL; k++) {
        if (strcmp(m->name, name) == 0) {
            break;
        }
    }
    cr_assert_not_null(m);
    value = cells[cell + i];
    veil_free(cells);
    return value;
}

typedef void work_fn(void);

static pid_t
start(work_fn *work, int *block)
{
    pid_t pid;

    *block = veil_board_give(VEIL_BOARD_WORKER, 1, 2);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        veil_board_take(*block);
        work();
        _exit(0);
    }
    return pid;
}

static int
reap(pid_t pid)
{
    int status;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void
count(void)
{
    veil_metric_add(COUNTER, 5);
    veil_metric_set(GAUGE, 3);
    veil_metric_observe(TIMES, 4);
}

static unsigned
used(void)
{
    unsigned i, n = 0;

    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        n += veil_board_block(i) != NULL;
    }
    return n;
}

Test(board, a_block_says_who_it_is)
{
    int block = veil_board_give(VEIL_BOARD_KEEPER, 3, 7);
    const veil_board_block_t *b = veil_board_block(0);

    cr_assert_geq(block, 0);
    cr_assert_not_null(b);
    cr_assert_eq(b->holder, 0);
    veil_board_take(block);
    cr_assert_eq(veil_board_pid(b), getpid());
    cr_assert_eq(b->role, VEIL_BOARD_KEEPER);
    cr_assert_eq(b->slot, 3);
    cr_assert_eq(b->generation, 7);
    veil_board_beat(1234);
    veil_board_state(VEIL_BOARD_SERVING);
    cr_assert_eq(b->heartbeat_ms, 1234);
    cr_assert_eq(b->state, VEIL_BOARD_SERVING);
    veil_board_take(-1);
    veil_board_beat(99);
    cr_assert_eq(b->heartbeat_ms, 1234);
}

Test(board, counters_are_kept_and_gauges_dropped)
{
    int blocks[2];
    pid_t pid = start(count, &blocks[0]);

    cr_assert_eq(reap(pid), 0);
    cr_assert_eq(total("test_total", 0), 5);
    cr_assert_eq(total("test_gauge", 0), 3);
    veil_board_retire(blocks[0]);
    cr_assert_eq(used(), 0);
    cr_assert_eq(total("test_total", 0), 5);
    cr_assert_eq(total("test_gauge", 0), 0);
    cr_assert_eq(total("test_times", 1), 1);
    cr_assert_eq(total("test_times", 3), 4);

    /* Another one, in the same block: it begins with nothing. */
    pid = start(count, &blocks[1]);
    cr_assert_neq(blocks[0], blocks[1]);
    reap(pid);
    cr_assert_eq(total("test_total", 0), 10);
    cr_assert_eq(total("test_gauge", 0), 3);
    /* The first one's parent comes late, or twice. */
    veil_board_retire(blocks[0]);
    cr_assert_eq(used(), 1);
    veil_board_retire(blocks[1]);
    veil_board_retire(blocks[1]);
    cr_assert_eq(total("test_total", 0), 10);
    cr_assert_eq(total("test_times", 3), 8);
}

Test(board, numbers_of_one_and_of_the_dead)
{
    uint64_t *one, *dead;
    int block;
    bool kept;
    int cell = -1;
    unsigned i;

    reap(start(count, &block));
    veil_board_retire(block);
    veil_board_take(veil_board_give(VEIL_BOARD_MASTER, 0, 0));
    veil_metric_add(COUNTER, 2);
    one = veil_board_read_block(veil_board_mine);
    dead = veil_board_read_dead();
    for (i = 0; i < veil_metrics_count(); i++) {
        if (veil_metric_key(i, &kept) == metric_cell_key(COUNTER, 0)) {
            cell = (int) i;
        }
    }
    cr_assert_geq(cell, 0);
    cr_assert_eq(one[cell], 2);
    cr_assert_eq(dead[cell], 5);
    cr_assert_eq(total("test_total", 0), 7);
    veil_free(one);
    veil_free(dead);
}

static void
wait_for_end(void)
{
    veil_metric_observe(TIMES, 1);
    pause();
}

Test(board, sweeping_takes_the_dead_and_leaves_the_living)
{
    int blocks[2];
    pid_t dead = start(count, &blocks[0]);
    pid_t alive = start(wait_for_end, &blocks[1]);

    /* Both have their blocks: one that was killed before has none. */
    while (total("test_times", 3) != 4 + 1) {
        usleep(1000);
    }
    /* A zombie is dead. */
    waitid(P_PID, (id_t) dead, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
    veil_board_sweep();
    cr_assert_eq(used(), 1);
    cr_assert_eq(total("test_total", 0), 5);
    reap(dead);
    veil_board_retire(blocks[0]);
    cr_assert_eq(total("test_total", 0), 5);
    kill(alive, SIGKILL);
    reap(alive);
    veil_board_sweep();
    cr_assert_eq(used(), 0);
}

static void
give_and_die(void)
{
    cr_assert_geq(veil_board_give(VEIL_BOARD_WORKER, 0, 1), 0);
    kill(getpid(), SIGKILL);
}

Test(board, a_parent_that_died_before_it_forked)
{
    int block;

    reap(start(give_and_die, &block));
    cr_assert_eq(used(), 2);
    veil_board_sweep();
    cr_assert_eq(used(), 0);
}

Test(board, blocks_run_out)
{
    unsigned i;

    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        cr_assert_geq(veil_board_give(VEIL_BOARD_WORKER, i, 1), 0);
    }
    cr_assert_eq(veil_board_give(VEIL_BOARD_WORKER, i, 1), -1);
    veil_board_take(-1);
    veil_metric_inc(COUNTER);
    veil_board_retire(-1);
    cr_assert_eq(total("test_total", 0), 0);
}

/* --- a process that dies while it folds -----------------------------------
 */

static int fold_block;
static unsigned fold_die_at;

static void
fold(void)
{
    die_at = fold_die_at;
    veil_board_retire(fold_block);
}

Test(board, folding_is_all_or_nothing)
{
    unsigned died = 0;
    uint64_t want = 0;
    int block, status;

    for (fold_die_at = 1; fold_die_at < 20; fold_die_at++) {
        reap(start(count, &fold_block));
        want += 5;
        status = reap(start(fold, &block));
        died += WIFSIGNALED(status);
        cr_assert_eq(total("test_total", 0), want, "place %u: %lu",
                     fold_die_at, (unsigned long) total("test_total", 0));
        veil_board_sweep();
        cr_assert_eq(used(), 0);
        cr_assert_eq(total("test_total", 0), want, "place %u, after",
                     fold_die_at);
        cr_assert_eq(total("test_times", 3), want / 5 * 4);
        if (!WIFSIGNALED(status)) {
            break;
        }
    }
    cr_assert_eq(died, 2, "%u", died);
    cr_assert_lt(fold_die_at, 20);
}

/* --- another program -------------------------------------------------------
 */

Test(board, another_program_knows_the_same_numbers)
{
    board_schema_t *s;
    int block;
    unsigned i;

    /* As if the child had its cells the other way round, and one more. */
    reap(start(count, &block));
    s = &board->schemas[board->blocks[0].schema - 1];
    cr_assert_eq(s->n, veil_metrics_count());
    s->hash = 77;
    for (i = 0; i < s->n / 2; i++) {
        uint64_t key = s->keys[i], value = board->blocks[0].cells[i];

        s->keys[i] = s->keys[s->n - 1 - i];
        s->keys[s->n - 1 - i] = key;
        board->blocks[0].cells[i] = board->blocks[0].cells[s->n - 1 - i];
        board->blocks[0].cells[s->n - 1 - i] = value;
    }
    s->keys[s->n] = 4711;
    board->blocks[0].cells[s->n++] = 13;

    cr_assert_eq(total("test_total", 0), 5);
    cr_assert_eq(total("test_times", 3), 4);
    veil_board_take(veil_board_give(VEIL_BOARD_MASTER, 0, 0));
    cr_assert_neq(veil_board_mine->schema, board->blocks[0].schema);
    veil_metric_inc(COUNTER);
    cr_assert_eq(total("test_total", 0), 6);
    veil_board_retire(block);
    cr_assert_eq(total("test_total", 0), 6);
    cr_assert_eq(total("test_times", 3), 4);
    /* What only the other one knows is kept for its return. */
    cr_assert_eq(board_total(&board->tables[board->counts], 4711)->value, 13);
}

Test(board, memory_of_another_layout_is_made_anew)
{
    int block;

    reap(start(count, &block));
    veil_board_retire(block);
    veil_board_open(board, veil_board_size());
    cr_assert_eq(total("test_total", 0), 5);
    board->version++;
    veil_board_open(board, veil_board_size());
    cr_assert_eq(total("test_total", 0), 0);
}
