/*
 * table.h -- tables of text: columns as wide as their widest cell.
 */

#ifndef VEIL_CTL_TABLE_H
#define VEIL_CTL_TABLE_H

#include "core/array.h"
#include "core/pool.h"
#include "ctl/text.h"

typedef struct {
    veil_str_t text; /* fit for the terminal */
    size_t width;
    veil_ctl_style_t style;
    bool is_number; /* stands at the right */
} veil_ctl_cell_t;

typedef struct {
    veil_pool_t *pool;
    veil_array_t heads; /* of veil_str_t */
    veil_array_t cells; /* of veil_ctl_cell_t, row by row */
} veil_ctl_table_t;

void veil_ctl_table_init(veil_ctl_table_t *t, veil_pool_t *pool);
/* Columns are named before the first cell; the name is ours and stays. */
void veil_ctl_table_head(veil_ctl_table_t *t, const char *name);

/* The next cell: text of others, which is made safe and copied. */
void veil_ctl_table_cell(veil_ctl_table_t *t, veil_str_t s,
                         veil_ctl_style_t style);
/* The same, of a number: our text. */
void veil_ctl_table_number(veil_ctl_table_t *t, const char *z);
/* Nothing to tell. */
void veil_ctl_table_none(veil_ctl_table_t *t);

unsigned veil_ctl_table_rows(const veil_ctl_table_t *t);
/* Writes it, each line behind so many blanks. */
void veil_ctl_table_print(const veil_ctl_table_t *t, veil_ctl_text_t *out,
                          unsigned indent);

#endif
