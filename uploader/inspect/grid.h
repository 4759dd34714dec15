/**
 * Columns of text that fit a terminal. The first rows fix the widths; what follows is
 * printed as it comes, so that a list of 100,000 rows takes the memory of a few.
 */
#pragma once
#include "uploader/inspect/out.h"
#include "uploader/inspect/safe.h"

struct grid_column {
    const char *head;
    bool right;     /* align to the right */
    unsigned drop;  /* the highest goes first when the terminal is narrow; 0: stays */
    unsigned least; /* columns kept when text must be cut; 0: never cut */
};

enum { GRID_MAX_COLUMNS = 16, GRID_ROWS_AHEAD = 512 };

struct grid_cell {
    size_t at; /* in text */
    enum style style;
};

struct grid {
    const struct out *out;
    const struct grid_column *columns; /* borrowed for the table's life */
    size_t n_columns;
    bool legend;
    size_t widths[GRID_MAX_COLUMNS];
    bool hidden[GRID_MAX_COLUMNS];
    bool fixed; /* widths are; rows go out as they are finished */
    struct safe text;
    struct grid_cell *cells;
    size_t n_cells, room;
};

/* @legend  print the heads */
void grid_init(struct grid *t, const struct out *out, const struct grid_column *columns,
    size_t n_columns, bool legend);
/* Print what is left and free. */
void grid_done(struct grid *t);

/* The next cell of the row; the row is finished with its last cell. Text is made
 * harmless; NULL or "" prints "-". */
void grid_cell(struct grid *t, enum style style, const char *text);
void grid_cell_format(struct grid *t, enum style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
