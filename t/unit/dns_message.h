/*
 * dns_message.h -- making DNS messages for tests.
 */

#ifndef VEIL_T_UNIT_DNS_MESSAGE_H
#define VEIL_T_UNIT_DNS_MESSAGE_H

#include "core/platform.h"

#include <criterion/criterion.h>

#include "core/str.h"
#include "event/dns.h"

typedef struct {
    unsigned char data[4096];
    size_t len;
} message_t;

static inline void
put_u8(message_t *m, unsigned v)
{
    cr_assert_lt(m->len, sizeof(m->data));
    m->data[m->len++] = (unsigned char) v;
}

static inline void
put_u16(message_t *m, unsigned v)
{
    put_u8(m, v >> 8);
    put_u8(m, v);
}

static inline void
put_u32(message_t *m, unsigned v)
{
    put_u16(m, v >> 16);
    put_u16(m, v);
}

/* "a.b"; "@12" is a pointer, "a.@12" a label and a pointer. */
static inline void
put_name(message_t *m, const char *name)
{
    veil_str_t rest = veil_str_z(name), label;
    size_t i;

    while (rest.data != NULL && rest.len > 0) {
        label = veil_str_cut(&rest, '.');
        if (label.data[0] == '@') {
            put_u16(m,
                    0xc000u
                        | (unsigned) veil_str_to_int(veil_str_from(label, 1)));
            return;
        }
        put_u8(m, (unsigned) label.len);
        for (i = 0; i < label.len; i++) {
            put_u8(m, (unsigned char) label.data[i]);
        }
    }
    put_u8(m, 0);
}

/* flags: 0x8180 and the response code, for instance. */
static inline void
put_head(message_t *m, unsigned id, unsigned flags, unsigned nanswers,
         unsigned nauthority)
{
    m->len = 0;
    put_u16(m, id);
    put_u16(m, flags);
    put_u16(m, 1);
    put_u16(m, nanswers);
    put_u16(m, nauthority);
    put_u16(m, 0);
}

static inline void
put_question(message_t *m, const char *name, unsigned type)
{
    put_name(m, name);
    put_u16(m, type);
    put_u16(m, 1);
}

/* Everything up to the data's length. */
static inline void
put_record(message_t *m, const char *owner, unsigned type, unsigned ttl,
           unsigned len)
{
    put_name(m, owner);
    put_u16(m, type);
    put_u16(m, 1);
    put_u32(m, ttl);
    put_u16(m, len);
}

static inline void
put_a(message_t *m, const char *owner, unsigned ttl, unsigned last)
{
    put_record(m, owner, VEIL_DNS_A, ttl, 4);
    put_u8(m, 192);
    put_u8(m, 0);
    put_u8(m, 2);
    put_u8(m, last);
}

static inline void
put_aaaa(message_t *m, const char *owner, unsigned ttl, unsigned last)
{
    int i;

    put_record(m, owner, VEIL_DNS_AAAA, ttl, 16);
    put_u32(m, 0x20010db8);
    for (i = 4; i < 15; i++) {
        put_u8(m, 0);
    }
    put_u8(m, last);
}

static inline void
put_cname(message_t *m, const char *owner, unsigned ttl, const char *target)
{
    size_t at;

    put_record(m, owner, VEIL_DNS_CNAME, ttl, 0);
    at = m->len;
    put_name(m, target);
    m->data[at - 2] = (unsigned char) ((m->len - at) >> 8);
    m->data[at - 1] = (unsigned char) (m->len - at);
}

static inline void
put_soa(message_t *m, const char *owner, unsigned ttl, unsigned minimum)
{
    size_t at;

    put_record(m, owner, VEIL_DNS_SOA, ttl, 0);
    at = m->len;
    put_name(m, "ns");
    put_name(m, "root.ns");
    put_u32(m, 1);
    put_u32(m, 2);
    put_u32(m, 3);
    put_u32(m, 4);
    put_u32(m, minimum);
    m->data[at - 1] = (unsigned char) (m->len - at);
}

#endif
