/*
 * parse_reason.c -- texts and statuses of the reasons in parse.h.
 */

#include "core/platform.h"

#include "http/parse/parse.h"

const char *
veil_http_parse_reason(veil_http_parse_t e)
{
    static const char *const texts[VEIL_PARSE_COUNT] = {
        [VEIL_PARSE_OK] = "nothing wrong",
        [VEIL_PARSE_END] = "the end",
#define X(id, status, text) [VEIL_PARSE_##id] = text,
        VEIL_HTTP_PARSE_REASONS(X)
#undef X
    };

    return texts[e];
}

int
veil_http_parse_status(veil_http_parse_t e)
{
    static const uint16_t statuses[VEIL_PARSE_COUNT] = {
#define X(id, status, text) [VEIL_PARSE_##id] = status,
        VEIL_HTTP_PARSE_REASONS(X)
#undef X
    };

    return statuses[e];
}
