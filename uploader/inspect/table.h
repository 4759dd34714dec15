/**
 * Columns of text that fit a terminal. The first rows fix the widths; what follows is
 * printed as it comes, so that a list of 100,000 rows takes the memory of a few.
 */
#pragma once
#include "uploader/inspect/out.h"
#include "uploader/inspect/safe.h"

struct table_column {
    const char *head;
    bool right;     /* align to the right */
    unsigned drop;  /* the highest goes first when the terminal is narrow; 0: stays */
    unsigned least; /* columns kept when text must be cut; 0: never cut */
};

enum { TABLE_MAX_COLUMNS = 16, TABLE_ROWS_AHEAD = 512 };

struct table_cell {
    size_t at; /* in text */
    enum style style;
};

struct table {
    const struct out *out;
    const struct table_column *columns; /* borrowed for the table's life */
    size_t n_columns;
    bool legend;
    size_t widths[TABLE_MAX_COLUMNS];
    bool hidden[TABLE_MAX_COLUMNS];
    bool fixed; /* widths are; rows go out as they are finished */
    struct safe text;
    struct table_cell *cells;
    size_t n_cells, room;
};

/* @legend  print the heads */
void table_init(struct table *t, const struct out *out,
    const struct table_column *columns, size_t n_columns, bool legend);
/* Print what is left and free. */
void table_done(struct table *t);

/* The next cell of the row; the row is finished with its last cell. Text is made
 * harmless; NULL or "" prints "-". */
void table_cell(struct table *t, enum style style, const char *text);
void table_cell_format(struct table *t, enum style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
