/*
 * assert.c -- the cold side of VEIL_ASSERT and VEIL_CAST, and the registry of
 * printers for the panic report.
 *
 * The report itself is written by panic.c; the two are apart because the
 * registry is used in good times and the report only in bad ones.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/panic.h"

veil_panic_printer_t veil_panic_printers[VEIL_PANIC_PRINTERS];
unsigned veil_panic_nprinters;

void
veil_panic_register(const char *title, veil_panic_print_fn *print)
{
    unsigned i;

    for (i = 0; i < veil_panic_nprinters; i++) {
        if (veil_panic_printers[i].print == print) {
            return;
        }
    }
    VEIL_ASSERT(veil_panic_nprinters < VEIL_PANIC_PRINTERS);
    veil_panic_printers[veil_panic_nprinters].title = title;
    veil_panic_printers[veil_panic_nprinters].print = print;
    veil_panic_nprinters++;
}

void
veil_assert_failed(const char *expr, const char *file, int line,
                   const char *func)
{
    veil_panic("assertion \"%s\" failed in %s() at %s:%d", expr, func, file,
               line);
}

void *
veil_cast(void *p, uint32_t magic, const char *file, int line)
{
    uint32_t found;

    if (veil_unlikely(p == NULL)) {
        veil_panic("NULL where an object was expected at %s:%d", file, line);
    }
    memcpy(&found, p, sizeof(found));
    if (veil_unlikely(found != magic)) {
        veil_panic("an object has magic 0x%08x instead of 0x%08x%s at %s:%d",
                   found, magic,
                   found == VEIL_MAGIC_DEAD ? " (it has ended)" : "", file,
                   line);
    }
    return p;
}
