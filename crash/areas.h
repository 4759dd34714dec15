/**
 * The areas of a mapped journal: where each lies, and giving out blocks.
 *
 * What is published here is never unmapped and never freed: another thread may be writing
 * into it while knell_stop() runs.
 */
#pragma once
#include "crash/bucket.h"
#include "crash/list.h"
#include "crash/told.h"

#include <knell/journal.h>
#include <pthread.h>

enum { KN_MAX_STRIPES = 16, KN_LIST_BYTES = 4096, KN_GLOBAL_LIST_BYTES = 12288 };

struct kn_areas {
    struct knell_journal_head *head;
    struct knell_journal_status *status;
    struct knell_journal_counts *counts;   /* KN_MAX_STRIPES */
    struct knell_journal_session *session; /* two */
    struct knell_journal_tag *tags;        /* KNELL_GLOBAL_TAGS */
    struct knell_journal_heart *hearts;    /* KNELL_MAX_HEARTS */
    struct kn_told told;
    char baggage[320]; /* public key, release and environment, as spans send it on */
    struct kn_buckets buckets;

    pthread_mutex_t lock;  /* of what follows, and of the global list and the session */
    struct kn_list global; /* the global scope but for its tags */
    uint32_t n_threads;    /* thread blocks given out */
    struct knell_journal_block *threads[256];
    struct knell_journal_block *stripes[KN_MAX_STRIPES]; /* atomic; NULL: not yet made */

    uint32_t n_stripes;
    uint32_t next_stripe; /* atomic */
    int32_t last_error;   /* atomic; of the last capture that failed */
    bool in_child;        /* a fork of the process it belongs to */
    struct kn_areas *older;
};

/**
 * Bytes a journal needs for what was chosen, the head included.
 *
 * Context: normal.
 */
size_t kn_areas_bytes(const struct kn_told *told);

/**
 * Lay the areas out behind a new head.
 *
 * Context: normal.
 * @head  mapped, zeroed behind the head, of kn_areas_bytes()
 * Returns NULL without memory; else it stays for the process's life.
 */
struct kn_areas *kn_areas_new(
    struct knell_journal_head *head, const struct kn_told *told);

/* Atomic; NULL before knell_start(), after it failed and after knell_stop(). */
extern struct kn_areas *kn_areas_published;

/**
 * Context: any.
 */
static inline struct kn_areas *kn_areas_current(void)
{
    return __atomic_load_n(&kn_areas_published, __ATOMIC_ACQUIRE);
}

/**
 * Context: normal.
 * @areas  NULL: nobody may say anything from now on
 */
void kn_areas_publish(struct kn_areas *areas);

/* Of the calling thread; set when it gets its ring. */
extern _Thread_local uint32_t kn_stripe_tls;

/**
 * Context: any; async-signal-safe.
 */
static inline void kn_count_more(
    struct kn_areas *a, enum knell_journal_count what, uint64_t n)
{
    __atomic_fetch_add(
        &a->counts[kn_stripe_tls % KN_MAX_STRIPES].counts[what], n, __ATOMIC_RELAXED);
}
static inline void kn_count(struct kn_areas *a, enum knell_journal_count what)
{
    kn_count_more(a, what, 1);
}

/**
 * What all threads have counted.
 *
 * Context: any.
 */
uint64_t kn_counted(const struct kn_areas *a, enum knell_journal_count what);

/**
 * A ring for the calling thread's breadcrumbs; several threads may share it.
 *
 * Context: normal.
 * Returns NULL when there is no room.
 */
struct knell_journal_block *kn_areas_ring(struct kn_areas *a);

/**
 * A block for the scope of thread @tid; give it back by storing 0 in its tid.
 *
 * Context: normal.
 * Returns NULL when max_thread_scopes are in use.
 */
struct knell_journal_block *kn_areas_thread(struct kn_areas *a, uint32_t tid);

/**
 * The parts of a thread block.
 *
 * Context: any.
 */
static inline struct knell_journal_trace *kn_block_traces(struct knell_journal_block *b)
{
    return (struct knell_journal_trace *)(b + 1);
}
static inline struct knell_journal_scope *kn_block_scope(struct knell_journal_block *b)
{
    return (struct knell_journal_scope *)(kn_block_traces(b) + 2);
}
