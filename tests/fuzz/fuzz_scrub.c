/* Patterns and a text. */
#include "fuzz.h"
#include "uploader/event/scrub.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct scrub *s;
    char note[64], *text, *out;
    if (!s && scrub_new(NULL, &s, note, sizeof note) < 0)
        return 0;
    if (n > 4096 || !(text = malloc(n + 1)))
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    if (!scrub_text(s, text, &out))
        free(out);
    free(text);
    return 0;
}
