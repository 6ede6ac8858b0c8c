/*
 * fuzz_conf.c -- the lexer and the tree of configurations.
 *
 * A tree that was read is written out, each word in quotes, and read again:
 * it must be the same.  Nothing is applied, and what might include files is
 * left alone.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/cycle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
conf_write_word(FILE *out, veil_str_t word)
{
    size_t i;

    fputc('"', out);
    for (i = 0; i < word.len; i++) {
        /* Before these a backslash would go away; before others it stays. */
        if (word.data[i] == '"' || word.data[i] == '\\') {
            fputc('\\', out);
        }
        fputc(word.data[i], out);
    }
    fputs("\" ", out);
}

static void
conf_write(FILE *out, const veil_conf_node_t *node)
{
    veil_list_t *l;
    const veil_conf_node_t *child;
    unsigned i;

    veil_list_foreach (l, &node->children) {
        child = veil_list_entry(l, veil_conf_node_t, link);
        VEIL_ASSERT(child->parent == node && child->nargs > 0);
        for (i = 0; i < child->nargs; i++) {
            conf_write_word(out, child->args[i].str);
        }
        fputs(child->is_block ? "{\n" : ";\n", out);
        if (child->is_block) {
            conf_write(out, child);
            fputs("}\n", out);
        }
    }
}

/* The tree as text; NULL when there is none. */
static char *
conf_rewrite(veil_str_t text, size_t *size)
{
    veil_cycle_t *cycle = veil_cycle_create(VEIL_STR("/"), VEIL_STR("c"),
                                            VEIL_STR("e"), VEIL_STR_NULL);
    veil_log_t log = { .level = VEIL_LOG_OFF };
    veil_conf_t cf = { .cycle = cycle, .pool = cycle->pool, .log = &log };
    veil_conf_node_t *root;
    char *result = NULL;
    FILE *out;

    cf.temp_pool = veil_pool_create("temp", 4096);
    root = veil_conf_parse(&cf, VEIL_STR("f"), text);
    VEIL_ASSERT(root != NULL || cf.errors > 0);
    if (root != NULL) {
        out = open_memstream(&result, size);
        VEIL_ASSERT(out != NULL);
        conf_write(out, root);
        fclose(out);
    }
    veil_pool_destroy(&cf.temp_pool);
    veil_cycle_destroy(&cycle);
    return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *first, *second;
    size_t n, m;

    if (size > 4096 || memmem(data, size, "include", 7) != NULL) {
        return 0;
    }
    first = conf_rewrite(veil_str_n((const char *) data, size), &n);
    if (first != NULL && memmem(first, n, "include", 7) == NULL) {
        second = conf_rewrite(veil_str_n(first, n), &m);
        VEIL_ASSERT(second != NULL && n == m && memcmp(first, second, n) == 0);
        free(second);
    }
    free(first);
    return 0;
}
