/**
 * A bounded reader over bytes that nobody vouches for. Every read checks its bounds; the
 * first failure is kept with its place and makes all later reads return zero, so a caller
 * reads a whole structure and looks once, at the end.
 */
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *base;
    size_t n, at;     /* at <= n always */
    int err;          /* 0 or a negative errno; sticky */
    const char *what; /* static; what was being read when err was set */
    size_t err_at;
};

static inline struct bytes bytes_of(const void *p, size_t n)
{
    return (struct bytes){.base = (const uint8_t *)p, .n = n};
}

static inline void bytes_fail(struct bytes *b, int err, const char *what)
{
    if (b->err)
        return;
    b->err = err;
    b->what = what;
    b->err_at = b->at;
    b->at = b->n;
}

static inline bool bytes_has(const struct bytes *b, size_t n)
{
    return n <= b->n - b->at;
}

/* Next @n bytes, or NULL when they are not there; borrowed from the reader's memory. */
static inline const uint8_t *bytes_take(struct bytes *b, size_t n, const char *what)
{
    if (b->err || !bytes_has(b, n)) {
        bytes_fail(b, -EBADMSG, what);
        return NULL;
    }
    const uint8_t *p = b->base + b->at;
    b->at += n;
    return p;
}

static inline void bytes_copy(struct bytes *b, void *out, size_t n, const char *what)
{
    const uint8_t *p = bytes_take(b, n, what);
    if (p)
        memcpy(out, p, n);
    else
        memset(out, 0, n);
}

static inline uint8_t bytes_u8(struct bytes *b, const char *what)
{
    uint8_t v;
    bytes_copy(b, &v, sizeof v, what);
    return v;
}

static inline uint16_t bytes_u16(struct bytes *b, const char *what)
{
    uint16_t v;
    bytes_copy(b, &v, sizeof v, what);
    return v;
}

static inline uint32_t bytes_u32(struct bytes *b, const char *what)
{
    uint32_t v;
    bytes_copy(b, &v, sizeof v, what);
    return v;
}

static inline uint64_t bytes_u64(struct bytes *b, const char *what)
{
    uint64_t v;
    bytes_copy(b, &v, sizeof v, what);
    return v;
}

/* Little-endian, of 1 to 8 bytes. */
static inline uint64_t bytes_uint(struct bytes *b, unsigned n, const char *what)
{
    uint64_t v = 0;
    const uint8_t *p = n <= sizeof v ? bytes_take(b, n, what) : NULL;
    if (!p)
        bytes_fail(b, -EBADMSG, what);
    else if (n == 4)
        memcpy(&v, p, 4); /* the usual sizes without a call */
    else if (n == 1)
        v = *p;
    else if (n == 8)
        memcpy(&v, p, 8);
    else
        memcpy(&v, p, n);
    return v;
}

/* LEB128; bits beyond 64 are dropped, as every other reader does. */
static inline uint64_t bytes_uleb(struct bytes *b, const char *what)
{
    uint64_t v = 0;
    for (unsigned shift = 0; b->at < b->n; shift += 7) {
        uint8_t byte = b->base[b->at++];
        if (shift < 64)
            v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    bytes_fail(b, -EBADMSG, what);
    return 0;
}

static inline int64_t bytes_sleb(struct bytes *b, const char *what)
{
    uint64_t v = 0;
    for (unsigned shift = 0; b->at < b->n;) {
        uint8_t byte = b->base[b->at++];
        if (shift < 64)
            v |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80)) {
            if (shift < 64 && (byte & 0x40))
                v |= ~(uint64_t)0 << shift;
            return (int64_t)v;
        }
    }
    bytes_fail(b, -EBADMSG, what);
    return 0;
}

static inline void bytes_skip(struct bytes *b, uint64_t n, const char *what)
{
    if (b->err || n > b->n - b->at)
        bytes_fail(b, -EBADMSG, what);
    else
        b->at += (size_t)n;
}

/* A NUL-terminated string inside the reader, borrowed; "" when there is none. */
static inline const char *bytes_string(struct bytes *b, const char *what)
{
    const char *s = (const char *)b->base + b->at;
    const void *end = b->err || b->at >= b->n ? NULL : memchr(s, 0, b->n - b->at);
    if (!end) {
        bytes_fail(b, -EBADMSG, what);
        return "";
    }
    b->at += (size_t)((const char *)end - s) + 1;
    return s;
}

static inline void bytes_seek(struct bytes *b, uint64_t at, const char *what)
{
    if (b->err)
        return;
    if (at > b->n)
        bytes_fail(b, -EBADMSG, what);
    else
        b->at = (size_t)at;
}

/* A reader of [at, at + n) alone; failed when that is not inside. */
static inline struct bytes bytes_sub(
    const struct bytes *b, uint64_t at, uint64_t n, const char *what)
{
    struct bytes s = {.base = b->base};
    if (b->err || at > b->n || n > b->n - at) {
        s.err = b->err ? b->err : -EBADMSG;
        s.what = what;
        s.err_at = (size_t)at;
        return s;
    }
    s.base = b->base + at;
    s.n = (size_t)n;
    return s;
}
