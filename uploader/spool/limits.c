#include "uploader/spool/limits.h"

#include <errno.h>
#include <string.h>

struct choice {
    struct limits_file *files;
    size_t n;
    const struct limits *limits;
    uint64_t count, bytes; /* what stays */
    uint64_t freed_bytes, freed_files;
    long gone;
};

/* Reports of one signature: a run of the sorted list. */
struct group {
    size_t first, n; /* as found */
    size_t next;     /* where thinning goes on */
    size_t left;
};

static bool is_for_consent(const struct limits_file *f)
{
    return f->state == SPOOL_HOLD && f->name.not_before_s == SPOOL_HELD_FOR_CONSENT_S;
}

/* Consent may never come: what is held for it is a queue, too. */
static bool is_queued(const struct limits_file *f)
{
    return f->state == SPOOL_NEW || f->state == SPOOL_WAIT || is_for_consent(f);
}

/* A person holds it: neither for us to remove, nor a reason to remove others. */
static bool is_kept_by_hand(const struct limits_file *f)
{
    return f->state == SPOOL_HOLD && !is_for_consent(f);
}

/* What is queued before what is not, so that a signature's queued reports are one run. */
static int by_signature_and_age(const void *a, const void *b)
{
    const struct limits_file *x = a, *y = b;
    if (is_queued(x) != is_queued(y))
        return is_queued(x) ? -1 : 1;
    if (x->name.signature != y->name.signature)
        return x->name.signature < y->name.signature ? -1 : 1;
    if (x->name.time_ms != y->name.time_ms)
        return x->name.time_ms < y->name.time_ms ? -1 : 1;
    return memcmp(x->name.event_id, y->name.event_id, sizeof x->name.event_id);
}

static int by_age(const void *a, const void *b)
{
    const struct limits_file *x = *(struct limits_file *const *)a;
    const struct limits_file *y = *(struct limits_file *const *)b;
    if (x->name.time_ms != y->name.time_ms)
        return x->name.time_ms < y->name.time_ms ? -1 : 1;
    return memcmp(x->name.event_id, y->name.event_id, sizeof x->name.event_id);
}

static bool fits(const struct choice *c)
{
    const struct limits *l = c->limits;
    return (!l->max_reports || c->count <= l->max_reports) &&
           (!l->max_bytes || c->bytes <= l->max_bytes) &&
           c->freed_bytes >= l->need_bytes && c->freed_files >= l->need_files;
}

static void let_go(struct choice *c, struct limits_file *f, enum limits_reason why)
{
    if (f->reason)
        return;
    f->reason = (uint8_t)why;
    c->count--;
    c->bytes -= f->n_bytes;
    c->freed_bytes += f->n_bytes;
    c->freed_files++;
    c->gone++;
}

static bool older_than(uint64_t time_ms, uint64_t ms, uint64_t now_ms)
{
    return ms && time_ms < now_ms && now_ms - time_ms > ms;
}

static void drop_the_aged(struct choice *c, uint64_t now_ms)
{
    const struct limits *l = c->limits;
    for (size_t i = 0; i < c->n; i++) {
        struct limits_file *f = &c->files[i];
        if (is_queued(f) && older_than(f->name.time_ms, l->max_age_ms, now_ms))
            let_go(c, f, LIMITS_EXPIRED);
        if ((f->state == SPOOL_SENT &&
                older_than(f->settled_ms, l->retain_sent_ms, now_ms)) ||
            (f->state == SPOOL_BAD &&
                older_than(f->settled_ms, l->retain_bad_ms, now_ms)))
            let_go(c, f, LIMITS_RETAINED);
    }
}

/* The oldest of one folder: first to its own bound of bytes, then as far as needed. */
static void drop_settled(struct choice *c, struct limits_file **by_time, size_t n,
    enum spool_state state, uint64_t max_bytes)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (by_time[i]->state == state && !by_time[i]->reason)
            bytes += by_time[i]->n_bytes;
    }
    for (size_t i = 0; i < n; i++) {
        struct limits_file *f = by_time[i];
        bool over = max_bytes && bytes > max_bytes;
        if (f->state != state || f->reason)
            continue;
        if (!over && fits(c))
            return;
        bytes -= f->n_bytes;
        let_go(c, f, over ? LIMITS_RETAINED : LIMITS_OVERFLOW);
    }
}

/* The oldest of what is queued, as far as needed. */
static void drop_queued(
    struct choice *c, struct limits_file **by_time, size_t n, bool segments_only)
{
    for (size_t i = 0; i < n && !fits(c); i++) {
        if (is_queued(by_time[i]) && (by_time[i]->name.segment || !segments_only))
            let_go(c, by_time[i], LIMITS_OVERFLOW);
    }
}

static void sift_down(struct group *heap, size_t n, size_t i)
{
    for (;;) {
        size_t big = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < n; k++) {
            if (heap[k].left > heap[big].left)
                big = k;
        }
        if (big == i)
            return;
        struct group t = heap[i];
        heap[i] = heap[big];
        heap[big] = t;
        i = big;
    }
}

/* One more of a group: behind its first @keep, the oldest that is still there, but never
 * its newest. Returns false when there is none. */
static bool thin(struct choice *c, struct group *g, size_t keep)
{
    if (g->next < g->first + keep)
        g->next = g->first + keep;
    while (g->next + 1 < g->first + g->n) {
        struct limits_file *f = &c->files[g->next++];
        if (f->reason)
            continue;
        let_go(c, f, LIMITS_OVERFLOW);
        g->left--;
        return true;
    }
    return false;
}

/* Trim the largest group again and again, down to @keep + 1 each. */
static void thin_groups(struct choice *c, struct group *groups, size_t n, size_t keep)
{
    for (size_t i = n; i-- > 0;)
        sift_down(groups, n, i);
    while (n && !fits(c)) {
        if (groups[0].left <= keep + 1 || !thin(c, &groups[0], keep)) {
            groups[0] = groups[--n];
            sift_down(groups, n, 0);
            continue;
        }
        sift_down(groups, n, 0);
    }
}

static size_t find_groups(const struct choice *c, struct group *groups)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct limits_file *f = &c->files[i];
        if (!is_queued(f) || f->reason || f->name.segment)
            continue;
        if (n && c->files[groups[n - 1].first].name.signature == f->name.signature) {
            groups[n - 1].n = i + 1 - groups[n - 1].first;
            groups[n - 1].left++;
        } else {
            groups[n++] = (struct group){.first = i, .n = 1, .left = 1};
        }
    }
    return n;
}

long limits_choose(
    struct limits_file *files, size_t n, const struct limits *limits, uint64_t now_ms)
{
    struct choice c = {.files = files, .n = n, .limits = limits};
    if (!n)
        return 0;
    CLEANUP(free_p) struct limits_file **by_time = reallocarray(NULL, n, sizeof *by_time);
    CLEANUP(free_p) struct group *groups = reallocarray(NULL, n, sizeof *groups);
    if (!by_time || !groups)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        files[i].reason = LIMITS_KEEP;
        if (is_kept_by_hand(&files[i]))
            continue;
        c.count++;
        c.bytes += files[i].n_bytes;
    }
    qsort(files, n, sizeof *files, by_signature_and_age);
    for (size_t i = 0; i < n; i++)
        by_time[i] = &files[i];
    qsort(by_time, n, sizeof(struct limits_file *), by_age);
    drop_the_aged(&c, now_ms);
    drop_settled(&c, by_time, n, SPOOL_SENT, limits->retain_sent_bytes);
    drop_settled(&c, by_time, n, SPOOL_BAD, limits->retain_bad_bytes);
    drop_queued(&c, by_time, n, true);
    if (fits(&c))
        return c.gone;
    uint64_t keep = limits->keep_first + (limits->keep_last ? limits->keep_last - 1 : 0);
    thin_groups(&c, groups, find_groups(&c, groups), keep ? (size_t)keep : 1);
    /* What others fill the disk with costs no report that says something of its own: it
     * may be more than there is to give, and then all would go for nothing. */
    struct limits own = *limits;
    own.need_bytes = own.need_files = 0;
    c.limits = &own;
    thin_groups(&c, groups, find_groups(&c, groups), 0);
    drop_queued(&c, by_time, n, false);
    return c.gone;
}
