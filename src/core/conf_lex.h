/*
 * conf_lex.h -- bytes to words, for conf_tree.c only.
 */

#ifndef VEIL_CORE_CONF_LEX_H
#define VEIL_CORE_CONF_LEX_H

#include "core/conf.h"

typedef enum {
    VEIL_CONF_WORD,
    VEIL_CONF_SEMICOLON,
    VEIL_CONF_OPEN,  /* { */
    VEIL_CONF_CLOSE, /* } */
    VEIL_CONF_END,   /* of the text */
    VEIL_CONF_BAD    /* reported; there is no reading on */
} veil_conf_token_t;

typedef struct {
    veil_conf_t *cf;
    const veil_conf_file_t *file;
    const char *pos;
    const char *end;
    unsigned line; /* of pos */
    unsigned column;
    bool after_quote; /* a blank or a delimiter must follow */
    bool first;       /* the last token is the first of its line */
} veil_conf_lex_t;

/* The text is file->text; words are copied to cf->pool. */
void veil_conf_lex_init(veil_conf_lex_t *lex, veil_conf_t *cf,
                        const veil_conf_file_t *file);

/*
 * The next token.  Its place is in *word (line, column, and the end's), for
 * delimiters too; the text only of words.
 */
veil_conf_token_t veil_conf_lex_next(veil_conf_lex_t *lex,
                                     veil_conf_word_t *word);

#endif
