/* File names of reports: whatever is taken for one is written back as it was. */
#include "fuzz.h"
#include "uploader/spool/name.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char text[KNELL_SPOOL_NAME_BYTES + 32], again[KNELL_SPOOL_NAME_BYTES + 1];
    struct spool_name name;
    if (n >= sizeof text)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    if (spool_name_parse(text, &name) < 0)
        return 0;
    spool_name_format(&name, again);
    if (strcmp(text, again) != 0)
        abort();
    return 0;
}
