/**
 * Rows of numbers in which each column takes as many bytes as its largest number needs:
 * half of what a cached table would take otherwise, and what is small is quickly read.
 * UINT32_MAX stands for "none" and is kept as 0, every other number as one more.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    PACKED_MAX_COLUMNS = 5,
    PACKED_MAX_BYTES = 4 * PACKED_MAX_COLUMNS,
    PACKED_SLACK = 3, /* bytes behind the last row that are looked at and left out */
};

struct packed_widths {
    uint8_t bytes[PACKED_MAX_COLUMNS]; /* 0 to 4 */
};

struct packed {
    const uint8_t *rows; /* borrowed, with PACKED_SLACK bytes behind the last */
    size_t n, n_row_bytes;
    struct packed_widths widths;
};

/* Bytes of a row; 0: the widths are not sound. */
static inline size_t packed_row_bytes(const struct packed_widths *w)
{
    size_t n = 0;
    for (size_t i = 0; i < PACKED_MAX_COLUMNS; i++) {
        if (w->bytes[i] > 4)
            return 0;
        n += w->bytes[i];
    }
    return n;
}

/* Make the columns wide enough for one more row of @n numbers. */
static inline void packed_widen(struct packed_widths *w, const uint32_t *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t v = row[i] + 1;
        uint8_t bytes = v > 0xffffff ? 4 : v > 0xffff ? 3 : v > 0xff ? 2 : v > 0;
        if (w->bytes[i] < bytes)
            w->bytes[i] = bytes;
    }
}

/* The row's bytes; returns how many. */
static inline size_t packed_write(const struct packed_widths *w, const uint32_t *row,
    size_t n, uint8_t out[PACKED_MAX_BYTES])
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = row[i] + 1;
        memcpy(out + at, &v, w->bytes[i]);
        at += w->bytes[i];
    }
    return at;
}

/* The number in column @column of row @i, which is below p->n. */
static inline uint32_t packed_number(const struct packed *p, size_t i, size_t column)
{
    const uint8_t *at = p->rows + i * p->n_row_bytes;
    for (size_t k = 0; k < column; k++)
        at += p->widths.bytes[k];
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return (v & (uint32_t)((UINT64_C(1) << (8 * p->widths.bytes[column])) - 1)) - 1;
}

/* The first @n numbers of row @i, which is below p->n. */
static inline void packed_read(const struct packed *p, size_t i, uint32_t *ret, size_t n)
{
    const uint8_t *at = p->rows + i * p->n_row_bytes;
    for (size_t k = 0; k < n; k++) {
        uint32_t v;
        memcpy(&v, at, sizeof v);
        ret[k] = (v & (uint32_t)((UINT64_C(1) << (8 * p->widths.bytes[k])) - 1)) - 1;
        at += p->widths.bytes[k];
    }
}
