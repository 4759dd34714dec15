/**
 * What a scope holds: a list of entries in shared memory or on the heap, written by one
 * thread at a time, readable at any instant. Setting a thing again appends; when the list
 * is full what counts no more is left out by rewriting into the second list, which then
 * takes the place of the first in one store.
 */
#pragma once
#include <knell/journal.h>
#include <stdbool.h>

enum { KN_LIST_DEPTH = 16 };

struct kn_list {
    struct knell_journal_scope *scope; /* with its two lists behind it */
    uint32_t depth;                    /* levels above the lowest */
    uint32_t marks[KN_LIST_DEPTH];     /* where each begins, in bytes */
};

struct kn_entry {
    uint8_t type, value_type;
    const void *key, *value;
    size_t n_key, n_value;
};

/* Bytes of a scope whose lists hold @capacity each (a multiple of 8).
 * Context: any. */
static inline size_t kn_list_bytes(size_t capacity)
{
    return sizeof(struct knell_journal_scope) + 2 * capacity;
}

/**
 * Append an entry.
 *
 * Context: normal; one thread at a time.
 * Returns 0 or -ENOSPC.
 */
int kn_list_put(struct kn_list *list, const struct kn_entry *entry);

/**
 * Begin a level; kn_list_pop() forgets what was put since. Without a level to begin
 * (KN_LIST_DEPTH) nothing changes.
 *
 * Context: normal; one thread at a time.
 * Returns 0 or -ENOSPC.
 */
int kn_list_push(struct kn_list *list);

/**
 * Forget the levels above @depth.
 *
 * Context: normal; one thread at a time.
 */
void kn_list_pop(struct kn_list *list, uint32_t depth);

/**
 * Append what @from holds; what does not fit is left out.
 *
 * Context: normal; one thread at a time.
 * Returns 0 or -ENOSPC.
 */
int kn_list_copy(struct kn_list *list, const struct kn_list *from);
