#include "crash/areas.h"

#include "crash/identity.h"
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct kn_areas *kn_areas_published;
_Thread_local uint32_t kn_stripe_tls;

enum { ALIGN = 64, PAGE = 4096 };

static size_t up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Twice as many rings as processors, so that threads seldom share one. */
static uint32_t stripes(void)
{
    uint32_t n = 2 * kn_cpus();
    return n < 4 ? 4 : n > KN_MAX_STRIPES ? KN_MAX_STRIPES : n;
}

static size_t ring_bytes(const struct kn_told *t)
{
    return up(sizeof(struct knell_journal_block) +
                  (size_t)t->max_breadcrumbs * t->breadcrumb_bytes,
        ALIGN);
}

static size_t thread_bytes(void)
{
    return up(sizeof(struct knell_journal_block) +
                  2 * sizeof(struct knell_journal_trace) + kn_list_bytes(KN_LIST_BYTES),
        ALIGN);
}

static size_t size_of(uint32_t type, const struct kn_told *t)
{
    switch (type) {
    case KNELL_AREA_STATUS:
        return sizeof(struct knell_journal_status) +
               KN_MAX_STRIPES * sizeof(struct knell_journal_counts);
    case KNELL_AREA_SESSION:
        return 2 * sizeof(struct knell_journal_session);
    case KNELL_AREA_TAGS:
        return KNELL_GLOBAL_TAGS * sizeof(struct knell_journal_tag);
    case KNELL_AREA_SCOPE:
        return kn_list_bytes(KN_GLOBAL_LIST_BYTES);
    case KNELL_AREA_HEARTS:
        return KNELL_MAX_HEARTS * sizeof(struct knell_journal_heart);
    default:
        return stripes() * ring_bytes(t) + t->max_thread_scopes * thread_bytes();
    }
}

/* Whatever was chosen, with room for 2,048 modules: readers refuse a larger file. */
static_assert(KN_MAX_STRIPES * (KN_RING_BYTES + 2 * ALIGN) +
                      KN_MAX_THREAD_SCOPES * (2 * KN_LIST_BYTES + 2048) + (1 << 20) <=
                  KNELL_JOURNAL_MAX_BYTES,
    "the largest journal is one that is read");

size_t kn_areas_bytes(const struct kn_told *told)
{
    size_t n = up(sizeof(struct knell_journal_head), ALIGN);
    for (uint32_t type = KNELL_AREA_STATUS; type <= KNELL_AREA_BLOCKS; type++)
        n += up(size_of(type, told), ALIGN);
    return up(n, PAGE);
}

struct kn_areas *kn_areas_new(struct knell_journal_head *head, const struct kn_told *told)
{
    struct kn_areas *a = aligned_alloc(alignof(struct kn_areas), sizeof *a);
    if (!a)
        return NULL;
    memset(a, 0, sizeof *a);
    if (pthread_mutex_init(&a->lock, NULL)) {
        free(a);
        return NULL;
    }
    uint8_t *base = (uint8_t *)head, *at[KNELL_AREA_BLOCKS + 1] = {NULL};
    size_t offset = up(sizeof *head, ALIGN);
    for (uint32_t type = KNELL_AREA_STATUS; type <= KNELL_AREA_BLOCKS; type++) {
        size_t n = size_of(type, told);
        head->areas[type - 1] = (struct knell_journal_area){
            .type = type, .offset = (uint32_t)offset, .n_bytes = (uint32_t)n};
        at[type] = base + offset;
        if (type != KNELL_AREA_BLOCKS)
            offset += up(n, ALIGN);
    }
    a->head = head;
    a->told = *told;
    a->status = (struct knell_journal_status *)(void *)at[KNELL_AREA_STATUS];
    a->counts = (struct knell_journal_counts *)(a->status + 1);
    a->status->vm_oom_kills_at_start = a->status->memory_max_bytes = UINT64_MAX;
    a->session = (struct knell_journal_session *)(void *)at[KNELL_AREA_SESSION];
    a->tags = (struct knell_journal_tag *)(void *)at[KNELL_AREA_TAGS];
    a->hearts = (struct knell_journal_heart *)(void *)at[KNELL_AREA_HEARTS];
    a->global.scope = (struct knell_journal_scope *)(void *)at[KNELL_AREA_SCOPE];
    a->global.scope->capacity = KN_GLOBAL_LIST_BYTES;
    a->buckets.burst = told->capture_burst;
    a->buckets.interval_ms = told->capture_interval_ms;
    a->n_stripes = stripes();
    head->used_bytes = (uint32_t)offset;
    return a;
}

uint64_t kn_counted(const struct kn_areas *a, enum knell_journal_count what)
{
    uint64_t n = 0;
    for (size_t i = 0; i < KN_MAX_STRIPES; i++)
        n += __atomic_load_n(&a->counts[i].counts[what], __ATOMIC_RELAXED);
    return n;
}

void kn_areas_publish(struct kn_areas *areas)
{
    /* The older ones stay reachable: a thread may be at work in them still. */
    static struct kn_areas *all;
    if (areas) {
        areas->older = all;
        all = areas;
    }
    __atomic_store_n(&kn_areas_published, areas, __ATOMIC_RELEASE);
}

/* Under the lock. A block counts when it is whole: readers stop at used_bytes. */
static struct knell_journal_block *new_block(
    struct kn_areas *a, uint32_t type, size_t n, uint32_t n_slots, uint32_t slot_bytes)
{
    uint32_t used = a->head->used_bytes;
    const struct knell_journal_area *area = &a->head->areas[KNELL_AREA_BLOCKS - 1];
    if (used + n > (size_t)area->offset + area->n_bytes)
        return NULL;
    struct knell_journal_block *b =
        (struct knell_journal_block *)(void *)((uint8_t *)a->head + used);
    b->n_bytes = (uint32_t)n;
    b->n_slots = n_slots;
    b->slot_bytes = slot_bytes;
    if (type == KNELL_BLOCK_THREAD)
        kn_block_scope(b)->capacity = KN_LIST_BYTES;
    __atomic_store_n(&b->type, type, __ATOMIC_RELEASE);
    __atomic_store_n(&a->head->used_bytes, used + (uint32_t)n, __ATOMIC_RELEASE);
    return b;
}

struct knell_journal_block *kn_areas_ring(struct kn_areas *a)
{
    kn_stripe_tls = __atomic_fetch_add(&a->next_stripe, 1, __ATOMIC_RELAXED);
    uint32_t i = kn_stripe_tls % a->n_stripes;
    struct knell_journal_block *b = __atomic_load_n(&a->stripes[i], __ATOMIC_ACQUIRE);
    if (b)
        return b;
    (void)pthread_mutex_lock(&a->lock);
    b = a->stripes[i];
    if (!b) {
        b = new_block(a, KNELL_BLOCK_CRUMBS, ring_bytes(&a->told),
            a->told.max_breadcrumbs, a->told.breadcrumb_bytes);
        __atomic_store_n(&a->stripes[i], b, __ATOMIC_RELEASE);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return b;
}

struct knell_journal_block *kn_areas_thread(struct kn_areas *a, uint32_t tid)
{
    struct knell_journal_block *found = NULL;
    (void)pthread_mutex_lock(&a->lock);
    for (uint32_t i = 0; !found && i < a->n_threads; i++) {
        uint32_t none = 0;
        if (__atomic_compare_exchange_n(&a->threads[i]->tid, &none, tid, false,
                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            found = a->threads[i];
    }
    if (!found && a->n_threads < a->told.max_thread_scopes) {
        found = new_block(a, KNELL_BLOCK_THREAD, thread_bytes(), 0, 0);
        if (found) {
            __atomic_store_n(&found->tid, tid, __ATOMIC_RELEASE);
            a->threads[a->n_threads++] = found;
        }
    }
    (void)pthread_mutex_unlock(&a->lock);
    return found;
}
