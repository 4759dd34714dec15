#include "uploader/report/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024 };

struct block {
    struct block *next;
    size_t used, n;
    alignas(max_align_t) unsigned char bytes[];
};

struct arena {
    struct block *blocks;
    size_t left;
    bool full;
};

struct arena *arena_new(size_t max_bytes)
{
    struct arena *a = calloc(1, sizeof *a);
    if (a)
        a->left = max_bytes;
    return a;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    for (struct block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

static struct block *grow(struct arena *a, size_t need)
{
    size_t n = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    struct block *b = calloc(1, sizeof *b + n);
    if (!b)
        return NULL;
    b->n = n;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

bool arena_is_full(const struct arena *a)
{
    return a->full;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t total, mask = alignof(max_align_t) - 1;
    if (__builtin_mul_overflow(n, size, &total) || total > a->left ||
        ((total + mask) & ~mask) > a->left) {
        a->full = true;
        return NULL;
    }
    size_t need = (total + mask) & ~mask;
    struct block *b = a->blocks;
    if (!b || b->n - b->used < need)
        b = grow(a, need);
    if (!b)
        return NULL;
    void *p = b->bytes + b->used;
    b->used += need;
    a->left -= need;
    return p;
}

char *arena_text(struct arena *a, const void *p, size_t n)
{
    char *s = n < SIZE_MAX ? arena_array(a, n + 1, 1) : NULL;
    if (s && n)
        memcpy(s, p, n);
    return s;
}
