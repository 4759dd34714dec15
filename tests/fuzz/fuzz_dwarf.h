/**
 * DWARF sections out of one input: a part for each, in the order of enum dwarf_section.
 */
#pragma once
#include "fuzz.h"
#include "symbolize/budget.h"
#include "symbolize/dwarf_unit.h"

static inline void fuzz_sections(
    struct fuzz_input *in, struct budget *budget, struct dwarf_file *f)
{
    *f = (struct dwarf_file){.budget = budget};
    budget->max_bytes = 64 << 20;
    budget->deadline_ns = budget_now_ns() + 2000000000;
    for (int i = 0; i < DWARF_N_SECTIONS; i++) {
        struct fuzz_input part = fuzz_part(in);
        f->sections[i].bytes = part.p;
        f->sections[i].n = part.n;
    }
}
