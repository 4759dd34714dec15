/* Destinations: what is shown of one never holds its keys. */
#include "fuzz.h"
#include "uploader/config.h"
#include "uploader/deliver/dsn.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char text[4096], masked[256];
    const char *why;
    struct destination d;
    if (n >= sizeof text)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    config_mask(text, masked, sizeof masked);
    if (destination_parse(text, &d, &why) < 0)
        return 0;
    if (!d.label || !d.host || !d.url == !d.dir)
        abort();
    /* A key that can be told from the rest is in nothing that people see. */
    if (d.public_key && strlen(d.public_key) >= 16 &&
        (strstr(d.label, d.public_key) || strstr(masked, d.public_key)) &&
        !strstr(strchr(text, '@'), d.public_key))
        abort();
    if (d.secret && d.dsn && strlen(d.secret) >= 16 && strstr(d.dsn, d.secret) &&
        !strstr(strchr(text, '@'), d.secret) && !strstr(d.public_key, d.secret))
        abort();
    destination_done(&d);
    return 0;
}
