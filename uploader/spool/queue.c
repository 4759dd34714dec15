#include "uploader/spool/queue.h"

#include <errno.h>
#include <string.h>

struct adder {
    struct queue *queue;
    enum spool_state state;
    uint64_t now_s;
    bool all;
};

/* Whether a report with this not-before is due. */
static bool is_due(uint64_t not_before_s, uint64_t now_s)
{
    return not_before_s <= now_s || not_before_s > now_s + QUEUE_FAR_S;
}

static int add(void *ctx, const char *file, const struct spool_name *name)
{
    struct adder *a = ctx;
    struct queue *q = a->queue;
    (void)file;
    if (!name)
        return 0;
    if (!a->all && !is_due(name->not_before_s, a->now_s)) {
        q->n_not_due++;
        if (!q->next_due_s || name->not_before_s < q->next_due_s)
            q->next_due_s = name->not_before_s;
        return 0;
    }
    if (q->n == q->capacity) {
        size_t more = q->capacity ? q->capacity + q->capacity / 2 : 64;
        struct queue_entry *p = reallocarray(q->entries, more, sizeof *p);
        if (!p)
            return -ENOMEM;
        q->entries = p;
        q->capacity = more;
    }
    q->entries[q->n++] = (struct queue_entry){.name = *name, .state = (uint8_t)a->state};
    return 0;
}

int queue_add(struct queue *q, const struct spool *s, enum spool_state state,
    uint64_t now_s, bool all)
{
    struct adder a = {.queue = q, .state = state, .now_s = now_s, .all = all};
    return spool_each(s, state, add, &a);
}

static int by_age(const struct queue_entry *x, const struct queue_entry *y)
{
    if (x->name.time_ms != y->name.time_ms)
        return x->name.time_ms < y->name.time_ms ? -1 : 1;
    return memcmp(x->name.event_id, y->name.event_id, sizeof x->name.event_id);
}

static int by_signature(const void *a, const void *b)
{
    const struct queue_entry *x = a, *y = b;
    if (x->name.signature != y->name.signature)
        return x->name.signature < y->name.signature ? -1 : 1;
    return by_age(x, y);
}

/* First ones before the others: those newest first, these oldest first. */
static int by_turn(const void *a, const void *b)
{
    const struct queue_entry *x = a, *y = b;
    if (x->first != y->first)
        return x->first ? -1 : 1;
    return x->first ? -by_age(x, y) : by_age(x, y);
}

static int interleave(struct queue *q, size_t n_first)
{
    if (!n_first || n_first == q->n)
        return 0;
    struct queue_entry *p = reallocarray(NULL, q->n, sizeof *p);
    if (!p)
        return -ENOMEM;
    size_t first = 0, other = n_first, n = 0;
    while (n < q->n) {
        if (first < n_first)
            p[n++] = q->entries[first++];
        if (other < q->n)
            p[n++] = q->entries[other++];
    }
    free(q->entries);
    q->entries = p;
    q->capacity = q->n;
    return 0;
}

int queue_sort(
    struct queue *q, bool (*is_known)(void *ctx, uint64_t signature), void *ctx)
{
    size_t n_first = 0;
    if (!q->n)
        return 0;
    qsort(q->entries, q->n, sizeof *q->entries, by_signature);
    for (size_t i = 0; i < q->n; i++) {
        uint64_t s = q->entries[i].name.signature;
        bool begins = !i || q->entries[i - 1].name.signature != s;
        q->entries[i].first = begins && !(is_known && is_known(ctx, s));
        n_first += q->entries[i].first;
    }
    qsort(q->entries, q->n, sizeof *q->entries, by_turn);
    return interleave(q, n_first);
}

const struct queue_entry *queue_next(struct queue *q)
{
    return q->at < q->n ? &q->entries[q->at++] : NULL;
}

void queue_done(struct queue *q)
{
    free(q->entries);
    *q = (struct queue){0};
}
