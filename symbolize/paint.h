/**
 * Ranges laid over each other, the later over the earlier, made into a sorted row of
 * ranges that do not overlap.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct paint {
    uint64_t low, high; /* [low, high), not empty */
    uint32_t id;
};

struct paints {
    struct paint *p;
    size_t n, max;
};

/* Append; empty ranges are left out. Errors: -ENOMEM. Free with free(l->p). */
int paints_add(struct paints *l, uint64_t low, uint64_t high, uint32_t id) MUST_CHECK;

/* Replace the list by what shows of it, sorted; neighbours with one id are joined.
 * Errors: -ENOMEM, and the list is unchanged. */
int paints_flatten(struct paints *l) MUST_CHECK;
