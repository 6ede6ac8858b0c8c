/*
 * text.c -- a configuration as one text, to be kept.
 *
 * The master keeps the text of the running generation, so that it can start
 * it again when its keeper dies, whatever the files on disk say by then.
 * What is kept is the tree printed anew: one text instead of many files, as
 * included files are in place already.
 *
 * Words are quoted unless they need no quotes and had none.  Within quotes a
 * backslash and the quote itself are escaped, nothing else.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/pool.h"
#include "process/text.h"

_Static_assert(offsetof(veil_conf_node_t, link) == 0,
               "a node's link is its beginning");

static bool
text_needs_quotes(const veil_conf_word_t *word)
{
    size_t i;

    if (word->quoted || word->str.len == 0) {
        return true;
    }
    for (i = 0; i < word->str.len; i++) {
        if (strchr(" \t\r\n;{}\"'\\#", word->str.data[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void
text_print_word(FILE *out, const veil_conf_word_t *word)
{
    size_t i;

    if (!text_needs_quotes(word)) {
        fprintf(out, "%.*s", VEIL_STR_ARG(word->str));
        return;
    }
    fputc('"', out);
    for (i = 0; i < word->str.len; i++) {
        if (word->str.data[i] == '"' || word->str.data[i] == '\\') {
            fputc('\\', out);
        }
        fputc(word->str.data[i], out);
    }
    fputc('"', out);
}

/* The stack is as deep as the configuration's blocks, which are limited. */
static void
text_print(FILE *out, const veil_conf_node_t *parent)
{
    const veil_conf_node_t *node;
    const veil_list_t *n;
    unsigned i;

    veil_list_foreach (n, &parent->children) {
        node = (const veil_conf_node_t *) (const void *) n;
        for (i = 0; i < node->nargs; i++) {
            if (i > 0) {
                fputc(' ', out);
            }
            text_print_word(out, &node->args[i]);
        }
        if (node->is_block) {
            fputs(" {\n", out);
            text_print(out, node);
            fputs("}\n", out);
        } else {
            fputs(";\n", out);
        }
    }
}

int
veil_text_keep(const veil_conf_node_t *tree)
{
    int fd = memfd_create("veil configuration", MFD_CLOEXEC);
    int copy;
    FILE *out;

    if (fd < 0) {
        return -errno;
    }
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    out = copy < 0 ? NULL : fdopen(copy, "w");
    if (out == NULL) {
        int err = errno;

        if (copy >= 0) {
            close(copy);
        }
        close(fd);
        return -err;
    }
    text_print(out, tree);
    if (fclose(out) != 0) {
        int err = errno;

        close(fd);
        return -err;
    }
    return fd;
}

int
veil_text_read(int fd, char **text)
{
    struct stat st;
    char *data;
    ssize_t n;
    size_t done = 0;

    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    data = veil_alloc((size_t) st.st_size + 1);
    while (done < (size_t) st.st_size) {
        n = pread(fd, data + done, (size_t) st.st_size - done, (off_t) done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int err = n < 0 ? errno : EIO;

            veil_free(data);
            return -err;
        }
        done += (size_t) n;
    }
    data[done] = '\0';
    *text = data;
    return 0;
}

int
veil_text_map(int fd, veil_str_t *text)
{
    struct stat st;
    void *addr;

    *text = VEIL_STR_NULL;
    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    if (st.st_size == 0) {
        return 0;
    }
    addr = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (addr == MAP_FAILED) {
        return -errno;
    }
    (void) madvise(addr, (size_t) st.st_size, MADV_DONTFORK);
    *text = veil_str_n(addr, (size_t) st.st_size);
    return 0;
}

void
veil_text_unmap(veil_str_t *text)
{
    void *addr;

    if (text->len != 0) {
        memcpy(&addr, &text->data, sizeof(addr));
        (void) munmap(addr, text->len);
    }
    *text = VEIL_STR_NULL;
}
