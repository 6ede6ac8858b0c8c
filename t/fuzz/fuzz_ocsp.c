/*
 * fuzz_ocsp.c -- OCSP responses.
 *
 * The last byte says which certificate is asked about, and how strictly.  An
 * answer with a signature cannot be made up, so what comes out of
 * veil_ocsp_check() is of the corpus, or differs in what nobody signs.
 */

#include "core/platform.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "../unit/ocsp_data.h"
#include "core/assert.h"
#include "core/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *
ocsp_cert(const char *hex)
{
    uint8_t der[2048];
    const uint8_t *p = der;
    size_t i, n = strlen(hex) / 2;

    VEIL_ASSERT(n <= sizeof(der));
    for (i = 0; i < n; i++) {
        der[i] = (uint8_t) veil_str_to_hex(veil_str_n(hex + 2 * i, 2));
    }
    return d2i_X509(NULL, &p, (long) n);
}

/* Made once, and kept for the life of the process. */
static struct {
    const char *cert_hex, *issuer_hex;
    X509 *cert, *issuer;
} ocsp_pairs[] = {
    { data_cert_leaf, data_cert_ca, NULL, NULL },
    { data_cert_revoked, data_cert_ca, NULL, NULL },
    { data_cert_leaf_rsa, data_cert_rsa, NULL, NULL },
    { data_cert_leaf_ed, data_cert_ed, NULL, NULL },
};

static void
ocsp_try(veil_str_t in, size_t i, bool verify)
{
    veil_ocsp_query_t q = { .cert = ocsp_pairs[i].cert,
                            .issuer = ocsp_pairs[i].issuer,
                            .now = OCSP_NOW,
                            .verify = verify };
    veil_ocsp_result_t read, checked;

    if (veil_ocsp_read(in, q.cert, &read) != VEIL_OK) {
        VEIL_ASSERT(read.error[0] != '\0');
        VEIL_ASSERT(veil_ocsp_check(in, &q, &checked) != VEIL_OK);
        return;
    }
    VEIL_ASSERT(read.status <= VEIL_OCSP_UNKNOWN);
    VEIL_ASSERT(read.status == VEIL_OCSP_REVOKED || read.revoked_at == 0);
    if (veil_ocsp_check(in, &q, &checked) == VEIL_OK) {
        VEIL_ASSERT(checked.this_update <= OCSP_NOW + VEIL_OCSP_SKEW_SEC);
        VEIL_ASSERT(checked.next_update >= OCSP_NOW - VEIL_OCSP_SKEW_SEC);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy;
    size_t i;

    if (size < 1) {
        return 0;
    }
    size--;
    for (i = 0; i < veil_countof(ocsp_pairs); i++) {
        if (ocsp_pairs[i].cert == NULL) {
            ocsp_pairs[i].cert = ocsp_cert(ocsp_pairs[i].cert_hex);
            ocsp_pairs[i].issuer = ocsp_cert(ocsp_pairs[i].issuer_hex);
            VEIL_ASSERT(ocsp_pairs[i].cert && ocsp_pairs[i].issuer);
        }
    }
    copy = malloc(size);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    ocsp_try(veil_str_n(copy, size), data[size] % veil_countof(ocsp_pairs),
             (data[size] & 0x80) != 0);
    VEIL_ASSERT(ERR_peek_error() == 0);
    free(copy);
    return 0;
}
