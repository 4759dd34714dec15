#include "symbolize/paint.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

int paints_add(struct paints *l, uint64_t low, uint64_t high, uint32_t id)
{
    if (low >= high)
        return 0;
    if (l->n == l->max) {
        size_t max = l->max ? 2 * l->max : 64;
        struct paint *more = realloc(l->p, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        l->p = more;
        l->max = max;
    }
    l->p[l->n++] = (struct paint){low, high, id};
    return 0;
}

static bool in_order(const struct paints *l)
{
    for (size_t i = 1; i < l->n; i++) {
        if (l->p[i].low < l->p[i - 1].high)
            return false;
    }
    return true;
}

/* Where a paint begins, in the order of address and then of painting. */
struct start {
    uint64_t low;
    size_t index;
};

static int by_low(const void *a, const void *b)
{
    const struct start *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* A heap of indexes, the greatest (the latest paint) on top. */
struct heap {
    size_t *at, n;
};

static void heap_push(struct heap *h, size_t v)
{
    size_t i = h->n++;
    while (i && h->at[(i - 1) / 2] < v) {
        h->at[i] = h->at[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->at[i] = v;
}

static void heap_pop(struct heap *h)
{
    size_t v = h->at[--h->n], i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->at[child + 1] > h->at[child])
            child++;
        if (h->at[child] <= v)
            break;
        h->at[i] = h->at[child];
        i = child;
    }
    h->at[i] = v;
}

static int put(struct paints *out, uint64_t low, uint64_t high, uint32_t id)
{
    if (out->n && out->p[out->n - 1].high == low && out->p[out->n - 1].id == id) {
        out->p[out->n - 1].high = high;
        return 0;
    }
    return paints_add(out, low, high, id);
}

static int sweep(
    const struct paints *l, const struct start *s, struct heap *open, struct paints *out)
{
    uint64_t at = 0;
    size_t next = 0;
    while (next < l->n || open->n) {
        while (open->n && l->p[open->at[0]].high <= at)
            heap_pop(open);
        if (!open->n) {
            if (next == l->n)
                break;
            at = s[next].low;
        }
        for (; next < l->n && s[next].low <= at; next++)
            heap_push(open, s[next].index);
        while (open->n && l->p[open->at[0]].high <= at)
            heap_pop(open);
        if (!open->n)
            continue;
        /* The top shows until it ends or a later paint begins. */
        const struct paint *top = &l->p[open->at[0]];
        uint64_t until = top->high;
        if (next < l->n && s[next].low < until)
            until = s[next].low;
        int err = put(out, at, until, top->id);
        if (err < 0)
            return err;
        at = until;
    }
    return 0;
}

int paints_flatten(struct paints *l)
{
    if (in_order(l))
        return 0;
    CLEANUP(free_p) struct start *s = malloc(l->n * sizeof *s);
    CLEANUP(free_p) size_t *heap = malloc(l->n * sizeof *heap);
    if (!s || !heap)
        return -ENOMEM;
    for (size_t i = 0; i < l->n; i++)
        s[i] = (struct start){l->p[i].low, i};
    qsort(s, l->n, sizeof *s, by_low);
    struct paints out = {0};
    int err = sweep(l, s, &(struct heap){.at = heap}, &out);
    if (err < 0) {
        free(out.p);
        return err;
    }
    free(l->p);
    *l = out;
    return 0;
}
