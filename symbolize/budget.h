/**
 * What one symbolizer may use up: bytes of memory and time. Shared by its helper thread,
 * so the counter is atomic.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <time.h>

struct budget {
    uint64_t max_bytes; /* 0: no limit */
    uint64_t used_bytes;
    int64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
    int lost; /* of the open module: the first error that kept bytes from a reader; 0 */
};

/* An error that ends all work on a file, not only on a piece of it; else 0. */
static inline int budget_fatal(int err)
{
    return err == -ENOMEM || err == -E2BIG || err == -ETIME ? err : 0;
}

static inline int64_t budget_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* 0, or -ETIME when the deadline has passed. */
static inline int budget_time(const struct budget *b)
{
    return b->deadline_ns && budget_now_ns() > b->deadline_ns ? -ETIME : 0;
}

/* A clock for the symbol table, which names what is left when the deadline cut the rest
 * off: it has a second at least. Its bytes are not counted. */
static inline struct budget budget_grace(const struct budget *b)
{
    const int64_t least_ns = budget_now_ns() + 1000000000;
    return (struct budget){.deadline_ns = !b->deadline_ns             ? 0
                                          : b->deadline_ns > least_ns ? b->deadline_ns
                                                                      : least_ns};
}

/* Count @n more bytes; -E2BIG, and nothing counted, when they are over the limit. */
MUST_CHECK static inline int budget_take(struct budget *b, uint64_t n)
{
    uint64_t used = __atomic_add_fetch(&b->used_bytes, n, __ATOMIC_RELAXED);
    if (!b->max_bytes || used <= b->max_bytes)
        return 0;
    __atomic_sub_fetch(&b->used_bytes, n, __ATOMIC_RELAXED);
    return -E2BIG;
}

static inline void budget_give(struct budget *b, uint64_t n)
{
    __atomic_sub_fetch(&b->used_bytes, n, __ATOMIC_RELAXED);
}
