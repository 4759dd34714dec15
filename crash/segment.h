/**
 * The segment of this process: spans, logs and sessions, appended to a mapped file in
 * live/ that moves to new/ when it is full or old. Made at the first append; what cannot
 * be written is counted and dropped.
 */
#pragma once
#include "crash/identity.h"
#include "crash/settings.h"
#include "crash/spool.h"

#include <knell/journal.h>

/**
 * Know where segments go.
 *
 * Context: normal.
 */
void kn_segment_start(const struct kn_spool *spool, const char *stem,
    const struct kn_settings *settings, const struct kn_identity *id);

/**
 * Close the present segment, give it to the uploader, and forget where they go.
 *
 * Context: normal.
 */
void kn_segment_stop(void);

struct kn_record {
    uint32_t type; /* enum knell_record_type */
    const void *parts[4];
    size_t n_parts[4]; /* bytes of each; the payload is all of them in a row */
};

/**
 * Append @n records, all or none, next to each other.
 *
 * Context: normal.
 * Returns 0; -ENODEV before kn_segment_start(), -E2BIG for more than a segment, or what
 * the file system said.
 */
int kn_segment_append(const struct kn_record *records, size_t n);

/**
 * Give what there is to the uploader now.
 *
 * Context: normal.
 * Returns 0, also when there is nothing; else what the file system said.
 */
int kn_segment_flush(void);

/**
 * In a fork child: leave the parent's segment alone.
 *
 * Context: fork child; async-signal-safe.
 */
void kn_segment_fork_child(void);
