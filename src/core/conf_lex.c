/*
 * conf_lex.c -- cuts a configuration's bytes into words and delimiters.
 *
 * The rules are nginx's, to the byte, because files are shared with it:
 *
 *   - a quote is special at the beginning of a word only, and what follows
 *     the closing one must be a blank, ";", "{" or ")";
 *   - "#" begins a comment at the beginning of a word only;
 *   - "{" and ";" end an unquoted word, but "${" does not; "}" is special
 *     only where a word could begin, so "a}" is a word, and a regular
 *     expression with "{2}" has to be quoted;
 *   - a backslash takes the next character's meaning away; in the word's
 *     text \" \' and \\ lose it, \t \r and \n are made the character, and any
 *     other sequence stays as written (regular expressions rely on that).
 *
 * Beyond nginx: a UTF-8 byte order mark is skipped, a zero byte is refused,
 * an unterminated quote is reported where it begins, and words may be longer
 * than 4096 bytes.
 */

#include "core/platform.h"

#include "core/conf_lex.h"

static bool
conf_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Past one byte. */
static void
conf_step(veil_conf_lex_t *lex)
{
    if (*lex->pos == '\n') {
        lex->line++;
        lex->column = 1;
    } else if (lex->pos + 1 == lex->end
               || ((unsigned char) lex->pos[1] & 0xc0) != 0x80)
    {
        /* A character counts once, when its last byte is passed. */
        lex->column++;
    }
    lex->pos++;
}

void
veil_conf_lex_init(veil_conf_lex_t *lex, veil_conf_t *cf,
                   const veil_conf_file_t *file)
{
    *lex = (veil_conf_lex_t){
        .cf = cf,
        .file = file,
        .pos = file->text.data,
        .end = file->text.data + file->text.len,
        .line = 1,
        .column = 1,
    };
    if (veil_str_starts(file->text, VEIL_STR("\xef\xbb\xbf"))) {
        lex->pos += 3;
    }
}

/* Blanks and comments; notes whether a line begins. */
static void
conf_skip_space(veil_conf_lex_t *lex)
{
    while (lex->pos < lex->end) {
        if (*lex->pos == '#') {
            while (lex->pos < lex->end && *lex->pos != '\n') {
                conf_step(lex);
            }
            continue;
        }
        if (!conf_is_space(*lex->pos)) {
            return;
        }
        if (*lex->pos == '\n') {
            lex->first = true;
        }
        conf_step(lex);
    }
}

/* nginx's unescaping; the result is terminated by a zero byte. */
static veil_str_t
conf_unescape(veil_pool_t *pool, const char *src, const char *end)
{
    char *start = veil_pool_chars(pool, (size_t) (end - src) + 1);
    char *dst = start;

    while (src < end) {
        if (*src == '\\' && src + 1 < end) {
            switch (src[1]) {
            case '"':
            case '\'':
            case '\\':
                src++;
                break;
            case 't':
                *dst++ = '\t';
                src += 2;
                continue;
            case 'r':
                *dst++ = '\r';
                src += 2;
                continue;
            case 'n':
                *dst++ = '\n';
                src += 2;
                continue;
            default:
                break;
            }
        }
        *dst++ = *src++;
    }
    *dst = '\0';
    return veil_str_n(start, (size_t) (dst - start));
}

static veil_conf_token_t
conf_zero_byte(veil_conf_lex_t *lex)
{
    veil_conf_error_place(lex->cf, lex->file, lex->line, lex->column, NULL,
                          "unexpected zero byte");
    return VEIL_CONF_BAD;
}

static void
conf_word_end(veil_conf_lex_t *lex, veil_conf_word_t *word)
{
    word->end_line = lex->line;
    word->end_column = lex->column;
}

static veil_conf_token_t
conf_quoted(veil_conf_lex_t *lex, veil_conf_word_t *word)
{
    const char quote = *lex->pos;
    const char *start;

    conf_step(lex);
    start = lex->pos;
    while (lex->pos < lex->end && *lex->pos != quote) {
        if (*lex->pos == '\0') {
            return conf_zero_byte(lex);
        }
        if (*lex->pos == '\\' && lex->pos + 1 < lex->end
            && lex->pos[1] != '\0') {
            conf_step(lex);
        }
        conf_step(lex);
    }
    if (lex->pos >= lex->end) {
        veil_conf_error_place(
            lex->cf, lex->file, word->line, word->column, NULL,
            "unexpected end of file, probably missing terminating \"%c\" "
            "character",
            quote);
        return VEIL_CONF_BAD;
    }
    word->str = conf_unescape(lex->cf->pool, start, lex->pos);
    word->quoted = true;
    conf_step(lex);
    conf_word_end(lex, word);
    lex->after_quote = true;
    return VEIL_CONF_WORD;
}

static veil_conf_token_t
conf_unquoted(veil_conf_lex_t *lex, veil_conf_word_t *word)
{
    const char *start = lex->pos;
    bool dollar = false;
    char c;

    while (lex->pos < lex->end) {
        c = *lex->pos;
        if (c == '\0') {
            return conf_zero_byte(lex);
        }
        if (!(c == '{' && dollar)) {
            /* Escaped, even a blank belongs to the word. */
            if (c == '\\') {
                dollar = false;
                conf_step(lex);
                if (lex->pos < lex->end && *lex->pos != '\0') {
                    conf_step(lex);
                }
                continue;
            }
            if (conf_is_space(c) || c == ';' || c == '{') {
                break;
            }
            dollar = c == '$';
        }
        conf_step(lex);
    }
    word->str = conf_unescape(lex->cf->pool, start, lex->pos);
    conf_word_end(lex, word);
    return VEIL_CONF_WORD;
}

/* After a closing quote; the offender is read past as if a blank stood there.
 */
static void
conf_check_after_quote(veil_conf_lex_t *lex)
{
    char c;

    lex->after_quote = false;
    if (lex->pos >= lex->end) {
        return;
    }
    c = *lex->pos;
    if (conf_is_space(c) || c == ';' || c == '{' || c == ')') {
        return;
    }
    if ((unsigned char) c < 0x20 || (unsigned char) c >= 0x7f) {
        veil_conf_error_place(lex->cf, lex->file, lex->line, lex->column,
                              "a blank must follow a closing quote",
                              "unexpected character");
        return;
    }
    veil_conf_error_place(lex->cf, lex->file, lex->line, lex->column,
                          "a blank must follow a closing quote",
                          "unexpected \"%c\"", c);
}

veil_conf_token_t
veil_conf_lex_next(veil_conf_lex_t *lex, veil_conf_word_t *word)
{
    veil_conf_token_t token;

    if (lex->after_quote) {
        conf_check_after_quote(lex);
    }
    lex->first = lex->line == 1 && lex->column == 1;
    conf_skip_space(lex);
    *word = (veil_conf_word_t){ .line = lex->line, .column = lex->column };
    if (lex->pos >= lex->end) {
        conf_word_end(lex, word);
        return VEIL_CONF_END;
    }

    switch (*lex->pos) {
    case ';':
        token = VEIL_CONF_SEMICOLON;
        break;
    case '{':
        token = VEIL_CONF_OPEN;
        break;
    case '}':
        token = VEIL_CONF_CLOSE;
        break;
    case '"':
    case '\'':
        return conf_quoted(lex, word);
    default:
        return conf_unquoted(lex, word);
    }
    conf_step(lex);
    conf_word_end(lex, word);
    return token;
}
