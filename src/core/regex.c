/*
 * regex.c -- regular expressions through PCRE2.
 *
 * The library's memory comes from malloc rather than from the pool: it frees
 * and reallocates while compiling, and a compiled expression is given back by
 * a cleanup of the pool.  Running out of memory aborts, as everywhere.
 *
 * Match data is the library's scratch space for one match.  It is made once
 * and grown to the largest number of groups seen, so that matching costs no
 * allocation.  The JIT's stack is the default one (32 KiB on the machine's
 * stack); an expression that needs more fails with an error that is logged,
 * which an outsider can cause with a long subject and a bad expression, and
 * which must therefore not cost more.
 *
 * Subjects are bytes: UTF-8 is not checked, as in nginx.  Without PCRE2 the
 * functions exist and say no.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/regex.h"

#if VEIL_HAVE_PCRE2

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct veil_regex_s {
    pcre2_code *code;
    veil_str_t pattern;
    unsigned groups;
    veil_regex_name_t *names;
    unsigned nnames;
};

static pcre2_match_data *regex_data;
static unsigned regex_data_pairs;

static void
regex_free(void *data)
{
    veil_regex_t *re = data;

    pcre2_code_free(re->code);
    re->code = NULL;
}

/* The library's table: entries of two bytes of number and the name. */
static void
regex_read_names(veil_pool_t *pool, veil_regex_t *re)
{
    uint32_t i, n = 0, size = 0;
    PCRE2_SPTR table = NULL;
    veil_str_t name;

    pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &n);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    if (n == 0) {
        return;
    }
    re->names = veil_pool_zalloc(pool, n * sizeof(*re->names));
    re->nnames = n;
    for (i = 0; i < n; i++, table += size) {
        re->names[i].group = (unsigned) table[0] << 8 | table[1];
        name = veil_str_z((const char *) table + 2);
        re->names[i].name = veil_pool_str(pool, name);
    }
}

veil_regex_t *
veil_regex_compile(veil_pool_t *pool, veil_str_t pattern, bool caseless,
                   veil_regex_error_t *error)
{
    veil_regex_t *re;
    pcre2_code *code;
    PCRE2_SIZE offset = 0;
    uint32_t groups = 0;
    int err = 0;

    code = pcre2_compile((PCRE2_SPTR) pattern.data, pattern.len,
                         caseless ? PCRE2_CASELESS : 0, &err, &offset, NULL);
    if (code == NULL) {
        if (pcre2_get_error_message(err, (PCRE2_UCHAR *) error->text,
                                    sizeof(error->text))
            < 0)
        {
            veil_snprintf(error->text, sizeof(error->text), "error %d", err);
        }
        error->offset = veil_min_size(offset, pattern.len);
        return NULL;
    }
    /* Where there is no JIT the interpreter does the same, slower. */
    (void) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);

    re = VEIL_POOL_NEW(pool, veil_regex_t);
    re->code = code;
    re->pattern = veil_pool_str(pool, pattern);
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    re->groups = groups;
    regex_read_names(pool, re);
    veil_pool_on_destroy(pool, regex_free, re);
    return re;
}

bool
veil_regex_available(void)
{
    return true;
}

unsigned
veil_regex_groups(const veil_regex_t *re)
{
    return re->groups;
}

const veil_regex_name_t *
veil_regex_names(const veil_regex_t *re, unsigned *n)
{
    *n = re->nnames;
    return re->names;
}

veil_str_t
veil_regex_pattern(const veil_regex_t *re)
{
    return re->pattern;
}

static void
regex_need_pairs(unsigned pairs)
{
    if (pairs <= regex_data_pairs) {
        return;
    }
    pcre2_match_data_free(regex_data);
    regex_data = pcre2_match_data_create(pairs, NULL);
    if (regex_data == NULL) {
        veil_panic("out of memory: match data of %u pairs", pairs);
    }
    regex_data_pairs = pairs;
}

int
veil_regex_match(const veil_regex_t *re, veil_str_t subject, int *captures,
                 unsigned npairs)
{
    const PCRE2_SIZE *v;
    unsigned i, pairs = re->groups + 1;
    int rc;

    if (subject.len > INT32_MAX) {
        return PCRE2_ERROR_BADOFFSET;
    }
    regex_need_pairs(pairs);
    /* An empty view may have no address, which the library takes amiss. */
    rc = pcre2_match(re->code,
                     (PCRE2_SPTR) (subject.len == 0 ? "" : subject.data),
                     subject.len, 0, 0, regex_data, NULL);
    if (rc == PCRE2_ERROR_NOMATCH) {
        return VEIL_REGEX_NONE;
    }
    if (rc < 0) {
        return rc;
    }
    v = pcre2_get_ovector_pointer(regex_data);
    for (i = 0; i < npairs && i < pairs; i++) {
        /* Groups behind the last that took part are not written. */
        if (i >= (unsigned) rc || v[2 * i] == PCRE2_UNSET) {
            captures[2 * i] = -1;
            captures[2 * i + 1] = -1;
            continue;
        }
        captures[2 * i] = (int) v[2 * i];
        captures[2 * i + 1] = (int) v[2 * i + 1];
    }
    return (int) pairs;
}

size_t
veil_regex_strerror(int failure, char *buf, size_t n)
{
    int len = pcre2_get_error_message(failure, (PCRE2_UCHAR *) buf, n);

    return len >= 0 ? (size_t) len
                    : veil_snprintf(buf, n, "error %d", failure);
}

void
veil_regex_trim(void)
{
    pcre2_match_data_free(regex_data);
    regex_data = NULL;
    regex_data_pairs = 0;
}

#else

veil_regex_t *
veil_regex_compile(veil_pool_t *pool VEIL_UNUSED,
                   veil_str_t pattern VEIL_UNUSED, bool caseless VEIL_UNUSED,
                   veil_regex_error_t *error)
{
    veil_snprintf(error->text, sizeof(error->text),
                  "this veil was built without regular expressions (PCRE2)");
    error->offset = 0;
    return NULL;
}

bool
veil_regex_available(void)
{
    return false;
}

unsigned
veil_regex_groups(const veil_regex_t *re VEIL_UNUSED)
{
    return 0;
}

const veil_regex_name_t *
veil_regex_names(const veil_regex_t *re VEIL_UNUSED, unsigned *n)
{
    *n = 0;
    return NULL;
}

veil_str_t
veil_regex_pattern(const veil_regex_t *re VEIL_UNUSED)
{
    return VEIL_STR_NULL;
}

int
veil_regex_match(const veil_regex_t *re VEIL_UNUSED,
                 veil_str_t subject VEIL_UNUSED, int *captures VEIL_UNUSED,
                 unsigned npairs VEIL_UNUSED)
{
    return VEIL_REGEX_NONE;
}

size_t
veil_regex_strerror(int failure VEIL_UNUSED, char *buf, size_t n)
{
    return veil_snprintf(buf, n, "no regular expressions");
}

void
veil_regex_trim(void)
{
}

#endif
