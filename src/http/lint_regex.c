/*
 * lint_regex.c -- what lints can tell of a pattern from its text.
 *
 * Nothing here understands regular expressions as such: it knows the few
 * forms that people write, and says "cannot tell" to all others.  A rule that
 * is silent costs nothing; one that is wrong is switched off.
 */

#include "core/platform.h"

#include "http/lint.h"

/* Takes off a group around the whole, capturing or not: "(.*)". */
static veil_str_t
lint_strip_group(veil_str_t s)
{
    ptrdiff_t end;

    if (s.len < 2 || s.data[0] != '(' || s.data[s.len - 1] != ')') {
        return s;
    }
    s = veil_str_n(s.data + 1, s.len - 2);
    if (veil_str_starts(s, VEIL_STR("?:"))) {
        return veil_str_from(s, 2);
    }
    if (veil_str_starts(s, VEIL_STR("?<"))
        || veil_str_starts(s, VEIL_STR("?P<"))) {
        end = veil_str_chr(s, '>');
        return end < 0 ? s : veil_str_from(s, (size_t) end + 1);
    }
    return s;
}

bool
veil_http_lint_matches_all(veil_str_t s)
{
    bool slash, end = false;

    if (veil_str_starts(s, VEIL_STR("^"))) {
        s = veil_str_from(s, 1);
    }
    if (veil_str_ends(s, VEIL_STR("$"))) {
        s.len--;
        end = true;
    }
    s = lint_strip_group(s);
    slash = veil_str_starts(s, VEIL_STR("/"));
    if (slash) {
        s = lint_strip_group(veil_str_from(s, 1));
    }
    if (veil_str_eq_z(s, ".*")) {
        return true;
    }
    if (!slash && veil_str_eq_z(s, ".+")) {
        return true; /* a path has one character at least */
    }
    return !end && (s.len == 0 || (!slash && veil_str_eq_z(s, ".")));
}

/* Whether it has alternatives that are in no group. */
static bool
lint_has_alternatives(veil_str_t s)
{
    int depth = 0;
    size_t i;

    for (i = 0; i < s.len; i++) {
        switch (s.data[i]) {
        case '\\':
            i++;
            break;
        case '(':
        case '[':
            depth++;
            break;
        case ')':
        case ']':
            depth--;
            break;
        case '|':
            if (depth <= 0) {
                return true;
            }
            break;
        default:
            break;
        }
    }
    return false;
}

static bool
lint_is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}

bool
veil_http_lint_literal(veil_pool_t *pool, veil_str_t s, veil_str_t *literal)
{
    char *text;
    size_t i, n = 0;

    if (s.len == 0 || s.data[0] != '^' || lint_has_alternatives(s)) {
        return false;
    }
    text = veil_pool_chars(pool, s.len);
    for (i = 1; i < s.len; i++) {
        if (s.data[i] == '\\') {
            if (i + 1 == s.len || lint_is_alnum(s.data[i + 1])) {
                break; /* a class, or an assertion */
            }
            text[n++] = s.data[++i];
        } else if (strchr(".[]()|*+?{}$^", s.data[i]) != NULL) {
            break;
        } else {
            text[n++] = s.data[i];
        }
    }
    if (i < s.len && n != 0 && strchr("*?{", s.data[i]) != NULL) {
        n--; /* what is before it may be absent */
    }
    *literal = veil_str_n(text, n);
    return true;
}

bool
veil_http_lint_bare_dot(veil_str_t s)
{
    size_t i;

    for (i = 0; i + 1 < s.len; i++) {
        if (s.data[i] == '\\') {
            i++;
        } else if (s.data[i] == '[') {
            while (i < s.len && s.data[i] != ']') {
                i++;
            }
        } else if (s.data[i] == '.' && lint_is_alnum(s.data[i + 1])) {
            return true;
        }
    }
    return false;
}
