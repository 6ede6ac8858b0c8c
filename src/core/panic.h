/*
 * panic.h -- what assert.c and panic.c share.  Others use core/assert.h.
 */

#ifndef VEIL_CORE_PANIC_H
#define VEIL_CORE_PANIC_H

#include "core/assert.h"

#define VEIL_PANIC_PRINTERS 16

typedef struct {
    const char *title;
    veil_panic_print_fn *print;
} veil_panic_printer_t;

extern veil_panic_printer_t veil_panic_printers[VEIL_PANIC_PRINTERS];
extern unsigned veil_panic_nprinters;

#endif
