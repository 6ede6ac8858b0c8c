/*
 * ssl_ocsp_cache.c -- what responders said about clients' certificates, in
 * shared memory.
 *
 * A table of small sets: the key, a hash of the certificate and its issuer,
 * says which set, and of its entries the one that expires first makes room.
 * So nothing has to be searched for or freed.
 */

#include "core/platform.h"

#include <openssl/digest.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "core/lock.h"
#include "core/shm.h"
#include "modules/ssl_ocsp/ssl_ocsp.h"

#define SSL_CACHE_MAGIC 0x4f435350u
#define SSL_CACHE_WAYS 4
/* What names no end is kept for so long, as by nginx, in seconds. */
#define SSL_CACHE_UNLIMITED 3600
/* Smaller ones are a mistake in the unit. */
#define SSL_CACHE_MIN ((int64_t) 8 * 4096)
/* Sets are counted in 32 bits. */
#define SSL_CACHE_LIMIT ((int64_t) 64 << 30)

typedef struct {
    veil_ssl_ocsp_key_t key;
    int64_t valid; /* until then, by the wall clock; 0: never was */
    uint64_t status;
} ssl_cache_entry_t;

typedef struct {
    ssl_cache_entry_t entries[SSL_CACHE_WAYS];
} ssl_cache_set_t;

typedef struct {
    uint32_t magic;
    uint32_t nsets;
    veil_lock_t lock;
    ssl_cache_set_t sets[];
} ssl_cache_t;

static const char ssl_cache_tag[] = "ssl_ocsp_cache";

static veil_rc_t
ssl_cache_init(veil_shm_zone_t *zone, bool fresh)
{
    ssl_cache_t *cache = zone->addr;
    uint32_t n =
        (uint32_t) ((zone->size - sizeof(*cache)) / sizeof(cache->sets[0]));

    if (fresh || cache->magic != SSL_CACHE_MAGIC || cache->nsets != n) {
        if (!fresh) {
            veil_shm_zero(cache, zone->size);
        }
        cache->nsets = n;
        cache->magic = SSL_CACHE_MAGIC;
    }
    return VEIL_OK;
}

veil_shm_zone_t *
veil_ssl_ocsp_cache_add(veil_conf_t *cf)
{
    veil_str_t rest = veil_conf_arg(cf, 1), name;
    veil_shm_zone_t *zone;
    int64_t size;

    (void) veil_str_cut(&rest, ':');
    name = veil_str_cut(&rest, ':');
    size = veil_str_to_size(rest);
    if (name.len == 0 || size < 0) {
        (void) veil_conf_error_at(cf, 1,
                                  "invalid \"ssl_ocsp_cache\": wanted is "
                                  "\"shared:name:size\"");
        return NULL;
    }
    if (size < SSL_CACHE_MIN) {
        (void) veil_conf_error_at(cf, 1,
                                  "OCSP cache \"%.*s\" is too small: 32k is "
                                  "the least",
                                  VEIL_STR_ARG(name));
        return NULL;
    }
    if (size > SSL_CACHE_LIMIT) {
        (void) veil_conf_error_at(cf, 1,
                                  "OCSP cache \"%.*s\" is too large: 64g is "
                                  "the most",
                                  VEIL_STR_ARG(name));
        return NULL;
    }
    zone = veil_shm_zone_add(cf, name, (size_t) size, ssl_cache_tag);
    if (zone != NULL) {
        zone->init = ssl_cache_init;
    }
    return zone;
}

veil_ssl_ocsp_key_t
veil_ssl_ocsp_key(struct x509_st *cert, struct x509_st *issuer)
{
    uint8_t both[2][EVP_MAX_MD_SIZE] = { { 0 } }, hash[SHA256_DIGEST_LENGTH];
    veil_ssl_ocsp_key_t key;
    bool ok;

    ok = X509_digest(cert, EVP_sha256(), both[0], NULL) == 1
         && X509_digest(issuer, EVP_sha256(), both[1], NULL) == 1;
    VEIL_ASSERT(ok);
    SHA256((const uint8_t *) both, sizeof(both), hash);
    memcpy(key.bytes, hash, sizeof(key.bytes));
    return key;
}

/* What a holder has left who died with the lock is forgotten. */
static ssl_cache_set_t *
ssl_cache_lock(ssl_cache_t *cache, const veil_ssl_ocsp_key_t *key)
{
    uint32_t n;

    if (!veil_lock(&cache->lock)) {
        memset(cache->sets, 0, cache->nsets * sizeof(cache->sets[0]));
        veil_lock_mend(&cache->lock);
    }
    memcpy(&n, key->bytes, sizeof(n));
    return &cache->sets[n % cache->nsets];
}

static bool
ssl_cache_is(const ssl_cache_entry_t *e, const veil_ssl_ocsp_key_t *key)
{
    return memcmp(&e->key, key, sizeof(*key)) == 0;
}

bool
veil_ssl_ocsp_cache_get(veil_shm_zone_t *zone, const veil_ssl_ocsp_key_t *key,
                        veil_ocsp_status_t *status)
{
    ssl_cache_t *cache = zone->addr;
    const ssl_cache_set_t *set = ssl_cache_lock(cache, key);
    bool found = false;
    unsigned i;

    for (i = 0; i < SSL_CACHE_WAYS; i++) {
        if (ssl_cache_is(&set->entries[i], key)
            && set->entries[i].valid > veil_clock.sec)
        {
            *status = (veil_ocsp_status_t) set->entries[i].status;
            found = true;
        }
    }
    veil_unlock(&cache->lock);
    return found;
}

void
veil_ssl_ocsp_cache_put(veil_shm_zone_t *zone, const veil_ssl_ocsp_key_t *key,
                        veil_ocsp_status_t status, int64_t valid)
{
    ssl_cache_t *cache = zone->addr;
    ssl_cache_set_t *set = ssl_cache_lock(cache, key);
    ssl_cache_entry_t *e = &set->entries[0];
    unsigned i;

    if (valid == VEIL_OCSP_FOREVER) {
        valid = veil_clock.sec + SSL_CACHE_UNLIMITED;
    }
    for (i = 1; i < SSL_CACHE_WAYS && !ssl_cache_is(e, key); i++) {
        if (ssl_cache_is(&set->entries[i], key)
            || set->entries[i].valid < e->valid) {
            e = &set->entries[i];
        }
    }
    e->key = *key;
    e->status = status;
    e->valid = valid;
    veil_unlock(&cache->lock);
}
