/*
 * ktls.c -- handing the keys of a TLS session to the kernel.
 *
 * BoringSSL has no call for it, but says all that is needed: TLS 1.2 derives
 * a block of keys, which can be asked for (SSL_generate_key_block); TLS 1.3
 * has a traffic secret for each direction, which the library tells to a key
 * log, from which key and nonce are expanded (RFC 8446, 7.3).  Its C++
 * function for the secrets would be the shorter way, but its name is mangled
 * with types that change between versions of the library.
 *
 * The secrets lie in the session's extra data, in memory of their own that is
 * wiped before it is freed.  They are those of the handshake, so keys are not
 * to be asked for when the peer may have changed its own since (KeyUpdate):
 * the switch is made before any data is read.
 *
 * The counter (rec_seq) is the number of the next record.  In TLS 1.2 with
 * AES-GCM it is the explicit part of the nonce, too, as in the library; the
 * kernel counts both on.
 *
 * What it does not do: suites without an AEAD, which the kernel has not, and
 * new keys for a connection that has some, which it has since Linux 6.14.
 */

#include "core/platform.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "core/assert.h"
#include "core/pool.h"
#include "event/ktls.h"

#define KTLS_SECRET_MAX 48u
#define KTLS_KEY_MAX 32u
#define KTLS_IV_LEN 12u
#define KTLS_SALT_LEN 4u

/* The traffic secrets of a TLS 1.3 session. */
typedef struct {
    size_t len;
    uint8_t client[KTLS_SECRET_MAX];
    uint8_t server[KTLS_SECRET_MAX];
} ktls_secrets_t;

/* What a suite needs. */
typedef struct {
    int nid;
    uint16_t type; /* the kernel's */
    size_t key_len;
    size_t fixed_iv_len; /* TLS 1.2: of the key block */
} ktls_suite_t;

static const ktls_suite_t ktls_suites[] = {
    { NID_aes_128_gcm, TLS_CIPHER_AES_GCM_128, 16, KTLS_SALT_LEN },
    { NID_aes_256_gcm, TLS_CIPHER_AES_GCM_256, 32, KTLS_SALT_LEN },
    { NID_chacha20_poly1305, TLS_CIPHER_CHACHA20_POLY1305, 32, KTLS_IV_LEN },
};

static const struct {
    const char *name; /* in the line of figures */
    const char *text;
} ktls_reasons[VEIL_KTLS_REASONS] = {
    [VEIL_KTLS_OK] = { "none", "it was done" },
    [VEIL_KTLS_UNAVAILABLE] = { "unavailable", "the kernel has no TLS" },
    [VEIL_KTLS_VERSION] = { "version", "the version is older than TLS 1.2" },
    [VEIL_KTLS_CIPHER] = { "cipher", "the kernel does not know the cipher" },
    [VEIL_KTLS_SECRETS] = { "secrets", "the library does not give the keys" },
    [VEIL_KTLS_EARLY] = { "early_data", "early data came before" },
    [VEIL_KTLS_BUFFERED] = { "buffered", "the next record has begun to come" },
    [VEIL_KTLS_ULP] = { "ulp", "the socket cannot have TLS in the kernel" },
    [VEIL_KTLS_TX] = { "tx", "the kernel refused the keys for sending" },
    [VEIL_KTLS_RX] = { "rx", "the kernel refused the keys for receiving" },
};

veil_ktls_stats_t veil_ktls_stats;

/* By the configuration. */
static bool ktls_wanted;
static bool ktls_required;

/* Where a session keeps its secrets; -1: nobody asked yet. */
static int ktls_index = -1;

const char *
veil_ktls_reason_text(veil_ktls_reason_t reason)
{
    VEIL_ASSERT(reason < VEIL_KTLS_REASONS);
    return ktls_reasons[reason].text;
}

void
veil_ktls_log_stats(const veil_log_t *log)
{
    char line[512];
    size_t len = 0;
    unsigned i;
    int n;

    for (i = 1; i < VEIL_KTLS_REASONS; i++) {
        if (veil_ktls_stats.fallback[i] > 0) {
            n = snprintf(line + len, sizeof(line) - len, " %s=%llu",
                         ktls_reasons[i].name,
                         (unsigned long long) veil_ktls_stats.fallback[i]);
            VEIL_ASSERT(n > 0 && (size_t) n < sizeof(line) - len);
            len += (size_t) n;
        }
    }
    if (len == 0 && veil_ktls_stats.tx == 0 && veil_ktls_stats.rx == 0) {
        return;
    }
    line[len] = '\0';
    veil_log(log, VEIL_LOG_INFO, 0, "kTLS: ktls_tx=%llu ktls_rx=%llu%s%s",
             (unsigned long long) veil_ktls_stats.tx,
             (unsigned long long) veil_ktls_stats.rx,
             len > 0 ? " ktls_fallback:" : "", line);
}

/* -- the kernel */

int
veil_ktls_probe(void)
{
    static int answer = 1;
    int fd;

    if (answer <= 0) {
        return answer;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -errno; /* not an answer: it may be asked again */
    }
    answer = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == -1
                 ? -errno
                 : 0;
    if (answer == -ENOTCONN) {
        answer = 0; /* it is known, and wants a connection */
    }
    (void) close(fd); /* nothing was sent */
    return answer;
}

bool
veil_ktls_note(bool required)
{
    bool news = !ktls_wanted || (required && !ktls_required);

    ktls_wanted = true;
    ktls_required = ktls_required || required;
    return news;
}

void
veil_ktls_log_state(const veil_log_t *log)
{
    int err = ktls_wanted ? veil_ktls_probe() : 0;

    if (!ktls_wanted) {
        return;
    }
    if (err == 0) {
        veil_log(log, VEIL_LOG_NOTICE, 0, "kTLS: the kernel has TLS");
    } else if (ktls_required) {
        veil_log(log, VEIL_LOG_ERR, -err,
                 "kTLS is required by \"ssl_ktls_fallback off\", but the "
                 "kernel has none: connections will be refused; try "
                 "\"modprobe tls\"");
    } else {
        veil_log(log, VEIL_LOG_WARN, -err,
                 "kTLS: the kernel has none, so TLS stays in user space; try "
                 "\"modprobe tls\"");
    }
}

veil_ktls_reason_t
veil_ktls_attach(int fd, int *err)
{
    *err = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == -1
               ? -errno
               : 0;
    switch (-*err) {
    case 0:
        return VEIL_KTLS_OK;
    case ENOENT:
    case ENOPROTOOPT:
        return VEIL_KTLS_UNAVAILABLE;
    default:
        return VEIL_KTLS_ULP;
    }
}

veil_ktls_reason_t
veil_ktls_start(int fd, bool tx, const veil_ktls_keys_t *keys, int *err)
{
    *err = setsockopt(fd, SOL_TLS, tx ? TLS_TX : TLS_RX, &keys->u,
                      (socklen_t) keys->len)
                   == -1
               ? -errno
               : 0;
    if (*err == 0) {
        return VEIL_KTLS_OK;
    }
    return tx ? VEIL_KTLS_TX : VEIL_KTLS_RX;
}

/* -- the library */

static void
ktls_secrets_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index,
                  long argl, void *argp)
{
    (void) parent;
    (void) ad;
    (void) index;
    (void) argl;
    (void) argp;
    if (ptr != NULL) {
        OPENSSL_cleanse(ptr, sizeof(ktls_secrets_t));
        veil_free(ptr);
    }
}

static int
ktls_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char) (c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The last word of the line, as bytes; 0 when it is no secret. */
static size_t
ktls_parse(const char *line, uint8_t *secret)
{
    const char *p = strrchr(line, ' ');
    size_t n;
    int high, low;

    for (n = 0, p = p == NULL ? "" : p + 1; *p != '\0'; n++, p += 2) {
        high = ktls_hex(p[0]);
        low = high < 0 ? -1 : ktls_hex(p[1]);
        if (low < 0 || n == KTLS_SECRET_MAX) {
            return 0;
        }
        secret[n] = (uint8_t) (high << 4 | low);
    }
    return n;
}

/* A line of the key log: "LABEL <client random> <secret>". */
static void
ktls_keylog(const SSL *ssl, const char *line)
{
    static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ";
    static const char server[] = "SERVER_TRAFFIC_SECRET_0 ";
    bool is_client = strncmp(line, client, sizeof(client) - 1) == 0;
    ktls_secrets_t *s;

    if (!is_client && strncmp(line, server, sizeof(server) - 1) != 0) {
        return;
    }
    s = SSL_get_ex_data(ssl, ktls_index);
    if (s == NULL) {
        s = veil_zalloc(sizeof(*s));
        /* The library's only way to put something there is not const. */
        if (!SSL_set_ex_data((SSL *) (uintptr_t) ssl, ktls_index, s)) {
            veil_panic("no memory for the secrets of a session");
        }
    }
    s->len = ktls_parse(line, is_client ? s->client : s->server);
}

void
veil_ktls_prepare(struct ssl_ctx_st *ctx)
{
    if (ktls_index == -1) {
        ktls_index =
            SSL_get_ex_new_index(0, NULL, NULL, NULL, ktls_secrets_free);
        VEIL_ASSERT(ktls_index >= 0);
    }
    SSL_CTX_set_keylog_callback(ctx, ktls_keylog);
}

void
veil_ktls_forget(struct ssl_st *ssl)
{
    void *s = ktls_index == -1 ? NULL : SSL_get_ex_data(ssl, ktls_index);

    if (s != NULL) {
        (void) SSL_set_ex_data(ssl, ktls_index, NULL); /* the slot is there */
        ktls_secrets_free(ssl, s, NULL, ktls_index, 0, NULL);
    }
}

/* HKDF-Expand-Label(secret, label, "", len), RFC 8446, 7.1. */
static bool
ktls_expand(const EVP_MD *md, const uint8_t *secret, size_t secret_len,
            const char *label, uint8_t *out, size_t len)
{
    uint8_t info[32];
    int n = snprintf((char *) info + 2, sizeof(info) - 2, "%ctls13 %s",
                     (int) (6 + strlen(label)), label);

    VEIL_ASSERT(n > 0 && (size_t) n + 3 < sizeof(info));
    info[0] = (uint8_t) (len >> 8);
    info[1] = (uint8_t) len;
    info[2 + n] = 0; /* no context */
    return HKDF_expand(out, len, md, secret, secret_len, info, (size_t) n + 3)
           == 1;
}

/* TLS 1.3: key and nonce from the direction's secret. */
static bool
ktls_keys_13(const SSL *ssl, bool client, const ktls_suite_t *suite,
             uint8_t *key, uint8_t *iv)
{
    const EVP_MD *md = EVP_get_digestbynid(
        SSL_CIPHER_get_prf_nid(SSL_get_current_cipher(ssl)));
    const ktls_secrets_t *s =
        ktls_index == -1 ? NULL : SSL_get_ex_data(ssl, ktls_index);
    const uint8_t *secret;

    if (s == NULL || md == NULL || s->len != EVP_MD_size(md)) {
        return false;
    }
    secret = client ? s->client : s->server;
    return ktls_expand(md, secret, s->len, "key", key, suite->key_len)
           && ktls_expand(md, secret, s->len, "iv", iv, KTLS_IV_LEN);
}

/*
 * TLS 1.2: client's key, server's key, client's nonce, server's nonce
 * (RFC 5246, 6.3; an AEAD has no MAC keys).
 */
static bool
ktls_keys_12(const SSL *ssl, bool client, const ktls_suite_t *suite,
             uint8_t *key, uint8_t *iv)
{
    uint8_t block[2 * (KTLS_KEY_MAX + KTLS_IV_LEN)];
    size_t len = 2 * (suite->key_len + suite->fixed_iv_len);
    size_t i = client ? 0 : 1;
    bool ok = SSL_get_key_block_len(ssl) == len
              && SSL_generate_key_block(ssl, block, len);

    if (ok) {
        memcpy(key, block + i * suite->key_len, suite->key_len);
        memcpy(iv, block + 2 * suite->key_len + i * suite->fixed_iv_len,
               suite->fixed_iv_len);
    }
    OPENSSL_cleanse(block, sizeof(block));
    return ok;
}

static void
ktls_fill(veil_ktls_keys_t *keys, const ktls_suite_t *suite,
          const uint8_t *key, const uint8_t *iv, const uint8_t *seq)
{
    bool is_13 = keys->u.info.version == TLS_1_3_VERSION;
    /* TLS 1.2's explicit nonce is the record's number. */
    const uint8_t *rest = is_13 ? iv + KTLS_SALT_LEN : seq;

    keys->u.info.cipher_type = suite->type;
    switch (suite->type) {
    case TLS_CIPHER_AES_GCM_128:
        keys->len = sizeof(keys->u.gcm_128);
        memcpy(keys->u.gcm_128.key, key, suite->key_len);
        memcpy(keys->u.gcm_128.salt, iv, KTLS_SALT_LEN);
        memcpy(keys->u.gcm_128.iv, rest, sizeof(keys->u.gcm_128.iv));
        memcpy(keys->u.gcm_128.rec_seq, seq, 8);
        break;
    case TLS_CIPHER_AES_GCM_256:
        keys->len = sizeof(keys->u.gcm_256);
        memcpy(keys->u.gcm_256.key, key, suite->key_len);
        memcpy(keys->u.gcm_256.salt, iv, KTLS_SALT_LEN);
        memcpy(keys->u.gcm_256.iv, rest, sizeof(keys->u.gcm_256.iv));
        memcpy(keys->u.gcm_256.rec_seq, seq, 8);
        break;
    default:
        keys->len = sizeof(keys->u.chacha20);
        memcpy(keys->u.chacha20.key, key, suite->key_len);
        memcpy(keys->u.chacha20.iv, iv, KTLS_IV_LEN);
        memcpy(keys->u.chacha20.rec_seq, seq, 8);
        break;
    }
}

static const ktls_suite_t *
ktls_suite(const SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    unsigned i;

    for (i = 0; cipher != NULL && i < veil_countof(ktls_suites); i++) {
        if (SSL_CIPHER_get_cipher_nid(cipher) == ktls_suites[i].nid) {
            return &ktls_suites[i];
        }
    }
    return NULL;
}

veil_ktls_reason_t
veil_ktls_keys(const struct ssl_st *ssl, bool tx, veil_ktls_keys_t *keys)
{
    const ktls_suite_t *suite = ktls_suite(ssl);
    bool client = (SSL_is_server(ssl) != 0) != tx; /* whose keys they are */
    uint8_t key[KTLS_KEY_MAX], iv[KTLS_IV_LEN], seq[8];
    uint64_t number;
    bool ok;
    int i;

    memset(keys, 0, sizeof(*keys));
    if (suite == NULL) {
        return VEIL_KTLS_CIPHER;
    }
    switch (SSL_version(ssl)) {
    case TLS1_3_VERSION:
        keys->u.info.version = TLS_1_3_VERSION;
        ok = ktls_keys_13(ssl, client, suite, key, iv);
        break;
    case TLS1_2_VERSION:
        keys->u.info.version = TLS_1_2_VERSION;
        ok = ktls_keys_12(ssl, client, suite, key, iv);
        break;
    default:
        return VEIL_KTLS_VERSION;
    }
    if (ok) {
        number = tx ? SSL_get_write_sequence(ssl) : SSL_get_read_sequence(ssl);
        for (i = 7; i >= 0; i--, number >>= 8) {
            seq[i] = (uint8_t) number;
        }
        ktls_fill(keys, suite, key, iv, seq);
    }
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(iv, sizeof(iv));
    return ok ? VEIL_KTLS_OK : VEIL_KTLS_SECRETS;
}

void
veil_ktls_wipe(veil_ktls_keys_t *keys)
{
    OPENSSL_cleanse(keys, sizeof(*keys));
}
