/* Rules as a person writes them: four kinds of lines, and names to try them on. */
#include "fuzz.h"
#include "uploader/event/rules.h"

#include <stdlib.h>

static char *take(struct fuzz_input *in)
{
    struct fuzz_input part = fuzz_part(in);
    char *text = malloc(part.n + 1);
    if (!text)
        abort();
    memcpy(text, part.p ? part.p : (const uint8_t *)"", part.n);
    text[part.n] = 0;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = {data, n};
    char note[64], *parts[8];
    struct rules *r;
    if (n > 8192)
        return 0;
    for (int i = 0; i < 8; i++)
        parts[i] = take(&in);
    const struct rules_text text = {.ignore = parts[0],
        .ignore_transactions = parts[1],
        .fingerprint = parts[2],
        .sample = parts[3],
        .in_app_include = parts[4],
        .in_app_exclude = parts[5],
        .tags = parts[6]};
    if (!rules_new(&text, &r, note, sizeof note)) {
        (void)rules_transaction_ignored(r, parts[7]);
        rules_free(r);
    }
    for (int i = 0; i < 8; i++)
        free(parts[i]);
    return 0;
}
