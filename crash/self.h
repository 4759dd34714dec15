/**
 * What knell knows of the calling thread: its ring, its scope in the journal, its span.
 */
#pragma once
#include "crash/areas.h"

struct knell_scope;
struct knell_span;

struct kn_self {
    struct kn_areas *areas; /* to which the rest belongs; NULL: none yet */
    uint32_t tid;
    uint32_t n_lost;                   /* levels pushed for which there was no room */
    struct knell_journal_block *ring;  /* NULL: no room */
    struct knell_journal_block *block; /* NULL: none asked for, or no room */
    struct kn_list list;               /* in the block */
    struct knell_scope *bound;         /* a free-standing scope */
    uint32_t bound_depth;              /* its level in the list */
    uint32_t outer_lost;               /* n_lost before it was bound */
    bool bound_lost;                   /* no room for it in the journal */
    struct knell_span *span;           /* innermost open; a reference */
    struct knell_span *outer_span;     /* open before the scope was bound; a reference */
};

extern _Thread_local struct kn_self kn_self_tls;

/**
 * Give the thread a ring and forget what it had in an older journal.
 *
 * Context: normal.
 */
void kn_self_attach(struct kn_self *t, struct kn_areas *a);

/**
 * Context: any; normal for a thread's first call.
 */
static inline struct kn_self *kn_self_get(struct kn_areas *a)
{
    struct kn_self *t = &kn_self_tls;
    if (__builtin_expect(t->areas != a, 0))
        kn_self_attach(t, a);
    return t;
}

/**
 * Take a block for the thread's scope unless it has one; it is given back when the thread
 * ends.
 *
 * Context: normal.
 * Returns whether it has one.
 */
bool kn_self_block(struct kn_self *t);

/**
 * In a fork child, whose journal is its own by now: the calling thread goes on under
 * another id.
 *
 * Context: fork child; async-signal-safe.
 */
void kn_self_fork_child(void);

/**
 * Write the open span's ids where a report of the thread looks for them.
 *
 * Context: normal.
 * @trace  everything but version and sum; NULL: no span is open
 */
void kn_self_trace(struct kn_self *t, const struct knell_journal_trace *trace);
