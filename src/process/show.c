/*
 * show.c -- the server's processes on the board.
 *
 * The board is one of the zones that the hold keeps, so it outlives
 * generations and goes along in an upgrade; no configuration names it.  The
 * master maps it before it forks, and all others inherit the mapping.
 */

#include "core/platform.h"

#include <sys/mman.h>

#include "core/metric.h"
#include "core/pool.h"
#include "process/show.h"

static veil_metric_t show_metrics[VEIL_SHOW_METRICS] = {
    [VEIL_SHOW_WORKERS_STARTED] = VEIL_COUNTER(
        "veil_workers_started_total", NULL, "Worker processes started."),
    [VEIL_SHOW_WORKERS_EXITED] =
        VEIL_COUNTER("veil_workers_ended_total", "how=\"exited\"",
                     "Worker processes that have ended."),
    [VEIL_SHOW_WORKERS_CRASHED] =
        VEIL_COUNTER("veil_workers_ended_total", "how=\"crashed\"", NULL),
    [VEIL_SHOW_WORKERS_KILLED] =
        VEIL_COUNTER("veil_workers_ended_total", "how=\"killed\"", NULL),
    [VEIL_SHOW_WORKERS_STUCK] =
        VEIL_COUNTER("veil_workers_ended_total", "how=\"stuck\"", NULL),
    [VEIL_SHOW_RELOADS_OK] = VEIL_COUNTER(
        "veil_reloads_total", "result=\"ok\"", "Reloads that were asked for."),
    [VEIL_SHOW_RELOADS_FAILED] =
        VEIL_COUNTER("veil_reloads_total", "result=\"failed\"", NULL),
    [VEIL_SHOW_GENERATION] = VEIL_GAUGE(
        "veil_generation", NULL, "Number of the configuration that serves."),
    [VEIL_SHOW_GENERATIONS] =
        VEIL_GAUGE("veil_generations_active", NULL,
                   "Configurations that have processes: the one that serves, "
                   "those that drain, one that loads."),
};
VEIL_METRICS(show_metrics);

static int show_fd = -1;

static void
show_key(veil_hold_zone_t *key)
{
    memset(key, 0, sizeof(*key));
    memcpy(key->name, VEIL_BOARD_NAME, sizeof(VEIL_BOARD_NAME));
    memcpy(key->tag, VEIL_BOARD_NAME, sizeof(VEIL_BOARD_NAME));
    key->size = veil_board_size();
}

int
veil_show_zone(veil_hold_zone_t *key)
{
    show_key(key);
    return show_fd;
}

void
veil_show_open(veil_hold_t *hold, veil_board_role_t role,
               const veil_log_t *log)
{
    veil_hold_zone_t want;
    bool fresh;
    void *mem;
    int fd;

    show_key(&want);
    /* Of no generation: named by one that always comes. */
    fd = veil_hold_zone(hold, &want, UINT64_MAX, &fresh);
    if (fd < 0) {
        veil_log(log, VEIL_LOG_ALERT, -fd,
                 "no memory for metrics, there will be none");
        return;
    }
    mem = mmap(NULL, want.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED) {
        veil_log(log, VEIL_LOG_ALERT, errno,
                 "mapping the memory for metrics failed, there will be none");
        return;
    }
    show_fd = fd;
    veil_board_open(mem, want.size);
    veil_board_take(veil_board_give(role, 0, role == VEIL_BOARD_WORKER));
}

void
veil_show_count(veil_show_metric_t what)
{
    veil_metric_inc(&show_metrics[what]);
}

void
veil_show_set(veil_show_metric_t what, uint64_t value)
{
    veil_metric_set(&show_metrics[what], value);
}

/* --- numbers of workers ---------------------------------------------------
 */

/* The sum of all metrics of the name, whatever their labels. */
static uint64_t
show_sum(const uint64_t *cells, const char *name)
{
    const veil_metric_t *m;
    uint64_t sum = 0;
    unsigned i, cell;

    for (i = 0; (m = veil_metric_at(i, &cell)) != NULL; i++) {
        if (strcmp(m->name, name) == 0) {
            sum += cells[cell];
        }
    }
    return sum;
}

static void
show_add_cells(veil_show_counts_t *to, uint64_t *cells)
{
    to->connections += show_sum(cells, "veil_connections_active");
    to->accepted += show_sum(cells, "veil_connections_accepted_total");
    to->requests += show_sum(cells, "veil_http_requests_total");
    veil_free(cells);
}

void
veil_show_counts_add(veil_show_counts_t *to, const veil_board_block_t *b)
{
    show_add_cells(to, veil_board_read_block(b));
}

void
veil_show_counts_all(veil_show_counts_t *to)
{
    show_add_cells(to, veil_board_read());
}
