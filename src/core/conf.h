/*
 * conf.h -- configuration: from text to modules' structs.
 *
 * Three steps, three files.  conf_lex.c cuts bytes into words; conf_tree.c
 * makes a tree of directives, following "include"; conf_apply.c walks the
 * tree top-down and calls the directives' setters.  conf_set.c has the
 * setters that most directives use.
 *
 * Inheritance needs no code in modules.  A block starts with its parent's
 * confs, pointer by pointer; a module's conf is copied at the module's first
 * directive in the block (copy on write).  A block is applied in three
 * passes:
 *
 *   1. definitions (VEIL_CONF_DEFINITION: upstream, map, zones, log_format),
 *   2. simple directives,
 *   3. VEIL_CONF_ORDERED ones (set, if, rewrite, return, break) and child
 *      blocks, in the order of the file.
 *
 * So a parent's directives are in effect before a child is looked at,
 * wherever they stand in the file.
 *
 * Errors name file, line and column, show the line with a caret, and suggest
 * the nearest known word.  They are collected on cf->log at emerg and end
 * the load; nothing exits.
 */

#ifndef VEIL_CORE_CONF_H
#define VEIL_CORE_CONF_H

#include <stdio.h>

#include "core/array.h"
#include "core/list.h"
#include "core/log.h"
#include "core/pool.h"
#include "core/str.h"

/* Where a directive may stand: command.where, scope.where. */
#define VEIL_CONF_MAIN 0x0001u
#define VEIL_CONF_EVENTS 0x0002u
#define VEIL_CONF_HTTP 0x0004u
#define VEIL_CONF_SERVER 0x0008u
#define VEIL_CONF_LOCATION 0x0010u
#define VEIL_CONF_IF_SERVER 0x0020u
#define VEIL_CONF_IF_LOCATION 0x0040u
#define VEIL_CONF_LIMIT_EXCEPT 0x0080u
#define VEIL_CONF_UPSTREAM 0x0100u
#define VEIL_CONF_STREAM 0x0200u
#define VEIL_CONF_STREAM_SERVER 0x0400u
#define VEIL_CONF_STREAM_UPSTREAM 0x0800u
#define VEIL_CONF_ANYWHERE 0xffffu
#define VEIL_CONF_HTTP_ANY                                                    \
    (VEIL_CONF_HTTP | VEIL_CONF_SERVER | VEIL_CONF_LOCATION)

/* Arguments after the name: least and most; 255 is "any number". */
#define VEIL_ARGS(min, max) ((uint16_t) ((min) << 8 | (max)))
#define VEIL_ARGS_MIN(a) ((unsigned) (a) >> 8)
#define VEIL_ARGS_MAX(a) ((unsigned) (a) &0xff)
#define VEIL_ARGS_0 VEIL_ARGS(0, 0)
#define VEIL_ARGS_1 VEIL_ARGS(1, 1)
#define VEIL_ARGS_2 VEIL_ARGS(2, 2)
#define VEIL_ARGS_1MORE VEIL_ARGS(1, 255)
#define VEIL_ARGS_2MORE VEIL_ARGS(2, 255)

/* Flags of a command. */
#define VEIL_CONF_BLOCK 0x01u /* has a { body } */
/*
 * Applied in the first pass: what has a name that others use (upstream, map),
 * and blocks whose body is a value of this block's conf (types).
 */
#define VEIL_CONF_DEFINITION 0x02u
#define VEIL_CONF_ORDERED 0x04u /* applied in file order, third pass */
#define VEIL_CONF_OWN 0x08u     /* not inherited by a location */
/*
 * May stand more than once in a block; DEFINITION and ORDERED imply it.
 * A second one of any other directive is an error, blocks included.
 */
#define VEIL_CONF_MULTI 0x10u
#define VEIL_CONF_NOOP 0x20u /* accepted without effect, says so */

/* The load gives up after so many errors. */
#define VEIL_CONF_MAX_ERRORS 20

/* Which of the module's confs a command writes. */
typedef enum {
    VEIL_CONF_OF_LOC, /* http location (copied on write); core: the one */
    VEIL_CONF_OF_SERVER,
    VEIL_CONF_OF_MAIN, /* one for the whole layer */
    VEIL_CONF_OF_UPSTREAM,
    VEIL_CONF_KINDS
} veil_conf_kind_t;

/* A word of a directive as it stood in the file, unquoted. */
typedef struct {
    veil_str_t str; /* zero-terminated */
    unsigned line;
    unsigned column;   /* from 1, in characters */
    unsigned end_line; /* of the first character behind it */
    unsigned end_column;
    bool quoted;
} veil_conf_word_t;

typedef struct {
    veil_str_t name; /* as shown in messages */
    veil_str_t text; /* the whole content, for excerpts and -T */
} veil_conf_file_t;

/* A directive: args[0] is its name. */
struct veil_conf_node_s {
    veil_list_t link;
    veil_conf_node_t *parent; /* NULL at the top */
    const veil_conf_file_t *file;
    veil_conf_word_t *args;
    unsigned nargs; /* the name included */
    bool is_block;
    veil_list_t children; /* of veil_conf_node_t */
    unsigned end_line;    /* of the closing brace */
};

/* How a module's conf of one kind is made. */
typedef struct {
    size_t size; /* 0: the module has none of this kind */
    /* Fills in defaults; memory is zeroed before.  May be NULL. */
    void (*init)(void *conf);
    /*
     * Runs once for each distinct conf when its block is complete: defaults
     * that depend on other values, hashes, cross-checks.  A child block is
     * complete before its parent is, so parent (NULL in a layer's first
     * block) is not finished yet, and what a child copied of it neither.
     * Skipped once there was an error.  May be NULL.
     */
    veil_rc_t (*finish)(veil_conf_t *cf, void *conf, const void *parent);
} veil_conf_type_t;

/* What core must know of a layer that has confs. */
typedef struct {
    const char *name; /* "core", "http", "stream" */
    veil_conf_type_t (*type)(const veil_module_t *m, veil_conf_kind_t kind);
} veil_conf_layer_t;

typedef struct veil_conf_begun_s veil_conf_begun_t; /* conf_apply.c */
typedef struct veil_conf_state_s veil_conf_state_t;

/*
 * A block being applied.  Lives in the cycle's pool; the confs stay in use
 * after loading (a location keeps its scope's conf array).
 */
struct veil_conf_scope_s {
    const veil_conf_layer_t *layer;
    unsigned where;
    unsigned owns; /* bit mask of kinds that are copied on write here */
    veil_conf_scope_t *parent;
    const veil_conf_node_t *node; /* the block's directive */
    void **conf[VEIL_CONF_KINDS]; /* by module index; arrays of the scope */
    bool *own[VEIL_CONF_KINDS];   /* already copied here */
    void *object;                 /* the layer's: server, location, group */
    veil_conf_begun_t *begun;     /* lists that were begun in this block */
    veil_conf_scope_t *next;      /* of all, as they began: cycle->scopes */
};

/* What a setter sees. */
struct veil_conf_s {
    veil_cycle_t *cycle;
    veil_pool_t *pool;      /* of the configuration */
    veil_pool_t *temp_pool; /* until the load is over */
    const veil_log_t *log;
    const veil_conf_node_t *node; /* the directive being applied */
    veil_conf_scope_t *scope;     /* the block it stands in */
    veil_module_t *module;
    const veil_command_t *cmd;
    veil_conf_scope_t *owner; /* the block whose conf the setter got */
    unsigned errors;
    unsigned warnings;
    veil_conf_state_t *state; /* conf_apply.c's, made when needed */
};

/*
 * A setter: writes to conf (the module's conf of cmd->kind, already copied
 * for this block).  Reports with veil_conf_error() and returns its result.
 */
typedef veil_rc_t veil_conf_set_fn(veil_conf_t *cf, const veil_command_t *cmd,
                                   void *conf);

struct veil_command_s {
    const char *name;
    unsigned where;
    uint16_t args;
    uint16_t flags;
    veil_conf_kind_t kind;
    veil_conf_set_fn *set;
    size_t offset; /* of the field in conf, for typed setters */
    size_t size;   /* of the field, needed with VEIL_CONF_OWN; 0: a pointer */
    const void *data;   /* for the setter: an enum table, limits */
    const char *syntax; /* arguments as documented: "on | off" */
    const char *def;    /* default as documented: "on"; NULL: none */
    const char *nginx;  /* nginx's, where that is another one; else NULL */
    const char *help;   /* one sentence */
};

/* --- errors ------------------------------------------------------------- */

/*
 * Logs at emerg: the text, " in FILE:LINE:COLUMN", then the line and a caret.
 * Points at the directive, or (…_at) at its argument i.  Returns VEIL_ERROR.
 */
veil_rc_t veil_conf_error(veil_conf_t *cf, const char *fmt, ...)
    VEIL_PRINTF(2, 3);
veil_rc_t veil_conf_error_at(veil_conf_t *cf, unsigned arg, const char *fmt,
                             ...) VEIL_PRINTF(3, 4);
/*
 * The same at a place of a file, with a hint that follows the place in
 * parentheses (NULL: none): for what reads text by itself.
 */
veil_rc_t veil_conf_error_place(veil_conf_t *cf, const veil_conf_file_t *file,
                                unsigned line, unsigned column,
                                const char *hint, const char *fmt, ...)
    VEIL_PRINTF(6, 7);
/* The same at warn; the load goes on. */
void veil_conf_warn(veil_conf_t *cf, const char *fmt, ...) VEIL_PRINTF(2, 3);
/* For checks after loading, about a directive seen before. */
veil_rc_t veil_conf_error_node(veil_conf_t *cf, const veil_conf_node_t *node,
                               unsigned arg, const char *fmt, ...)
    VEIL_PRINTF(4, 5);
void veil_conf_warn_node(veil_conf_t *cf, const veil_conf_node_t *node,
                         const char *fmt, ...) VEIL_PRINTF(3, 4);
/*
 * Who wants to know what a load reports, instead of the log
 * (cycle->conf_report): file is NULL where there is no place.
 */
typedef void veil_conf_report_fn(void *data, veil_log_level_t level,
                                 const veil_conf_file_t *file, unsigned line,
                                 unsigned column, veil_str_t text);
/* Characters of a line shown before and behind the caret. */
#define VEIL_CONF_BEFORE 60
#define VEIL_CONF_BEHIND 60
/*
 * The line with control bytes as blanks, or a window of a long one, and a
 * line of blanks that ends with the caret.  False: there is nothing to see.
 */
typedef struct {
    char line[(VEIL_CONF_BEFORE + VEIL_CONF_BEHIND) * 4 + 1];
    char caret[VEIL_CONF_BEFORE + 2];
} veil_conf_excerpt_t;
bool veil_conf_excerpt(veil_conf_excerpt_t *to, const veil_conf_file_t *file,
                       unsigned line, unsigned column);
/* A line of a file, from 1, without its end. */
veil_str_t veil_conf_line(const veil_conf_file_t *file, unsigned line);
/*
 * Argument i of the directive is none of these words: error with the nearest
 * as a suggestion.
 */
veil_rc_t veil_conf_error_word(veil_conf_t *cf, unsigned arg,
                               const char *const *words);
/*
 * The nearer of the candidate and *best, for "did you mean": call it for
 * each candidate with *best NULL at first.  Far ones are never taken.
 */
void veil_conf_nearest(veil_str_t word, const char *candidate,
                       const char **best, unsigned *distance);
/*
 * Whether nginx 1.31 has a directive or a variable of this name and veil has
 * not, in any build: then VEIL_CONF_NGINX_HAS is what to say.
 */
bool veil_conf_nginx_has_directive(veil_str_t name);
bool veil_conf_nginx_has_variable(veil_str_t name);
#define VEIL_CONF_NGINX_HAS                                                   \
    "nginx has it, this version of veil has not: docs/nginx-differences.md"

/* --- text to tree ---------------------------------------------------------
 */

/*
 * Reads the file and what it includes (globs, relative to the directory of
 * the main file, sorted; a glob without a match is no error).  NULL after
 * reporting.  The tree's root is a block without a name.  Small mistakes
 * (a missing ";") are reported and read past, so that more are found: there
 * is a tree then, and cf->errors counts.
 */
veil_conf_node_t *veil_conf_read(veil_conf_t *cf, veil_str_t path);
/* The same from memory (-g, tests); name is shown in messages. */
veil_conf_node_t *veil_conf_parse(veil_conf_t *cf, veil_str_t name,
                                  veil_str_t text);
/* The same, and the text is kept for -T as that of the main file. */
veil_conf_node_t *veil_conf_parse_main(veil_conf_t *cf, veil_str_t name,
                                       veil_str_t text);
/* Writes all files as -T does. */
void veil_conf_dump(const veil_cycle_t *cycle, FILE *out);

static inline unsigned
veil_conf_nargs(const veil_conf_t *cf)
{
    return cf->node->nargs;
}

/* Argument i of the current directive; 0 is its name. */
static inline veil_str_t
veil_conf_arg(const veil_conf_t *cf, unsigned i)
{
    return cf->node->args[i].str;
}

/* --- tree to confs --------------------------------------------------------
 */

/*
 * A scope below parent (NULL: a layer's first; then all kinds are fresh
 * defaults).  owns: kinds copied on write here.
 */
veil_conf_scope_t *veil_conf_scope_create(veil_conf_t *cf,
                                          const veil_conf_layer_t *layer,
                                          veil_conf_scope_t *parent,
                                          unsigned where, unsigned owns);
/*
 * Resets what is flagged VEIL_CONF_OWN to its default in this new scope
 * (a location does not inherit a content handler).
 */
void veil_conf_scope_reset_own(veil_conf_t *cf, veil_conf_scope_t *scope);

/*
 * Applies the children of cf->node in the scope, then runs finish for the
 * confs that the scope owns.  cf->node and cf->scope are restored.
 */
veil_rc_t veil_conf_apply(veil_conf_t *cf, veil_conf_scope_t *scope);
/*
 * Calls fn for each child of cf->node with cf->node set to it: for blocks
 * with a body of their own (types, map, geo).  A child that is a block is
 * an error.  fn's command is the block's.
 */
veil_rc_t veil_conf_each(veil_conf_t *cf, veil_conf_set_fn *fn, void *conf);

/* The conf in effect in the scope; never written through. */
const void *veil_conf_read_of(const veil_conf_scope_t *scope,
                              const veil_module_t *m, veil_conf_kind_t kind);
/* The scope's own copy, made now if need be. */
void *veil_conf_write_of(veil_conf_t *cf, veil_conf_scope_t *scope,
                         const veil_module_t *m, veil_conf_kind_t kind);

/*
 * Adds an element to the array at *a, which belongs to a conf of the current
 * scope: the first addition in a block begins a new array (nginx's rule for
 * add_header), later ones add to it.
 */
void *veil_conf_array_push(veil_conf_t *cf, veil_array_t **a, size_t size);
/*
 * The same rule for lists of another kind: whether the object was begun in
 * the block whose conf is being written; if not (or NULL), begin another and
 * say so with veil_conf_begin.
 */
bool veil_conf_is_begun(const veil_conf_t *cf, const void *object);
void veil_conf_begin(veil_conf_t *cf, const void *object);
/* Whether this was asked before in this load: for what is said only once. */
bool veil_conf_mark_said(veil_conf_t *cf, const void *what);

/* --- typed setters ---------------------------------------------------------
 * Field types: bool, int64_t (number, size), uint64_t (msec), veil_str_t,
 * veil_array_t *, int (enum).
 */
veil_conf_set_fn veil_conf_set_flag;    /* on | off -> bool */
veil_conf_set_fn veil_conf_set_num;     /* -> int64_t; data: limits or NULL */
veil_conf_set_fn veil_conf_set_size;    /* 8k, 1m -> int64_t */
veil_conf_set_fn veil_conf_set_msec;    /* 30s -> uint64_t */
veil_conf_set_fn veil_conf_set_sec;     /* 30s -> int64_t seconds */
veil_conf_set_fn veil_conf_set_str;     /* -> veil_str_t */
veil_conf_set_fn veil_conf_set_path;    /* made absolute -> veil_str_t */
veil_conf_set_fn veil_conf_set_strs;    /* adds -> veil_array_t * of str */
veil_conf_set_fn veil_conf_set_keyval;  /* adds -> veil_array_t * */
veil_conf_set_fn veil_conf_set_enum;    /* data: veil_conf_enum_t[] -> int */
veil_conf_set_fn veil_conf_set_bitmask; /* ORs -> unsigned; same data */
/* Logs once that it has no effect; data: why, as text, or NULL. */
veil_conf_set_fn veil_conf_set_noop;

typedef struct {
    const char *name; /* NULL ends the table */
    int value;
} veil_conf_enum_t;

typedef struct {
    int64_t min;
    int64_t max;
} veil_conf_limits_t;

typedef struct {
    veil_str_t key;
    veil_str_t value;
} veil_conf_keyval_t;

/* -1 after reporting: a number, size or time of argument i. */
int64_t veil_conf_arg_num(veil_conf_t *cf, unsigned i);
int64_t veil_conf_arg_size(veil_conf_t *cf, unsigned i);
int64_t veil_conf_arg_msec(veil_conf_t *cf, unsigned i);
/* What a cache may keep, and how long. */
typedef struct {
    unsigned max; /* 0: off */
    uint64_t inactive_ms;
    uint64_t valid_ms;
} veil_conf_cache_t;

/*
 * The arguments of a directive "off | max=N [inactive=T] [valid=T]".  The
 * times in *to are the defaults; of the last, 0 says that there is no such
 * parameter.
 */
veil_rc_t veil_conf_arg_cache(veil_conf_t *cf, veil_conf_cache_t *to);

/* "name=value" arguments: true, with the value, when arg i begins so. */
bool veil_conf_arg_is(veil_conf_t *cf, unsigned i, const char *name,
                      veil_str_t *value);
/* Relative paths are below the prefix (or, for files, the conf's dir). */
veil_str_t veil_conf_full_path(veil_conf_t *cf, veil_str_t path,
                               bool in_conf_dir);

/* --- documentation (conf_doc.c) ------------------------------------------ */

/*
 * Names the defaults that differ from nginx's and that the configuration does
 * not set, in one line (conf_defaults.c); nothing when there are none.
 */
void veil_conf_print_deviations(const veil_cycle_t *cycle, FILE *out);

/* Writes the reference of all directives in Markdown, module by module. */
void veil_conf_doc(FILE *out);
/* "http, server, location" for command.where; returns the length. */
size_t veil_conf_where_text(unsigned where, char *buf, size_t n);

#endif
