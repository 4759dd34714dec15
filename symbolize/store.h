/**
 * Memory that lives for one batch of answers and is given back at once.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stddef.h>

struct store_chunk;

/* More than the texts of any honest batch take; beyond it names are left out. */
#define STORE_TEXT_BYTES ((size_t)256 << 20)

struct store {
    size_t n_bytes;             /* handed out */
    struct store_chunk *chunks; /* the newest first */
};

/* @n * @size bytes, aligned for any type, zeroed; NULL without memory. */
void *store_array(struct store *s, size_t n, size_t size) MUST_CHECK;

/* A NUL-terminated copy of @n bytes; NULL without memory. */
char *store_text(struct store *s, const char *p, size_t n) MUST_CHECK;

/* Give everything back; the store can be used again. */
void store_done(struct store *s);
