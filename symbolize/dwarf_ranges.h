/**
 * Address ranges of units, functions and inlined calls: .debug_ranges, .debug_rnglists.
 */
#pragma once
#include "symbolize/dwarf_unit.h"

struct range {
    uint64_t low, high; /* [low, high) */
};

struct range_list {
    struct range *ranges;
    size_t n, max;
};

enum { RANGES_MAX = 1 << 20 };

/* Append; -ENOMEM, or -E2BIG over RANGES_MAX. Free the list with free(l->ranges). */
int range_list_add(struct range_list *l, uint64_t low, uint64_t high) MUST_CHECK;

/**
 * Append the ranges of a DIE, empty ones left out.
 *
 * @low_pc, @high_pc, @ranges  its attributes; class DWARF_NONE when it has none
 * Returns 0, also when it has none, or an error as from section_need().
 */
int dwarf_ranges(const struct dwarf_unit *u, const struct dwarf_value *low_pc,
    const struct dwarf_value *high_pc, const struct dwarf_value *ranges,
    struct range_list *l) MUST_CHECK;

/* The same for the unit itself. */
int dwarf_unit_ranges(const struct dwarf_unit *u, struct range_list *l) MUST_CHECK;

/* Whether code can be at @at. Linkers give functions that they drop, and their lines, an
 * address of 0 or thereabouts, from where they reach over those that are there. */
bool dwarf_may_be_code(const struct dwarf_unit *u, uint64_t at);

/* Leave out the ranges that begin where no code is. */
void dwarf_ranges_leave_out_dead(const struct dwarf_unit *u, struct range_list *l);
