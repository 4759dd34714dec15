#include "uploader/inspect/grid.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2 };

struct grid_text {
    const char *text;
    enum style style;
};

void grid_init(struct grid *t, const struct out *out, const struct grid_column *columns,
    size_t n_columns, bool legend)
{
    assert(n_columns <= GRID_MAX_COLUMNS);
    *t = (struct grid){
        .out = out, .columns = columns, .n_columns = n_columns, .legend = legend};
}

static const char *cell_text(const struct grid *t, size_t i)
{
    return safe_text(&t->text) + t->cells[i].at;
}

static size_t total_width(const struct grid *t)
{
    size_t total = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        if (!t->hidden[i])
            total += t->widths[i] + (total ? GAP : 0);
    return total;
}

/* Hide the column that matters least. */
static bool drop_one(struct grid *t)
{
    size_t worst = t->n_columns;
    for (size_t i = 0; i < t->n_columns; i++)
        if (!t->hidden[i] && t->columns[i].drop &&
            (worst == t->n_columns || t->columns[i].drop > t->columns[worst].drop))
            worst = i;
    if (worst == t->n_columns)
        return false;
    t->hidden[worst] = true;
    return true;
}

/* Cut columns that may be cut, from the right; where that is not enough, hide some.
 * What is still too wide then, put_cell() cuts at the terminal's edge. */
static void fit(struct grid *t)
{
    size_t limit = t->out->columns;
    while (limit && total_width(t) > limit) {
        size_t could_give = 0, over = total_width(t) - limit;
        for (size_t i = 0; i < t->n_columns; i++)
            if (!t->hidden[i] && t->columns[i].least &&
                t->widths[i] > t->columns[i].least)
                could_give += t->widths[i] - t->columns[i].least;
        if (could_give < over && drop_one(t))
            continue;
        for (size_t i = t->n_columns; i-- > 0 && over;) {
            size_t least = t->columns[i].least;
            if (t->hidden[i] || !least || t->widths[i] <= least)
                continue;
            size_t give = t->widths[i] - least < over ? t->widths[i] - least : over;
            t->widths[i] -= give;
            over -= give;
        }
        return;
    }
}

static void put_blanks(FILE *f, size_t n)
{
    static const char blanks[] = "                                ";
    for (size_t k; n; n -= k) {
        k = n < sizeof blanks - 1 ? n : sizeof blanks - 1;
        (void)fwrite(blanks, 1, k, f);
    }
}

/* @room  columns left of the terminal's line: what is wider is cut, whatever it is.
 * Returns the columns taken. */
static size_t put_cell(const struct grid *t, size_t column, const struct grid_text *cell,
    size_t room, bool last)
{
    const struct out *o = t->out;
    size_t width = t->widths[column], have = safe_columns(cell->text);
    size_t most = t->columns[column].least && o->columns ? width : have;
    most = most < room ? most : room;
    bool cut = have > most;
    size_t n = cut ? safe_cut(cell->text, most - 1) : strlen(cell->text);
    have = cut ? most : have;
    size_t pad = have >= width ? 0 : (width < room ? width : room) - have;
    if (t->columns[column].right)
        put_blanks(o->f, pad);
    if (cell->style != STYLE_PLAIN)
        (void)fputs(out_style(o, cell->style), o->f);
    (void)fwrite(cell->text, 1, n, o->f);
    if (cut)
        (void)fputs("\u2026", o->f);
    if (cell->style != STYLE_PLAIN)
        (void)fputs(out_plain(o), o->f);
    if (!t->columns[column].right && !last)
        put_blanks(o->f, pad);
    return have + pad;
}

static size_t last_shown(const struct grid *t)
{
    size_t last = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        if (!t->hidden[i])
            last = i;
    return last;
}

/* @first  index of the row's first cell; SIZE_MAX: the heads */
static void put_row(const struct grid *t, size_t first)
{
    size_t last = last_shown(t), at = 0;
    size_t limit = t->out->columns ? t->out->columns : SIZE_MAX;
    for (size_t i = 0; i < t->n_columns; i++) {
        if (t->hidden[i])
            continue;
        if (at && limit - at <= GAP)
            break;
        if (at)
            put_blanks(t->out->f, GAP);
        at += at ? GAP : 0;
        struct grid_text cell = {t->columns[i].head, STYLE_HEAD};
        if (first != SIZE_MAX)
            cell = (struct grid_text){cell_text(t, first + i), t->cells[first + i].style};
        bool ends = i == last || limit - at <= t->widths[i] + GAP;
        at += put_cell(t, i, &cell, limit - at, ends);
    }
    (void)fputc('\n', t->out->f);
}

static void flush_rows(struct grid *t)
{
    if (!t->fixed) {
        for (size_t i = 0; i < t->n_columns; i++)
            t->widths[i] = t->legend ? safe_columns(t->columns[i].head) : 1;
        for (size_t i = 0; i < t->n_cells; i++) {
            size_t w = safe_columns(cell_text(t, i));
            if (w > t->widths[i % t->n_columns])
                t->widths[i % t->n_columns] = w;
        }
        fit(t);
        t->fixed = true;
        if (t->legend && t->n_cells)
            put_row(t, SIZE_MAX);
    }
    for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
        put_row(t, i);
    t->n_cells = 0;
    safe_clear(&t->text);
}

static bool add_cell(struct grid *t, enum style style)
{
    if (t->n_cells == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        struct grid_cell *cells = realloc(t->cells, room * sizeof *cells);
        if (!cells)
            return false;
        t->cells = cells;
        t->room = room;
    }
    t->cells[t->n_cells++] = (struct grid_cell){.at = t->text.n, .style = style};
    return true;
}

static void finish_cell(struct grid *t)
{
    if (t->text.n == t->cells[t->n_cells - 1].at)
        safe_raw(&t->text, "-", 1);
    safe_raw(&t->text, "", 1); /* its NUL stays between the cells */
    size_t rows = t->n_cells / t->n_columns;
    if (t->n_cells % t->n_columns == 0 && (t->fixed || rows >= GRID_ROWS_AHEAD))
        flush_rows(t);
}

void grid_cell(struct grid *t, enum style style, const char *text)
{
    if (!add_cell(t, style))
        return;
    safe_put(&t->text, text);
    finish_cell(t);
}

void grid_cell_format(struct grid *t, enum style style, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    CLEANUP(free_p) char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    grid_cell(t, style, n < 0 ? NULL : text);
    if (n < 0)
        text = NULL;
}

void grid_done(struct grid *t)
{
    if (t->n_cells && !t->text.failed)
        flush_rows(t);
    safe_done(&t->text);
    free(t->cells);
    *t = (struct grid){0};
}
