/* Units, DIEs, names and scopes, and what they become in a table. */
#include "fuzz_dwarf.h"
#include "symbolize/convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint64_t pcs[] = {0, 1, 0x10, 0x1000, 0x1010, 0x1139, 0x401000};
    struct fuzz_input in = {data, n};
    struct budget budget = {0};
    for (int all = 0; all < 2; all++) {
        struct dwarf_file f;
        struct table t = {0};
        in = (struct fuzz_input){data, n};
        fuzz_sections(&in, &budget, &f);
        struct converter c = {.file = &f, .table = &t};
        struct wanted wanted = {
            .pcs = pcs, .n = sizeof pcs / sizeof *pcs, .all = all != 0};
        if (convert(&c, &wanted) == 0) {
            for (size_t i = 0; i < wanted.n; i++)
                (void)table_find(&t, pcs[i]);
        }
        converter_done(&c);
        table_done(&t);
        dwarf_file_done(&f);
    }
    return 0;
}
