/**
 * The subprograms and inlined calls of a unit that cover wanted addresses.
 */
#pragma once
#include "symbolize/dwarf_ranges.h"
#include "symbolize/paint.h"
#include "symbolize/wanted.h"

#define FUNCTION_NONE UINT32_MAX

struct function_node {
    uint64_t die;    /* offset in .debug_info of its unit's file */
    uint64_t origin; /* DIE of the same unit that has the name; 0: its own */
    uint64_t entry;  /* lowest address of its first range; 0: none */
    uint32_t parent; /* what it was inlined into; FUNCTION_NONE for a subprogram */
    uint32_t call_file, call_line, call_column;
};

struct functions {
    struct function_node *nodes;
    uint32_t n_nodes, max_nodes;
    struct paints paints;    /* id: index of node; in the order of the DIEs; of
                              * wanted->narrow only those around its addresses */
    struct range_list areas; /* of the subprograms taken, as they come */
};

/**
 * Walk the DIEs of a loaded unit.
 *
 * @complete  false: pass over what DW_AT_sibling allows when its own addresses are not
 *            wanted; functions hidden inside types and abstract functions may be missed
 * @ret       appended to; release with functions_done(), which accepts a zeroed one
 * Returns 0, also when the DIEs end in nonsense (what came before counts), or -ENOMEM,
 * -E2BIG, -ETIME.
 */
int dwarf_functions(const struct dwarf_unit *u, const struct wanted *wanted,
    bool complete, struct functions *ret) MUST_CHECK;
void functions_done(struct functions *f);
