/* The uploader's memory between its runs: what is read is written back the same. The
 * checksum is made here, or nothing would come behind it. */
#include "fuzz.h"
#include "uploader/deliver/ledger.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t crc32_of(const char *p, size_t n)
{
    uint32_t c = ~0u;
    for (size_t i = 0; i < n; i++) {
        c ^= (uint8_t)p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ledger *l, *again;
    char *text, *out, *back;
    size_t n_out, n_back;
    if (n > 65536 || !(text = malloc(n + 32)))
        return 0;
    if (!ledger_parse((const char *)data, n, &l))
        ledger_free(l);
    memcpy(text, data, n);
    n += (size_t)sprintf(text + n, "end %08x\n", crc32_of(text, n));
    if (!ledger_parse(text, n, &l)) {
        free(ledger_client_report(l->drops, l->n_drops, 1));
        if (ledger_format(l, &out, &n_out) < 0)
            abort();
        if (ledger_parse(out, n_out, &again) < 0 ||
            ledger_format(again, &back, &n_back) < 0 || n_back != n_out ||
            memcmp(out, back, n_out) != 0)
            abort();
        free(out);
        free(back);
        ledger_free(again);
        ledger_free(l);
    }
    free(text);
    return 0;
}
