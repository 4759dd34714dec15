#include "crash/bucket.h"

enum { N_PROBES = 8 };

static void suppress(
    struct kn_buckets *b, const struct kn_bucket *k, uint32_t shard, uint32_t n)
{
    __atomic_fetch_add(
        &b->n_suppressed[shard % KN_BUCKET_SHARDS][k - b->buckets], n, __ATOMIC_RELAXED);
}

static uint32_t take_suppressed(struct kn_buckets *b, const struct kn_bucket *k)
{
    uint32_t n = 0;
    for (size_t i = 0; i < KN_BUCKET_SHARDS; i++) {
        uint32_t *one = &b->n_suppressed[i][k - b->buckets];
        if (__atomic_load_n(one, __ATOMIC_RELAXED))
            n += __atomic_exchange_n(one, 0, __ATOMIC_RELAXED);
    }
    return n;
}

/* The bucket of a signature: its own, a free one, or one that has been full for a while;
 * at worst the first place, shared. */
static struct kn_bucket *find(struct kn_buckets *b, uint64_t signature, uint64_t now_ms)
{
    struct kn_bucket *idle = NULL;
    for (uint64_t i = 0; i < N_PROBES; i++) {
        struct kn_bucket *k = &b->buckets[(signature + i) % KN_BUCKETS];
        uint64_t owner = __atomic_load_n(&k->signature, __ATOMIC_RELAXED);
        if (owner == signature)
            return k;
        if (!owner && __atomic_compare_exchange_n(&k->signature, &owner, signature, false,
                          __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return k;
        if (owner == signature)
            return k;
        if (!idle && __atomic_load_n(&k->full_at_ms, __ATOMIC_RELAXED) <= now_ms)
            idle = k;
    }
    if (!idle)
        return &b->buckets[signature % KN_BUCKETS];
    __atomic_store_n(&idle->signature, signature, __ATOMIC_RELAXED);
    (void)take_suppressed(b, idle);
    return idle;
}

bool kn_bucket_take(struct kn_buckets *b, uint64_t signature, uint64_t now_ms,
    uint32_t shard, uint32_t *ret_n_suppressed)
{
    struct kn_bucket *k = find(b, signature, now_ms);
    uint64_t window = (uint64_t)b->burst * b->interval_ms;
    uint64_t full = __atomic_load_n(&k->full_at_ms, __ATOMIC_RELAXED), next;
    do {
        next = (full > now_ms ? full : now_ms) + b->interval_ms;
        if (next - now_ms > window) {
            suppress(b, k, shard, 1);
            return false;
        }
    } while (!__atomic_compare_exchange_n(
        &k->full_at_ms, &full, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    *ret_n_suppressed = take_suppressed(b, k);
    return true;
}

void kn_bucket_give_back(struct kn_buckets *b, uint64_t signature, uint64_t now_ms,
    uint32_t shard, uint32_t n_suppressed)
{
    if (n_suppressed)
        suppress(b, find(b, signature, now_ms), shard, n_suppressed);
}
