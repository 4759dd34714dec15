/**
 * A ring of breadcrumbs in shared memory: many writers, no lock, no system call. A writer
 * owns the slot it won by compare-and-swap; one that meets a slot still being written
 * (its owner was held up for a whole round) gives its crumb up rather than wait.
 */
#pragma once
#include <knell/journal.h>
#include <knell/types.h>
#include <stdbool.h>

struct kn_crumb {
    uint64_t time_ns;
    uint32_t tid;
    uint8_t level, flags; /* enum knell_level, KNELL_CRUMB_* */
    const char *category, *message;
    const struct knell_data *values;
    size_t n_values;
};

enum kn_crumb_result {
    KN_CRUMB_LOST = 1, /* the slot was busy */
    KN_CRUMB_WAS_CUT = 2,
};

/**
 * Context: any; async-signal-safe.
 * @ring  a block of type KNELL_BLOCK_CRUMBS, its slots behind it
 * Returns 0 or enum kn_crumb_result.
 */
int kn_crumb_put(struct knell_journal_block *ring, const struct kn_crumb *crumb);
