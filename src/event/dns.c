/*
 * dns.c -- the codec of DNS messages, without I/O.
 *
 * Names are kept in the form of the wire, uncompressed: a label may contain
 * any byte, dots too, and comparing needs no escapes.  A compression pointer
 * must point before the place where the name (or the part of it read last)
 * began, so following them ends, however they are chosen; RFC 1035, 4.1.4
 * speaks of a "prior occurrence".
 *
 * The records of an answer are looked through once for each link of the
 * chain of aliases, in whatever order the server put them.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "event/dns.h"

#define DNS_HEAD 12
#define DNS_IN 1
#define DNS_FLAG_QR 0x8000u
#define DNS_FLAG_TC 0x0200u
#define DNS_FLAG_RD 0x0100u
#define DNS_OPCODE 0x7800u

/* A cursor over a message; bad is sticky. */
typedef struct {
    const unsigned char *msg;
    size_t n;
    size_t pos;
    bool bad;
} dns_reader_t;

typedef struct {
    veil_dns_name_t owner;
    unsigned type;
    unsigned class;
    uint32_t ttl;
    size_t data; /* offset of the data */
    size_t len;
} dns_record_t;

/* --- names -------------------------------------------------------------- */

bool
veil_dns_name_parse(veil_dns_name_t *name, veil_str_t text)
{
    veil_str_t label;

    name->len = 0;
    if (text.len > 0 && text.data[text.len - 1] == '.') {
        text.len--;
    }
    if (text.len == 0) {
        return false;
    }
    do {
        label = veil_str_cut(&text, '.');
        if (label.len == 0 || label.len > 63
            || name->len + 1 + label.len + 1 > sizeof(name->data))
        {
            return false;
        }
        name->data[name->len++] = (unsigned char) label.len;
        memcpy(name->data + name->len, label.data, label.len);
        name->len += (unsigned) label.len;
    } while (text.data != NULL);
    name->data[name->len++] = 0;
    return true;
}

bool
veil_dns_name_eq(const veil_dns_name_t *a, const veil_dns_name_t *b)
{
    /* Lengths are below 'A', so blindness to case does not touch them. */
    return veil_str_caseeq(veil_str_n((const char *) a->data, a->len),
                           veil_str_n((const char *) b->data, b->len));
}

/* --- reading ------------------------------------------------------------ */

static unsigned
dns_u8(dns_reader_t *r)
{
    if (r->pos >= r->n) {
        r->bad = true;
        return 0;
    }
    return r->msg[r->pos++];
}

static unsigned
dns_u16(dns_reader_t *r)
{
    unsigned high = dns_u8(r);

    return high << 8 | dns_u8(r);
}

static uint32_t
dns_u32(dns_reader_t *r)
{
    uint32_t high = dns_u16(r);

    return high << 16 | dns_u16(r);
}

/* Expands the name at the cursor, which is left behind it. */
static void
dns_read_name(dns_reader_t *r, veil_dns_name_t *name)
{
    size_t start = r->pos; /* of the part being read */
    size_t after = 0;      /* where to go on; 0: no pointer yet */
    size_t to;
    unsigned len;

    name->len = 0;
    for (;;) {
        len = dns_u8(r);
        if (r->bad) {
            return;
        }
        if (len >= 0xc0) {
            to = (size_t) (len & 0x3f) << 8 | dns_u8(r);
            if (after == 0) {
                after = r->pos;
            }
            if (r->bad || to >= start) {
                break;
            }
            start = to;
            r->pos = to;
            continue;
        }
        if (len > 63 || name->len + 1 + len > sizeof(name->data)
            || r->n - r->pos < len)
        {
            break;
        }
        name->data[name->len++] = (unsigned char) len;
        if (len == 0) {
            if (after != 0) {
                r->pos = after;
            }
            return;
        }
        memcpy(name->data + name->len, r->msg + r->pos, len);
        name->len += len;
        r->pos += len;
    }
    r->bad = true;
}

/* The record at the cursor; false when the message is broken there. */
static bool
dns_read_record(dns_reader_t *r, dns_record_t *rec)
{
    dns_read_name(r, &rec->owner);
    rec->type = dns_u16(r);
    rec->class = dns_u16(r);
    rec->ttl = dns_u32(r);
    rec->len = dns_u16(r);
    rec->data = r->pos;
    if (r->bad || r->n - r->pos < rec->len) {
        return false;
    }
    r->pos += rec->len;
    /* The top bit is no part of a time (RFC 2181, 8). */
    if (rec->ttl > INT32_MAX) {
        rec->ttl = 0;
    }
    return true;
}

static void
dns_note_ttl(veil_dns_answer_t *a, uint32_t ttl)
{
    if (!a->has_ttl || ttl < a->ttl) {
        a->has_ttl = true;
        a->ttl = ttl;
    }
}

static bool
dns_add_addr(veil_dns_answer_t *a, const dns_reader_t *r,
             const dns_record_t *rec)
{
    size_t len = rec->type == VEIL_DNS_A ? 4 : 16;
    veil_addr_t *addr;

    if (rec->len != len) {
        return false;
    }
    dns_note_ttl(a, rec->ttl);
    if (a->naddrs < VEIL_DNS_ADDRS) {
        addr = &a->addrs[a->naddrs++];
        memset(addr, 0, sizeof(*addr));
        addr->family = rec->type == VEIL_DNS_A ? AF_INET : AF_INET6;
        memcpy(addr->u.ip, r->msg + rec->data, len);
    }
    return true;
}

/* Reads the name that an alias stands for. */
static bool
dns_read_alias(const dns_reader_t *r, const dns_record_t *rec,
               veil_dns_name_t *name)
{
    dns_reader_t sub = *r;

    sub.pos = rec->data;
    dns_read_name(&sub, name);
    return !sub.bad && sub.pos == rec->data + rec->len;
}

/*
 * Looks through count records for a->name: its addresses are added, its
 * alias, if there is one, becomes a->name (*moved).
 */
static bool
dns_scan_answers(dns_reader_t *r, unsigned count, unsigned type,
                 veil_dns_answer_t *a, bool *moved)
{
    veil_dns_name_t alias;
    dns_record_t rec;
    unsigned i;

    alias.len = 0;
    for (i = 0; i < count; i++) {
        if (!dns_read_record(r, &rec)) {
            return false;
        }
        if (rec.class != DNS_IN || !veil_dns_name_eq(&rec.owner, &a->name)) {
            continue;
        }
        if (rec.type == type) {
            if (!dns_add_addr(a, r, &rec)) {
                return false;
            }
        } else if (rec.type == VEIL_DNS_CNAME && alias.len == 0) {
            if (!dns_read_alias(r, &rec, &alias)) {
                return false;
            }
            dns_note_ttl(a, rec.ttl);
        }
    }
    *moved = a->naddrs == 0 && alias.len != 0;
    if (*moved) {
        a->name = alias;
        a->is_alias = true;
    }
    return true;
}

/* How long "there is no such thing" holds: the SOA says (RFC 2308, 5). */
static void
dns_scan_authority(dns_reader_t *r, unsigned count, veil_dns_answer_t *a)
{
    veil_dns_name_t skipped;
    dns_record_t rec;
    dns_reader_t sub;
    uint32_t minimum;
    unsigned i;

    for (i = 0; i < count && dns_read_record(r, &rec); i++) {
        if (rec.type != VEIL_DNS_SOA || rec.class != DNS_IN) {
            continue;
        }
        sub = *r;
        sub.pos = rec.data;
        dns_read_name(&sub, &skipped);
        dns_read_name(&sub, &skipped);
        sub.pos += 16;
        minimum = dns_u32(&sub);
        if (!sub.bad && sub.pos == rec.data + rec.len) {
            a->has_soa = true;
            dns_note_ttl(a, minimum < rec.ttl ? minimum : rec.ttl);
        }
        return;
    }
}

veil_dns_rc_t
veil_dns_parse(const unsigned char *msg, size_t n, uint16_t id,
               const veil_dns_name_t *name, unsigned type,
               veil_dns_answer_t *answer)
{
    dns_reader_t r = { .msg = msg, .n = n };
    unsigned flags, nquestions, nanswers, nauthority, links;
    veil_dns_name_t asked;
    bool moved = true;
    size_t start;

    memset(answer, 0, sizeof(*answer));
    if (n < DNS_HEAD || dns_u16(&r) != id) {
        return VEIL_DNS_NOT_OURS;
    }
    flags = dns_u16(&r);
    nquestions = dns_u16(&r);
    nanswers = dns_u16(&r);
    nauthority = dns_u16(&r);
    (void) dns_u16(&r); /* additional records are of no interest */
    if ((flags & DNS_FLAG_QR) == 0 || (flags & DNS_OPCODE) != 0) {
        return VEIL_DNS_NOT_OURS;
    }
    answer->rcode = flags & 0x0f;
    answer->name = *name;

    if (nquestions == 0 && answer->rcode != VEIL_DNS_OK) {
        /* Some servers refuse without repeating the question. */
        return VEIL_DNS_READ;
    }
    if (nquestions != 1) {
        return VEIL_DNS_NOT_OURS;
    }
    dns_read_name(&r, &asked);
    if (dns_u16(&r) != type || dns_u16(&r) != DNS_IN || r.bad
        || !veil_dns_name_eq(&asked, name))
    {
        return VEIL_DNS_NOT_OURS;
    }

    if ((flags & DNS_FLAG_TC) != 0) {
        answer->is_truncated = true;
        return VEIL_DNS_READ;
    }

    start = r.pos;
    for (links = 0; moved; links++) {
        if (links > VEIL_DNS_CNAMES) {
            return VEIL_DNS_MALFORMED;
        }
        r.pos = start;
        if (!dns_scan_answers(&r, nanswers, type, answer, &moved)) {
            return VEIL_DNS_MALFORMED;
        }
    }
    if (answer->naddrs == 0) {
        dns_scan_authority(&r, nauthority, answer);
    }
    return VEIL_DNS_READ;
}

/* --- writing ------------------------------------------------------------ */

static unsigned char *
dns_put_u16(unsigned char *p, unsigned value)
{
    p[0] = (unsigned char) (value >> 8);
    p[1] = (unsigned char) value;
    return p + 2;
}

size_t
veil_dns_query(unsigned char *buf, uint16_t id, const veil_dns_name_t *name,
               unsigned type)
{
    unsigned char *p = buf;

    VEIL_ASSERT(name->len > 1 && name->len <= sizeof(name->data));
    p = dns_put_u16(p, id);
    p = dns_put_u16(p, DNS_FLAG_RD);
    p = dns_put_u16(p, 1);
    p = dns_put_u16(p, 0);
    p = dns_put_u16(p, 0);
    p = dns_put_u16(p, 0);
    memcpy(p, name->data, name->len);
    p += name->len;
    p = dns_put_u16(p, type);
    p = dns_put_u16(p, DNS_IN);
    return (size_t) (p - buf);
}
