#include "crash/crumbs.h"

#include "crash/text.h"

#include <knell/scope.h>

/* A division of 32 bits costs a fraction of one of 64 on many processors. */
static size_t slot_of(uint64_t p, uint32_t n_slots)
{
    return p <= UINT32_MAX ? (uint32_t)p % n_slots : p % n_slots;
}

int kn_crumb_put(struct knell_journal_block *ring, const struct kn_crumb *crumb)
{
    const uint32_t n_slots = __atomic_load_n(&ring->n_slots, __ATOMIC_RELAXED);
    const uint32_t slot_bytes = __atomic_load_n(&ring->slot_bytes, __ATOMIC_RELAXED);
    if (!n_slots || slot_bytes < sizeof(struct knell_journal_crumb))
        return KN_CRUMB_LOST; /* its page is, see handler/mend.h */
    uint64_t p = __atomic_fetch_add(&ring->next, 1, __ATOMIC_RELAXED);
    uint8_t *slots = (uint8_t *)(ring + 1);
    struct knell_journal_crumb *slot =
        (struct knell_journal_crumb *)(slots + slot_of(p, n_slots) * slot_bytes);
    uint64_t seq = __atomic_load_n(&slot->seq, __ATOMIC_RELAXED);
    if (seq & 1 || seq > 2 * p ||
        !__atomic_compare_exchange_n(
            &slot->seq, &seq, 2 * p + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return KN_CRUMB_LOST;

    bool cut = false;
    size_t room = slot_bytes - sizeof *slot;
    uint8_t *payload = (uint8_t *)(slot + 1);
    size_t max_category = room < KNELL_KEY_MAX ? room : KNELL_KEY_MAX;
    size_t n_category = kn_text_cut(crumb->category, max_category, &cut);
    size_t n_message = kn_text_cut(crumb->message, room - n_category, &cut);
    memcpy(payload, crumb->category ? crumb->category : "", n_category);
    memcpy(payload + n_category, crumb->message ? crumb->message : "", n_message);
    size_t n = n_category + n_message;
    if (crumb->n_values)
        n += kn_pairs_put(payload + n, room - n, crumb->values, crumb->n_values, &cut);

    slot->n_bytes = (uint16_t)n;
    slot->level = crumb->level;
    slot->flags = (uint8_t)(crumb->flags | (cut ? KNELL_CRUMB_CUT : 0));
    slot->time_ns = crumb->time_ns;
    slot->tid = crumb->tid;
    slot->n_category = (uint16_t)n_category;
    slot->n_message = (uint16_t)n_message;
    size_t at = offsetof(struct knell_journal_crumb, n_bytes);
    slot->sum = knell_journal_sum((uint8_t *)slot + at, sizeof *slot - at + n, 2 * p + 2);
    __atomic_store_n(&slot->seq, 2 * p + 2, __ATOMIC_RELEASE);
    return cut ? KN_CRUMB_WAS_CUT : 0;
}
