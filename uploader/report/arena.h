/**
 * Memory that is given back all at once: everything one report grows while it is read.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

/* @max_bytes  most the arena ever hands out; beyond it every call answers NULL.
 * Returns NULL without memory. Free with arena_free(), which accepts NULL. */
struct arena *arena_new(size_t max_bytes);
void arena_free(struct arena *a);

/* Whether something was refused for the bound, and not for lack of memory: more memory
 * would not help. */
bool arena_is_full(const struct arena *a);

/* @n * @size zeroed bytes, aligned for any type; NULL without memory, on overflow, or
 * beyond the arena's bound. */
void *arena_array(struct arena *a, size_t n, size_t size) MUST_CHECK;

/* A NUL-terminated copy of @n bytes; NULL as above. */
char *arena_text(struct arena *a, const void *p, size_t n) MUST_CHECK;
