#include "symbolize/store.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 1 << 16, MAX_CHUNK_BYTES = 1 << 21 };

struct store_chunk {
    struct store_chunk *next;
    size_t used, max;
    alignas(max_align_t) char bytes[];
};

/* @n bytes, aligned for any type, with whatever is in them. */
static void *room(struct store *s, size_t n)
{
    size_t want = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct store_chunk *c = s->chunks;
    if (!c || want > c->max - c->used) {
        size_t max = !c                             ? CHUNK_BYTES
                     : 2 * c->max < MAX_CHUNK_BYTES ? 2 * c->max
                                                    : MAX_CHUNK_BYTES;
        max = want > max ? want : max;
        c = malloc(sizeof *c + max);
        if (!c)
            return NULL;
        c->next = s->chunks;
        c->used = 0;
        c->max = max;
        s->chunks = c;
    }
    s->n_bytes += want;
    void *p = c->bytes + c->used;
    c->used += want;
    return p;
}

void *store_array(struct store *s, size_t n, size_t size)
{
    if (size && n > (SIZE_MAX / 4) / size)
        return NULL;
    void *p = room(s, n * size);
    if (p)
        memset(p, 0, n * size);
    return p;
}

char *store_text(struct store *s, const char *p, size_t n)
{
    char *out = n < SIZE_MAX / 4 ? room(s, n + 1) : NULL;
    if (!out)
        return NULL;
    memcpy(out, p, n);
    out[n] = 0;
    return out;
}

void store_done(struct store *s)
{
    while (s->chunks) {
        struct store_chunk *next = s->chunks->next;
        free(s->chunks);
        s->chunks = next;
    }
    s->n_bytes = 0;
}
