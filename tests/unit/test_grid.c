#include "test.h"
#include "uploader/inspect/grid.h"

#include <stdlib.h>

static const struct grid_column columns[] = {
    {"ID", false, 0, 0},
    {"COUNT", true, 2, 0},
    {"NAME", false, 0, 6},
};

static char *render(size_t width, bool colour, bool legend, const char *name, int rows)
{
    char *text = NULL;
    size_t n;
    struct out o = {.f = open_memstream(&text, &n), .colour = colour, .columns = width};
    struct grid t;
    grid_init(&t, &o, columns, 3, legend);
    for (int i = 0; i < rows; i++) {
        grid_cell(&t, STYLE_BOLD, "abcd");
        grid_cell_format(&t, STYLE_PLAIN, "%d", i);
        grid_cell(&t, STYLE_PLAIN, name);
    }
    grid_done(&t);
    (void)fclose(o.f);
    return text;
}

static void check(char *text, const char *want)
{
    CHECK_STR(text, want);
    free(text);
}

static void columns_line_up(void)
{
    check(render(0, false, true, "conn_read", 2),
        "ID    COUNT  NAME\nabcd      0  conn_read\nabcd      1  conn_read\n");
    check(render(0, false, false, NULL, 1), "abcd  0  -\n");
    check(render(0, false, true, "x", 0), "");
}

static void narrow_cuts_then_hides(void)
{
    check(render(19, false, true, "conn_read", 1),
        "ID    COUNT  NAME\nabcd      0  conn_\u2026\n");
    check(render(15, false, true, "conn_read", 1), "ID    NAME\nabcd  conn_read\n");
    check(render(12, false, true, "conn_read", 1), "ID    NAME\nabcd  conn_\u2026\n");
}

/* However narrow, no line is wider than the terminal. */
static void the_edge_cuts_what_may_not_be_cut(void)
{
    check(render(6, false, true, "conn_read", 1), "ID\nabcd\n");
    check(render(9, false, true, "conn_read", 1), "ID    NA\u2026\nabcd  co\u2026\n");
    check(render(3, false, true, "conn_read", 1), "ID\nab\u2026\n");
    check(render(1, false, true, "conn_read", 1), "\u2026\n\u2026\n");
    check(render(3, true, false, "conn_read", 1), "\033[1mab\u2026\033[0m\n");
    for (size_t width = 1; width < 40; width++) {
        char *text = render(width, false, true, "\u65e5\u672c\u8a9e conn_read", 2);
        for (char *rest, *line = strtok_r(text, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest))
            CHECK(safe_columns(line) <= width);
        free(text);
    }
}

static void colours_do_not_count(void)
{
    check(render(0, true, false, "x", 1), "\033[1mabcd\033[0m  0  x\n");
}

static void attacks_stay_in_their_cell(void)
{
    check(render(0, false, false, "\033[2J\nID", 1), "abcd  0  \\x1b[2J\\nID\n");
    /* A cut never leaves half a character. */
    check(render(15, false, true, "\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e", 1),
        "ID    NAME\nabcd  \u65e5\u672c\u8a9e\u65e5\u2026\n");
}

static void many_rows_stream(void)
{
    char *text = render(0, false, false, "y", 5000);
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    CHECK_INT(lines, 5000);
    CHECK(strstr(text, "abcd  4999  y\n") != NULL);
    free(text);
}

TEST_MAIN(TEST(columns_line_up), TEST(narrow_cuts_then_hides),
    TEST(the_edge_cuts_what_may_not_be_cut), TEST(colours_do_not_count),
    TEST(attacks_stay_in_their_cell), TEST(many_rows_stream))
