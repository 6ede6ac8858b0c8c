/*
 * test_conf_tree.c -- words, trees, includes, and the messages about text
 * that cannot be read.  The rules are nginx's; each case that has a message
 * there was compared with it.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "conf_fixture.h"

/* The tree in one line: words in <>, blocks in {}. */
static void
show(const veil_conf_node_t *node, char *buf, size_t n)
{
    veil_list_t *l;
    const veil_conf_node_t *child;
    unsigned i;

    veil_list_foreach (l, &node->children) {
        child = veil_list_entry(l, veil_conf_node_t, link);
        for (i = 0; i < child->nargs; i++) {
            veil_snprintf(buf + strlen(buf), n - strlen(buf), "<%.*s>",
                          VEIL_STR_ARG(child->args[i].str));
        }
        if (child->is_block) {
            veil_snprintf(buf + strlen(buf), n - strlen(buf), "{");
            show(child, buf, n);
            veil_snprintf(buf + strlen(buf), n - strlen(buf), "}");
        } else {
            veil_snprintf(buf + strlen(buf), n - strlen(buf), ";");
        }
    }
}

static void
expect_tree(veil_str_t text, const char *tree)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    veil_conf_node_t *root = veil_conf_parse_main(&cf, VEIL_STR("f"), text);
    char buf[4096] = "";

    cr_assert_neq(root, NULL, "%s: %s", text.data, fixture_lines);
    show(root, buf, sizeof(buf));
    cr_assert_str_eq(buf, tree);
    cr_assert_eq(cf.errors, 0);
    fixture_done(&cf);
}

#define TREE(text, tree) expect_tree(VEIL_STR(text), tree)

static void
expect_errors(veil_str_t text, const char *errors)
{
    veil_conf_t cf = fixture_conf("/nowhere");

    (void) veil_conf_parse_main(&cf, VEIL_STR("f"), text);
    cr_assert_str_eq(fixture_lines, errors, "got:\n%s\nwanted:\n%s",
                     fixture_lines, errors);
    cr_assert_neq(cf.errors, 0);
    fixture_done(&cf);
}

#define ERRORS(text, errors) expect_errors(VEIL_STR(text), errors)

Test(conf_tree, simple_directives_and_blocks)
{
    TREE("", "");
    TREE("a;", "<a>;");
    TREE("a b c ;d\t\r\ne;", "<a><b><c>;<d><e>;");
    TREE("a{}", "<a>{}");
    TREE("a {b{c d;}e;}f;", "<a>{<b>{<c><d>;}<e>;}<f>;");
    TREE("a b{c;}", "<a><b>{<c>;}");
}

Test(conf_tree, comments)
{
    TREE("# nothing", "");
    TREE("a # b;\n c;", "<a><c>;");
    TREE("a b#c;", "<a><b#c>;");
    TREE("a;#b;\nc;#", "<a>;<c>;");
    TREE("a '#';", "<a><#>;");
}

Test(conf_tree, quotes)
{
    TREE("a \"b c\";", "<a><b c>;");
    TREE("a 'b \"c';", "<a><b \"c>;");
    TREE("a \"\";", "<a><>;");
    TREE("a b\"c d;", "<a><b\"c><d>;");
    TREE("a \"b\n;{}#c\" d;", "<a><b\n;{}#c><d>;");
    TREE("a \"b\"{}", "<a><b>{}");
    TREE("if ($x = \"b\") {c;}", "<if><($x><=><b><)>{<c>;}");
    TREE("\"a\" b;", "<a><b>;");
}

Test(conf_tree, escapes)
{
    TREE("a b\\ c;", "<a><b\\ c>;");
    TREE("a b\\;c;", "<a><b\\;c>;");
    TREE("a \\{b;", "<a><\\{b>;");
    TREE("a \"\\\"\\'\\\\\";", "<a><\"'\\>;");
    TREE("a \\t\\r\\n\\x\\d;", "<a><\t\r\n\\x\\d>;");
    TREE("a ~\\.php$;", "<a><~\\.php$>;");
    TREE("a \\#b;", "<a><\\#b>;");
    TREE("a \"b\\\";c\";", "<a><b\";c>;");
}

Test(conf_tree, braces_in_words)
{
    TREE("a ${b}c;", "<a><${b}c>;");
    TREE("a x${b}${c}y;", "<a><x${b}${c}y>;");
    TREE("a \"\\d{2}\";", "<a><\\d{2}>;");
    TREE("a b}c;", "<a><b}c>;");
    /* Without quotes the brace opens a block, as in nginx. */
    TREE("a \\d{ b; }", "<a><\\d>{<b>;}");
    TREE("a b$;", "<a><b$>;");
    TREE("a $b{c;}", "<a><$b>{<c>;}");
}

Test(conf_tree, byte_order_mark_and_line_ends)
{
    TREE("\xef\xbb\xbf"
         "a b;\r\nc;\r\n",
         "<a><b>;<c>;");
    ERRORS("\xef\xbb\xbf"
           ";",
           "emerg: unexpected \";\" in f:1:1\n"
           "emerg:     ;\n"
           "emerg:     ^\n");
}

Test(conf_tree, places)
{
    veil_conf_t cf = fixture_conf("/nowhere");
    veil_conf_node_t *root, *node;

    root =
        veil_conf_parse(&cf, VEIL_STR("f"),
                        VEIL_STR("a;\n  \xc3\xa4\xc3\xb6 bb 'x\ny' {\n}\n"));
    node = veil_list_entry(root->children.prev, veil_conf_node_t, link);
    cr_assert_eq(node->args[0].line, 2);
    cr_assert_eq(node->args[0].column, 3);
    cr_assert_eq(node->args[0].end_column, 5);
    cr_assert_eq(node->args[1].column, 6);
    cr_assert_eq(node->args[1].end_column, 8);
    cr_assert_eq(node->args[2].column, 9);
    cr_assert_eq(node->args[2].end_line, 3);
    cr_assert_eq(node->args[2].end_column, 3);
    cr_assert(node->args[2].quoted);
    cr_assert_not(node->args[1].quoted);
    cr_assert_eq(node->end_line, 4);
    fixture_done(&cf);
}

Test(conf_tree, delimiters_out_of_place)
{
    ERRORS(";", "emerg: unexpected \";\" in f:1:1\n"
                "emerg:     ;\n"
                "emerg:     ^\n");
    ERRORS("a;\n{", "emerg: unexpected \"{\" in f:2:1\n"
                    "emerg:     {\n"
                    "emerg:     ^\n");
    ERRORS("a { } }\nb;;", "emerg: unexpected \"}\" in f:1:7\n"
                           "emerg:     a { } }\n"
                           "emerg:           ^\n"
                           "emerg: unexpected \";\" in f:2:3\n"
                           "emerg:     b;;\n"
                           "emerg:       ^\n");
    ERRORS("a \"b\"c;", "emerg: unexpected \"c\" in f:1:6 "
                        "(a blank must follow a closing quote)\n"
                        "emerg:     a \"b\"c;\n"
                        "emerg:          ^\n");
}

Test(conf_tree, missing_semicolon_before_brace)
{
    ERRORS("a {\n    b c\n}\n",
           "emerg: directive \"b\" is not terminated by \";\" in f:2:8\n"
           "emerg:         b c\n"
           "emerg:            ^\n");
}

Test(conf_tree, end_of_file)
{
    ERRORS("a b", "emerg: unexpected end of file, expecting \";\" or \"}\" "
                  "in f:1:4\n"
                  "emerg:     a b\n"
                  "emerg:        ^\n");
    ERRORS("a {\n", "emerg: unexpected end of file, expecting \"}\" in f:2:1 "
                    "(the block \"a\" of line 1 is not closed)\n");
    ERRORS("a \"b;\n",
           "emerg: unexpected end of file, probably missing terminating "
           "\"\"\" character in f:1:3\n"
           "emerg:     a \"b;\n"
           "emerg:       ^\n");
    ERRORS("a \\\0;", "emerg: unexpected zero byte in f:1:4\n"
                      "emerg:     a \\ ;\n"
                      "emerg:        ^\n");
    ERRORS("a b\0c;", "emerg: unexpected zero byte in f:1:4\n"
                      "emerg:     a b c;\n"
                      "emerg:        ^\n");
}

Test(conf_tree, missing_brace_is_guessed_from_the_indentation)
{
    ERRORS("http {\n"
           "    server {\n"
           "        location / {\n"
           "            root /;\n"
           "    }\n"
           "}\n",
           "emerg: unexpected end of file, expecting \"}\" in f:7:1 "
           "(it seems that \"location\" of line 3 is not closed)\n");
}

Test(conf_tree, parameter_of_the_command_line)
{
    veil_conf_t cf = fixture_conf("/nowhere");

    cr_assert_eq(
        veil_conf_parse(&cf, VEIL_STR("command line"), VEIL_STR("daemon off")),
        NULL);
    cr_assert_str_eq(fixture_lines,
                     "emerg: unexpected end of parameter, expecting \";\" "
                     "in command line:1:11\n"
                     "emerg:     daemon off\n"
                     "emerg:               ^\n");
    fixture_done(&cf);
}

Test(conf_tree, long_lines_show_a_window)
{
    char text[400], *p = text;
    veil_conf_t cf = fixture_conf("/nowhere");

    memset(text, 'x', sizeof(text));
    memcpy(text, "\ta\t", 3);
    text[200] = ';';
    text[201] = ';';
    veil_conf_parse(&cf, VEIL_STR("f"), veil_str_n(text, 202));
    p = strstr(fixture_lines, "emerg:     x");
    cr_assert_neq(p, NULL);
    cr_assert_eq(strcspn(p, "\n"), strlen("emerg:     ") + 61);
    p = strchr(p, '\n') + 1;
    cr_assert_eq(strcspn(p, "^"), strlen("emerg:     ") + 60);
    fixture_done(&cf);
}

/* --- files ----------------------------------------------------------------
 */

static char files_dir[64];

static void
file_put(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    veil_snprintf(path, sizeof(path), "%s/%s", files_dir, name);
    f = fopen(path, "w");
    cr_assert_neq(f, NULL);
    fputs(text, f);
    fclose(f);
}

static void
files_setup(void)
{
    veil_str_copy_z(files_dir, sizeof(files_dir),
                    VEIL_STR("/tmp/veil-conf-XXXXXX"));
    cr_assert_neq(mkdtemp(files_dir), NULL);
}

static void
files_teardown(void)
{
    char command[128];

    veil_snprintf(command, sizeof(command), "rm -r '%s'", files_dir);
    cr_assert_eq(system(command), 0);
}

/* Reads c in the directory, with DIR for its name in what was logged. */
static veil_conf_node_t *
files_read(veil_conf_t *cf, char *logged, size_t n)
{
    veil_conf_node_t *root = veil_conf_read(cf, cf->cycle->conf_path);
    const char *from = fixture_lines, *at;
    size_t len = 0, dir = strlen(files_dir);

    logged[0] = '\0';
    while ((at = strstr(from, files_dir)) != NULL) {
        len += veil_snprintf(logged + len, n - len, "%.*sDIR",
                             (int) (at - from), from);
        from = at + dir;
    }
    veil_snprintf(logged + len, n - len, "%s", from);
    return root;
}

TestSuite(conf_files, .init = files_setup, .fini = files_teardown);

Test(conf_files, include_takes_a_file_or_a_mask_in_order)
{
    char tree[1024] = "", logged[1024], *dump = NULL;
    size_t size;
    veil_conf_t cf = fixture_conf(files_dir);
    veil_conf_node_t *root;
    FILE *out;

    file_put("c", "a;\nh { include d.conf; include e*; include none*; }\nz;");
    file_put("d.conf", "d;\n");
    file_put("e2", "e2;\n");
    file_put("e1", "e1 { include d.conf; }\n");
    root = files_read(&cf, logged, sizeof(logged));
    cr_assert_str_eq(logged, "");
    cr_assert_neq(root, NULL);
    show(root, tree, sizeof(tree));
    cr_assert_str_eq(tree, "<a>;<h>{<d>;<e1>{<d>;}<e2>;}<z>;");

    out = open_memstream(&dump, &size);
    veil_conf_dump(cf.cycle, out);
    fclose(out);
    cr_assert_neq(strstr(dump, "/c:\na;\nh { include d.conf;"), NULL);
    cr_assert_neq(strstr(dump, "\n\n# configuration file "), NULL);
    /* Each file once. */
    cr_assert_neq(strstr(dump, "/d.conf:\nd;\n"), NULL);
    cr_assert_eq(strstr(strstr(dump, "/d.conf:") + 1, "/d.conf:"), NULL);
    free(dump);
    fixture_done(&cf);
}

Test(conf_files, what_is_wrong_in_one_file_does_not_hide_the_others)
{
    char logged[4096];
    veil_conf_t cf = fixture_conf(files_dir);

    file_put("c", "include bad;\ninclude none;\ninclude;\n;");
    file_put("bad", "a {\n");
    files_read(&cf, logged, sizeof(logged));
    cr_assert_str_eq(
        logged,
        "emerg: unexpected end of file, expecting \"}\" in DIR/bad:2:1 "
        "(the block \"a\" of line 1 is not closed)\n"
        "emerg: open() \"DIR/none\" failed (2: No such file or directory) in "
        "DIR/c:2:9\n"
        "emerg:     include none;\n"
        "emerg:             ^\n"
        "emerg: invalid number of arguments in \"include\" directive in "
        "DIR/c:3:1\n"
        "emerg:     include;\n"
        "emerg:     ^\n"
        "emerg: unexpected \";\" in DIR/c:4:1\n"
        "emerg:     ;\n"
        "emerg:     ^\n");
    cr_assert_eq(cf.errors, 4);
    fixture_done(&cf);
}

Test(conf_files, loops_end)
{
    char logged[2048];
    veil_conf_t cf = fixture_conf(files_dir);

    file_put("c", "include b;");
    file_put("b", "include c;");
    files_read(&cf, logged, sizeof(logged));
    cr_assert_str_eq(logged, "emerg: \"DIR/c\" includes itself in DIR/b:1:9\n"
                             "emerg:     include c;\n"
                             "emerg:             ^\n");
    fixture_done(&cf);
}

Test(conf_files, main_file_missing_or_a_directory)
{
    char logged[2048];
    veil_conf_t cf = fixture_conf(files_dir);

    cr_assert_eq(files_read(&cf, logged, sizeof(logged)), NULL);
    cr_assert_str_eq(
        logged,
        "emerg: open() \"DIR/c\" failed (2: No such file or directory)\n");
    fixture_done(&cf);

    cf = fixture_conf(files_dir);
    cf.cycle->conf_path = veil_str_z(files_dir);
    cr_assert_eq(files_read(&cf, logged, sizeof(logged)), NULL);
    cr_assert_str_eq(logged,
                     "emerg: read() \"DIR\" failed (21: Is a directory)\n");
    fixture_done(&cf);
}
