/**
 * Line programs of DWARF 2 to 5: address -> file, line, column.
 */
#pragma once
#include "symbolize/dwarf_ranges.h"
#include "symbolize/paint.h"

struct line_file {
    struct dwarf_value name;
    uint64_t directory;
};

struct line_row {
    uint32_t file, line, column;
};

struct line_table {
    const struct dwarf_unit *u; /* which names it; borrowed */
    struct dwarf_sizes sizes;   /* of the line table, not of the unit */
    uint64_t program, end;      /* offsets of .debug_line */
    uint8_t min_instruction, line_range, opcode_base;
    int8_t line_base;
    uint8_t opcode_lengths[256];
    struct dwarf_value *directories;
    uint32_t n_directories, max_directories;
    struct line_file *files;
    uint32_t n_files, max_files;

    struct line_row *rows; /* what the program said about the areas asked for */
    uint32_t n_rows, max_rows;
    struct paints segments; /* id: index of row; sorted after dwarf_line_run() */
};

/**
 * Read the header of the unit's line table.
 *
 * @u    must outlive the table; has_line
 * Errors: -EBADMSG, -EPROTONOSUPPORT, -E2BIG, -ENOMEM, what section_need() said. Release
 * with line_table_done(), which accepts a zeroed one.
 */
int dwarf_line_open(const struct dwarf_unit *u, struct line_table *ret) MUST_CHECK;
void line_table_done(struct line_table *t);

/**
 * Run the program and keep what touches @areas (sorted, not overlapping; NULL: all).
 * A program that ends in nonsense is 0: what came before counts. Errors: -ENOMEM, -ETIME.
 */
int dwarf_line_run(struct line_table *t, const struct range_list *areas) MUST_CHECK;

/**
 * The parts of a file's path; each may be NULL. A later part that is absolute makes the
 * earlier ones void. They live as long as their sections' bytes.
 * Returns 0 or -ENODATA when there is no such file.
 */
int dwarf_line_path(const struct line_table *t, uint32_t file, const char **ret_comp_dir,
    const char **ret_directory, const char **ret_name) MUST_CHECK;
