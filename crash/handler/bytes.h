/**
 * A reader of memory that may not be there and holds what nobody vouches for: the first
 * thing that cannot be read makes it bad, and everything after that is 0.
 */
#pragma once
#include "crash/handler/memory.h"

struct kn_bytes {
    uint64_t at, end;
    bool bad;
};

/**
 * Context: signal handler.
 */
static inline uint64_t kn_bytes_fixed(struct kn_bytes *b, unsigned n)
{
    uint64_t v = 0;
    if (b->bad || b->end < b->at || b->end - b->at < n || !kn_memory_copy(&v, b->at, n)) {
        b->bad = true;
        return 0;
    }
    b->at += n;
    return v;
}

static inline uint64_t kn_bytes_signed(struct kn_bytes *b, unsigned n)
{
    uint64_t v = kn_bytes_fixed(b, n);
    return n < 8 && v >> (8 * n - 1) ? v | ~0ull << 8 * n : v;
}

/* Both kinds of LEB128: the last byte's bit 6 is the sign of the second. */
static inline uint64_t kn_bytes_leb(struct kn_bytes *b, bool is_signed)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint64_t byte = kn_bytes_fixed(b, 1);
        if (shift < 64)
            v |= (byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (is_signed && byte & 0x40 && shift + 7 < 64)
            v |= ~0ull << (shift + 7);
        return v;
    }
    b->bad = true;
    return 0;
}

static inline void kn_bytes_skip(struct kn_bytes *b, uint64_t n)
{
    if (b->bad || b->end < b->at || n > b->end - b->at)
        b->bad = true;
    else
        b->at += n;
}
