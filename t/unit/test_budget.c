/*
 * test_budget.c -- what an idle connection costs: docs/ARCHITECTURE.md has
 * the sizes of a release build, and they are right.
 *
 * bench/idle measures the whole; this finds a struct that grew.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "http/conn.h"

#define BUDGET_SIZE(t)                                                        \
    {                                                                         \
#t, sizeof(t)                                                         \
    }

static const struct {
    const char *type;
    size_t size;
} budget_sizes[] = {
    BUDGET_SIZE(veil_pool_t), BUDGET_SIZE(veil_http_conn_t),
    BUDGET_SIZE(veil_conn_t), BUDGET_SIZE(veil_handle_t),
    BUDGET_SIZE(veil_op_t),   BUDGET_SIZE(veil_timer_t),
    BUDGET_SIZE(veil_h1_t),
};

/* The number in "| ... (`TYPE`) ... | N |"; 0: there is no such line. */
static unsigned
budget_written(FILE *page, const char *type)
{
    char line[512], word[64];
    unsigned n = 0;

    (void) snprintf(word, sizeof(word), "(`%s`)", type);
    rewind(page);
    while (n == 0 && fgets(line, sizeof(line), page) != NULL) {
        const char *p = strstr(line, word);

        if (p != NULL && (p = strchr(p, '|')) != NULL
            && sscanf(p, "| %u |", &n) != 1) {
            n = 0;
        }
    }
    return n;
}

Test(budget, sizes_are_those_of_the_page)
{
    FILE *page = fopen("docs/ARCHITECTURE.md", "r");
    size_t i;

    cr_assert_not_null(page, "run it from the root of the tree");
#if VEIL_DEBUG
    /* Operations carry a checksum then: only the page is looked at. */
    for (i = 0; i < veil_countof(budget_sizes); i++) {
        cr_expect_neq(budget_written(page, budget_sizes[i].type), 0, "%s",
                      budget_sizes[i].type);
    }
#else
    for (i = 0; i < veil_countof(budget_sizes); i++) {
        cr_expect_eq(budget_written(page, budget_sizes[i].type),
                     budget_sizes[i].size, "%s has %zu bytes",
                     budget_sizes[i].type, budget_sizes[i].size);
    }
#endif
    fclose(page);
}

Test(budget, an_idle_connection_fits)
{
    /* nginx 1.31: 528 bytes added for each, 424 kept ready. */
    cr_expect_leq(sizeof(veil_pool_t) + sizeof(veil_http_conn_t) + 96, 952);
}
