/* .debug_abbrev. */
#include "fuzz.h"
#include "symbolize/dwarf_abbrev.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes r = bytes_of(data, n);
    struct abbrev_table t;
    struct dwarf_sizes sizes = {.version = 5, .address = 8, .offset = 4};
    if (abbrev_table_parse(&r, sizes, 0, &t) == 0) {
        for (uint64_t code = 0; code < 64; code++)
            (void)abbrev_find(&t, code);
        abbrev_table_done(&t);
    }
    return 0;
}
