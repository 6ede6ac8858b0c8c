/*
 * table.c -- tables of text: columns as wide as their widest cell.
 *
 * Numbers stand at the right, and so does the head of a column that has
 * nothing else.  Nothing is cut: what does not fit the terminal is wrapped by
 * it, and whoever reads with a program loses nothing.
 */

#include "core/platform.h"

#include "ctl/table.h"

#define TABLE_GAP 2

void
veil_ctl_table_init(veil_ctl_table_t *t, veil_pool_t *pool)
{
    t->pool = pool;
    veil_array_init(&t->heads, pool, sizeof(veil_str_t), 16);
    veil_array_init(&t->cells, pool, sizeof(veil_ctl_cell_t), 64);
}

void
veil_ctl_table_head(veil_ctl_table_t *t, const char *name)
{
    *(veil_str_t *) veil_array_push(&t->heads) = veil_str_z(name);
}

void
veil_ctl_table_cell(veil_ctl_table_t *t, veil_str_t s, veil_ctl_style_t style)
{
    veil_ctl_cell_t *cell = veil_array_push(&t->cells);
    veil_ctl_text_t text = { 0 };

    veil_ctl_text_safe(&text, s, false);
    cell->text = veil_pool_str(t->pool, veil_ctl_text_str(&text));
    cell->width = veil_ctl_text_width(cell->text);
    cell->style = style;
    veil_ctl_text_done(&text);
}

void
veil_ctl_table_number(veil_ctl_table_t *t, const char *z)
{
    veil_ctl_table_cell(t, veil_str_z(z), VEIL_CTL_PLAIN);
    veil_array_at(&t->cells, veil_ctl_cell_t, t->cells.n - 1)->is_number =
        true;
}

void
veil_ctl_table_none(veil_ctl_table_t *t)
{
    veil_ctl_table_cell(t, VEIL_STR("-"), VEIL_CTL_DIM);
}

unsigned
veil_ctl_table_rows(const veil_ctl_table_t *t)
{
    return t->heads.n == 0 ? 0 : t->cells.n / t->heads.n;
}

static const veil_ctl_cell_t *
table_at(const veil_ctl_table_t *t, unsigned row, unsigned col)
{
    return veil_array_at(&t->cells, veil_ctl_cell_t, row * t->heads.n + col);
}

/* How wide a column is, and whether it has numbers, and nothing but these. */
static size_t
table_column(const veil_ctl_table_t *t, unsigned col, bool *right)
{
    size_t width =
        veil_ctl_text_width(*veil_array_at(&t->heads, veil_str_t, col));
    const veil_ctl_cell_t *cell;
    bool numbers = false, others = false;
    unsigned i;

    for (i = 0; i < veil_ctl_table_rows(t); i++) {
        cell = table_at(t, i, col);
        width = cell->width > width ? cell->width : width;
        numbers = numbers || cell->is_number;
        others = others || (!cell->is_number && cell->style != VEIL_CTL_DIM);
    }
    *right = numbers && !others;
    return width;
}

static void
table_put(veil_ctl_text_t *out, const veil_ctl_cell_t *cell, size_t width,
          bool right, bool last)
{
    size_t pad = width - cell->width;

    veil_ctl_text_fill(out, ' ', right ? pad : 0);
    if (cell->style != VEIL_CTL_PLAIN) {
        veil_ctl_text_style(out, cell->style);
    }
    veil_ctl_text_add(out, cell->text);
    if (cell->style != VEIL_CTL_PLAIN) {
        veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    }
    veil_ctl_text_fill(out, ' ', right || last ? 0 : pad);
    veil_ctl_text_fill(out, last ? '\n' : ' ', last ? 1 : TABLE_GAP);
}

void
veil_ctl_table_print(const veil_ctl_table_t *t, veil_ctl_text_t *out,
                     unsigned indent)
{
    unsigned row, col, rows = veil_ctl_table_rows(t);
    size_t *width = veil_pool_alloc(t->pool, t->heads.n * sizeof(size_t) + 1);
    bool *right = veil_pool_alloc(t->pool, t->heads.n * sizeof(bool) + 1);
    veil_ctl_cell_t head = { .style = VEIL_CTL_BOLD };

    for (col = 0; col < t->heads.n; col++) {
        width[col] = table_column(t, col, &right[col]);
    }
    for (col = 0; col < t->heads.n; col++) {
        veil_ctl_text_fill(out, ' ', col == 0 ? indent : 0);
        head.text = *veil_array_at(&t->heads, veil_str_t, col);
        head.width = veil_ctl_text_width(head.text);
        table_put(out, &head, width[col], right[col], col + 1 == t->heads.n);
    }
    for (row = 0; row < rows; row++) {
        veil_ctl_text_fill(out, ' ', indent);
        for (col = 0; col < t->heads.n; col++) {
            table_put(out, table_at(t, row, col), width[col], right[col],
                      col + 1 == t->heads.n);
        }
    }
}
