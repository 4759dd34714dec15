/* Mangled names. */
#include "fuzz.h"
#include "symbolize/demangle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct store s = {0};
    char *name = store_text(&s, (const char *)data, n);
    const char *out = name ? demangle(&s, name, true) : "";
    if (!out)
        abort();
    store_done(&s);
    return 0;
}
