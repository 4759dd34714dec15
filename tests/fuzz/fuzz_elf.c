/* A whole ELF file, as the image of a module: headers, sections, packing, symbols, PLT,
 * MiniDebugInfo and all of DWARF behind them. */
#include "fuzz.h"

#include <knell/symbolize.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct knell_symbolize_options o = {
        .size = sizeof o, .max_memory_bytes = 64 << 20, .deadline_ms = 2000};
    struct knell_symbolizer *s;
    enum { N = 32 };
    struct knell_symbol_query q[N];
    struct knell_symbol_result r[N];
    if (n == 0 || knell_symbolizer_new(&o, &s) < 0)
        return 0;
    struct knell_symbol_module m = {.image = data, .n_image = n, .base = 0x10000000};
    for (uint32_t i = 0; i < N; i++)
        q[i] = (struct knell_symbol_query){.pc = m.base + i * 64};
    if (knell_symbolize(s, &m, 1, q, N, r) == 0) {
        size_t sum = 0;
        for (int i = 0; i < N; i++) {
            for (uint32_t k = 0; k < r[i].n_frames; k++)
                sum += r[i].frames[k].function ? strlen(r[i].frames[k].function) : 0;
        }
        if (sum > (size_t)N * 128 * 65536)
            abort(); /* more text than the bounds on frames and names allow */
    }
    knell_symbolizer_free(s);
    return 0;
}
