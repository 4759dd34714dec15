/* A bundle: every entry lies in the bytes, and the reader comes to an end. */
#include "fuzz.h"
#include "uploader/inspect/tar.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct tar_entry e;
    size_t at = 0, before = 0;
    while (tar_next(data, n, &at, &e) == 1) {
        if (at <= before || at > n || e.bytes < data || e.n > n ||
            e.bytes + e.n > data + n || strlen(e.name) > TAR_NAME_BYTES)
            abort();
        before = at;
    }
    return 0;
}
