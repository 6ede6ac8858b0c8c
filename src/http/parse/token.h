/*
 * token.h -- what stands in field values: lists, parameters, qualities,
 * cookies, entity tags, priorities.
 *
 * Views in, views out; nothing allocates.  What does not fit the grammar is
 * passed over, never guessed at: a malformed element matches nothing.
 */

#ifndef VEIL_HTTP_TOKEN_H
#define VEIL_HTTP_TOKEN_H

#include "core/str.h"

/*
 * The next element of a comma-separated list (RFC 9110, 5.6.1), without
 * blanks around it; commas within quoted strings do not count, empty elements
 * are skipped.  false: there is no more.  *rest moves on.
 */
bool veil_http_list_next(veil_str_t *rest, veil_str_t *element);

/* Whether an element is this token, in any case ("Connection: close"). */
bool veil_http_list_has(veil_str_t list, veil_str_t token);

/*
 * The next part of "text/html; charset=utf-8": first the name "text/html"
 * with an empty value, then "charset" and "utf-8".  The value keeps its
 * quotes.  false: there is no more.
 */
bool veil_http_param_next(veil_str_t *rest, veil_str_t *name,
                          veil_str_t *value);

/*
 * What a quoted string says; a value without quotes as it is.  dst has room
 * for value.len; returns the length.
 */
size_t veil_http_unquote(char *dst, veil_str_t value);

/*
 * The weight of a token in a list like Accept-Encoding's, in thousandths: 0
 * means "not acceptable".  "*" stands for tokens that are not named.  -1:
 * neither is there.
 */
int veil_http_quality(veil_str_t list, veil_str_t token);

/*
 * The argument of a directive like "max-age=60" in Cache-Control, without its
 * quotes (what they hold is not unescaped).  false: it is not there.  value
 * may be NULL.
 */
bool veil_http_directive_find(veil_str_t list, veil_str_t name,
                              veil_str_t *value);

/*
 * The value of the first cookie of that name in a Cookie header; names are
 * compared in any case, as nginx does.  false: it is not there.
 */
bool veil_http_cookie_find(veil_str_t cookies, veil_str_t name,
                           veil_str_t *value);

/* [ "W/" ] and a quoted text (RFC 9110, 8.8.3) */
bool veil_http_etag_is_valid(veil_str_t etag);
bool veil_http_etag_is_weak(veil_str_t etag);
/* Weak comparison looks at the quoted text, strong takes no weak ones. */
bool veil_http_etag_eq(veil_str_t a, veil_str_t b, bool weak);
/*
 * Whether If-Match (weak false) or If-None-Match (weak true) names etag, or
 * is "*".
 */
bool veil_http_etag_list_has(veil_str_t list, veil_str_t etag, bool weak);

/*
 * Of a field "priority" (RFC 9218, 4): "u=1, i".  What it does not say, or
 * not as it should, stays as it was.
 */
void veil_http_priority_parse(veil_str_t value, unsigned *urgency,
                              bool *incremental);

#endif
