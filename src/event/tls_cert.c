/*
 * tls_cert.c -- certificates and their keys: read and checked.
 *
 * A certificate is read into what a handshake needs: the chain as the bytes
 * that are sent (CRYPTO_BUFFERs, which every session shares), the key, and
 * the parsed leaf for questions.  Nothing here knows the configuration, as
 * certificates with variables in their names are loaded on a thread while
 * the server runs: what is wrong is told to a function of the caller's.
 *
 * Buffers that held a private key are the library's memory, which it wipes
 * whenever it frees some.  Text in the configuration ("data:") stays where
 * it is for as long as the configuration does.
 */

#include "core/platform.h"

#include "event/tls_cert.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/x509v3.h>

#include "core/log.h"

/* A chain is a few kilobytes; a bundle of all authorities some hundred. */
#define CERT_FILE_MAX (1024 * 1024)
/* No chain is that long: a file that is meant for something else. */
#define CERT_CHAIN_MAX 100

typedef struct {
    veil_tls_tell_fn *tell;
    void *data;
} tls_cert_report_t;

const char *
veil_tls_error_text(char *buf, size_t n)
{
    uint32_t e = ERR_get_error();
    const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);

    if (reason != NULL) {
        (void) veil_snprintf(buf, n, "%s", reason);
    } else if (e != 0) {
        ERR_error_string_n(e, buf, n);
    } else {
        (void) veil_snprintf(buf, n, "no reason given");
    }
    ERR_clear_error();
    return buf;
}

static void tls_cert_tell(const tls_cert_report_t *to, bool warning,
                          bool of_key, const char *fmt, ...) VEIL_PRINTF(4, 5);

static void
tls_cert_tell(const tls_cert_report_t *to, bool warning, bool of_key,
              const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void) veil_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ERR_clear_error();
    to->tell(to->data, warning, of_key, text);
}

/* --- files -----------------------------------------------------------------
 */

static char *
tls_cert_read_all(int fd, size_t hint, size_t *len)
{
    size_t cap = hint + 2, n = 0;
    char *text = OPENSSL_malloc(cap), *more;
    ssize_t got;

    VEIL_ASSERT(text != NULL);
    for (;;) {
        got = read(fd, text + n, cap - n - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        n += (size_t) got;
        if (n > CERT_FILE_MAX) {
            errno = EFBIG;
            got = -1;
            break;
        }
        if (n + 1 == cap) {
            /* Wipes what it moves away from. */
            more = OPENSSL_realloc(text, cap * 2);
            VEIL_ASSERT(more != NULL);
            text = more;
            cap *= 2;
        }
    }
    if (got < 0) {
        int err = errno;

        OPENSSL_free(text);
        errno = err;
        return NULL;
    }
    text[n] = '\0';
    *len = n;
    return text;
}

char *
veil_tls_read_file(veil_str_t path, size_t *len, unsigned *mode)
{
    char name[PATH_MAX];
    struct stat st;
    char *text = NULL;
    int fd, err;

    if (path.len >= sizeof(name)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    (void) veil_str_copy_z(name, sizeof(name), path);
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) == 0) {
        if (mode != NULL) {
            *mode = st.st_mode;
        }
        text = tls_cert_read_all(
            fd, st.st_size < CERT_FILE_MAX ? (size_t) st.st_size : 0, len);
    }
    err = errno;
    (void) close(fd);
    errno = err;
    return text;
}

/* How a source is called in messages: never by what "data:" holds. */
static veil_str_t
tls_cert_source_name(veil_str_t source)
{
    return veil_str_starts(source, VEIL_STR("data:")) ? VEIL_STR("data:...")
                                                      : source;
}

/*
 * The text of a path or of "data:"; *owned is to be freed, mode of a file.
 * False after telling.
 */
static bool
tls_cert_text(const tls_cert_report_t *to, veil_str_t source, bool of_key,
              veil_str_t *text, char **owned, unsigned *mode)
{
    int err;

    *owned = NULL;
    *mode = 0;
    if (veil_str_starts(source, VEIL_STR("data:"))) {
        *text = veil_str_from(source, 5);
        return true;
    }
    *owned = veil_tls_read_file(source, &text->len, mode);
    if (*owned == NULL) {
        err = errno;
        if (err == ENOENT || err == ENOTDIR) {
            tls_cert_tell(to, false, of_key, "TLS %s file not found: %.*s",
                          of_key ? "private key" : "certificate",
                          VEIL_STR_ARG(source));
        } else {
            tls_cert_tell(to, false, of_key,
                          "cannot read the TLS %s \"%.*s\": %s",
                          of_key ? "private key" : "certificate",
                          VEIL_STR_ARG(source), strerror(err));
        }
        return false;
    }
    text->data = *owned;
    return true;
}

/* --- the chain -------------------------------------------------------------
 */

bool
veil_tls_is_end_of_pem(void)
{
    uint32_t e = ERR_peek_last_error();

    return ERR_GET_LIB(e) == ERR_LIB_PEM
           && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static CRYPTO_BUFFER *
tls_cert_buffer(X509 *x)
{
    uint8_t *der = NULL;
    int len = i2d_X509(x, &der);
    CRYPTO_BUFFER *b;

    VEIL_ASSERT(len > 0);
    b = CRYPTO_BUFFER_new(der, (size_t) len, NULL);
    VEIL_ASSERT(b != NULL);
    OPENSSL_free(der);
    return b;
}

/* Keeps the bytes of x, and x itself where it is the leaf or its issuer. */
static void
tls_cert_add(veil_tls_cert_t *cert, CRYPTO_BUFFER **chain, X509 *x)
{
    chain[cert->nchain++] = tls_cert_buffer(x);
    if (cert->leaf == NULL) {
        cert->leaf = x;
    } else if (cert->issuer == NULL
               && X509_check_issued(x, cert->leaf) == X509_V_OK)
    {
        cert->issuer = x;
    } else {
        X509_free(x);
    }
}

static bool
tls_cert_parse_chain(const tls_cert_report_t *to, veil_tls_cert_t *cert,
                     veil_str_t source, veil_str_t text)
{
    veil_str_t name = tls_cert_source_name(source);
    CRYPTO_BUFFER *chain[CERT_CHAIN_MAX];
    BIO *bio = BIO_new_mem_buf(text.data, (ossl_ssize_t) text.len);
    char why[256];
    X509 *x;

    VEIL_ASSERT(bio != NULL);
    ERR_clear_error();
    while (cert->nchain < CERT_CHAIN_MAX) {
        x = cert->nchain == 0 ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)
                              : PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (x == NULL) {
            break;
        }
        tls_cert_add(cert, chain, x);
    }
    BIO_free(bio);
    if (cert->nchain != 0) {
        cert->chain = veil_alloc(cert->nchain * sizeof(chain[0]));
        memcpy(cert->chain, chain, cert->nchain * sizeof(chain[0]));
    }
    if (cert->nchain == CERT_CHAIN_MAX) {
        tls_cert_tell(
            to, false, false,
            "there are too many certificates for a chain in \"%.*s\"",
            VEIL_STR_ARG(name));
        return false;
    }
    if (!veil_tls_is_end_of_pem()) {
        tls_cert_tell(to, false, false,
                      "certificate %u in \"%.*s\" cannot be read: %s",
                      (unsigned) cert->nchain + 1, VEIL_STR_ARG(name),
                      veil_tls_error_text(why, sizeof(why)));
        return false;
    }
    ERR_clear_error();
    if (cert->nchain == 0) {
        tls_cert_tell(to, false, false,
                      "there is no certificate (in PEM format) in \"%.*s\"",
                      VEIL_STR_ARG(name));
        return false;
    }
    return true;
}

static void
tls_cert_check_dates(const tls_cert_report_t *to, const X509 *x,
                     veil_str_t source)
{
    const char *what = NULL;
    const ASN1_TIME *when = NULL;
    char text[64] = "";
    BIO *bio;
    int n;

    if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0) {
        what = "expired at";
        when = X509_get0_notAfter(x);
    } else if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0) {
        what = "is not valid before";
        when = X509_get0_notBefore(x);
    } else {
        return;
    }
    bio = BIO_new(BIO_s_mem());
    VEIL_ASSERT(bio != NULL);
    (void) ASN1_TIME_print(bio, when);
    n = BIO_read(bio, text, (int) sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
    source = tls_cert_source_name(source);
    tls_cert_tell(to, true, false, "the TLS certificate \"%.*s\" %s %s",
                  VEIL_STR_ARG(source), what, text);
}

/* --- the key ---------------------------------------------------------------
 */

typedef struct {
    const veil_array_t *passwords;
    unsigned next;
    bool asked;
} tls_cert_passwords_t;

/* The library asks once for each attempt. */
static int
tls_cert_password(char *buf, int size, int rwflag VEIL_UNUSED, void *data)
{
    tls_cert_passwords_t *p = data;
    veil_str_t s;

    p->asked = true;
    if (p->passwords == NULL || p->next >= p->passwords->n) {
        return -1;
    }
    s = *veil_array_at(p->passwords, veil_str_t, p->next);
    if (s.len > (size_t) size) {
        s.len = (size_t) size;
    }
    memcpy(buf, s.data, s.len);
    return (int) s.len;
}

static bool
tls_cert_parse_key(const tls_cert_report_t *to, veil_tls_cert_t *cert,
                   veil_str_t source, veil_str_t text,
                   const veil_array_t *passwords)
{
    tls_cert_passwords_t p = { .passwords = passwords };
    veil_str_t name = tls_cert_source_name(source);
    char why[256];
    BIO *bio;

    do {
        ERR_clear_error();
        p.asked = false;
        bio = BIO_new_mem_buf(text.data, (ossl_ssize_t) text.len);
        VEIL_ASSERT(bio != NULL);
        cert->key = PEM_read_bio_PrivateKey(bio, NULL, tls_cert_password, &p);
        BIO_free(bio);
    } while (cert->key == NULL && p.asked && passwords != NULL
             && ++p.next < passwords->n);

    if (cert->key != NULL) {
        return true;
    }
    if (p.asked && (passwords == NULL || passwords->n == 0)) {
        tls_cert_tell(to, false, true,
                      "the TLS private key \"%.*s\" is encrypted, and no "
                      "\"ssl_password_file\" is given",
                      VEIL_STR_ARG(name));
    } else if (p.asked) {
        tls_cert_tell(
            to, false, true,
            "none of the passwords opens the TLS private key \"%.*s\"",
            VEIL_STR_ARG(name));
    } else if (veil_tls_is_end_of_pem()) {
        tls_cert_tell(to, false, true,
                      "there is no private key (in PEM format) in \"%.*s\"",
                      VEIL_STR_ARG(name));
    } else {
        tls_cert_tell(
            to, false, true, "the TLS private key \"%.*s\" cannot be read: %s",
            VEIL_STR_ARG(name), veil_tls_error_text(why, sizeof(why)));
    }
    return false;
}

static bool
tls_cert_kind(const EVP_PKEY *key, veil_tls_key_kind_t *kind)
{
    const EC_KEY *ec;

    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
        *kind = VEIL_TLS_KEY_RSA;
        return true;
    case EVP_PKEY_ED25519:
        *kind = VEIL_TLS_KEY_ED25519;
        return true;
    case EVP_PKEY_EC:
        ec = EVP_PKEY_get0_EC_KEY(key);
        switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(ec))) {
        case NID_X9_62_prime256v1:
            *kind = VEIL_TLS_KEY_P256;
            return true;
        case NID_secp384r1:
            *kind = VEIL_TLS_KEY_P384;
            return true;
        case NID_secp521r1:
            *kind = VEIL_TLS_KEY_P521;
            return true;
        default:
            return false;
        }
    default:
        return false;
    }
}

static bool
tls_cert_match(const tls_cert_report_t *to, veil_tls_cert_t *cert,
               const veil_tls_cert_files_t *files)
{
    veil_str_t cert_name = tls_cert_source_name(files->cert);
    veil_str_t key_name = tls_cert_source_name(files->key);
    EVP_PKEY *public_key = X509_get_pubkey(cert->leaf);
    bool is_same =
        public_key != NULL && EVP_PKEY_cmp(public_key, cert->key) == 1;

    EVP_PKEY_free(public_key);
    if (!is_same) {
        tls_cert_tell(to, false, true,
                      "the TLS private key \"%.*s\" does not match the "
                      "certificate \"%.*s\"",
                      VEIL_STR_ARG(key_name), VEIL_STR_ARG(cert_name));
        return false;
    }
    if (!tls_cert_kind(cert->key, &cert->kind)) {
        tls_cert_tell(
            to, false, true,
            "the TLS private key \"%.*s\" is of a kind that TLS does "
            "not use: RSA, P-256, P-384, P-521 and Ed25519 are known",
            VEIL_STR_ARG(key_name));
        return false;
    }
    return true;
}

bool
veil_tls_cert_load(veil_tls_cert_t *cert, const veil_tls_cert_files_t *files,
                   const veil_array_t *passwords, veil_tls_tell_fn *tell,
                   void *data)
{
    tls_cert_report_t to = { .tell = tell, .data = data };
    veil_str_t text;
    unsigned mode;
    char *owned;
    bool is_good;

    memset(cert, 0, sizeof(*cert));
    is_good = tls_cert_text(&to, files->cert, false, &text, &owned, &mode)
              && tls_cert_parse_chain(&to, cert, files->cert, text);
    OPENSSL_free(owned);
    if (is_good) {
        is_good =
            tls_cert_text(&to, files->key, true, &text, &owned, &mode)
            && tls_cert_parse_key(&to, cert, files->key, text, passwords);
        OPENSSL_free(owned);
    }
    if (!is_good || !tls_cert_match(&to, cert, files)) {
        veil_tls_cert_free(cert);
        return false;
    }
    if ((mode & (S_IROTH | S_IWOTH)) != 0) {
        tls_cert_tell(&to, true, true,
                      "the TLS private key \"%.*s\" is open to every user of "
                      "this machine (mode %04o)",
                      VEIL_STR_ARG(files->key), mode & 07777u);
    }
    tls_cert_check_dates(&to, cert->leaf, files->cert);
    return true;
}

void
veil_tls_cert_copy(veil_tls_cert_t *to, const veil_tls_cert_t *from)
{
    size_t i;

    *to = *from;
    X509_up_ref(to->leaf);
    if (to->issuer != NULL) {
        X509_up_ref(to->issuer);
    }
    EVP_PKEY_up_ref(to->key);
    if (to->staple != NULL) {
        CRYPTO_BUFFER_up_ref(to->staple);
    }
    to->chain = veil_alloc(from->nchain * sizeof(*to->chain));
    for (i = 0; i < from->nchain; i++) {
        to->chain[i] = from->chain[i];
        CRYPTO_BUFFER_up_ref(to->chain[i]);
    }
}

void
veil_tls_cert_free(veil_tls_cert_t *cert)
{
    size_t i;

    for (i = 0; i < cert->nchain; i++) {
        CRYPTO_BUFFER_free(cert->chain[i]);
    }
    veil_free(cert->chain);
    X509_free(cert->leaf);
    X509_free(cert->issuer);
    EVP_PKEY_free(cert->key);
    CRYPTO_BUFFER_free(cert->staple);
    memset(cert, 0, sizeof(*cert));
}

/* --- several of them -------------------------------------------------------
 */

STACK_OF(X509)
*veil_tls_certs_read(veil_str_t path, veil_tls_tell_fn *tell, void *data)
{
    tls_cert_report_t to = { .tell = tell, .data = data };
    STACK_OF(X509) *all = sk_X509_new_null();
    veil_str_t text;
    char *owned, why[256];
    unsigned mode;
    BIO *bio;
    X509 *x;

    VEIL_ASSERT(all != NULL);
    if (!tls_cert_text(&to, path, false, &text, &owned, &mode)) {
        sk_X509_free(all);
        return NULL;
    }
    bio = BIO_new_mem_buf(text.data, (ossl_ssize_t) text.len);
    VEIL_ASSERT(bio != NULL);
    ERR_clear_error();
    while ((x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        VEIL_ASSERT(sk_X509_push(all, x) != 0);
    }
    BIO_free(bio);
    OPENSSL_free(owned);
    if (sk_X509_num(all) != 0 && veil_tls_is_end_of_pem()) {
        ERR_clear_error();
        return all;
    }
    if (veil_tls_is_end_of_pem()) {
        tls_cert_tell(&to, false, false,
                      "there is no certificate (in PEM format) in \"%.*s\"",
                      VEIL_STR_ARG(tls_cert_source_name(path)));
    } else {
        tls_cert_tell(&to, false, false,
                      "certificate %u in \"%.*s\" cannot be read: %s",
                      (unsigned) sk_X509_num(all) + 1,
                      VEIL_STR_ARG(tls_cert_source_name(path)),
                      veil_tls_error_text(why, sizeof(why)));
    }
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

/* --- passwords of keys -----------------------------------------------------
 */

static void
tls_cert_forget(void *text)
{
    OPENSSL_free(text);
}

veil_rc_t
veil_tls_passwords_read(veil_conf_t *cf, veil_str_t path,
                        veil_array_t **passwords)
{
    veil_array_t *all = veil_array_create(cf->pool, sizeof(veil_str_t), 2);
    unsigned mode = 0;
    size_t len;
    char *text = veil_tls_read_file(path, &len, &mode);
    veil_str_t rest, line;

    if (text == NULL) {
        return veil_conf_error_at(cf, 1,
                                  "cannot read the passwords \"%.*s\": %s",
                                  VEIL_STR_ARG(path), strerror(errno));
    }
    veil_pool_on_destroy(cf->pool, tls_cert_forget, text);
    if ((mode & (S_IROTH | S_IWOTH)) != 0) {
        veil_conf_warn(cf,
                       "the passwords \"%.*s\" are open to every user of "
                       "this machine (mode %04o)",
                       VEIL_STR_ARG(path), mode & 07777u);
    }
    rest = veil_str_n(text, len);
    while (rest.len != 0) {
        line = veil_str_cut(&rest, '\n');
        if (line.len != 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }
        if (line.len != 0) {
            *(veil_str_t *) veil_array_push(all) = line;
        }
    }
    *passwords = all;
    return VEIL_OK;
}
