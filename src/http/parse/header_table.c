/*
 * header_table.c -- known header fields: their names, and finding them.
 *
 * The hash is perfect over the table: length, first letter and the last two,
 * each times a factor found by trying.  A lookup costs one probe and one
 * comparison of names.  The slots are computed by the compiler from the
 * letters given in header_table.h, so that a clash between two fields is a
 * warning about an element initialised twice, which the build makes an
 * error; then another set of factors has to be tried.
 *
 * Names are compared in words, with the case of letters folded and nothing
 * else: to fold by "| 0x20" alone would make a carriage return of a hyphen.
 */

#include "core/platform.h"

#include "http/parse/header_table.h"

#define HEADER_SLOTS 512u
#define HEADER_HASH(len, a, b, c)                                             \
    (((len) *435u + (unsigned) (a) *173u + (unsigned) (c) *86u                \
      + (unsigned) (b) *357u)                                                 \
     & (HEADER_SLOTS - 1))

const veil_http_header_info_t veil_http_header_info[VEIL_HEADER_COUNT] = {
    [VEIL_HEADER_NONE] = { .name = VEIL_STR_INIT(""),
                           .lower = VEIL_STR_INIT("") },
#define X(id, canonical, small, a, b, c, bits)                                \
    [VEIL_HEADER_##id] = { .name = VEIL_STR_INIT(canonical),                  \
                           .lower = VEIL_STR_INIT(small),                     \
                           .flags = (bits) },
    VEIL_HTTP_HEADER_TABLE(X, VEIL_HEADER_IS_HOP, VEIL_HEADER_IS_UNIQUE,
                           VEIL_HEADER_NO_TRAILER)
#undef X
};

static const uint8_t header_slots[HEADER_SLOTS] = {
#define X(id, canonical, small, a, b, c, bits)                                \
    [HEADER_HASH(sizeof(small) - 1, a, b, c)] = VEIL_HEADER_##id,
    VEIL_HTTP_HEADER_TABLE(X, 0, 0, 0)
#undef X
};

/*
 * Whether size bytes of a name are those of a lower-case one.  The names of
 * the table have letters, digits and hyphens, and of these only letters have
 * bit 0x40; there, and nowhere else, the input may differ in bit 0x20.
 */
#define HEADER_SAME(type, name, lower)                                        \
    __extension__({                                                           \
        type header_a, header_b;                                              \
        memcpy(&header_a, (name), sizeof(type));                              \
        memcpy(&header_b, (lower), sizeof(type));                             \
        ((header_a ^ header_b)                                                \
         & ~((header_b & HEADER_EACH(type, 0x40)) >> 1))                      \
            == 0;                                                             \
    })
#define HEADER_EACH(type, byte) ((type) ((type) ~(type) 0 / 255 * (byte)))

/* Words at the start and one at the end, which may overlap. */
static bool
header_same(const char *name, const char *lower, size_t len)
{
    size_t i;

    if (len >= 8) {
        for (i = 0; i + 8 < len; i += 8) {
            if (!HEADER_SAME(uint64_t, name + i, lower + i)) {
                return false;
            }
        }
        return HEADER_SAME(uint64_t, name + len - 8, lower + len - 8);
    }
    if (len >= 4) {
        return HEADER_SAME(uint32_t, name, lower)
               && HEADER_SAME(uint32_t, name + len - 4, lower + len - 4);
    }
    return HEADER_SAME(uint16_t, name, lower)
           && HEADER_SAME(uint16_t, name + len - 2, lower + len - 2);
}

veil_http_header_id_t
veil_http_header_lookup(const char *name, size_t len)
{
    const unsigned char *p = (const unsigned char *) name;
    unsigned id;

    if (len < 2) {
        return VEIL_HEADER_NONE;
    }
    id =
        header_slots[HEADER_HASH(len, veil_lower(p[0]), veil_lower(p[len - 2]),
                                 veil_lower(p[len - 1]))];
    if (veil_http_header_info[id].lower.len != len
        || !header_same(name, veil_http_header_info[id].lower.data, len))
    {
        return VEIL_HEADER_NONE;
    }
    return (veil_http_header_id_t) id;
}
