/**
 * What every fuzz target defines, and a way to cut an input into several.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct fuzz_input {
    const uint8_t *p;
    size_t n;
};

/* The next part: as long as its first two bytes say, at most what is left. */
static inline struct fuzz_input fuzz_part(struct fuzz_input *in)
{
    struct fuzz_input part = {0};
    uint16_t n;
    if (in->n < sizeof n)
        return part;
    memcpy(&n, in->p, sizeof n);
    part.p = in->p + sizeof n;
    part.n = n < in->n - sizeof n ? n : in->n - sizeof n;
    in->p = part.p + part.n;
    in->n -= sizeof n + part.n;
    return part;
}
