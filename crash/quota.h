/**
 * Keeps new/ within bounds where reports are made: a spool that nobody empties must not
 * fill the disk. The uploader keeps the other folders.
 */
#pragma once
#include <stdint.h>

struct kn_quota {
    uint32_t max_reports; /* in new/ */
    uint64_t max_bytes;   /* allocated, of those */
    const char *suffix;   /* of what counts and may go; NULL: all */
};

/* 1000 reports, 256 MiB. */
extern const struct kn_quota kn_quota_default;

/**
 * Remove what is too much: of the largest signature group first, all but its first three
 * and its newest; then more of the groups, down to one each; then the oldest. Looks at no
 * more than 4096 names, whatever lies there.
 *
 * Context: normal.
 * @fresh  O_PATH descriptor of new/
 * Returns how many reports were removed, or a negative errno.
 */
int kn_quota_keep(int fresh, const struct kn_quota *quota);
