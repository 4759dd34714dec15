/**
 * How many reports of one kind are written: a token bucket per signature, without a lock.
 * The answer "no" costs a look at a table and one addition.
 */
#pragma once
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KN_BUCKETS = 256, KN_BUCKET_SHARDS = 16 };

struct kn_bucket {
    uint64_t signature;  /* atomic; 0: free */
    uint64_t full_at_ms; /* atomic; when the bucket will be full again */
};

struct kn_buckets {
    uint32_t burst;       /* allowed at once */
    uint32_t interval_ms; /* one more after each */
    struct kn_bucket buckets[KN_BUCKETS];
    /* Refusals since the last one allowed, in as many places as threads may be at it, so
     * that they do not take a line of memory from each other; atomic. */
    alignas(64) uint32_t n_suppressed[KN_BUCKET_SHARDS][KN_BUCKETS];
};

/**
 * Context: any thread; async-signal-safe.
 * @signature         not 0; when the table's place for it is taken by ones in use, it
 *                    shares a bucket
 * @now_ms            any monotonic clock; 1 or more
 * @shard             of the calling thread; any number
 * @ret_n_suppressed  set when allowed: refusals since the last time it was
 */
bool kn_bucket_take(struct kn_buckets *b, uint64_t signature, uint64_t now_ms,
    uint32_t shard, uint32_t *ret_n_suppressed);

/**
 * Keep refusals for the next one allowed: the one that took them is not written either.
 *
 * Context: any thread; async-signal-safe.
 */
void kn_bucket_give_back(struct kn_buckets *b, uint64_t signature, uint64_t now_ms,
    uint32_t shard, uint32_t n_suppressed);
