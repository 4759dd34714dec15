/* Line tables of all versions. */
#include "fuzz_dwarf.h"
#include "symbolize/dwarf_line.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct budget budget = {.deadline_ns = budget_now_ns() + 2000000000};
    struct dwarf_file f = {.budget = &budget};
    f.sections[DWARF_LINE].bytes = data;
    f.sections[DWARF_LINE].n = n;
    f.sections[DWARF_LINE_STR] = f.sections[DWARF_STR] = f.sections[DWARF_LINE];
    struct dwarf_unit u = {
        .file = &f, .sizes = {.version = 5, .address = 8, .offset = 4}, .has_line = true};
    struct line_table t;
    if (dwarf_line_open(&u, &t) < 0)
        return 0;
    if (dwarf_line_run(&t, NULL) == 0) {
        const char *comp_dir, *directory, *name;
        for (uint32_t i = 0; i < t.n_files && i < 64; i++) {
            if (dwarf_line_path(&t, i, &comp_dir, &directory, &name) == 0 &&
                strlen(name) > n)
                abort();
        }
        for (size_t i = 1; i < t.segments.n; i++) {
            if (t.segments.p[i].low < t.segments.p[i - 1].high)
                abort();
        }
    }
    line_table_done(&t);
    return 0;
}
