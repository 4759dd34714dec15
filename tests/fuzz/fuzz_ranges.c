/* .debug_ranges and .debug_rnglists, with .debug_addr. */
#include "fuzz_dwarf.h"
#include "symbolize/dwarf_ranges.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = {data, n};
    struct fuzz_input addresses = fuzz_part(&in);
    struct dwarf_file f = {0};
    f.sections[DWARF_ADDR].bytes = addresses.p;
    f.sections[DWARF_ADDR].n = addresses.n;
    f.sections[DWARF_RANGES].bytes = in.p;
    f.sections[DWARF_RANGES].n = in.n;
    f.sections[DWARF_RNGLISTS] = f.sections[DWARF_RANGES];
    for (uint8_t version = 4; version <= 5; version++) {
        struct dwarf_unit u = {.file = &f, .low_pc = 0x1000};
        u.sizes = (struct dwarf_sizes){.version = version, .address = 8, .offset = 4};
        struct dwarf_value none = {0}, list = {.class = DWARF_OFFSET};
        struct range_list l = {0};
        (void)!dwarf_ranges(&u, &none, &none, &list, &l);
        list.class = DWARF_LIST_INDEX;
        (void)!dwarf_ranges(&u, &none, &none, &list, &l);
        for (size_t i = 0; i < l.n; i++) {
            if (l.ranges[i].low >= l.ranges[i].high)
                abort();
        }
        free(l.ranges);
    }
    return 0;
}
