/**
 * The addresses that are asked for, so that what they do not touch is passed over.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wanted {
    const uint64_t *pcs; /* sorted, distinct */
    size_t n;
    bool all;    /* everything is asked for; pcs is not looked at */
    bool narrow; /* nothing but pcs: the rest of their functions is not of use */
};

/* Index of the first pc that is not below @low. */
static inline size_t wanted_from(const struct wanted *w, uint64_t low)
{
    size_t first = 0, last = w->n;
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (w->pcs[middle] < low)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

/* Whether something in [low, high) is asked for. */
static inline bool wanted_any(const struct wanted *w, uint64_t low, uint64_t high)
{
    if (w->all)
        return true;
    size_t i = wanted_from(w, low);
    return i < w->n && w->pcs[i] < high;
}
