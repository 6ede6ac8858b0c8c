/*
 * test_sha256.c -- NIST's examples, whatever the pieces they come in.
 */

#include <criterion/criterion.h>
#include <string.h>

#include "../../src/core/sha256.c"

static const struct {
    const char *text;
    const char *sum;
} sums[] = {
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

Test(sha256, examples)
{
    char hex[65];
    size_t i;

    for (i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
        veil_sha256_hex(hex, sums[i].text, strlen(sums[i].text));
        cr_expect_str_eq(hex, sums[i].sum);
    }
}

Test(sha256, a_million_in_pieces)
{
    unsigned char out[32];
    char a[1000], hex[65];
    veil_sha256_t s;
    size_t done = 0, n;

    memset(a, 'a', sizeof(a));
    veil_sha256_init(&s);
    for (n = 1; done < 1000000; n = n % 900 + 13) {
        n = n > 1000000 - done ? 1000000 - done : n;
        veil_sha256_update(&s, a, n);
        done += n;
    }
    veil_sha256_final(&s, out);
    *veil_fmt_hex_bytes(hex, out, sizeof(out)) = '\0';
    cr_expect_str_eq(
        hex,
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
