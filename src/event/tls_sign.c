/*
 * tls_sign.c -- private keys work on threads, so that the loop goes on.
 *
 * A signature is most of a handshake, and nothing else in a worker computes
 * for so long at a stretch.  What it takes (Debian's BoringSSL 14, CPU of one
 * core at some 3 GHz):
 *
 *     Ed25519     26 us        RSA-2048    570 us
 *     P-256       57 us        RSA-3072  1,760 us
 *     P-384      470 us        RSA-4096  3,960 us
 *     P-521    1,130 us
 *     to a thread and back: 7 us when the machine is idle, 20 and more when
 *     it is not
 *
 * So with "auto" RSA and the large curves go to threads, P-256 and Ed25519 do
 * not: there the way costs as much as it saves, as a turn of the loop is not
 * much shorter than the signature.
 *
 * The library asks for a signature (or, with RSA key exchange, a decryption)
 * through SSL_PRIVATE_KEY_METHOD and is told to come back.  A request is a
 * block of its own: the input, a reference to the key, room for the result.
 * The session points to it and it to the session.  When the session ends, it
 * lets go of the request: one that waits is forgotten, one that a thread is
 * working on is freed when it is through.  So a thread never sees a session,
 * and closing need not wait.  Otherwise the end of the job lets the handshake
 * go on, which takes the result.
 *
 * The threads are those of event/offload.c, which open files and look names
 * up as well.  A storm of handshakes must not take all of them, nor fill
 * their queue: only a few requests are handed over at a time, the others wait
 * here, in order, and those whose client gives up cost nothing.  How few: as
 * many as this worker has CPUs, and one less than there are threads.  A
 * worker bound to one CPU has its threads there too; one of them is enough
 * to use what the loop leaves, and the kernel prefers the loop, which sleeps
 * more than it runs.
 *
 * The key is the library's own object, referred to and never copied: signing
 * is safe on several threads at once (the blinding of RSA has a lock).
 */

#include "event/tls_impl.h"

#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <sched.h>

#include "event/offload.h"

/* A place where a test holds the thread up; see t/unit/test_tls_sign.c. */
#ifndef SIGN_POINT
#define SIGN_POINT(s) ((void) 0)
#endif

struct veil_tls_signing_s {
    veil_job_t job;
    veil_list_t link;  /* in tls_sign_waiting */
    veil_tls_t *owner; /* NULL: it is gone */
    veil_loop_t *loop;
    EVP_PKEY *key;
    uint16_t alg; /* 0: decrypt */
    bool done;
    bool ok;
    size_t in_len;
    size_t out_len; /* room, then the length of the result */
    uint8_t *out;   /* behind the input */
    uint8_t in[];
};

static veil_list_t tls_sign_waiting = { &tls_sign_waiting, &tls_sign_waiting };
static unsigned tls_sign_running;
static unsigned tls_sign_most; /* 0: not known yet */

/* --- what threads do ------------------------------------------------------
 */

static bool
tls_sign_sign(EVP_PKEY *key, uint16_t alg, const uint8_t *in, size_t in_len,
              uint8_t *out, size_t *out_len)
{
    EVP_PKEY_CTX *pctx;
    EVP_MD_CTX ctx;
    bool ok;

    EVP_MD_CTX_init(&ctx);
    ok = EVP_DigestSignInit(&ctx, &pctx,
                            SSL_get_signature_algorithm_digest(alg), NULL, key)
         == 1;
    if (ok && SSL_is_signature_algorithm_rsa_pss(alg)) {
        /* A salt as long as the digest (RFC 8446, 4.2.3). */
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1
             && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, -1) == 1;
    }
    ok = ok && EVP_DigestSign(&ctx, out, out_len, in, in_len) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    return ok;
}

/* The padding is looked at by the library, in constant time. */
static bool
tls_sign_decrypt(EVP_PKEY *key, const uint8_t *in, size_t in_len, uint8_t *out,
                 size_t *out_len)
{
    RSA *rsa = EVP_PKEY_get0_RSA(key);

    return rsa != NULL
           && RSA_decrypt(rsa, out_len, out, *out_len, in, in_len,
                          RSA_NO_PADDING)
                  == 1;
}

static void
tls_sign_run(veil_job_t *job)
{
    veil_tls_signing_t *s = veil_container_of(job, veil_tls_signing_t, job);

    SIGN_POINT(s);
    s->ok = s->alg != 0 ? tls_sign_sign(s->key, s->alg, s->in, s->in_len,
                                        s->out, &s->out_len)
                        : tls_sign_decrypt(s->key, s->in, s->in_len, s->out,
                                           &s->out_len);
    if (!s->ok) {
        /* The queue of errors is the thread's, where nobody reads it. */
        ERR_clear_error();
    }
}

/* --- requests -------------------------------------------------------------
 */

static void
tls_sign_free(veil_tls_signing_t *s)
{
    EVP_PKEY_free(s->key);
    OPENSSL_cleanse(s->in, s->in_len);
    OPENSSL_cleanse(s->out, s->out_len);
    veil_free(s);
}

static unsigned
tls_sign_limit(void)
{
    cpu_set_t cpus;
    int n = 1;

    if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0) {
        n = CPU_COUNT(&cpus);
    }
    if (n > VEIL_OFFLOAD_THREADS - 1) {
        n = VEIL_OFFLOAD_THREADS - 1;
    }
    return n < 1 ? 1 : (unsigned) n;
}

static void
tls_sign_start_next(void)
{
    veil_tls_signing_t *s;
    veil_list_t *n;

    if (tls_sign_most == 0) {
        tls_sign_most = tls_sign_limit();
    }
    while (tls_sign_running < tls_sign_most
           && (n = veil_list_pop(&tls_sign_waiting)) != NULL)
    {
        s = veil_list_entry(n, veil_tls_signing_t, link);
        tls_sign_running++;
        veil_offload(s->loop, NULL, &s->job);
    }
}

static void
tls_sign_done(veil_job_t *job)
{
    veil_tls_signing_t *s = veil_container_of(job, veil_tls_signing_t, job);
    bool stopping = veil_offload_is_stopping();

    tls_sign_running--;
    if (!stopping) {
        tls_sign_start_next();
    }
    if (s->owner == NULL) {
        tls_sign_free(s);
        return;
    }
    s->done = true;
    if (!stopping) {
        veil_tls_go_on(s->owner);
    }
}

static veil_tls_signing_t *
tls_sign_create(veil_tls_t *t, EVP_PKEY *key, uint16_t alg, const uint8_t *in,
                size_t in_len, size_t max_out)
{
    veil_tls_signing_t *s = veil_alloc(sizeof(*s) + in_len + max_out);

    memset(s, 0, sizeof(*s));
    s->job.run = tls_sign_run;
    s->job.done = tls_sign_done;
    s->owner = t;
    s->loop = t->conn->handle.loop;
    EVP_PKEY_up_ref(key);
    s->key = key;
    s->alg = alg;
    s->in_len = in_len;
    s->out_len = max_out;
    s->out = s->in + in_len;
    memcpy(s->in, in, in_len);
    return s;
}

void
veil_tls_sign_drop(veil_tls_t *t)
{
    veil_tls_signing_t *s = t->sign;

    if (s == NULL) {
        return;
    }
    t->sign = NULL;
    s->owner = NULL;
    if (veil_list_is_linked(&s->link) || s->done) {
        veil_list_remove(&s->link);
        tls_sign_free(s);
    }
}

/* --- the library's callbacks ----------------------------------------------
 */

static enum ssl_private_key_result_t
tls_sign_begin(SSL *ssl, uint16_t alg, const uint8_t *in, size_t in_len,
               size_t max_out)
{
    veil_tls_t *t = veil_tls_of_ssl(ssl);

    VEIL_ASSERT(t->sign == NULL);
    if (t->hello != NULL && alg != 0) {
        t->hello->sigalg = alg;
    }
    t->sign =
        tls_sign_create(t, SSL_get_privatekey(ssl), alg, in, in_len, max_out);
    veil_list_append(&tls_sign_waiting, &t->sign->link);
    tls_sign_start_next();
    return ssl_private_key_retry;
}

static enum ssl_private_key_result_t
tls_sign_on_sign(SSL *ssl, uint8_t *out VEIL_UNUSED,
                 size_t *out_len VEIL_UNUSED, size_t max_out, uint16_t alg,
                 const uint8_t *in, size_t in_len)
{
    return tls_sign_begin(ssl, alg, in, in_len, max_out);
}

static enum ssl_private_key_result_t
tls_sign_on_decrypt(SSL *ssl, uint8_t *out VEIL_UNUSED,
                    size_t *out_len VEIL_UNUSED, size_t max_out,
                    const uint8_t *in, size_t in_len)
{
    return tls_sign_begin(ssl, 0, in, in_len, max_out);
}

static enum ssl_private_key_result_t
tls_sign_on_complete(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out)
{
    veil_tls_t *t = veil_tls_of_ssl(ssl);
    veil_tls_signing_t *s = t->sign;
    bool ok;

    if (s == NULL) {
        return ssl_private_key_failure;
    }
    if (!s->done) {
        return ssl_private_key_retry;
    }
    ok = s->ok && s->out_len <= max_out;
    if (ok) {
        memcpy(out, s->out, s->out_len);
        *out_len = s->out_len;
    }
    veil_tls_sign_drop(t);
    return ok ? ssl_private_key_success : ssl_private_key_failure;
}

static bool
tls_sign_is_slow(const EVP_PKEY *key)
{
    const EC_KEY *ec;

    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
        return true;
    case EVP_PKEY_EC:
        ec = EVP_PKEY_get0_EC_KEY(key);
        return EC_GROUP_get_curve_name(EC_KEY_get0_group(ec))
               != NID_X9_62_prime256v1;
    default:
        return false;
    }
}

void
veil_tls_sign_use(veil_tls_t *t)
{
    static const SSL_PRIVATE_KEY_METHOD method = {
        .sign = tls_sign_on_sign,
        .decrypt = tls_sign_on_decrypt,
        .complete = tls_sign_on_complete,
    };
    const EVP_PKEY *key = SSL_get_privatekey(t->ssl);
    int how = t->ctx->o.sign;

    if (key != NULL
        && (how == VEIL_TLS_SIGN_THREADS || t->hello != NULL
            || (how == VEIL_TLS_SIGN_AUTO && tls_sign_is_slow(key))))
    {
        SSL_set_private_key_method(t->ssl, &method);
    }
}
