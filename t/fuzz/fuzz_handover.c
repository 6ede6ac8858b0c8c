/*
 * fuzz_handover.c -- what one master hands over to the next program.
 *
 * The input stands behind a head whose length and checksum are right, so that
 * the fields are reached.  What is read can be written, and is read again as
 * the same.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/murmur.h"
#include "core/pool.h"
#include "process/upgrade/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The two are the same to the byte. */
static void
fuzz_compare(const veil_handover_t *a, const veil_handover_t *b)
{
    size_t na, nb;
    char *ta = veil_handover_encode(a, &na);
    char *tb = veil_handover_encode(b, &nb);

    VEIL_ASSERT(na == nb && memcmp(ta, tb, na) == 0);
    veil_free(ta);
    veil_free(tb);
}

static void
fuzz_again(const veil_handover_t *h)
{
    veil_handover_t again;
    const char *why;
    size_t n;
    char *text = veil_handover_encode(h, &n);

    veil_handover_init(&again);
    /* Without a pid it is not read again. */
    VEIL_ASSERT(veil_handover_decode(&again, text, n, &why) == (h->pid > 0));
    if (h->pid > 0) {
        fuzz_compare(h, &again);
    }
    veil_free(text);
    veil_handover_done(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t head[4] = { 0x6c696576, VEIL_HANDOVER_VERSION, (uint32_t) size,
                         veil_crc32(0, data, size) };
    char *text = veil_alloc(sizeof(head) + size);
    veil_handover_t h;
    const char *why;

    memcpy(text, head, sizeof(head)); /* little-endian, as all we run on */
    memcpy(text + sizeof(head), data, size);
    veil_handover_init(&h);
    if (veil_handover_decode(&h, text, sizeof(head) + size, &why)) {
        fuzz_again(&h);
    }
    veil_free(text);
    veil_handover_done(&h);
    return 0;
}
