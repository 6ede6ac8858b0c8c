/*
 * handover.c -- what one master hands over to the next program, as bytes.
 *
 *     "veil"  version  length of the fields  their CRC-32     16 bytes
 *     field:  type  length  value                             again and again
 *
 * All numbers are of 32 bits, lowest byte first, but values that are numbers
 * have 64.  A field of the kind "listen", "zone" or "extra" has fields as its
 * value.  Whatever a reader does not know it skips, so that a newer program
 * can say more to an older one (a rollback is an upgrade too).
 *
 * The sum is against our own mistakes and a descriptor of something else: who
 * can write to a master's sealed memory could do worse.  All the same every
 * length is checked before it is believed.
 *
 * What this does not do: no descriptor is opened, closed or looked at.
 */

#include "core/platform.h"

#include "core/murmur.h"
#include "core/pool.h"
#include "process/upgrade/handover.h"

#define HANDOVER_MAGIC 0x6c696576u /* "veil" */
#define HANDOVER_HEAD 16u
#define HANDOVER_FIELD 8u

/* Types are never given to something else. */
enum {
    HANDOVER_GENERATION = 1,
    HANDOVER_PID,
    HANDOVER_MODE,
    HANDOVER_DETACH,
    HANDOVER_PROGRAM,
    HANDOVER_PID_PATH,
    HANDOVER_LISTEN,
    HANDOVER_ZONE,
    HANDOVER_EXTRA,
    /* of several */
    HANDOVER_NAME = 32,
    HANDOVER_FD, /* once for each */
    /* of a zone */
    HANDOVER_TAG,
    HANDOVER_SIZE,
    HANDOVER_LAYOUT,
    HANDOVER_KEY,
    /* of an extra */
    HANDOVER_DATA,
    /* of a listener */
    HANDOVER_STEERED = 64,
    HANDOVER_FAMILY,
    HANDOVER_PORT,
    HANDOVER_SCOPE,
    HANDOVER_IP,
    HANDOVER_SOCKTYPE,
    HANDOVER_BACKLOG,
    HANDOVER_RCVBUF,
    HANDOVER_SNDBUF,
    HANDOVER_FASTOPEN,
    HANDOVER_IPV6ONLY,
    HANDOVER_KEEPALIVE,
    HANDOVER_KEEPIDLE,
    HANDOVER_KEEPINTVL,
    HANDOVER_KEEPCNT,
    HANDOVER_DEFERRED,
    HANDOVER_REUSEPORT,
    HANDOVER_CBPF
};

/* The members of a listener that are plain numbers, with their types. */
#define HANDOVER_LISTEN_FIELDS(X)                                             \
    X(HANDOVER_FAMILY, family)                                                \
    X(HANDOVER_PORT, port)                                                    \
    X(HANDOVER_SCOPE, scope_id)                                               \
    X(HANDOVER_SOCKTYPE, type)                                                \
    X(HANDOVER_BACKLOG, backlog)                                              \
    X(HANDOVER_RCVBUF, rcvbuf)                                                \
    X(HANDOVER_SNDBUF, sndbuf)                                                \
    X(HANDOVER_FASTOPEN, fastopen)                                            \
    X(HANDOVER_IPV6ONLY, ipv6only)                                            \
    X(HANDOVER_KEEPALIVE, keepalive)                                          \
    X(HANDOVER_KEEPIDLE, keepidle)                                            \
    X(HANDOVER_KEEPINTVL, keepintvl)                                          \
    X(HANDOVER_KEEPCNT, keepcnt)                                              \
    X(HANDOVER_DEFERRED, deferred)                                            \
    X(HANDOVER_REUSEPORT, reuseport)                                          \
    X(HANDOVER_CBPF, cbpf)

/* --- in memory ---------------------------------------------------------- */

void
veil_handover_init(veil_handover_t *h)
{
    memset(h, 0, sizeof(*h));
    veil_list_init(&h->listens);
    veil_list_init(&h->zones);
    veil_list_init(&h->extras);
}

void
veil_handover_done(veil_handover_t *h)
{
    veil_handover_listen_t *l;
    veil_handover_extra_t *x;
    veil_list_t *n;
    veil_list_t *tmp;

    veil_list_foreach_safe (n, tmp, &h->listens) {
        l = veil_list_entry(n, veil_handover_listen_t, link);
        veil_free(l->fds);
        veil_free(l);
    }
    veil_list_foreach_safe (n, tmp, &h->zones) {
        veil_free(veil_list_entry(n, veil_handover_zone_t, link));
    }
    veil_list_foreach_safe (n, tmp, &h->extras) {
        x = veil_list_entry(n, veil_handover_extra_t, link);
        veil_free(x->name);
        veil_free(x->data);
        veil_free(x);
    }
    veil_free(h->version);
    veil_free(h->pid_path);
    veil_handover_init(h);
}

/* A copy that ends with a zero. */
static char *
handover_copy(const void *data, size_t len)
{
    char *copy = veil_alloc(len + 1);

    if (len != 0) {
        memcpy(copy, data, len);
    }
    copy[len] = '\0';
    return copy;
}

void
veil_handover_set_text(char **to, const char *text)
{
    veil_free(*to);
    *to = handover_copy(text, strlen(text));
}

void
veil_handover_add_listen(veil_handover_t *h, const veil_hold_listen_t *key,
                         const int *fds, unsigned n, unsigned steered)
{
    veil_handover_listen_t *l = veil_zalloc(sizeof(*l));

    l->key = *key;
    l->steered = steered;
    l->n = n;
    l->fds = veil_alloc((n + 1) * sizeof(int));
    if (n != 0) {
        memcpy(l->fds, fds, n * sizeof(int));
    }
    veil_list_append(&h->listens, &l->link);
}

void
veil_handover_add_zone(veil_handover_t *h, const veil_hold_zone_t *key, int fd)
{
    veil_handover_zone_t *z = veil_zalloc(sizeof(*z));

    z->key = *key;
    z->fd = fd;
    veil_list_append(&h->zones, &z->link);
}

void
veil_handover_add_extra(veil_handover_t *h, const char *name, int fd,
                        const void *data, size_t len)
{
    veil_handover_extra_t *x = veil_zalloc(sizeof(*x));

    x->name = handover_copy(name, strlen(name));
    x->fd = fd;
    x->data = handover_copy(data, len);
    x->len = len;
    veil_list_append(&h->extras, &x->link);
}

veil_handover_extra_t *
veil_handover_extra(const veil_handover_t *h, const char *name)
{
    veil_handover_extra_t *x;
    const veil_list_t *n;

    for (n = h->extras.next; n != &h->extras; n = n->next) {
        memcpy(&x, &n, sizeof(x)); /* its link is its beginning */
        if (strcmp(x->name, name) == 0) {
            return x;
        }
    }
    return NULL;
}

_Static_assert(offsetof(veil_handover_extra_t, link) == 0
                   && offsetof(veil_handover_listen_t, link) == 0
                   && offsetof(veil_handover_zone_t, link) == 0,
               "an entry's link is its beginning");

/* --- writing ------------------------------------------------------------ */

typedef struct {
    char *data;
    size_t len;
    size_t size;
} handover_out_t;

static void
handover_u32_at(char *p, uint32_t v)
{
    unsigned i;

    for (i = 0; i < 4; i++) {
        p[i] = (char) (v >> (8 * i));
    }
}

/* Room for n more bytes, which are written by the caller. */
static char *
handover_room(handover_out_t *out, size_t n)
{
    if (out->size - out->len < n) {
        out->size = 2 * out->size + n + 1024;
        out->data = veil_realloc(out->data, out->size);
    }
    out->len += n;
    return out->data + out->len - n;
}

static void
handover_put(handover_out_t *out, uint32_t type, const void *data, size_t len)
{
    char *p = handover_room(out, HANDOVER_FIELD + len);

    handover_u32_at(p, type);
    handover_u32_at(p + 4, (uint32_t) len);
    if (len != 0) {
        memcpy(p + HANDOVER_FIELD, data, len);
    }
}

static void
handover_put_text(handover_out_t *out, uint32_t type, const char *text)
{
    if (text != NULL) {
        handover_put(out, type, text, strlen(text));
    }
}

static void
handover_put_number(handover_out_t *out, uint32_t type, int64_t v)
{
    char bytes[8];

    handover_u32_at(bytes, (uint32_t) (uint64_t) v);
    handover_u32_at(bytes + 4, (uint32_t) ((uint64_t) v >> 32));
    handover_put(out, type, bytes, sizeof(bytes));
}

/* A field with fields in it: returns where it begins, for the end. */
static size_t
handover_begin(handover_out_t *out, uint32_t type)
{
    size_t at = out->len;

    handover_put(out, type, NULL, 0);
    return at;
}

static void
handover_end(handover_out_t *out, size_t at)
{
    handover_u32_at(out->data + at + 4,
                    (uint32_t) (out->len - at - HANDOVER_FIELD));
}

static void
handover_put_listen(handover_out_t *out, const veil_handover_listen_t *l)
{
    size_t at = handover_begin(out, HANDOVER_LISTEN);
    unsigned i;

#define HANDOVER_PUT(id, member)                                              \
    handover_put_number(out, id, (int64_t) l->key.member);
    HANDOVER_LISTEN_FIELDS(HANDOVER_PUT)
#undef HANDOVER_PUT
    handover_put(out, HANDOVER_IP, l->key.ip, sizeof(l->key.ip));
    handover_put_text(out, HANDOVER_NAME, l->key.path);
    handover_put_number(out, HANDOVER_STEERED, l->steered);
    for (i = 0; i < l->n; i++) {
        handover_put_number(out, HANDOVER_FD, l->fds[i]);
    }
    handover_end(out, at);
}

static void
handover_put_zone(handover_out_t *out, const veil_handover_zone_t *z)
{
    size_t at = handover_begin(out, HANDOVER_ZONE);

    handover_put_text(out, HANDOVER_NAME, z->key.name);
    handover_put_text(out, HANDOVER_TAG, z->key.tag);
    handover_put_text(out, HANDOVER_KEY, z->key.key);
    handover_put_number(out, HANDOVER_SIZE, (int64_t) z->key.size);
    handover_put_number(out, HANDOVER_LAYOUT, (int64_t) z->key.layout);
    handover_put_number(out, HANDOVER_FD, z->fd);
    handover_end(out, at);
}

static void
handover_put_extra(handover_out_t *out, const veil_handover_extra_t *x)
{
    size_t at = handover_begin(out, HANDOVER_EXTRA);

    handover_put_text(out, HANDOVER_NAME, x->name);
    handover_put(out, HANDOVER_DATA, x->data, x->len);
    if (x->fd >= 0) {
        handover_put_number(out, HANDOVER_FD, x->fd);
    }
    handover_end(out, at);
}

char *
veil_handover_encode(const veil_handover_t *h, size_t *len)
{
    handover_out_t out = { NULL, 0, 0 };
    const veil_list_t *n;
    char *head;

    (void) handover_room(&out, HANDOVER_HEAD);
    handover_put_number(&out, HANDOVER_GENERATION, (int64_t) h->generation);
    handover_put_number(&out, HANDOVER_PID, h->pid);
    handover_put_number(&out, HANDOVER_MODE, h->mode);
    handover_put_number(&out, HANDOVER_DETACH, h->detach);
    handover_put_text(&out, HANDOVER_PROGRAM, h->version);
    handover_put_text(&out, HANDOVER_PID_PATH, h->pid_path);
    for (n = h->listens.next; n != &h->listens; n = n->next) {
        handover_put_listen(&out, (const void *) n);
    }
    for (n = h->zones.next; n != &h->zones; n = n->next) {
        handover_put_zone(&out, (const void *) n);
    }
    for (n = h->extras.next; n != &h->extras; n = n->next) {
        handover_put_extra(&out, (const void *) n);
    }
    head = out.data;
    handover_u32_at(head, HANDOVER_MAGIC);
    handover_u32_at(head + 4, VEIL_HANDOVER_VERSION);
    handover_u32_at(head + 8, (uint32_t) (out.len - HANDOVER_HEAD));
    handover_u32_at(head + 12, veil_crc32(0, head + HANDOVER_HEAD,
                                          out.len - HANDOVER_HEAD));
    *len = out.len;
    return out.data;
}

/* --- reading ------------------------------------------------------------ */

typedef struct {
    uint32_t type;
    const unsigned char *data;
    size_t len;
} handover_field_t;

typedef struct {
    const unsigned char *p;
    const unsigned char *end;
} handover_in_t;

static uint32_t
handover_u32(const unsigned char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}

/* 1: a field; 0: the end; -1: it goes beyond the end. */
static int
handover_next(handover_in_t *in, handover_field_t *f)
{
    size_t left = (size_t) (in->end - in->p);

    if (left == 0) {
        return 0;
    }
    if (left < HANDOVER_FIELD) {
        return -1;
    }
    f->type = handover_u32(in->p);
    f->len = handover_u32(in->p + 4);
    f->data = in->p + HANDOVER_FIELD;
    if (f->len > left - HANDOVER_FIELD) {
        return -1;
    }
    in->p = f->data + f->len;
    return 1;
}

/* The value as a number; what is none is 0. */
static int64_t
handover_number(const handover_field_t *f)
{
    if (f->len != 8) {
        return 0;
    }
    return (int64_t) ((uint64_t) handover_u32(f->data)
                      | (uint64_t) handover_u32(f->data + 4) << 32);
}

/* A descriptor: -1 for what cannot be one. */
static int
handover_fd(const handover_field_t *f)
{
    int64_t n = handover_number(f);

    return f->len != 8 || n < 0 || n > INT32_MAX ? -1 : (int) n;
}

/* False when it does not fit or has a zero in it. */
static bool
handover_text(const handover_field_t *f, char *to, size_t size)
{
    if (f->len >= size || memchr(f->data, '\0', f->len) != NULL) {
        return false;
    }
    memcpy(to, f->data, f->len);
    to[f->len] = '\0';
    return true;
}

/* One field of a listener; false when it is wrong. */
static bool
handover_listen_field(veil_handover_listen_t *l, const handover_field_t *f)
{
    int fd;

    switch (f->type) {
#define HANDOVER_GET(id, member)                                              \
    case id:                                                                  \
        l->key.member = (__typeof__(l->key.member)) handover_number(f);       \
        return true;
        HANDOVER_LISTEN_FIELDS(HANDOVER_GET)
#undef HANDOVER_GET
    case HANDOVER_IP:
        if (f->len != sizeof(l->key.ip)) {
            return false;
        }
        memcpy(l->key.ip, f->data, f->len);
        return true;
    case HANDOVER_NAME:
        return handover_text(f, l->key.path, sizeof(l->key.path));
    case HANDOVER_STEERED:
        l->steered = (unsigned) handover_number(f);
        return l->steered <= VEIL_HOLD_SLOTS;
    case HANDOVER_FD:
        fd = handover_fd(f);
        if (fd < 0 || l->n == VEIL_HOLD_SLOTS) {
            return false;
        }
        if (l->n % 16 == 0) {
            l->fds = veil_realloc(l->fds, (l->n + 16) * sizeof(int));
        }
        l->fds[l->n++] = fd;
        return true;
    default:
        return true;
    }
}

static bool
handover_get_listen(veil_handover_t *h, handover_in_t in)
{
    veil_handover_listen_t *l = veil_zalloc(sizeof(*l));
    handover_field_t f;
    int rc;

    veil_list_append(&h->listens, &l->link);
    while ((rc = handover_next(&in, &f)) == 1) {
        if (!handover_listen_field(l, &f)) {
            return false;
        }
    }
    l->key.nslots = l->n;
    return rc == 0 && l->n != 0;
}

static bool
handover_get_zone(veil_handover_t *h, handover_in_t in)
{
    veil_handover_zone_t *z = veil_zalloc(sizeof(*z));
    handover_field_t f;
    bool ok = true;
    int rc;

    z->fd = -1;
    veil_list_append(&h->zones, &z->link);
    while (ok && (rc = handover_next(&in, &f)) != 0) {
        if (rc < 0) {
            return false;
        }
        switch (f.type) {
        case HANDOVER_NAME:
            ok = handover_text(&f, z->key.name, sizeof(z->key.name));
            break;
        case HANDOVER_TAG:
            ok = handover_text(&f, z->key.tag, sizeof(z->key.tag));
            break;
        case HANDOVER_KEY:
            ok = handover_text(&f, z->key.key, sizeof(z->key.key));
            break;
        case HANDOVER_SIZE:
            z->key.size = (uint64_t) handover_number(&f);
            break;
        case HANDOVER_LAYOUT:
            z->key.layout = (uint64_t) handover_number(&f);
            break;
        case HANDOVER_FD:
            z->fd = handover_fd(&f);
            break;
        default:
            break;
        }
    }
    return ok && z->fd >= 0 && z->key.size != 0;
}

static bool
handover_get_extra(veil_handover_t *h, handover_in_t in)
{
    veil_handover_extra_t *x = veil_zalloc(sizeof(*x));
    handover_field_t f;
    int rc;

    x->fd = -1;
    x->name = handover_copy("", 0);
    x->data = handover_copy("", 0);
    veil_list_append(&h->extras, &x->link);
    while ((rc = handover_next(&in, &f)) == 1) {
        switch (f.type) {
        case HANDOVER_NAME:
            veil_free(x->name);
            x->name = handover_copy(f.data, f.len);
            break;
        case HANDOVER_DATA:
            veil_free(x->data);
            x->data = handover_copy(f.data, f.len);
            x->len = f.len;
            break;
        case HANDOVER_FD:
            x->fd = handover_fd(&f);
            break;
        default:
            break;
        }
    }
    return rc == 0 && x->name[0] != '\0';
}

static void
handover_get_text(char **to, const handover_field_t *f)
{
    veil_free(*to);
    *to = handover_copy(f->data, f->len);
}

static bool
handover_get_field(veil_handover_t *h, const handover_field_t *f)
{
    handover_in_t inner = { f->data, f->data + f->len };
    int64_t mode;

    switch (f->type) {
    case HANDOVER_GENERATION:
        h->generation = (uint64_t) handover_number(f);
        return true;
    case HANDOVER_PID:
        h->pid = (pid_t) handover_number(f);
        return h->pid > 0;
    case HANDOVER_MODE:
        mode = handover_number(f);
        h->mode = (veil_upgrade_mode_t) mode;
        return mode >= 0 && mode < VEIL_UPGRADE_MODES;
    case HANDOVER_DETACH:
        h->detach = handover_number(f) != 0;
        return true;
    case HANDOVER_PROGRAM:
        handover_get_text(&h->version, f);
        return true;
    case HANDOVER_PID_PATH:
        handover_get_text(&h->pid_path, f);
        return true;
    case HANDOVER_LISTEN:
        return handover_get_listen(h, inner);
    case HANDOVER_ZONE:
        return handover_get_zone(h, inner);
    case HANDOVER_EXTRA:
        return handover_get_extra(h, inner);
    default:
        return true;
    }
}

bool
veil_handover_decode(veil_handover_t *h, const void *data, size_t len,
                     const char **why)
{
    const unsigned char *p = data;
    handover_in_t in;
    handover_field_t f;
    uint32_t version;
    int rc;

    *why = "it is no state of a master";
    if (len < HANDOVER_HEAD || len > VEIL_HANDOVER_MAX
        || handover_u32(p) != HANDOVER_MAGIC)
    {
        return false;
    }
    version = handover_u32(p + 4);
    *why = "it has a version that this program does not read";
    if (version < VEIL_HANDOVER_FIRST || version > VEIL_HANDOVER_VERSION) {
        return false;
    }
    *why = "its checksum does not fit";
    if (handover_u32(p + 8) != len - HANDOVER_HEAD
        || handover_u32(p + 12)
               != veil_crc32(0, p + HANDOVER_HEAD, len - HANDOVER_HEAD))
    {
        return false;
    }
    *why = "it has a field that makes no sense";
    in.p = p + HANDOVER_HEAD;
    in.end = p + len;
    while ((rc = handover_next(&in, &f)) == 1) {
        if (!handover_get_field(h, &f)) {
            return false;
        }
    }
    return rc == 0;
}
