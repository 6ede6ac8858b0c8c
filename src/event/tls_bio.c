/*
 * tls_bio.c -- the library's view of a connection: ciphertext in memory.
 *
 * What it reads is the view at hand (t->in), of which nothing is kept here.
 * What it writes goes into a list of buffers, of which there are two sizes: a
 * small answer or a handshake need not occupy what a large one does.  Free
 * ones are the process's, the last one used first, as it is in the cache; a
 * few of them, so that what a crowd of slow readers took is given back.  A
 * write is never refused: whoever encrypts sees to it that it is not too
 * much.
 */

#include "event/tls_impl.h"

/* A buffer for small answers and handshakes. */
#define TLS_BIO_SMALL (4096 + VEIL_TLS_OVERHEAD)

/* Free ones of a size that are kept: 4 MB of the large, 0.5 of the small. */
#define TLS_BIO_KEPT 128

typedef struct {
    veil_tls_out_t *first;
    unsigned n;
} tls_bio_free_t;

static tls_bio_free_t tls_bio_small;
static tls_bio_free_t tls_bio_large;

static veil_tls_out_t *
tls_bio_get(size_t len)
{
    bool small = len <= TLS_BIO_SMALL;
    size_t cap = small ? TLS_BIO_SMALL : VEIL_TLS_OUT_MAX;
    tls_bio_free_t *list = small ? &tls_bio_small : &tls_bio_large;
    veil_tls_out_t *out = list->first;

    if (out != NULL) {
        list->first = out->next;
        list->n--;
    } else {
        out = veil_alloc(sizeof(*out) + cap);
        out->cap = cap;
    }
    out->next = NULL;
    out->len = 0;
    return out;
}

void
veil_tls_out_put(veil_tls_out_t *out)
{
    tls_bio_free_t *list =
        out->cap == TLS_BIO_SMALL ? &tls_bio_small : &tls_bio_large;

    if (list->n >= TLS_BIO_KEPT) {
        veil_free(out);
        return;
    }
    out->next = list->first;
    list->first = out;
    list->n++;
}

static void
tls_bio_trim(tls_bio_free_t *list)
{
    veil_tls_out_t *out;

    while ((out = list->first) != NULL) {
        list->first = out->next;
        veil_free(out);
    }
    list->n = 0;
}

void
veil_tls_out_drop(veil_tls_t *t)
{
    veil_tls_out_t *out;

    while ((out = t->out) != NULL) {
        t->out = out->next;
        veil_tls_out_put(out);
    }
    t->out_last = NULL;
    t->out_len = 0;
}

void
veil_tls_bio_trim(void)
{
    tls_bio_trim(&tls_bio_small);
    tls_bio_trim(&tls_bio_large);
}

static int
tls_bio_read(BIO *bio, char *p, int n)
{
    veil_tls_t *t = BIO_get_data(bio);
    size_t len = veil_min_size(veil_buf_len(&t->in), (size_t) n);

    BIO_clear_retry_flags(bio);
    if (len == 0) {
        if (t->eof) {
            return 0;
        }
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(p, t->in.pos, len);
    t->in.pos += len;
    return (int) len;
}

static int
tls_bio_write(BIO *bio, const char *p, int n)
{
    veil_tls_t *t = BIO_get_data(bio);
    size_t left = (size_t) n, len;
    veil_tls_out_t *out;

    BIO_clear_retry_flags(bio);
    if (t->ktls_tx) {
        /* An alert, as nothing else is asked of it: the kernel has the keys
         * now, and ktls_conn.c says what is to be said. */
        return n;
    }
    while (left > 0) {
        out = t->out_last;
        if (out == NULL || out->len == out->cap) {
            out = tls_bio_get(left);
            if (t->out_last != NULL) {
                t->out_last->next = out;
            } else {
                t->out = out;
            }
            t->out_last = out;
        }
        len = veil_min_size(left, out->cap - out->len);
        memcpy(out->data + out->len, p, len);
        out->len += len;
        t->out_len += len;
        p += len;
        left -= len;
    }
    return n;
}

static long
tls_bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void) bio;
    (void) num;
    (void) ptr;
    return cmd == BIO_CTRL_FLUSH;
}

BIO *
veil_tls_bio_create(veil_tls_t *t)
{
    static BIO_METHOD *method;
    BIO *bio;

    if (method == NULL) {
        method =
            BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "veil");
        VEIL_ASSERT(method != NULL);
        BIO_meth_set_read(method, tls_bio_read);
        BIO_meth_set_write(method, tls_bio_write);
        BIO_meth_set_ctrl(method, tls_bio_ctrl);
    }
    bio = BIO_new(method);
    VEIL_ASSERT(bio != NULL);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}
