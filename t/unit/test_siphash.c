/* test_siphash.c -- SipHash-2-4 against its published vectors. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/siphash.h"

static unsigned char key[16], message[64];

static void
setup(void)
{
    size_t i;

    for (i = 0; i < sizeof(key); i++) {
        key[i] = (unsigned char) i;
    }
    for (i = 0; i < sizeof(message); i++) {
        message[i] = (unsigned char) i;
    }
}

Test(siphash, published_vectors, .init = setup)
{
    cr_assert_eq(veil_siphash(key, message, 0), 0x726fdb47dd0e0e31u);
    cr_assert_eq(veil_siphash(key, message, 1), 0x74f839c593dc67fdu);
    cr_assert_eq(veil_siphash(key, message, 7), 0xab0200f58b01d137u);
    cr_assert_eq(veil_siphash(key, message, 8), 0x93f5f5799a932462u);
    cr_assert_eq(veil_siphash(key, message, 15), 0xa129ca6149be45e5u);
    cr_assert_eq(veil_siphash(key, message, 63), 0x958a324ceb064572u);
}

Test(siphash, unaligned_input, .init = setup)
{
    unsigned char copy[64];

    memcpy(copy + 1, message, 15);
    cr_assert_eq(veil_siphash(key, copy + 1, 15), 0xa129ca6149be45e5u);
}

Test(siphash, key_and_length_count, .init = setup)
{
    unsigned char zeros[16] = { 0 };
    uint64_t before = veil_siphash(key, zeros, 3);

    cr_assert_neq(before, veil_siphash(key, zeros, 4));
    key[15] ^= 1;
    cr_assert_neq(before, veil_siphash(key, zeros, 3));
}
