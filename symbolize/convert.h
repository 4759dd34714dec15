/**
 * DWARF into a table: the units that cover wanted addresses, their functions, inlined
 * calls and lines.
 */
#pragma once
#include "symbolize/dwarf_name.h"
#include "symbolize/dwarf_ranges.h"
#include "symbolize/table.h"
#include "symbolize/wanted.h"

struct converter {
    struct dwarf_file *file;
    struct table *table;
    struct unit_keeper keeper;
    /* The unit with the functions' DIEs when @u only refers to it; may be NULL.
     * 0 and @ret, -ENODATA when it cannot be had, or an error. */
    int (*split)(void *ctx, const struct dwarf_unit *u, struct dwarf_unit *ret);
    void *ctx;
    /* Kept by convert(): for which wanted addresses a function was found. NULL: for
     * wanted->all, or without memory; then all units are looked at. */
    bool *found;
    size_t n_found;
};

/**
 * Convert what @wanted asks for; all of the file for wanted->all.
 *
 * The table is settled afterwards. A unit that makes no sense is left out.
 * Returns 0, -EBADMSG when nothing of .debug_info could be read, or -ENOMEM, -E2BIG,
 * -ETIME: what was converted before is in the table.
 */
int convert(struct converter *c, const struct wanted *wanted) MUST_CHECK;
void converter_done(struct converter *c);

/* One loaded unit; @u has the DIEs, lines come from its skeleton when it has one. */
int convert_unit(struct converter *c, const struct dwarf_unit *u,
    const struct wanted *wanted, const struct range_list *unit_ranges) MUST_CHECK;
