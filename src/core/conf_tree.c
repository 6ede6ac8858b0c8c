/*
 * conf_tree.c -- words to a tree of directives; "include"; the dump of -T.
 *
 * The tree knows nothing of what directives mean, with one exception:
 * "include" is replaced by what it names while the tree is made, so that it
 * works in every block, as in nginx.  Blocks are followed with a pointer to
 * the open one, not by recursion; only files recurse.
 *
 * Where an operator most often slips, the message points at the slip rather
 * than at the place where reading cannot go on: a missing ";" is reported
 * behind the word it belongs to, and at the end of a file that lacks a "}"
 * the block is named that, judging by the indentation, was not closed.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>

#include "core/conf_lex.h"
#include "core/cycle.h"

#define CONF_MAX_DEPTH 32 /* of files that include each other */

typedef struct conf_parser_s conf_parser_t;
struct conf_parser_s {
    veil_conf_t *cf;
    const veil_conf_file_t *file;
    const conf_parser_t *up; /* of the file that includes this one */
    unsigned depth;          /* number of those */
    veil_conf_lex_t lex;
    veil_conf_node_t *base; /* what the file's directives are added to */
    veil_conf_node_t *open; /* the innermost block */
    veil_array_t words;     /* of the directive being read */
    const veil_conf_node_t *suspect; /* a block that was perhaps not closed */
    bool is_file;                    /* not a parameter of the command line */
};

static veil_rc_t conf_parse_file(veil_conf_t *cf, veil_str_t path,
                                 veil_conf_node_t *base,
                                 const veil_conf_node_t *by,
                                 const conf_parser_t *up);

/* --- files ----------------------------------------------------------------
 */

/*
 * The file's content, terminated by a zero byte; it need not be a regular
 * file.  An errno value in *err and the call that failed, or NULL.
 */
static const char *
conf_slurp(veil_pool_t *pool, int fd, veil_str_t *text, int *err)
{
    struct stat st;
    size_t cap, len = 0;
    ssize_t n;
    char *buf, *bigger;

    if (fstat(fd, &st) != 0) {
        *err = errno;
        return "fstat";
    }
    cap = st.st_size > 0 ? (size_t) st.st_size + 1 : 16384;
    buf = veil_pool_chars(pool, cap);
    for (;;) {
        if (len + 1 == cap) {
            /* The usual case ends here with a read of nothing. */
            bigger = veil_pool_chars(pool, cap * 2);
            memcpy(bigger, buf, len);
            buf = bigger;
            cap *= 2;
        }
        n = read(fd, buf + len, cap - len - 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            *err = errno;
            return "read";
        }
        if (n == 0) {
            break;
        }
        len += (size_t) n;
        if (len == (size_t) st.st_size) {
            break;
        }
    }
    buf[len] = '\0';
    *text = veil_str_n(buf, len);
    return NULL;
}

/* Reports a failed call on a file, at the directive that named it. */
static void
conf_file_error(veil_conf_t *cf, const veil_conf_node_t *by, const char *call,
                veil_str_t path, int err)
{
    const veil_conf_node_t *node = cf->node;

    cf->node = by;
    veil_conf_error_at(cf, 1, "%s() \"%.*s\" failed (%d: %s)", call,
                       VEIL_STR_ARG(path), err, strerror(err));
    cf->node = node;
}

static veil_conf_file_t *
conf_file_load(veil_conf_t *cf, veil_str_t path, const veil_conf_node_t *by)
{
    veil_conf_file_t *file;
    veil_str_t text;
    const char *failed;
    char *pathz;
    int fd, err = 0;

    pathz = veil_pool_strz(cf->pool, path);
    fd = open(pathz, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        conf_file_error(cf, by, "open", path, errno);
        return NULL;
    }
    failed = conf_slurp(cf->pool, fd, &text, &err);
    close(fd);
    if (failed != NULL) {
        conf_file_error(cf, by, failed, path, err);
        return NULL;
    }
    file = VEIL_POOL_NEW(cf->pool, veil_conf_file_t);
    file->name = veil_str_n(pathz, path.len);
    file->text = text;
    return file;
}

/* Keeps the file for -T; each name once. */
static void
conf_file_register(veil_conf_t *cf, veil_conf_file_t *file)
{
    veil_array_t *files = &cf->cycle->conf_files;
    unsigned i;

    for (i = 0; i < files->n; i++) {
        if (veil_str_eq((*veil_array_at(files, veil_conf_file_t *, i))->name,
                        file->name))
        {
            return;
        }
    }
    *(veil_conf_file_t **) veil_array_push(files) = file;
}

void
veil_conf_dump(const veil_cycle_t *cycle, FILE *out)
{
    const veil_conf_file_t *file;
    unsigned i;

    for (i = 0; i < cycle->conf_files.n; i++) {
        file = *veil_array_at(&cycle->conf_files, veil_conf_file_t *, i);
        fprintf(out, "# configuration file %.*s:\n", VEIL_STR_ARG(file->name));
        fwrite(file->text.data, 1, file->text.len, out);
        fputc('\n', out);
    }
}

/* --- include --------------------------------------------------------------
 */

/* Whether the file is among those being read already. */
static bool
conf_is_being_read(const conf_parser_t *up, veil_str_t path)
{
    for (; up != NULL; up = up->up) {
        if (veil_str_eq(up->file->name, path)) {
            return true;
        }
    }
    return false;
}

/*
 * What is wrong in an included file is reported and does not keep the rest
 * from being read: its braces are its own.
 */
static void
conf_include(conf_parser_t *p, const veil_conf_node_t *node)
{
    veil_conf_t *cf = p->cf;
    veil_str_t path;
    glob_t found;
    size_t i;
    int err;

    cf->node = node;
    if (node->nargs != 2) {
        veil_conf_error(
            cf, "invalid number of arguments in \"include\" directive");
        return;
    }
    path = veil_conf_full_path(cf, node->args[1].str, true);
    if (strpbrk(path.data, "*?[") == NULL) {
        (void) conf_parse_file(cf, path, p->open, node, p);
        return;
    }

    err = glob(path.data, 0, NULL, &found);
    if (err == GLOB_NOMATCH) {
        return;
    }
    if (err != 0) {
        veil_conf_error_at(cf, 1, "glob() \"%.*s\" failed",
                           VEIL_STR_ARG(path));
        return;
    }
    for (i = 0; i < found.gl_pathc; i++) {
        (void) conf_parse_file(cf, veil_str_z(found.gl_pathv[i]), p->open,
                               node, p);
    }
    globfree(&found);
}

/* --- directives -----------------------------------------------------------
 */

static veil_conf_node_t *
conf_node_create(conf_parser_t *p, bool is_block)
{
    veil_conf_node_t *node = VEIL_POOL_NEW(p->cf->pool, veil_conf_node_t);
    size_t size = p->words.n * sizeof(veil_conf_word_t);

    node->parent = p->open;
    node->file = p->file;
    node->nargs = p->words.n;
    node->is_block = is_block;
    veil_list_init(&node->link);
    veil_list_init(&node->children);
    if (p->words.n != 0) {
        node->args = veil_pool_alloc(p->cf->pool, size);
        memcpy(node->args, p->words.elts, size);
    }
    p->words.n = 0;
    return node;
}

/* A ";" was read, or should have been. */
static void
conf_simple(conf_parser_t *p)
{
    veil_conf_node_t *node = conf_node_create(p, false);

    node->end_line = node->args[node->nargs - 1].end_line;
    if (veil_str_eq(node->args[0].str, VEIL_STR("include"))) {
        /* Its place in the tree is taken by what it includes. */
        conf_include(p, node);
        return;
    }
    veil_list_append(&p->open->children, &node->link);
}

static void
conf_open_block(conf_parser_t *p)
{
    veil_conf_node_t *node = conf_node_create(p, true);

    veil_list_append(&p->open->children, &node->link);
    p->open = node;
}

static const veil_conf_word_t *
conf_last_word(const conf_parser_t *p)
{
    return veil_array_at(&p->words, veil_conf_word_t, p->words.n - 1);
}

static void
conf_not_terminated(conf_parser_t *p)
{
    const veil_conf_word_t *name =
        veil_array_at(&p->words, veil_conf_word_t, 0);
    const veil_conf_word_t *last = conf_last_word(p);

    veil_conf_error_place(p->cf, p->file, last->end_line, last->end_column,
                          NULL,
                          "directive \"%.*s\" is not terminated by \";\"",
                          VEIL_STR_ARG(name->str));
}

/*
 * A "}" that begins its line closes the innermost block.  If it stands
 * further left than that block's line, but where an outer block's line
 * begins, it was probably meant for the outer one.
 */
static void
conf_suspect(conf_parser_t *p, const veil_conf_word_t *brace)
{
    const veil_conf_node_t *block = p->open;

    if (!p->lex.first || p->suspect != NULL
        || brace->column >= block->args[0].column)
    {
        return;
    }
    for (block = block->parent;
         block != NULL && block->nargs != 0 && block->file == p->file;
         block = block->parent)
    {
        if (block->args[0].column == brace->column) {
            p->suspect = p->open;
            return;
        }
    }
}

static void
conf_close_block(conf_parser_t *p, const veil_conf_word_t *brace)
{
    if (p->words.n != 0) {
        conf_not_terminated(p);
        conf_simple(p);
    }
    if (p->open == p->base) {
        /* Read past: what follows was meant for this block. */
        veil_conf_error_place(p->cf, p->file, brace->line, brace->column, NULL,
                              "unexpected \"}\"");
        return;
    }
    conf_suspect(p, brace);
    p->open->end_line = brace->line;
    p->open = p->open->parent;
}

static veil_rc_t
conf_end_of_text(conf_parser_t *p, const veil_conf_word_t *end)
{
    const veil_conf_node_t *block = p->suspect != NULL ? p->suspect : p->open;
    char hint[256];

    if (p->words.n != 0) {
        return veil_conf_error_place(
            p->cf, p->file, conf_last_word(p)->end_line,
            conf_last_word(p)->end_column, NULL,
            p->is_file ? "unexpected end of file, expecting \";\" or \"}\""
                       : "unexpected end of parameter, expecting \";\"");
    }
    if (p->open == p->base) {
        return VEIL_OK;
    }
    veil_snprintf(hint, sizeof(hint), "%s \"%.*s\" of line %u is not closed",
                  p->suspect != NULL ? "it seems that" : "the block",
                  VEIL_STR_ARG(block->args[0].str), block->args[0].line);
    return veil_conf_error_place(p->cf, p->file, end->line, end->column, hint,
                                 "unexpected end of file, expecting \"}\"");
}

/* A delimiter where a directive should begin. */
static void
conf_unexpected(conf_parser_t *p, const veil_conf_word_t *word, char c)
{
    veil_conf_error_place(p->cf, p->file, word->line, word->column, NULL,
                          "unexpected \"%c\"", c);
}

/* Stops at what makes the rest unreadable. */
static veil_rc_t
conf_parse(conf_parser_t *p)
{
    veil_conf_word_t word;

    while (p->cf->errors <= VEIL_CONF_MAX_ERRORS) {
        switch (veil_conf_lex_next(&p->lex, &word)) {
        case VEIL_CONF_WORD:
            *(veil_conf_word_t *) veil_array_push(&p->words) = word;
            break;
        case VEIL_CONF_SEMICOLON:
            if (p->words.n == 0) {
                conf_unexpected(p, &word, ';');
            } else {
                conf_simple(p);
            }
            break;
        case VEIL_CONF_OPEN:
            if (p->words.n == 0) {
                conf_unexpected(p, &word, '{');
                return VEIL_ERROR;
            }
            conf_open_block(p);
            break;
        case VEIL_CONF_CLOSE:
            conf_close_block(p, &word);
            break;
        case VEIL_CONF_END:
            return conf_end_of_text(p, &word);
        case VEIL_CONF_BAD:
            return VEIL_ERROR;
        }
    }
    return VEIL_ERROR;
}

static veil_rc_t
conf_parse_text(veil_conf_t *cf, const veil_conf_file_t *file, bool is_file,
                veil_conf_node_t *base, const conf_parser_t *up)
{
    conf_parser_t p = { .cf = cf,
                        .file = file,
                        .base = base,
                        .open = base,
                        .is_file = is_file,
                        .up = up,
                        .depth = up == NULL ? 0 : up->depth + 1 };
    const veil_conf_node_t *node = cf->node;
    veil_rc_t rc;

    veil_array_init(&p.words, cf->temp_pool, sizeof(veil_conf_word_t), 8);
    veil_conf_lex_init(&p.lex, cf, file);
    rc = conf_parse(&p);
    cf->node = node;
    return rc;
}

/* by: the include directive; NULL for the main file. */
static veil_rc_t
conf_parse_file(veil_conf_t *cf, veil_str_t path, veil_conf_node_t *base,
                const veil_conf_node_t *by, const conf_parser_t *up)
{
    veil_conf_file_t *file;

    if (conf_is_being_read(up, path)
        || (up != NULL && up->depth >= CONF_MAX_DEPTH))
    {
        return veil_conf_error_at(cf, 1, "\"%.*s\" includes itself",
                                  VEIL_STR_ARG(path));
    }
    file = conf_file_load(cf, path, by);
    if (file == NULL) {
        return VEIL_ERROR;
    }
    conf_file_register(cf, file);
    return conf_parse_text(cf, file, true, base, up);
}

static veil_conf_node_t *
conf_root_create(veil_conf_t *cf)
{
    veil_conf_node_t *root = VEIL_POOL_NEW(cf->pool, veil_conf_node_t);

    root->is_block = true;
    veil_list_init(&root->link);
    veil_list_init(&root->children);
    return root;
}

veil_conf_node_t *
veil_conf_read(veil_conf_t *cf, veil_str_t path)
{
    veil_conf_node_t *root = conf_root_create(cf);

    return conf_parse_file(cf, path, root, NULL, NULL) == VEIL_OK ? root
                                                                  : NULL;
}

static veil_conf_node_t *
conf_parse_memory(veil_conf_t *cf, veil_str_t name, veil_str_t text,
                  bool is_main)
{
    veil_conf_node_t *root = conf_root_create(cf);
    veil_conf_file_t *file = VEIL_POOL_NEW(cf->pool, veil_conf_file_t);

    file->name = veil_pool_str(cf->pool, name);
    file->text = veil_pool_str(cf->pool, text);
    if (is_main) {
        conf_file_register(cf, file);
    }
    return conf_parse_text(cf, file, is_main, root, NULL) == VEIL_OK ? root
                                                                     : NULL;
}

veil_conf_node_t *
veil_conf_parse(veil_conf_t *cf, veil_str_t name, veil_str_t text)
{
    return conf_parse_memory(cf, name, text, false);
}

veil_conf_node_t *
veil_conf_parse_main(veil_conf_t *cf, veil_str_t name, veil_str_t text)
{
    return conf_parse_memory(cf, name, text, true);
}
